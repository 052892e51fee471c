"""Verification with reasons: PDF papers, CAdES entries, sealed containers. Never a bare false.

Indications and sub-indications are those of ETSI EN 319 102-1 (AdES). Chains are built to the roots given and nothing
else, without network; algorithms are pinned to SHA-256 or better with RSA ≥ 2048 or EC ≥ 256.
"""

from __future__ import annotations

import base64
import hashlib
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from typing import Literal

from asn1crypto import cms
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import async_validate_detached_cms, async_validate_pdf_signature
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.status import SignatureCoverageLevel, StandardCMSSignatureStatus
from pyhanko_certvalidator import ValidationContext

from benhan.base.errors import BenhanError
from benhan.base.xml_door import parse
from benhan.signing.container import MANIFEST, MIMETYPE, SIGNATURE, manifest, pack
from benhan.signing.signer import certificates_of_pem

Indication = Literal["TOTAL-PASSED", "TOTAL-FAILED", "INDETERMINATE"]
LEAST_RSA_BITS, LEAST_EC_BITS = 2048, 256
# RuntimeError: zipfile for an entry marked as encrypted, and (NotImplementedError) for an unknown compression.
_BROKEN_ZIP = (
    zipfile.BadZipFile, ValueError, KeyError, EOFError, OSError, RuntimeError, OverflowError, struct.error, zlib.error,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked: what, whether it held, and why in Vietnamese."""

    what: str
    ok: bool
    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """Outcome of a verification; ``sub`` is the AdES sub-indication when it did not pass."""

    indication: Indication
    sub: str
    findings: tuple[Finding, ...]
    signer: str = ""
    signed_at: datetime | None = None
    parts: tuple[Report, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """True when everything held."""
        return self.indication == "TOTAL-PASSED"


def _failed(sub: str, what: str, text: str, indication: Indication = "TOTAL-FAILED") -> Report:
    return Report(indication, sub, (Finding(what, False, text),))


def _context(roots: bytes, at: datetime | None, extra: Sequence[object] = ()) -> ValidationContext:
    return ValidationContext(
        trust_roots=list(certificates_of_pem(roots)),
        moment=at,
        allow_fetching=False,
        revocation_mode="soft-fail",
        other_certs=list(extra),
        best_signature_time=at,
    )


async def verify_entry(data: bytes, signature: bytes, roots: bytes, at: datetime | None = None) -> Report:
    """Check a detached CMS over ``data`` (an entry, a manifest, a receipt)."""
    try:
        info = cms.ContentInfo.load(signature, strict=True)
        signed = info["content"]
        if info["content_type"].native != "signed_data" or len(signed["signer_infos"]) != 1:
            return _failed("FORMAT_FAILURE", "chữ ký", "Chữ ký không đúng dạng CMS một người ký.")
        status = await async_validate_detached_cms(
            data, signed, signer_validation_context=_context(roots, at)
        )
    except (SignatureValidationError, ValueError, TypeError, KeyError) as error:
        return _failed("SIG_CRYPTO_FAILURE", "chữ ký", f"Chữ ký không kiểm được ({type(error).__name__}).")
    return _of_status(status)


def _of_status(status: StandardCMSSignatureStatus, *, whole: bool = True) -> Report:
    certificate = status.signing_cert
    findings = [
        Finding(
            "nguyên vẹn", status.intact, "Nội dung không đổi." if status.intact else "Nội dung đã bị đổi."
        ),
        Finding("chữ ký", status.valid, "Chữ ký đúng khóa." if status.valid else "Chữ ký không đúng khóa."),
        Finding(
            "tin cậy",
            status.trusted,
            "Chứng thư nối tới gốc tin cậy." if status.trusted else "Chứng thư không nối tới gốc tin cậy.",
        ),
        Finding(
            "thuật toán", _strong(status), "Thuật toán đủ mạnh." if _strong(status) else "Thuật toán yếu."
        ),
        Finding("phạm vi", whole, "Chữ ký phủ trọn tệp." if whole else "Có nội dung ngoài phạm vi chữ ký."),
    ]
    stamp = status.timestamp_validity
    if stamp is not None:
        good = stamp.valid and stamp.intact and stamp.trusted
        findings.append(
            Finding("dấu thời gian", good, "Dấu thời gian đúng." if good else "Dấu thời gian sai.")
        )
    subs = (
        "HASH_FAILURE",
        "SIG_CRYPTO_FAILURE",
        "NO_CERTIFICATE_CHAIN_FOUND",
        "CRYPTO_CONSTRAINTS_FAILURE",
        "FORMAT_FAILURE",
        "TIMESTAMP_ORDER_FAILURE",
    )
    first = next((i for i, f in enumerate(findings) if not f.ok), None)
    name = str(certificate.subject.native.get("common_name", ""))
    at = stamp.timestamp if stamp is not None else status.signer_reported_dt
    if first is None:
        return Report("TOTAL-PASSED", "", tuple(findings), name, at)
    indication: Indication = "INDETERMINATE" if first == 2 else "TOTAL-FAILED"
    return Report(indication, subs[first], tuple(findings), name, at)


def _strong(status: StandardCMSSignatureStatus) -> bool:
    if status.md_algorithm not in ("sha256", "sha384", "sha512"):
        return False
    key = status.signing_cert.public_key
    least = LEAST_RSA_BITS if key.algorithm == "rsa" else LEAST_EC_BITS
    return bool(key.algorithm in ("rsa", "ec") and key.bit_size >= least)


async def verify_pdf(pdf: bytes, roots: bytes, at: datetime | None = None) -> Report:
    """Check every signature of a paper; the last must cover the whole file; no signature is a failure."""
    try:
        reader = PdfFileReader(BytesIO(pdf))
        signatures = list(reader.embedded_regular_signatures)
        if not signatures:
            return _failed("FORMAT_FAILURE", "chữ ký", "Tệp không có chữ ký nào.")
        parts = []
        for number, signature in enumerate(signatures):
            status = await async_validate_pdf_signature(
                signature, signer_validation_context=_context(roots, at)
            )
            last = number == len(signatures) - 1
            whole = (
                status.coverage == SignatureCoverageLevel.ENTIRE_FILE
                if last
                else status.bottom_line or status.intact
            )
            parts.append(_of_status(status, whole=bool(whole)))
    except (PdfError, SignatureValidationError, ValueError, KeyError, TypeError, IndexError) as error:
        return _failed("FORMAT_FAILURE", "tệp", f"Tệp hoặc chữ ký không đọc được ({type(error).__name__}).")
    bad = next((p for p in parts if not p.ok), None)
    head = bad or parts[-1]
    return Report(head.indication, head.sub, head.findings, head.signer, head.signed_at, tuple(parts))


async def verify_container(data: bytes, roots: bytes, at: datetime | None = None) -> Report:
    """Check a sealed record: canonical bytes, manifest, signature, and every PDF inside."""
    try:
        files, listing, signature = _open(data)
    except (*_BROKEN_ZIP, BenhanError) as error:
        return _failed("FORMAT_FAILURE", "hộp niêm phong", f"Hộp không đọc được ({type(error).__name__}).")
    if pack(files, listing, signature) != data:
        return _failed(
            "FORMAT_FAILURE", "hộp niêm phong", "Các byte của hộp không đúng dạng chuẩn: đã bị sửa."
        )
    wrong = _differences(files, listing)
    if wrong:
        return _failed("HASH_FAILURE", "danh mục", f"Không khớp danh mục: {', '.join(wrong[:5])}.")
    head = await verify_entry(listing, signature, roots, at)
    parts = [
        await verify_pdf(body, roots, at) for name, body in sorted(files.items()) if name.endswith(".pdf")
    ]
    signed = tuple(p for p in parts if p.sub != "FORMAT_FAILURE")
    bad = next((p for p in signed if not p.ok), None)
    if head.ok and bad is not None:
        return Report(bad.indication, bad.sub, bad.findings, head.signer, head.signed_at, signed)
    return Report(head.indication, head.sub, head.findings, head.signer, head.signed_at, signed)


def _open(data: bytes) -> tuple[dict[str, bytes], bytes, bytes]:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        names = archive.namelist()
        if (
            len(names) != len(set(names))
            or names[:1] != ["mimetype"]
            or sum(i.file_size for i in archive.infolist()) > 2**31
        ):
            raise ValueError("names")
        if archive.read("mimetype") != MIMETYPE:
            raise ValueError("mimetype")
        own = {"mimetype", MANIFEST, SIGNATURE}
        return (
            {n: archive.read(n) for n in names if n not in own},
            archive.read(MANIFEST),
            archive.read(SIGNATURE),
        )


def _differences(files: dict[str, bytes], listing: bytes) -> list[str]:
    if manifest(files) == listing:
        return []
    listed = {}
    for reference in parse(listing).iter("{http://uri.etsi.org/02918/v1.2.1#}DataObjectReference"):
        value = reference.findtext("{http://www.w3.org/2000/09/xmldsig#}DigestValue") or ""
        listed[str(reference.get("URI"))] = value
    real = {n: base64.b64encode(hashlib.sha256(b).digest()).decode() for n, b in files.items()}
    return sorted(n for n in {*listed, *real} if listed.get(n) != real.get(n)) or ["dạng của danh mục"]
