"""CMS signatures (RFC 5652) with one signer: signed attributes, signature value, signing certificate (RFC 5035)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asn1crypto.tsp  # noqa: F401 — teaches cms the attributes of RFC 5035
from asn1crypto import cms, core
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from benhan_verify.chain import STRONG, require_strong_key
from benhan_verify.report import Refused
from benhan_verify.revocation import Evidence

_HASHES = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
_BROKEN = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError)
_STAMP = "signature_time_stamp_token"
TST_INFO = "tst_info"
MOST_CERTIFICATES = 50


@dataclass(frozen=True, slots=True)
class Signed:
    """A CMS signature taken apart: ``content`` is None when detached, ``stamps`` are DER tokens."""

    content_type: str
    content: bytes | None
    certificate: x509.Certificate
    pool: tuple[x509.Certificate, ...]
    digest_name: str
    signature: bytes
    claimed_at: datetime | None
    stamps: tuple[bytes, ...]
    info: Any
    evidence: Evidence


def malformed(vi: str, en: str) -> Refused:
    """A refusal because of the shape of something."""
    return Refused("FORMAT_FAILURE", vi, en)


def read(der: bytes) -> Signed:
    """Take a CMS signature apart.

    Raises: `Refused` (FORMAT_FAILURE, NO_SIGNING_CERTIFICATE_FOUND, CRYPTO_CONSTRAINTS_FAILURE).
    """
    try:
        return _read(der)
    except _BROKEN as error:
        raise malformed(
            "Chữ ký CMS không đọc được.", f"The CMS signature is unreadable ({type(error).__name__})."
        ) from error


def _read(der: bytes) -> Signed:
    outer = cms.ContentInfo.load(der, strict=True)
    if outer["content_type"].native != "signed_data" or len(outer["content"]["signer_infos"]) != 1:
        raise malformed("Chữ ký không đúng dạng CMS một người ký.", "Not a CMS signature with one signer.")
    signed = outer["content"]
    info = signed["signer_infos"][0]
    ders = [c.chosen.dump() for c in signed["certificates"] if c.name == "certificate"]
    if len(ders) > MOST_CERTIFICATES:
        raise malformed("Chữ ký kèm quá nhiều chứng thư.", "Too many embedded certificates.")
    pool = tuple(_certificate(c) for c in ders)
    digest_name = str(info["digest_algorithm"]["algorithm"].native)
    if digest_name not in STRONG:
        raise Refused(
            "CRYPTO_CONSTRAINTS_FAILURE", f"Hàm băm yếu: {digest_name}.", f"Weak digest: {digest_name}."
        )
    content = signed["encap_content_info"]["content"]
    claimed = _attribute(info, "signing_time")
    stamps = [value.dump() for a in _unsigned(info) if a["type"].native == _STAMP for value in a["values"]]
    return Signed(
        content_type=str(signed["encap_content_info"]["content_type"].native),
        content=None if isinstance(content, core.Void) or content.contents is None else bytes(content),
        certificate=_signer(info["sid"], pool),
        pool=pool,
        digest_name=digest_name,
        signature=bytes(info["signature"].native),
        claimed_at=None if claimed is None else claimed.native,
        stamps=tuple(stamps),
        info=info,
        evidence=_evidence(signed["crls"]),
    )


def _evidence(choices: Any) -> Evidence:
    """Revocation data beside the certificates: lists, and OCSP answers in the form of RFC 5940."""
    lists: list[bytes] = []
    answers: list[bytes] = []
    for choice in () if isinstance(choices, core.Void) or not choices.contents else choices:
        if choice.name == "crl":
            lists.append(choice.chosen.dump())
        elif choice.chosen["other_rev_info_format"].native == "ocsp_response":
            answers.append(choice.chosen["other_rev_info"].dump())
    return Evidence(tuple(lists), tuple(answers))


def _certificate(der: bytes) -> x509.Certificate:
    """A certificate whose lazily read parts are known to be readable."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        _ = certificate.subject, certificate.issuer, certificate.extensions
    except (x509.InvalidVersion, x509.DuplicateExtension, UnsupportedAlgorithm) as error:
        raise ValueError("certificate") from error
    return certificate


def _unsigned(info: Any) -> Any:
    attributes = info["unsigned_attrs"]
    return () if isinstance(attributes, core.Void) else attributes


