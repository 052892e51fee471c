"""Verification with reasons: PDF papers, CAdES entries, sealed containers. Never a bare false.

Indications and sub-indications are those of ETSI EN 319 102-1 (AdES). Chains are built to the roots given and nothing
else, without network; algorithms are pinned to SHA-256 or better with RSA ≥ 2048 or EC ≥ 256.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from io import BytesIO
from typing import Literal

from asn1crypto import cms, crl, ocsp
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import ModificationLevel
from pyhanko.sign.validation import (
    DocumentSecurityStore,
    async_validate_detached_cms,
    async_validate_pdf_signature,
    async_validate_pdf_timestamp,
)
from pyhanko.sign.validation.errors import NoDSSFoundError, SignatureValidationError
from pyhanko.sign.validation.generic_cms import validate_tst_signed_data
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.status import (
    PdfSignatureStatus,
    SignatureCoverageLevel,
    StandardCMSSignatureStatus,
    TimestampSignatureStatus,
)
from pyhanko_certvalidator import ValidationContext

from benhan.base.clock import SYSTEM_CLOCK
from benhan.base.errors import BenhanError
from benhan.base.xml_door import parse
from benhan.signing.container import MANIFEST, MIMETYPE, SIGNATURE, manifest
from benhan.signing.evidence import Evidence, each, embedded, of_lists
from benhan.signing.renewal import archive_manifest, archive_manifest_name, renewals, token_name, zipped
from benhan.signing.revocation import states
from benhan.signing.signer import certificates_of_pem

Indication = Literal["TOTAL-PASSED", "TOTAL-FAILED", "INDETERMINATE"]
LEAST_RSA_BITS, LEAST_EC_BITS = 2048, 256
SKEW = timedelta(minutes=5)
_STRONG = ("sha256", "sha384", "sha512")
_CERTAIN = ("HASH_FAILURE", "SIG_CRYPTO_FAILURE", "CRYPTO_CONSTRAINTS_FAILURE", "FORMAT_FAILURE", "REVOKED",
            "TIMESTAMP_ORDER_FAILURE")  # fmt: skip
_DISTRUST = {
    "": "Chứng thư không nối tới gốc tin cậy.",
    "EXPIRED": "Chứng thư hết hạn và không có dấu thời gian đóng trong hạn.",
    "OUT_OF_BOUNDS_NO_POE": "Chứng thư không còn hiệu lực và không có dấu thời gian đóng trong hạn.",
    "NOT_YET_VALID": "Chứng thư chưa có hiệu lực.",
}
_BROKEN_CMS = (
    SignatureValidationError,
    PdfError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
)
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


def context_at(roots: bytes, moment: datetime) -> ValidationContext:
    """Trust at ``moment``, without revocation, which `_revocation` judges."""
    return ValidationContext(
        trust_roots=list(certificates_of_pem(roots)),
        moment=moment,
        best_signature_time=moment,
        allow_fetching=False,
        revocation_mode="soft-fail",
    )


def stamped_at(info: cms.SignerInfo) -> datetime | None:
    """Time claimed by the time stamp of a signature; whether the stamp holds is judged afterwards."""
    for attribute in each(info["unsigned_attrs"]):
        if attribute["type"].native == "signature_time_stamp_token":
            token = attribute["values"][0]["content"]["encap_content_info"]["content"].parsed
            moment: datetime = token["gen_time"].native
            return moment
    return None


async def verify_entry(
    data: bytes,
    signature: bytes,
    roots: bytes,
    at: datetime | None = None,
    *,
    crls: Sequence[bytes] = (),
) -> Report:
    """Check a detached CMS over ``data`` (an entry, a manifest, a receipt).

    Certificates are judged at the time of its time stamp, and at ``at`` (now) where it has none; ``crls`` are
    revocation lists (DER) brought along, beside the evidence inside.
    """
    now = at or SYSTEM_CLOCK.now()
    try:
        info = cms.ContentInfo.load(signature, strict=True)
        signed = info["content"]
        if info["content_type"].native != "signed_data" or len(signed["signer_infos"]) != 1:
            return _failed("FORMAT_FAILURE", "chữ ký", "Chữ ký không đúng dạng CMS một người ký.")
        moment = stamped_at(signed["signer_infos"][0])
        if moment is not None and moment > now + SKEW:
            return _from_the_future()
        proof = embedded(signed) + of_lists(crls)
        status = await async_validate_detached_cms(
            data, signed, signer_validation_context=context_at(roots, moment or now)
        )
    except _BROKEN_CMS as error:
        return _failed("SIG_CRYPTO_FAILURE", "chữ ký", f"Chữ ký không kiểm được ({type(error).__name__}).")
    return _of_status(status, moment or now, proof)


def _from_the_future() -> Report:
    return _failed("TIMESTAMP_ORDER_FAILURE", "dấu thời gian", "Dấu thời gian ở tương lai.")


def _revocation(
    status: StandardCMSSignatureStatus, moment: datetime, proof: Evidence
) -> tuple[str, str, bool, str, str]:
    """The check of revocation at ``moment``, of the signer's and the time stamp's certificates and their issuers.

    Evidence made later than the signature counts too: what matters is the date of the revocation.
    """
    paths = [status.validation_path]
    if status.timestamp_validity is not None:
        paths.append(status.timestamp_validity.validation_path)
    seen = [
        s
        for path in paths
        if path is not None
        for s in states(list(path.iter_certs(include_root=True)), proof, moment)
    ]
    if any(s.revoked_at is not None and s.revoked_at <= moment for s in seen):
        return "REVOKED", "thu hồi", False, "", "Chứng thư đã bị thu hồi trước khi ký."
    if any(s.held_at is not None for s in seen):
        return "TRY_LATER", "thu hồi", False, "", "Chứng thư bị tạm dừng vào lúc ký."
    known = [s.known_at for s in seen if s.known_at is not None]
    text = "Không kèm bằng chứng về thu hồi; chưa xét."
    if seen and len(known) == len(seen):
        text = f"Không bị thu hồi, theo bằng chứng tính đến {min(known).isoformat()}."
    elif known:
        text = "Không bị thu hồi theo bằng chứng kèm theo, nhưng bằng chứng chưa đủ cho mọi chứng thư."
    elif any(s.stale for s in seen):
        text = "Bằng chứng về thu hồi đã cũ so với lúc ký; chưa xét."
    return "REVOKED", "thu hồi", True, text, ""


def _of_status(
    status: StandardCMSSignatureStatus, moment: datetime, proof: Evidence, *, whole: bool = True
) -> Report:
    certificate, stamp = status.signing_cert, status.timestamp_validity
    problem = status.trust_problem_indic
    strong = _strong(status)
    checks = [
        ("HASH_FAILURE", "nguyên vẹn", status.intact, "Nội dung không đổi.", "Nội dung đã bị đổi."),
        ("SIG_CRYPTO_FAILURE", "chữ ký", status.valid, "Chữ ký đúng khóa.", "Chữ ký không đúng khóa."),
        (
            problem.standard_name if problem else "NO_CERTIFICATE_CHAIN_FOUND",
            "tin cậy",
            status.trusted,
            "Chứng thư nối tới gốc tin cậy.",
            _DISTRUST.get(problem.standard_name if problem else "", _DISTRUST[""]),
        ),
        _revocation(status, moment, proof),
        ("CRYPTO_CONSTRAINTS_FAILURE", "thuật toán", strong, "Thuật toán đủ mạnh.", "Thuật toán yếu."),
        (
            "FORMAT_FAILURE",
            "phạm vi",
            whole,
            "Chữ ký phủ trọn tệp, hoặc sau nó chỉ có thêm chữ ký.",
            "Có nội dung ngoài phạm vi chữ ký.",
        ),
    ]
    if stamp is not None:
        good = stamp.valid and stamp.intact and stamp.trusted
        checks.append(
            ("TIMESTAMP_ORDER_FAILURE", "dấu thời gian", good, "Dấu thời gian đúng.", "Dấu thời gian sai.")
        )
    findings = tuple(Finding(what, ok, yes if ok else no) for _, what, ok, yes, no in checks)
    name = str(certificate.subject.native.get("common_name", ""))
    at = stamp.timestamp if stamp is not None else status.signer_reported_dt
    sub = next((sub for sub, _, ok, _, _ in checks if not ok), None)
    if sub is None:
        return Report("TOTAL-PASSED", "", findings, name, at)
    return Report("TOTAL-FAILED" if sub in _CERTAIN else "INDETERMINATE", sub, findings, name, at)


def _strong(status: StandardCMSSignatureStatus) -> bool:
    if status.md_algorithm not in _STRONG:
        return False
    key = status.signing_cert.public_key
    least = LEAST_RSA_BITS if key.algorithm == "rsa" else LEAST_EC_BITS
    return bool(key.algorithm in ("rsa", "ec") and key.bit_size >= least)


async def verify_pdf(
    pdf: bytes, roots: bytes, at: datetime | None = None, *, crls: Sequence[bytes] = ()
) -> Report:
    """Check every signature of a paper; no signature is a failure.

    The last covers the whole file. What follows an earlier one may only be further signatures and their evidence: a page
    changed between two signatures is refused, although the later signer's bytes are intact.
    """
    now = at or SYSTEM_CLOCK.now()
    try:
        return await asyncio.to_thread(lambda: asyncio.run(_verify_pdf(pdf, roots, now, of_lists(crls))))
    except _BROKEN_CMS as error:
        return _failed("FORMAT_FAILURE", "tệp", f"Tệp hoặc chữ ký không đọc được ({type(error).__name__}).")


async def _verify_pdf(pdf: bytes, roots: bytes, now: datetime, brought: Evidence) -> Report:
    reader = PdfFileReader(BytesIO(pdf))
    signatures = list(reader.embedded_regular_signatures)
    if not signatures:
        return _failed("FORMAT_FAILURE", "chữ ký", "Tệp không có chữ ký nào.")
    stamps = list(reader.embedded_timestamp_signatures)
    late = [s for s in stamps if s.signed_revision > _last(signatures)]
    for number, stamp in reversed(list(enumerate(stamps))):
        judged = await async_validate_pdf_timestamp(stamp, context_at(roots, _gen_time(stamp.signed_data)))
        newest = stamp in late and number == len(stamps) - 1
        whole = not newest or judged.coverage == SignatureCoverageLevel.ENTIRE_FILE
        if not (judged.intact and judged.valid and judged.trusted and whole) or judged.timestamp > now + SKEW:
            return _failed("HASH_FAILURE", "dấu thời gian lưu trữ", "Dấu thời gian lưu trữ không đúng.")
        now = judged.timestamp if stamp in late else now
    proof, parts = stored_evidence(reader) + brought, []
    for number, signature in enumerate(signatures):
        moment = stamped_at(signature.signer_info)
        if moment is not None and moment > now + SKEW:
            parts.append(_from_the_future())
            continue
        context = context_at(roots, moment or now)
        status = await async_validate_pdf_signature(signature, signer_validation_context=context)
        inside = proof + embedded(signature.signed_data)
        whole = _covers(status, last=not late and number == len(signatures) - 1)
        parts.append(_of_status(status, moment or now, inside, whole=whole))
    head = next((p for p in parts if not p.ok), None) or parts[-1]
    return Report(head.indication, head.sub, head.findings, head.signer, head.signed_at, tuple(parts))


def _gen_time(signed: cms.SignedData) -> datetime:
    moment: datetime = signed["encap_content_info"]["content"].parsed["gen_time"].native
    return moment


def _last(signatures: Sequence[EmbeddedPdfSignature]) -> int:
    """Revision of the last signature of a person or a seal."""
    return max(int(s.signed_revision) for s in signatures)


def _covers(status: PdfSignatureStatus, *, last: bool) -> bool:
    """Whether nothing but further signatures lies outside a signature."""
    if last:
        return status.coverage == SignatureCoverageLevel.ENTIRE_FILE
    changed = status.modification_level
    return (
        status.coverage >= SignatureCoverageLevel.ENTIRE_REVISION
        and changed is not None
        and changed <= ModificationLevel.FORM_FILLING
    )


def stored_evidence(reader: PdfFileReader) -> Evidence:
    """Evidence in the document security store."""
    try:
        store = DocumentSecurityStore.read_dss(reader)
    except NoDSSFoundError:
        return Evidence()
    lists = tuple(crl.CertificateList.load(one.get_object().data) for one in store.crls)
    answers = tuple(ocsp.OCSPResponse.load(one.get_object().data) for one in store.ocsps)
    return Evidence(lists, answers)


async def verify_container(
    data: bytes, roots: bytes, at: datetime | None = None, *, crls: Sequence[bytes] = ()
) -> Report:
    """Check a sealed record: canonical bytes, manifest, signature, and every PDF inside."""
    try:
        parts_found = _open(data)
        listing, signature = parts_found[MANIFEST], parts_found[SIGNATURE]
    except (*_BROKEN_ZIP, BenhanError) as error:
        return _failed("FORMAT_FAILURE", "hộp niêm phong", f"Hộp không đọc được ({type(error).__name__}).")
    files = {n: b for n, b in parts_found.items() if n != "mimetype" and not n.startswith("META-INF/")}
    if zipped(_in_order(parts_found, files)) != data:
        return _failed(
            "FORMAT_FAILURE", "hộp niêm phong", "Các byte của hộp không đúng dạng chuẩn: đã bị sửa."
        )
    wrong = _differences(files, listing)
    if wrong:
        return _failed("HASH_FAILURE", "danh mục", f"Không khớp danh mục: {', '.join(wrong[:5])}.")
    try:
        at = await _archived(parts_found, roots, at)
    except ArchiveRefused as refused:
        return _failed(refused.sub, "dấu thời gian lưu trữ", refused.text)
    head = await verify_entry(listing, signature, roots, at, crls=crls)
    parts = [
        await verify_pdf(body, roots, at, crls=crls)
        for name, body in sorted(files.items())
        if name.endswith(".pdf")
    ]
    signed = tuple(p for p in parts if p.sub != "FORMAT_FAILURE")
    bad = next((p for p in signed if not p.ok), None)
    if head.ok and bad is not None:
        return Report(bad.indication, bad.sub, bad.findings, head.signer, head.signed_at, signed)
    return Report(head.indication, head.sub, head.findings, head.signer, head.signed_at, signed)


class ArchiveRefused(Exception):
    """A time stamp over an archive or an answer does not hold: AdES sub-indication and the reason."""

    def __init__(self, sub: str, text: str) -> None:
        super().__init__(text)
        self.sub, self.text = sub, text


async def _archived(parts: dict[str, bytes], roots: bytes, at: datetime | None) -> datetime | None:
    """The instant at which all but the archive time stamps is proved to have existed; ``at`` without any.

    Judged from the newest, each as of the time that the next one proves. Raises: `ArchiveRefused`.
    """
    names = list(parts)
    for number in range(renewals(parts), 0, -1):
        listing, token = parts[archive_manifest_name(number)], parts[token_name(number)]
        before = {n: parts[n] for n in names[: names.index(archive_manifest_name(number))]}
        if archive_manifest(before, number) != listing:
            raise ArchiveRefused(
                "HASH_FAILURE", f"Danh mục lưu trữ {number} không khớp những gì có trước nó."
            )
        at = await token_time(token, _hasher(listing), roots, at or SYSTEM_CLOCK.now())
    return at


def _hasher(covered: bytes) -> Callable[[str], bytes]:
    return lambda name: hashlib.new(name, covered).digest()


async def token_time(token: bytes, hasher: Callable[[str], bytes], roots: bytes, now: datetime) -> datetime:
    """Time of an RFC 3161 token over what ``hasher`` digests, signed by an authority that chains to ``roots``.

    Raises: `ArchiveRefused`.
    """
    try:
        signed = cms.ContentInfo.load(token, strict=True)["content"]
        moment: datetime = signed["encap_content_info"]["content"].parsed["gen_time"].native
        judged = TimestampSignatureStatus(
            **await validate_tst_signed_data(signed, context_at(roots, moment), hasher)
        )
    except _BROKEN_CMS as error:
        text = f"Dấu thời gian không đọc được ({type(error).__name__})."
        raise ArchiveRefused("FORMAT_FAILURE", text) from None
    if not (judged.intact and judged.valid and judged.trusted) or judged.md_algorithm not in _STRONG:
        raise ArchiveRefused("HASH_FAILURE", "Dấu thời gian không đúng hoặc không đáng tin cậy.")
    if moment > now + SKEW:
        raise ArchiveRefused("TIMESTAMP_ORDER_FAILURE", "Dấu thời gian ở tương lai.")
    return moment


def _in_order(parts: dict[str, bytes], files: dict[str, bytes]) -> dict[str, bytes]:
    """The parts in the canonical order; a part that has no place is left out, which then shows."""
    names = ["mimetype", *sorted(files), MANIFEST, SIGNATURE]
    for number in range(1, renewals(parts) + 1):
        names += [archive_manifest_name(number), token_name(number)]
    return {n: parts[n] for n in names}


def _open(data: bytes) -> dict[str, bytes]:
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
        parts = {n: archive.read(n) for n in names}
        _in_order(parts, {})  # raises for an archive time stamp without its manifest, or out of sequence
        return parts


def _differences(files: dict[str, bytes], listing: bytes) -> list[str]:
    if manifest(files) == listing:
        return []
    listed = {}
    for reference in parse(listing).iter("{http://uri.etsi.org/02918/v1.2.1#}DataObjectReference"):
        value = reference.findtext("{http://www.w3.org/2000/09/xmldsig#}DigestValue") or ""
        listed[str(reference.get("URI"))] = value
    real = {n: base64.b64encode(hashlib.sha256(b).digest()).decode() for n, b in files.items()}
    return sorted(n for n in {*listed, *real} if listed.get(n) != real.get(n)) or ["dạng của danh mục"]
