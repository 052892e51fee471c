"""Judging whole files: which kind a file is, its signatures one after another, and the verdict."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from benhan_verify import cms
from benhan_verify.chain import find_path, name_of
from benhan_verify.container import open_container
from benhan_verify.pdf import has_signature, signatures
from benhan_verify.report import UNREADABLE, Refused, SignerSeen, Verdict
from benhan_verify.revisions import evidence_in, require_only_signing
from benhan_verify.revocation import Evidence, check_path
from benhan_verify.stamp import NONE, SKEW, Hasher, check_stamp

Roots = Sequence[x509.Certificate]
MOST_BYTES = 2**31


def verify_file(path: Path, roots: Roots, now: datetime | None = None, brought: Evidence = NONE) -> Verdict:
    """Judge a file of any kind; never raises for what the file holds.

    ``FILE.p7s`` beside the file makes it a detached signature; otherwise a sealed record or a PDF by its first bytes.
    """
    if path.suffix == ".p7s" and path.with_suffix("").exists():
        path = path.with_suffix("")
    beside = path.with_name(path.name + ".p7s")
    verdict = Verdict(str(path))
    try:
        if path.stat().st_size > MOST_BYTES:
            raise OSError("too large")
        data = path.read_bytes()
        signature = beside.read_bytes() if beside.exists() else None
    except OSError as error:
        verdict.refuse(
            Refused(UNREADABLE, "Không đọc được tệp.", f"The file cannot be read ({type(error).__name__}).")
        )
        return verdict
    moment = now or datetime.now(UTC)
    try:
        if signature is not None:
            return verify_detached(data, signature, roots, moment, file=str(path), brought=brought)
        if path.suffix == ".asice" or data.startswith(b"PK\x03\x04"):
            return verify_container(data, roots, moment, file=str(path), brought=brought)
        if path.suffix.lower() == ".pdf" or data.startswith(b"%PDF-"):
            return verify_pdf(data, roots, moment, file=str(path), brought=brought)
    except Exception as error:  # outermost rim: a hostile file must end in a refusal, not in a trace
        verdict.refuse(
            cms.malformed("Tệp hỏng, không kiểm được.", f"The file is damaged ({type(error).__name__}).")
        )
        return verdict
    verdict.refuse(
        Refused(
            UNREADABLE,
            "Không phải hồ sơ niêm phong, PDF, cũng không có chữ ký .p7s bên cạnh.",
            "Neither a sealed record nor a PDF, and no .p7s signature beside it.",
        )
    )
    return verdict


def verify_detached(
    data: bytes,
    signature: bytes,
    roots: Roots,
    now: datetime | None = None,
    *,
    file: str = "",
    brought: Evidence = NONE,
) -> Verdict:
    """Judge a detached CMS signature over ``data``."""
    verdict = Verdict(file)
    _judge(signature, lambda name: hashlib.new(name, data).digest(), roots, now, verdict, brought)
    return _with_signer(verdict)


def verify_container(
    data: bytes, roots: Roots, now: datetime | None = None, *, file: str = "", brought: Evidence = NONE
) -> Verdict:
    """Judge a sealed record and every signed PDF inside it."""
    verdict = Verdict(file)
    try:
        box = open_container(data)
    except Refused as refused:
        verdict.refuse(refused)
        return verdict
    verdict.proved(
        f"Hộp đúng dạng chuẩn; {len(box.files)} tệp khớp danh mục SHA-256.",
        f"Canonical container; {len(box.files)} files match the SHA-256 manifest.",
    )
    try:
        now = _archived(box.archives, roots, now or datetime.now(UTC), verdict, brought)
    except Refused as refused:
        verdict.refuse(refused)
        return verdict
    _judge(box.signature, lambda name: hashlib.new(name, box.manifest).digest(), roots, now, verdict, brought)
    for name, body in sorted(box.files.items()):
        if body.startswith(b"%PDF-") and has_signature(body):
            verdict.remark(f"Giấy {name}:", f"Paper {name}:")
            _judge_pdf(body, roots, now, verdict, brought)
    return _with_signer(verdict)


def _archived(
    archives: Sequence[tuple[bytes, bytes]], roots: Roots, now: datetime, verdict: Verdict, brought: Evidence
) -> datetime:
    """The instant at which all before the archive time stamps is proved to have existed; now without any.

    Judged from the newest, each as of the time the next one proves. Raises: `Refused`.
    """
    for listing, token in reversed(archives):

        def digest(name: str, listing: bytes = listing) -> bytes:
            return hashlib.new(name, listing).digest()

        now = check_stamp(token, digest, (), roots, now, verdict, brought)
    if archives:
        verdict.proved(
            f"Hộp đã có {len(archives)} dấu thời gian lưu trữ; tất cả đã có trước {now.isoformat()}.",
            f"{len(archives)} archive time stamps; everything existed before {now.isoformat()}.",
        )
    return now


def verify_pdf(
    data: bytes, roots: Roots, now: datetime | None = None, *, file: str = "", brought: Evidence = NONE
) -> Verdict:
    """Judge every signature of a PDF."""
    verdict = Verdict(file)
    _judge_pdf(data, roots, now, verdict, brought)
    return _with_signer(verdict)


def _with_signer(verdict: Verdict) -> Verdict:
    """A bare time stamp proves a time, not a signer: then the verdict is not passed."""
    if verdict.indication == "TOTAL-PASSED" and not verdict.signers:
        verdict.refuse(
            Refused(
                "NO_SIGNING_CERTIFICATE_FOUND",
                "Chỉ có dấu thời gian, không có người ký.",
                "There is only a time stamp and no signer.",
            )
        )
    return verdict


def _judge_pdf(data: bytes, roots: Roots, now: datetime | None, verdict: Verdict, brought: Evidence) -> None:
    try:
        found = signatures(data)
    except Refused as refused:
        verdict.refuse(refused)
        return
    evidence = brought + evidence_in(data)
    for signature in found:
        covered = signature.covered(data)

        def digest(name: str, covered: bytes = covered) -> bytes:
            return hashlib.new(name, covered).digest()

        _judge(signature.cms, digest, roots, now, verdict, evidence)
    for earlier, later in itertools.pairwise(found):
        try:
            require_only_signing(data[: earlier.end], data[: later.end])
        except Refused as refused:
            verdict.refuse(refused)
            return
    if len(found) > 1:
        verdict.proved(
            "Giữa các chữ ký chỉ có thêm chữ ký; nội dung không bị thay.",
            "Between the signatures only signatures were added; nothing shown was changed.",
        )
    verdict.remark("Chữ ký cuối phủ trọn tệp.", "The last signature covers the whole file.")


def _judge(
    der: bytes, hasher: Hasher, roots: Roots, now: datetime | None, verdict: Verdict, brought: Evidence
) -> None:
    """Judge one CMS signature over what ``hasher`` digests and write it into the verdict."""
    moment = now or datetime.now(UTC)
    try:
        signed = cms.read(der)
        if signed.content_type == cms.TST_INFO:
            check_stamp(der, hasher, (), roots, moment, verdict, brought)
            _need_roots(roots)
            return
        if signed.content_type != "data" or signed.content is not None:
            raise cms.malformed("Chữ ký không phải dạng tách rời.", "The signature is not detached.")
        cms.check(signed, hasher(signed.digest_name))
        evidence = brought + signed.evidence
        stamped = _stamped(signed, roots, moment, verdict, evidence)
    except Refused as refused:
        verdict.refuse(refused)
        return
    certificate = signed.certificate
    name = name_of(certificate.subject)
    verdict.signers.append(
        SignerSeen(
            name, name_of(certificate.issuer), f"{certificate.serial_number:x}", stamped, signed.claimed_at
        )
    )
    verdict.proved(f"Nội dung không đổi từ khi “{name}” ký.", f"Unchanged since '{name}' signed it.")
    try:
        _need_roots(roots)
        path = find_path(certificate, signed.pool, roots, stamped or moment, "sign")
    except Refused as refused:
        verdict.refuse(refused)
        return
    verdict.proved(
        f"Chứng thư của “{name}” nối tới gốc tin cậy và có hiệu lực lúc {(stamped or moment).isoformat()}.",
        f"The certificate of '{name}' chains to a trusted root and was valid at {(stamped or moment).isoformat()}.",
    )
    try:
        check_path(path, evidence, stamped or moment, verdict)
    except Refused as refused:
        verdict.refuse(refused)


def _stamped(
    signed: cms.Signed, roots: Roots, now: datetime, verdict: Verdict, evidence: Evidence
) -> datetime | None:
    """The earliest time proved; a token that does not hold refuses the signature. None without roots or token."""

    def digest(name: str) -> bytes:
        return hashlib.new(name, signed.signature).digest()

    times = [
        check_stamp(token, digest, signed.pool, roots, now, verdict, evidence) for token in signed.stamps
    ]
    if not times or not roots:
        return None
    if signed.claimed_at is not None and signed.claimed_at > max(times) + SKEW:
        raise Refused(
            "TIMESTAMP_ORDER_FAILURE",
            "Giờ ký khai báo sau giờ của dấu thời gian.",
            "The claimed signing time is after the time stamp.",
        )
    return min(times)


def _need_roots(roots: Roots) -> None:
    if not roots:
        raise Refused(
            "NO_CERTIFICATE_CHAIN_FOUND",
            "Chưa cho gốc tin cậy (--root), nên chưa biết người ký là ai.",
            "No trusted root was given (--root), so the signer is not proved.",
        )