def _signer(sid: Any, pool: Sequence[x509.Certificate]) -> x509.Certificate:
    for certificate in pool:
        if sid.name == "issuer_and_serial_number":
            serial = sid.chosen["serial_number"].native
            if certificate.serial_number == serial and _issuer(certificate) == sid.chosen["issuer"].dump():
                return certificate
        elif _key_identifier(certificate) == sid.chosen.native:
            return certificate
    raise Refused(
        "NO_SIGNING_CERTIFICATE_FOUND",
        "Không thấy chứng thư của người ký trong chữ ký.",
        "The signer's certificate is not in the signature.",
    )


def _issuer(certificate: x509.Certificate) -> bytes:
    der = certificate.public_bytes(serialization.Encoding.DER)
    return bytes(asn1_x509.Certificate.load(der).issuer.dump())


def _key_identifier(certificate: x509.Certificate) -> bytes | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return None


def _attribute(info: Any, name: str) -> Any | None:
    """The only value of a signed attribute, or None; twice or with several values is refused."""
    found = [a for a in info["signed_attrs"] if a["type"].native == name]
    if not found:
        return None
    if len(found) > 1 or len(found[0]["values"]) != 1:
        raise malformed(f"Thuộc tính {name} không duy nhất.", f"The attribute {name} is not unique.")
    return found[0]["values"][0]


def check(signed: Signed, digest: bytes) -> None:
    """Check the signature and that it is over content with ``digest`` (by ``signed.digest_name``).

    Raises: `Refused` (HASH_FAILURE, SIG_CRYPTO_FAILURE, FORMAT_FAILURE, CRYPTO_CONSTRAINTS_FAILURE).
    """
    try:
        _check_attributes(signed, digest)
        _check_value(signed)
    except _BROKEN as error:
        raise malformed(
            "Chữ ký CMS không kiểm được.", f"The CMS signature cannot be checked ({type(error).__name__})."
        ) from error


def _check_attributes(signed: Signed, digest: bytes) -> None:
    said, kind = _attribute(signed.info, "message_digest"), _attribute(signed.info, "content_type")
    if said is None or kind is None or kind.native != signed.content_type:
        raise malformed("Thiếu thuộc tính đã ký bắt buộc.", "A mandatory signed attribute is missing.")
    if said.native != digest:
        raise Refused("HASH_FAILURE", "Nội dung đã bị đổi sau khi ký.", "The content changed after signing.")
    der = signed.certificate.public_bytes(serialization.Encoding.DER)
    for name, plain in (("signing_certificate_v2", "sha256"), ("signing_certificate", "sha1")):
        value = _attribute(signed.info, name)
        if value is None:
            continue
        first = value["certs"][0]
        if name == "signing_certificate_v2":
            plain = str(first["hash_algorithm"]["algorithm"].native)
        if first["cert_hash"].native != hashlib.new(plain, der, usedforsecurity=False).digest():
            raise Refused(
                "SIG_CRYPTO_FAILURE",
                "Chứng thư kèm theo không phải chứng thư đã dùng khi ký.",
                "The embedded certificate is not the one named when signing.",
            )


def _check_value(signed: Signed) -> None:
    require_strong_key(signed.certificate)
    algorithm = signed.info["signature_algorithm"]
    name = str(algorithm["algorithm"].native)
    kind = {"rsassa_pkcs1v15": "rsa", "rsa": "rsa", "ecdsa": "ecdsa"}.get(name)
    if kind is None:
        prefix, _, kind = name.partition("_")
        if prefix != signed.digest_name or kind not in ("rsa", "ecdsa"):
            raise Refused(
                "CRYPTO_CONSTRAINTS_FAILURE",
                f"Thuật toán ký không được nhận: {name}.",
                f"Signature algorithm not accepted: {name}.",
            )
    raw = signed.info["signed_attrs"].dump()
    key, digest = signed.certificate.public_key(), _HASHES[signed.digest_name]
    try:
        if kind == "rsa" and isinstance(key, rsa.RSAPublicKey):
            key.verify(signed.signature, b"\x31" + raw[1:], padding.PKCS1v15(), digest)
        elif kind == "ecdsa" and isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signed.signature, b"\x31" + raw[1:], ec.ECDSA(digest))
        else:
            raise malformed("Khóa không hợp thuật toán ký.", "The key does not fit the algorithm.")
    except InvalidSignature as error:
        raise Refused(
            "SIG_CRYPTO_FAILURE", "Chữ ký không đúng khóa.", "The signature value is wrong."
        ) from error
