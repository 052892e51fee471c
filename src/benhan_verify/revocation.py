"""Revocation of the certificates of a path, by lists and OCSP answers that travel with a signature (RFC 5280, RFC 6960).

Only what the certificate's issuer signed, or a responder the issuer appointed, counts. No network: without evidence the
verdict says so.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from asn1crypto import keys
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from benhan_verify.chain import STRONG, Path, is_authority, name_of
from benhan_verify.report import Refused, Verdict

#: how far clocks may differ; an answer without nextUpdate speaks for no longer than this
SKEW = timedelta(minutes=5)
_UNFIT = (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Revocation lists and OCSP answers, DER."""

    crls: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()

    def __add__(self, other: Evidence) -> Evidence:
        """Both together."""
        return Evidence(self.crls + other.crls, self.ocsps + other.ocsps)


@dataclass(frozen=True, slots=True)
class Said:
    """One piece of fitting evidence: made when, good until when, and on the list since when, for good or held."""

    made: datetime
    until: datetime | None
    gone_at: datetime | None
    held: bool


def check_path(path: Path, evidence: Evidence, at: datetime, verdict: Verdict) -> None:
    """Refuse a path (leaf first) with a certificate revoked or suspended at ``at``; say how far the evidence reaches.

    Evidence made after ``at`` counts by the date of the revocation; that nothing is wrong is believed only of evidence that
    was not too old at ``at`` (nextUpdate). Raises: `Refused` (REVOKED_NO_POE, TRY_LATER).
    """
    known: list[datetime | None] = []
    stale = False
    for certificate, issuer in itertools.pairwise(path):
        seen = _seen(certificate, issuer, evidence)
        _refuse_gone(certificate, seen, at)
        fresh = [
            s.made
            for s in seen
            if s.made <= certificate.not_valid_after_utc and at <= (s.until or s.made + SKEW)
        ]
        stale = stale or bool(seen and not fresh)
        known.append(max(fresh, default=None))
    name = name_of(path[0].subject)
    dates = [k for k in known if k is not None]
    if dates and len(dates) == len(known):
        until = min(dates).isoformat()
        verdict.proved(
            f"Chứng thư của “{name}” không bị thu hồi, theo bằng chứng tính đến {until}.",
            f"The certificate of '{name}' was not revoked, by evidence up to {until}.",
        )
    elif stale:
        verdict.remark(
            f"Bằng chứng thu hồi của “{name}” đã cũ so với lúc ký; không đủ bằng chứng.",
            f"The revocation evidence of '{name}' was out of date at the signing; there is not enough evidence.",
        )
    else:
        verdict.remark(
            f"Không đủ bằng chứng để xét thu hồi chứng thư của “{name}”.",
            f"There is not enough evidence to judge revocation of the certificate of '{name}'.",
        )


def _refuse_gone(certificate: x509.Certificate, seen: Sequence[Said], at: datetime) -> None:
    """Raise `Refused` for a certificate revoked before ``at``, or on hold at ``at`` (also when lifted later)."""
    name, newest = name_of(certificate.subject), max((s.made for s in seen), default=None)
    for one in seen:
        if one.gone_at is None or one.gone_at > at:
            continue
        if not one.held:
            raise Refused(
                "REVOKED_NO_POE",
                f"Chứng thư “{name}” đã bị thu hồi lúc {one.gone_at.isoformat()}.",
                f"The certificate '{name}' was revoked at {one.gone_at.isoformat()}.",
            )
        if at <= one.made or one.made == newest:
            raise Refused(
                "TRY_LATER",
                f"Chứng thư “{name}” bị tạm dừng từ {one.gone_at.isoformat()}.",
                f"The certificate '{name}' was on hold from {one.gone_at.isoformat()}.",
            )


def _seen(certificate: x509.Certificate, issuer: x509.Certificate, evidence: Evidence) -> list[Said]:
    """Every fitting piece of evidence."""
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


def _by_list(der: bytes, certificate: x509.Certificate, issuer: x509.Certificate) -> Said | None:
    made, key = x509.load_der_x509_crl(der), issuer.public_key()
    algorithm = made.signature_hash_algorithm
    if made.issuer != issuer.subject or algorithm is None or algorithm.name not in STRONG:
        return None
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) or not made.is_signature_valid(key):
        return None
    if not _covers(made, certificate):
        return None
    entry = made.get_revoked_certificate_by_serial_number(certificate.serial_number)
    if entry is None:
        return Said(made.last_update_utc, made.next_update_utc, None, held=False)
    return Said(made.last_update_utc, made.next_update_utc, entry.revocation_date_utc, held=_on_hold(entry))


def _on_hold(entry: x509.RevokedCertificate) -> bool:
    try:
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return False
    return reason is x509.ReasonFlags.certificate_hold


def _covers(made: x509.CertificateRevocationList, certificate: x509.Certificate) -> bool:
    """Whether a list is for certificates of this kind (RFC 5280, 5.2.5); a delta or an unknown rule counts for none."""
    for extension in made.extensions:
        scope = extension.value
        if not isinstance(scope, x509.IssuingDistributionPoint):
            if extension.critical:
                return False
            continue
        authority = is_authority(certificate)
        partial = scope.indirect_crl or scope.only_some_reasons or scope.only_contains_attribute_certs
        other_kind = scope.only_contains_user_certs if authority else scope.only_contains_ca_certs
        if partial or other_kind or scope.relative_name:
            return False
        if scope.full_name and not set(scope.full_name) & set(_points(certificate)):
            return False
    return True


def _points(certificate: x509.Certificate) -> list[x509.GeneralName]:
    """Where the certificate says that its list is."""
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return []
    return [name for point in points for name in point.full_name or ()]


def _by_answer(der: bytes, certificate: x509.Certificate, issuer: x509.Certificate) -> Said | None:
    answer = ocsp.load_der_ocsp_response(der)
    if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        return None
    named = (answer.issuer_name_hash, answer.issuer_key_hash)
    if answer.serial_number != certificate.serial_number or named != _hashes(issuer, answer.hash_algorithm):
        return None
    _check_answer(answer, issuer)
    if answer.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
        return None
    held = answer.revocation_reason is x509.ReasonFlags.certificate_hold
    return Said(answer.this_update_utc, answer.next_update_utc, answer.revocation_time_utc, held)


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
    responder = _responder(answer, issuer)
    if responder != issuer:
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


def _responder(answer: ocsp.OCSPResponse, issuer: x509.Certificate) -> x509.Certificate:
    """The certificate that the answer names as its signer, by name or by key; raises ``ValueError``."""
    for one in (issuer, *answer.certificates):
        if answer.responder_name is not None and one.subject == answer.responder_name:
            return one
        # RFC 6960, 4.2.1: a KeyHash is SHA-1; it only finds the key that the signature must then hold under
        _, key_hash = _hashes(one, hashes.SHA1())  # noqa: S303
        if answer.responder_key_hash == key_hash:
            return one
    raise ValueError("responder")


def of_lists(ders: Sequence[bytes]) -> Evidence:
    """Lists (DER or PEM) that the judge brings along; raises ``ValueError`` for what is no list."""
    made = []
    for der in ders:
        load = x509.load_pem_x509_crl if der.startswith(b"-----") else x509.load_der_x509_crl
        made.append(load(der).public_bytes(serialization.Encoding.DER))
    return Evidence(tuple(made))
