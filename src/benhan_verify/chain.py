"""Certificate chains to roots given by the user (RFC 5280), without network; algorithms pinned.

Not judged: revocation, policies. A critical extension or a name constraint this module does not know refuses the chain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku
from cryptography.x509.oid import ExtensionOID, NameOID

from benhan_verify.report import Refused

Path = tuple[x509.Certificate, ...]
Purpose = Literal["sign", "stamp"]
LEAST_RSA_BITS, LEAST_EC_BITS, LONGEST_PATH, MOST_TRIES = 2048, 256, 6, 200
STRONG = ("sha256", "sha384", "sha512")
_KNOWN = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.CERTIFICATE_POLICIES,
}
# Purposes under which authorities issue certificates of persons and seals: any, document signing (RFC 9336, vendors'),
# e-mail protection, client authentication.
_SIGNING_PURPOSES = {
    Eku.ANY_EXTENDED_KEY_USAGE.dotted_string,
    Eku.EMAIL_PROTECTION.dotted_string,
    Eku.CLIENT_AUTH.dotted_string,
    "1.3.6.1.5.5.7.3.36",
    "1.3.6.1.4.1.311.10.3.12",
    "1.2.840.113583.1.1.5",
}


def roots_of_pem(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Roots of a PEM file; raises ``ValueError``."""
    return tuple(x509.load_pem_x509_certificates(pem))


def name_of(name: x509.Name) -> str:
    """Common name, or the whole name without one."""
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else name.rfc4514_string()


def find_path(
    leaf: x509.Certificate,
    pool: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    at: datetime,
    purpose: Purpose,
) -> Path:
    """A path from ``leaf`` to one of ``roots``, good at ``at``.

    Raises: `Refused`; the reason is that of the first path found when none is good.
    """
    first: Refused | None = None
    for path in _paths((leaf,), pool, roots, [MOST_TRIES]):
        try:
            _check(path, at, purpose)
            return path
        except Refused as refused:
            first = first or refused
    if first is not None:
        raise first
    raise Refused(
        "NO_CERTIFICATE_CHAIN_FOUND",
        f"Chứng thư của “{name_of(leaf.subject)}” không nối tới gốc tin cậy nào được cho.",
        f"The certificate of '{name_of(leaf.subject)}' does not chain to any given trusted root.",
    )


def _paths(
    path: Path, pool: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], tries: list[int]
) -> Iterator[Path]:
    for trusted, candidates in ((True, roots), (False, pool)):
        for issuer in candidates:
            if issuer.subject != path[-1].issuer or issuer in path or tries[0] <= 0:
                continue
            tries[0] -= 1
            if not _issued(path[-1], issuer):
                continue
            if trusted:
                yield (*path, issuer)
            elif len(path) < LONGEST_PATH:
                yield from _paths((*path, issuer), pool, roots, tries)


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _check(path: Path, at: datetime, purpose: Purpose) -> None:
    try:
        for depth, certificate in enumerate(path):
            _within_life(certificate, at)
            require_strong_key(certificate)
            _extensions_known(certificate)
            if depth > 0:
                _may_issue(certificate, depth - 1)
            if depth < len(path) - 1:
                _strong_signature(certificate)
        _may_sign(path[0]) if purpose == "sign" else _may_stamp(path[0])
    except (ValueError, x509.DuplicateExtension, UnsupportedAlgorithm) as error:
        raise _constraint("có phần mở rộng không đọc được", "has unreadable extensions", path[0]) from error


def _within_life(certificate: x509.Certificate, at: datetime) -> None:
    if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
        raise Refused(
            "OUT_OF_BOUNDS_NO_POE",
            f"Chứng thư “{name_of(certificate.subject)}” không có hiệu lực lúc {at.isoformat()}.",
            f"The certificate '{name_of(certificate.subject)}' was not valid at {at.isoformat()}.",
        )


def require_strong_key(certificate: x509.Certificate) -> None:
    """Raise `Refused` unless the key is RSA of 2048 bits or EC of 256 bits at least."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        key = None
    good = (isinstance(key, rsa.RSAPublicKey) and key.key_size >= LEAST_RSA_BITS) or (
        isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= LEAST_EC_BITS
    )
    if not good:
        raise Refused(
            "CRYPTO_CONSTRAINTS_FAILURE",
            f"Khóa của “{name_of(certificate.subject)}” quá yếu.",
            f"The key of '{name_of(certificate.subject)}' is too weak.",
        )


def _strong_signature(certificate: x509.Certificate) -> None:
    algorithm = certificate.signature_hash_algorithm
    if algorithm is None or algorithm.name not in STRONG:
        raise Refused(
            "CRYPTO_CONSTRAINTS_FAILURE",
            f"Chứng thư “{name_of(certificate.subject)}” được ký bằng thuật toán yếu.",
            f"The certificate '{name_of(certificate.subject)}' is signed with a weak algorithm.",
        )


def _constraint(vi: str, en: str, certificate: x509.Certificate) -> Refused:
    name = name_of(certificate.subject)
    return Refused(
        "CHAIN_CONSTRAINTS_FAILURE", f"Chứng thư “{name}” {vi}.", f"The certificate '{name}' {en}."
    )


def _extensions_known(certificate: x509.Certificate) -> None:
    for extension in certificate.extensions:
        constrains = extension.oid == ExtensionOID.NAME_CONSTRAINTS
        if constrains or (extension.critical and extension.oid not in _KNOWN):
            raise _constraint(
                "có ràng buộc không xét được", "has a constraint that cannot be judged", certificate
            )


def _usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether a certificate may stand above others."""
    return _is_authority(certificate)[0]


def _is_authority(certificate: x509.Certificate) -> tuple[bool, int | None]:
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return False, None
    return basic.ca, basic.path_length


def _may_issue(certificate: x509.Certificate, authorities_below: int) -> None:
    is_authority, most = _is_authority(certificate)
    usage = _usage(certificate)
    if not is_authority or (usage is not None and not usage.key_cert_sign):
        raise _constraint("không được phép cấp chứng thư", "may not issue certificates", certificate)
    if most is not None and authorities_below > most:
        raise _constraint("cấp chuỗi dài hơn mức cho phép", "allows no chain this long", certificate)


def _may_sign(certificate: x509.Certificate) -> None:
    usage = _usage(certificate)
    allowed = usage is None or usage.digital_signature or usage.content_commitment
    try:
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        allowed = allowed and any(p.dotted_string in _SIGNING_PURPOSES for p in purposes)
    except x509.ExtensionNotFound:
        pass
    if not allowed or _is_authority(certificate)[0]:
        raise _constraint("không dùng để ký tài liệu", "is not for signing documents", certificate)


def _may_stamp(certificate: x509.Certificate) -> None:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        allowed = extension.critical and list(extension.value) == [Eku.TIME_STAMPING]
    except x509.ExtensionNotFound:
        allowed = False
    usage = _usage(certificate)
    if usage is not None and not (usage.digital_signature or usage.content_commitment):
        allowed = False
    if not allowed or _is_authority(certificate)[0]:
        raise _constraint("không dùng để cấp dấu thời gian", "is not for time stamps", certificate)
