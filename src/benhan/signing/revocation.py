"""Judging revocation evidence: is a certificate on a list, or called revoked by a responder, at an instant.

Only evidence that the certificate's own issuer signed (or a responder the issuer appointed, RFC 6960 4.2.2.2) counts;
everything else is passed over, so that foreign lists neither harm nor help.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from benhan.signing.evidence import Evidence
from benhan.signing.pki import issuer_hashes

_UNFIT = (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound)
_STRONG = ("sha256", "sha384", "sha512")


@dataclass(frozen=True, slots=True)
class State:
    """What evidence says: when it was revoked (None: not), and the last instant the evidence speaks for (None: none)."""

    revoked_at: datetime | None = None
    known_at: datetime | None = None


def state_of(certificate: x509.Certificate, issuer: x509.Certificate, evidence: Evidence) -> State:
    """State of ``certificate`` by all fitting evidence; the earliest revocation and the latest evidence win."""
    seen = [s for one in evidence.crls if (s := _by_list(one.dump(), certificate, issuer))]
    seen += [s for one in evidence.ocsps if (s := _by_answer(one.dump(), certificate, issuer))]
    revoked = [s.revoked_at for s in seen if s.revoked_at]
    known = [s.known_at for s in seen if s.known_at]
    return State(min(revoked, default=None), max(known, default=None))


def states(path: list[asn1_x509.Certificate], evidence: Evidence) -> list[State]:
    """State of each certificate of a path that begins with the root; the root itself has none."""
    made = [x509.load_der_x509_certificate(c.dump()) for c in path]
    return [state_of(own, above, evidence) for above, own in itertools.pairwise(made)]


def _by_list(der: bytes, certificate: x509.Certificate, issuer: x509.Certificate) -> State | None:
    try:
        found = x509.load_der_x509_crl(der)
        strong = found.signature_hash_algorithm is not None and found.signature_hash_algorithm.name in _STRONG
        if found.issuer != issuer.subject or not strong:
            return None
        key = issuer.public_key()
        if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) or not found.is_signature_valid(
            key
        ):
            return None
        entry = found.get_revoked_certificate_by_serial_number(certificate.serial_number)
        return State(None if entry is None else entry.revocation_date_utc, found.last_update_utc)
    except _UNFIT:
        return None


def _by_answer(der: bytes, certificate: x509.Certificate, issuer: x509.Certificate) -> State | None:
    try:
        answer = ocsp.load_der_ocsp_response(der)
        if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return None
        hashed = (answer.issuer_name_hash, answer.issuer_key_hash)
        if answer.serial_number != certificate.serial_number or hashed != issuer_hashes(
            issuer, answer.hash_algorithm
        ):
            return None
        _check_answer(answer, issuer)
        if answer.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
            return None
        return State(answer.revocation_time_utc, answer.this_update_utc)
    except _UNFIT:
        return None


def _check_answer(answer: ocsp.OCSPResponse, issuer: x509.Certificate) -> None:
    """Raise one of ``_UNFIT`` unless the issuer or its appointed responder signed the answer."""
    responder = issuer
    if answer.certificates:
        responder = answer.certificates[0]
        responder.verify_directly_issued_by(issuer)
        appointed = responder.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        if ExtendedKeyUsageOID.OCSP_SIGNING not in appointed:
            raise ValueError("responder")
        if not responder.not_valid_before_utc <= answer.produced_at_utc <= responder.not_valid_after_utc:
            raise ValueError("responder's life")
    algorithm, key = answer.signature_hash_algorithm, responder.public_key()
    if not isinstance(algorithm, hashes.SHA256 | hashes.SHA384 | hashes.SHA512):
        raise ValueError("weak")
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(answer.signature, answer.tbs_response_bytes, padding.PKCS1v15(), algorithm)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(answer.signature, answer.tbs_response_bytes, ec.ECDSA(algorithm))
    else:
        raise ValueError("key")
