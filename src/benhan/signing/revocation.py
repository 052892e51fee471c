"""Judging revocation evidence: is a certificate on a list, or called revoked by a responder, at an instant.

Only evidence that the certificate's own issuer signed (or a responder the issuer appointed, RFC 6960 4.2.2.2) counts;
everything else is passed over, so that foreign lists neither harm nor help.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime, timedelta

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


#: how far clocks may differ; an answer without nextUpdate speaks for no longer than this
SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class State:
    """What evidence says of a certificate at an instant.

    ``revoked_at``: when it was revoked for good (None: not). ``held_at``: since when it was suspended at that instant.
    ``known_at``: the last instant that evidence speaks for, None when none of it speaks for the instant asked; ``stale``
    when there is some, but too old.
    """

    revoked_at: datetime | None = None
    known_at: datetime | None = None
    held_at: datetime | None = None
    stale: bool = False


@dataclass(frozen=True, slots=True)
class _Said:
    """One piece of fitting evidence: made when, good until when, and on the list since when, for good or held."""

    made: datetime
    until: datetime | None
    gone_at: datetime | None
    held: bool

    def speaks_for(self, at: datetime, certificate: x509.Certificate) -> bool:
        """Between thisUpdate and nextUpdate, and for all before, while the certificate was still listed (RFC 5280, 3.3)."""
        return self.made <= certificate.not_valid_after_utc and at <= (self.until or self.made + SKEW)


def state_of(
    certificate: x509.Certificate, issuer: x509.Certificate, evidence: Evidence, at: datetime
) -> State:
    """State of ``certificate`` at ``at`` (the time of signing) by all fitting evidence.

    The earliest revocation wins. A hold counts while the newest evidence still says it, and for instants that lie in it
    although it was lifted later. That nothing is wrong is believed only of evidence that is not too old for ``at``.
    """
    seen = [s for one in evidence.crls if (s := _by_list(one.dump(), certificate, issuer))]
    seen += [s for one in evidence.ocsps if (s := _by_answer(one.dump(), certificate, issuer))]
    newest = max((s.made for s in seen), default=None)
    revoked = [s.gone_at for s in seen if s.gone_at and not s.held]
    held = [
        s.gone_at
        for s in seen
        if s.gone_at and s.held and s.gone_at <= at and (at <= s.made or s.made == newest)
    ]
    known = [s.made for s in seen if s.speaks_for(at, certificate)]
    return State(
        min(revoked, default=None),
        max(known, default=None),
        min(held, default=None),
        bool(seen and not known),
    )


def states(path: list[asn1_x509.Certificate], evidence: Evidence, at: datetime) -> list[State]:
    """State of each certificate of a path that begins with the root; the root itself has none."""
    made = [x509.load_der_x509_certificate(c.dump()) for c in path]
    return [state_of(own, above, evidence, at) for above, own in itertools.pairwise(made)]


def _by_list(der: bytes, certificate: x509.Certificate, issuer: x509.Certificate) -> _Said | None:
    try:
        found = x509.load_der_x509_crl(der)
        strong = found.signature_hash_algorithm is not None and found.signature_hash_algorithm.name in _STRONG
        if found.issuer != issuer.subject or not strong or not _covers(found, certificate):
            return None
        key = issuer.public_key()
        if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) or not found.is_signature_valid(
            key
        ):
            return None
        entry = found.get_revoked_certificate_by_serial_number(certificate.serial_number)
        at = None if entry is None else entry.revocation_date_utc
        return _Said(found.last_update_utc, found.next_update_utc, at, entry is not None and _on_hold(entry))
    except _UNFIT:
        return None


def _on_hold(entry: x509.RevokedCertificate) -> bool:
    try:
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return False
    return reason is x509.ReasonFlags.certificate_hold


def _covers(found: x509.CertificateRevocationList, certificate: x509.Certificate) -> bool:
    """Whether a list is for certificates of this kind (RFC 5280, 5.2.5); a delta or an unknown rule counts for none."""
    for extension in found.extensions:
        scope = extension.value
        if not isinstance(scope, x509.IssuingDistributionPoint):
            if extension.critical:
                return False
            continue
        authority = _is_authority(certificate)
        partial = scope.indirect_crl or scope.only_some_reasons or scope.only_contains_attribute_certs
        other_kind = scope.only_contains_user_certs if authority else scope.only_contains_ca_certs
        if partial or other_kind or scope.relative_name:
            return False
        if scope.full_name and not set(scope.full_name) & set(_points(certificate)):
            return False
    return True


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _points(certificate: x509.Certificate) -> list[x509.GeneralName]:
    """Where the certificate says that its list is."""
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return []
    return [name for point in points for name in point.full_name or ()]


def _by_answer(der: bytes, certificate: x509.Certificate, issuer: x509.Certificate) -> _Said | None:
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
        held = answer.revocation_reason is x509.ReasonFlags.certificate_hold
        return _Said(answer.this_update_utc, answer.next_update_utc, answer.revocation_time_utc, held)
    except _UNFIT:
        return None


def _check_answer(answer: ocsp.OCSPResponse, issuer: x509.Certificate) -> None:
    """Raise one of ``_UNFIT`` unless the issuer or its appointed responder signed the answer."""
    responder = _responder(answer, issuer)
    if responder != issuer:
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


def _responder(answer: ocsp.OCSPResponse, issuer: x509.Certificate) -> x509.Certificate:
    """The certificate that the answer names as its signer, by name or by key; raises ``ValueError``."""
    for one in (issuer, *answer.certificates):
        if answer.responder_name is not None and one.subject == answer.responder_name:
            return one
        # RFC 6960, 4.2.1: a KeyHash is SHA-1; it only finds the key that the signature must then hold under
        _, key_hash = issuer_hashes(one, hashes.SHA1())  # noqa: S303
        if answer.responder_key_hash == key_hash:
            return one
    raise ValueError("responder")
