"""Revocation of the certificates of a path, by lists and OCSP answers that travel with a signature (RFC 5280, RFC 6960).

Only what the certificate's issuer signed, or a responder the issuer appointed, counts. No network: without evidence the
verdict says so.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from asn1crypto import keys
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from benhan_verify.chain import STRONG, Path, name_of
from benhan_verify.report import Refused, Verdict

_UNFIT = (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Revocation lists and OCSP answers, DER."""

    crls: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()

    def __add__(self, other: Evidence) -> Evidence:
        """Both together."""
        return Evidence(self.crls + other.crls, self.ocsps + other.ocsps)


def check_path(path: Path, evidence: Evidence, at: datetime, verdict: Verdict) -> None:
    """Refuse a path (leaf first) with a certificate revoked at ``at``; say how far the evidence reaches.

    Evidence made after ``at`` counts by the date of the revocation. Raises: `Refused` (REVOKED_NO_POE).
    """
    known: list[datetime | None] = []
    for certificate, issuer in itertools.pairwise(path):
        seen = _seen(certificate, issuer, evidence)
        for revoked, _ in seen:
            if revoked is not None and revoked <= at:
                name = name_of(certificate.subject)
                raise Refused(
                    "REVOKED_NO_POE",
                    f"Chứng thư “{name}” đã bị thu hồi lúc {revoked.isoformat()}.",
                    f"The certificate '{name}' was revoked at {revoked.isoformat()}.",
                )
        known.append(max((asked for _, asked in seen), default=None))
    name = name_of(path[0].subject)
    dates = [k for k in known if k is not None]
    if dates and len(dates) == len(known):
        until = min(dates).isoformat()
        verdict.proved(
            f"Chứng thư của “{name}” không bị thu hồi, theo bằng chứng tính đến {until}.",
            f"The certificate of '{name}' was not revoked, by evidence up to {until}.",
        )
    else:
        verdict.remark(
            f"Không đủ bằng chứng để xét thu hồi chứng thư của “{name}”.",
            f"There is not enough evidence to judge revocation of the certificate of '{name}'.",
        )


def _seen(
    certificate: x509.Certificate, issuer: x509.Certificate, evidence: Evidence
) -> list[tuple[datetime | None, datetime]]:
    """For each fitting piece of evidence: when revoked (None: not), and the instant it speaks for."""
    found = []
    for reader, ders in ((_by_list, evidence.crls), (_by_answer, evidence.ocsps)):
        for der in ders:
            try:
                state = reader(der, certificate, issuer)
            except _UNFIT:
                continue
            if state is not None:
                found.append(state)
    return found


def _by_list(
    der: bytes, certificate: x509.Certificate, issuer: x509.Certificate
) -> tuple[datetime | None, datetime] | None:
    made, key = x509.load_der_x509_crl(der), issuer.public_key()
    algorithm = made.signature_hash_algorithm
    if made.issuer != issuer.subject or algorithm is None or algorithm.name not in STRONG:
        return None
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) or not made.is_signature_valid(key):
        return None
    entry = made.get_revoked_certificate_by_serial_number(certificate.serial_number)
    return (None if entry is None else entry.revocation_date_utc), made.last_update_utc


def _by_answer(
    der: bytes, certificate: x509.Certificate, issuer: x509.Certificate
) -> tuple[datetime | None, datetime] | None:
    answer = ocsp.load_der_ocsp_response(der)
    if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        return None
    named = (answer.issuer_name_hash, answer.issuer_key_hash)
    if answer.serial_number != certificate.serial_number or named != _hashes(issuer, answer.hash_algorithm):
        return None
    _check_answer(answer, issuer)
    if answer.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
        return None
    return answer.revocation_time_utc, answer.this_update_utc


def _hashes(issuer: x509.Certificate, algorithm: hashes.HashAlgorithm) -> tuple[bytes, bytes]:
    info = issuer.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    bits = keys.PublicKeyInfo.load(info)["public_key"].contents[1:]

    def digest(data: bytes) -> bytes:
        return hashlib.new(algorithm.name, data, usedforsecurity=False).digest()

    return digest(issuer.subject.public_bytes()), digest(bits)


def _check_answer(answer: ocsp.OCSPResponse, issuer: x509.Certificate) -> None:
    """Raise one of ``_UNFIT`` unless the issuer or its appointed responder signed the answer."""
    responder = issuer
    if answer.certificates:
        responder = answer.certificates[0]
        responder.verify_directly_issued_by(issuer)
        appointed = responder.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        in_life = responder.not_valid_before_utc <= answer.produced_at_utc <= responder.not_valid_after_utc
        if ExtendedKeyUsageOID.OCSP_SIGNING not in appointed or not in_life:
            raise ValueError("responder")
    algorithm, key = answer.signature_hash_algorithm, responder.public_key()
    if algorithm is None or algorithm.name not in STRONG:
        raise ValueError("weak")
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(answer.signature, answer.tbs_response_bytes, padding.PKCS1v15(), algorithm)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(answer.signature, answer.tbs_response_bytes, ec.ECDSA(algorithm))
    else:
        raise ValueError("key")


def of_lists(ders: Sequence[bytes]) -> Evidence:
    """Lists (DER or PEM) that the judge brings along; raises ``ValueError`` for what is no list."""
    made = []
    for der in ders:
        load = x509.load_pem_x509_crl if der.startswith(b"-----") else x509.load_der_x509_crl
        made.append(load(der).public_bytes(serialization.Encoding.DER))
    return Evidence(tuple(made))
