"""Judging XAdES signatures: the narrow form of `xades` and nothing else, with AdES indications and reasons.

What was signed is never looked up by an attribute: it is the whole document without its one signature, or the very bytes
given. A second signature, a doubled Id, a moved part or another transform is refused before any value is computed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NoReturn

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from lxml import etree
from pyhanko_certvalidator import CertificateValidator
from pyhanko_certvalidator.errors import ExpiredError, NotYetValidError, PathError, ValidationError

from benhan.base.clock import SYSTEM_CLOCK
from benhan.base.errors import BenhanError
from benhan.base.xml_door import canonical, parse
from benhan.signing.evidence import of_lists
from benhan.signing.revocation import states
from benhan.signing.verification import (
    LEAST_EC_BITS,
    LEAST_RSA_BITS,
    SKEW,
    Finding,
    Indication,
    Report,
    context_at,
)
from benhan.signing.xades import C14N, DS, ENVELOPED, METHODS, PROPERTIES, SHA256, XADES, sha256_b64, whole

_BROKEN = (ValueError, TypeError, KeyError, IndexError, AttributeError, binascii.Error, UnsupportedAlgorithm)
_D, _X = f"{{{DS}}}", f"{{{XADES}}}"
_OPEN_ENDED = ("NO_CERTIFICATE_CHAIN_FOUND", "OUT_OF_BOUNDS_NO_POE", "NOT_YET_VALID", "TRY_LATER")


class _Refusal(Exception):
    def __init__(self, sub: str, what: str, text: str) -> None:
        super().__init__(text)
        self.sub, self.what, self.text = sub, what, text


def _form(text: str) -> NoReturn:
    raise _Refusal("FORMAT_FAILURE", "dạng chữ ký", text)


async def verify_xades(
    data: bytes,
    roots: bytes,
    at: datetime | None = None,
    *,
    content: tuple[str, bytes] | None = None,
    crls: Sequence[bytes] = (),
) -> Report:
    """Judge the one signature in ``data``; ``content`` is the name and the bytes of the file of a detached one.

    XAdES-B carries no time stamp, so certificates are judged at ``at`` (now); ``crls``: revocation lists (DER).
    """
    now = at or SYSTEM_CLOCK.now()
    try:
        root = parse(data)
        signature, certificate, pool, signed_at = _taken_apart(root)
        _references(root, signature, content)
        _value(signature, certificate)
        if signed_at > now + SKEW:
            raise _Refusal("SIG_CONSTRAINTS_FAILURE", "giờ ký", "Giờ ký khai báo ở tương lai.")
        await _trust(certificate, pool, roots, now, crls)
    except _Refusal as no:
        indication: Indication = "INDETERMINATE" if no.sub in _OPEN_ENDED else "TOTAL-FAILED"
        return Report(indication, no.sub, (Finding(no.what, False, no.text),))
    except (*_BROKEN, BenhanError) as error:
        text = f"Chữ ký XML không đọc được ({type(error).__name__})."
        return Report("TOTAL-FAILED", "FORMAT_FAILURE", (Finding("dạng chữ ký", False, text),))
    name = str(certificate.subject.native.get("common_name", ""))
    findings = (
        Finding("nguyên vẹn", True, "Nội dung không đổi."),
        Finding("chữ ký", True, "Chữ ký đúng khóa."),
        Finding("tin cậy", True, "Chứng thư nối tới gốc tin cậy."),
    )
    return Report("TOTAL-PASSED", "", findings, name, signed_at)


def _one(parent: etree._Element, name: str) -> etree._Element:
    found = parent.findall(name)
    if len(found) != 1:
        _form(f"Chữ ký phải có đúng một {etree.QName(name).localname}.")
    return found[0]


def _children(element: etree._Element, *names: str) -> None:
    if [child.tag for child in element] != list(names):
        _form(f"Phần {etree.QName(element).localname} không đúng dạng.")


def _algorithm(parent: etree._Element, name: str) -> str:
    return _one(parent, name).get("Algorithm", "")


def _taken_apart(
    root: etree._Element,
) -> tuple[etree._Element, asn1_x509.Certificate, list[asn1_x509.Certificate], datetime]:
    """The signature, its certificate, further certificates, and the claimed time; refuses any other form."""
    found = list(root.iter(f"{_D}Signature"))
    if not found:
        raise _Refusal("SIGNED_DATA_NOT_FOUND", "chữ ký", "Tài liệu không có chữ ký.")
    if len(found) > 1:
        _form("Tài liệu có hơn một chữ ký.")
    ids = [v for e in root.iter(etree.Element) for k, v in e.attrib.items() if k.lower() == "id"]
    signature = found[0]
    own = signature.get("Id", "")
    if ids.count(own) != 1 or ids.count(f"{own}-props") != 1:
        _form("Mã định danh của chữ ký bị trùng hoặc thiếu.")
    _children(signature, f"{_D}SignedInfo", f"{_D}SignatureValue", f"{_D}KeyInfo", f"{_D}Object")
    signed = _one(signature, f"{_D}Object/{_X}QualifyingProperties/{_X}SignedProperties")
    if signed.get("Id") != f"{own}-props":
        _form("Thuộc tính đã ký không thuộc chữ ký này.")
    ders = [
        base64.b64decode(e.text or "", validate=True) for e in _one(signature, f"{_D}KeyInfo/{_D}X509Data")
    ]
    certificates = [asn1_x509.Certificate.load(der, strict=True) for der in ders]
    named = _one(signed, f".//{_X}SigningCertificateV2/{_X}Cert/{_X}CertDigest")
    if _algorithm(named, f"{_D}DigestMethod") != SHA256:
        raise _Refusal("CRYPTO_CONSTRAINTS_FAILURE", "thuật toán", "Hàm băm yếu.")
    if _one(named, f"{_D}DigestValue").text != sha256_b64(ders[0]):
        raise _Refusal("SIG_CRYPTO_FAILURE", "chứng thư", "Chứng thư kèm theo không phải chứng thư đã ký.")
    claimed = datetime.fromisoformat(_one(signed, f".//{_X}SigningTime").text or "")
    return signature, certificates[0], certificates[1:], claimed.astimezone(UTC)


def _references(root: etree._Element, signature: etree._Element, content: tuple[str, bytes] | None) -> None:
    """Both references: algorithms, transforms, targets and digests."""
    info = _one(signature, f"{_D}SignedInfo")
    _children(info, f"{_D}CanonicalizationMethod", f"{_D}SignatureMethod", f"{_D}Reference", f"{_D}Reference")
    if _algorithm(info, f"{_D}CanonicalizationMethod") != C14N:
        _form("Cách chuẩn hóa XML không được nhận.")
    outer, inner = info.findall(f"{_D}Reference")
    signed = _one(signature, f"{_D}Object/{_X}QualifyingProperties/{_X}SignedProperties")
    _reference(inner, "#" + signed.get("Id", ""), (C14N,), sha256_b64(canonical(signed)))
    if inner.get("Type") != PROPERTIES:
        _form("Thiếu tham chiếu tới thuộc tính đã ký.")
    if content is not None:
        if signature is not root:
            _form("Chữ ký tách rời phải là cả tài liệu.")
        _reference(outer, content[0], (), sha256_b64(content[1]))
        return
    if signature is root:
        raise _Refusal("SIGNED_DATA_NOT_FOUND", "nội dung", "Thiếu tệp mà chữ ký tách rời ký.")
    _reference(outer, "", (ENVELOPED, C14N), sha256_b64(_without(signature)))


def _reference(reference: etree._Element, uri: str, transforms: tuple[str, ...], digest: str) -> None:
    if reference.get("URI") != uri:
        _form("Chữ ký không ký nội dung được yêu cầu.")
    if _algorithm(reference, f"{_D}DigestMethod") != SHA256:
        raise _Refusal("CRYPTO_CONSTRAINTS_FAILURE", "thuật toán", "Hàm băm yếu.")
    found = tuple(t.get("Algorithm", "") for t in reference.findall(f"{_D}Transforms/{_D}Transform"))
    if found != transforms or any(len(t) for t in reference.findall(f"{_D}Transforms/{_D}Transform")):
        _form("Phép biến đổi XML không được nhận.")
    if (_one(reference, f"{_D}DigestValue").text or "").strip() != digest:
        raise _Refusal("HASH_FAILURE", "nguyên vẹn", "Nội dung đã bị đổi sau khi ký.")


def _without(signature: etree._Element) -> bytes:
    """Canonical bytes of the document without the signature, which is put back; nothing may stand behind it."""
    parent = signature.getparent()
    if parent is None or (signature.tail or "").strip() or signature.getnext() is not None:
        _form("Chữ ký phải là phần cuối của phần tử chứa nó.")
    tail, signature.tail = signature.tail, None
    before = parent[-2] if len(parent) > 1 else None
    text = parent.text if before is None else before.tail
    _set(parent, before, (text or "") + (tail or "") or None)
    parent.remove(signature)
    found = whole(parent)
    _set(parent, before, text)
    parent.append(signature)
    return found


def _set(parent: etree._Element, before: etree._Element | None, text: str | None) -> None:
    if before is None:
        parent.text = text
    else:
        before.tail = text


def _value(signature: etree._Element, certificate: asn1_x509.Certificate) -> None:
    info = _one(signature, f"{_D}SignedInfo")
    key = x509.load_der_x509_certificate(certificate.dump()).public_key()
    weak = _Refusal("CRYPTO_CONSTRAINTS_FAILURE", "thuật toán", "Thuật toán hoặc khóa không được nhận.")
    method = _algorithm(info, f"{_D}SignatureMethod")
    text = "".join((_one(signature, f"{_D}SignatureValue").text or "").split())
    value, covered = base64.b64decode(text, validate=True), canonical(info)
    try:
        if isinstance(key, rsa.RSAPublicKey) and key.key_size >= LEAST_RSA_BITS and method == METHODS["rsa"]:
            key.verify(value, covered, padding.PKCS1v15(), hashes.SHA256())
        elif (
            isinstance(key, ec.EllipticCurvePublicKey)
            and key.key_size >= LEAST_EC_BITS
            and method == METHODS["ec"]
        ):
            half = (key.key_size + 7) // 8
            if len(value) != 2 * half:
                raise InvalidSignature
            numbers = (int.from_bytes(value[:half], "big"), int.from_bytes(value[half:], "big"))
            key.verify(encode_dss_signature(*numbers), covered, ec.ECDSA(hashes.SHA256()))
        else:
            raise weak
    except InvalidSignature:
        raise _Refusal("SIG_CRYPTO_FAILURE", "chữ ký", "Chữ ký không đúng khóa.") from None


async def _trust(
    certificate: asn1_x509.Certificate,
    pool: list[asn1_x509.Certificate],
    roots: bytes,
    now: datetime,
    crls: Sequence[bytes],
) -> None:
    validator = CertificateValidator(
        certificate, intermediate_certs=pool, validation_context=context_at(roots, now)
    )
    try:
        path = await validator.async_validate_usage({"non_repudiation"})  # type: ignore[no-untyped-call]
    except ExpiredError:
        raise _Refusal("OUT_OF_BOUNDS_NO_POE", "chứng thư", "Chứng thư không còn hiệu lực.") from None
    except NotYetValidError:
        raise _Refusal("NOT_YET_VALID", "chứng thư", "Chứng thư chưa có hiệu lực.") from None
    except (PathError, ValidationError):
        raise _Refusal(
            "NO_CERTIFICATE_CHAIN_FOUND", "tin cậy", "Chứng thư không nối tới gốc tin cậy."
        ) from None
    for state in states(list(path.iter_certs(include_root=True)), of_lists(crls), now):
        if state.revoked_at is not None and state.revoked_at <= now:
            raise _Refusal("REVOKED", "thu hồi", "Chứng thư đã bị thu hồi.")
        if state.held_at is not None:
            raise _Refusal("TRY_LATER", "thu hồi", "Chứng thư đang bị tạm dừng.")
