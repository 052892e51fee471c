"""The conversion of a scanned record signed: each file by itself, and the index sheet with every hash.

Source: Luật Giao dịch điện tử 20/2023/QH15 Điều 12; NĐ 137/2024/NĐ-CP Điều 4–5 (system, owner, time, who converted, mark).
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from benhan.base.clock import local
from benhan.base.errors import Conflict, NeighbourFailed
from benhan.catalogue import systems
from benhan.forms import print_certificate
from benhan.identity import name_of
from benhan.records.documents import attachment, documents
from benhan.records.ink import ink_pdf, signature_element, waiting
from benhan.records.scans import SIGNED, ScanFile, Scanned, scan_facts, scanned_record
from benhan.records.shapes import concept, fact, house, instant, ref, staff_ref, with_extensions
from benhan.records.signatures import SIGN, provenance
from benhan.records.types import Authorize, JsonObject, SignWith
from benhan.signing import Place
from benhan.store import Repository

TITLE = "MỤC LỤC HỒ SƠ BỆNH ÁN SỐ HÓA"
ROLE = "Người thực hiện chuyển đổi"
REASON = "Bản điện tử chuyển đổi từ văn bản giấy"
INDEX_TYPE = "muc-luc-so-hoa"
#: at the foot of the first page, left
_PLACE = Place(0, (24.0, 10.0, 264.0, 46.0))


async def sign_scan(
    repo: Repository, encounter_id: str, sign: SignWith, *, authorize: Authorize
) -> list[str]:
    """Sign the conversion of a checked record; goes on where it stopped. Returns ids of documents signed now.

    Raises: ``Conflict`` (records.scan-unchecked) before a second person has checked it; ``NeighbourFailed``
    (records.scan-stamp); ``NotAllowed``.
    """
    found = await scanned_record(repo, encounter_id)
    authorize("record.scan_sign", found.case.khoa)
    if found.case.state != "received":
        raise Conflict("records.scan-unchecked", "Bản số hóa chưa được người thứ hai kiểm tra.")
    place = await house(repo)
    signed = [await _sign_file(repo, file, sign) for file in found.files if not file.signed]
    standing = [
        d for d in await documents(repo, encounter_id)
        if d.data["status"] == "current" and d.data["type"]["coding"][0]["code"] == INDEX_TYPE
    ]  # fmt: skip
    if signed or not standing:
        now = repo.clock.now()
        fresh = await scanned_record(repo, encounter_id)
        sheet = await asyncio.to_thread(_sheet, fresh, place.name, sign, now)
        pdf = await ink_pdf(sheet, sign, field="chuyen_doi", reason=REASON, role=ROLE)
        async with repo.transaction() as tx:
            for old in standing:
                await tx.update({**old.data, "status": "superseded"}, if_match=old.version)
            sha256 = await tx.store.blobs.put(pdf)
            title = "Mục lục hồ sơ bệnh án số hóa"
            document: JsonObject = {
                "resourceType": "DocumentReference",
                "status": "current",
                "docStatus": "final",
                "type": concept(systems.FORM, INDEX_TYPE, title),
                "category": [concept(systems.DOCUMENT_KIND, systems.DOC_PAPER, "Giấy, phiếu của bệnh án")],
                "subject": ref("Patient", found.case.patient_id),
                "date": instant(now),
                "author": [staff_ref(sign.staff)],
                "description": title,
                "content": [{"attachment": attachment(sha256, len(pdf), title, now, "application/pdf")}],
                "context": {"encounter": [ref("Encounter", encounter_id)]},
            }
            stored = await tx.create(document)
            await _witness(tx, stored.id, sign, pdf, now)
            signed.append(stored.id)
    return signed


async def _sign_file(repo: Repository, file: ScanFile, sign: SignWith) -> str:
    data = await repo.store.blobs.get(file.sha256)
    pdf = await ink_pdf(data, sign, field="chuyen_doi", reason=REASON, role=ROLE, place=_PLACE)
    async with repo.transaction() as tx:
        sha256, now = await tx.store.blobs.put(pdf), tx.clock.now()
        changed = with_extensions(file.document.data, fact(SIGNED, instant(now)))
        shown = attachment(sha256, len(pdf), file.name, now, "application/pdf")
        changed = {**changed, "docStatus": "final", "content": [{"attachment": shown}]}
        stored = await tx.update(changed, if_match=file.document.version)
        await _witness(tx, stored.id, sign, pdf, now)
    return stored.id


async def _witness(tx: Repository, document_id: str, sign: SignWith, pdf: bytes, now: datetime) -> None:
    """The Provenance of a conversion: who, when, over which document. Nothing hurries here: without its time stamp or the
    certificate's state the signature is not taken.
    """
    if waiting(pdf, sign, now, pdf=True):
        raise NeighbourFailed(
            "records.scan-stamp", "Dịch vụ dấu thời gian hoặc trạng thái chứng thư chưa trả lời. Ký lại sau."
        )
    target = ref("DocumentReference", document_id)
    resource = provenance(SIGN, [target], sign.staff, ROLE, instant(now), target["reference"])
    resource["signature"] = [signature_element(sign, now, content="application/pdf")]
    await tx.create(resource)


def _sheet(found: Scanned, facility: str, sign: SignWith, now: datetime) -> bytes:
    here, cover = found.case, scan_facts(found)
    names = {f.document.id: f.name for f in found.files}
    rows = [(r.title, f"{names.get(r.document_id, '')}, trang {r.first}–{r.last}") for r in found.index]
    rows += [(f"Tệp {f.name} ({f.pages} trang), SHA-256 khi quét", f.scanned_sha256) for f in found.files]
    text = (
        "Các tệp kèm theo được quét từ hồ sơ bệnh án giấy, do người thứ hai đối chiếu với bản giấy. Ký hiệu: chuyển đổi từ"
        " văn bản giấy sang thông điệp dữ liệu (NĐ 137/2024/NĐ-CP). Bản giấy được lưu tại nơi ghi trên cho đến khi có quyết"
        " định khác."
    )
    return print_certificate(
        title=TITLE,
        subtitle=f"Số lưu trữ {here.so_luu_tru or '–'}",
        facility=facility,
        facts=[
            ("Họ và tên người bệnh", name_of(found.patient.data).upper()),
            ("Số bệnh án", here.so_benh_an or "–"),
            ("Khoa điều trị", cover["khoa"] or here.khoa),
            ("Vào viện, ra viện", _days(found)),
            ("Số trang trên giấy, đã quét", f"{found.pages_counted}, {found.pages}"),
            ("Quyết định số hóa", cover["decision"] or "–"),
            ("Nơi để bản giấy", cover["shelf"] or "–"),
            ("Người quét", ", ".join(dict.fromkeys(f.by_name for f in found.files))),
            ("Người thực hiện chuyển đổi", f"{sign.staff.name}, {local(now):%H:%M %d/%m/%Y}"),
            ("Hệ thống", "Bệnh Án"),
        ],
        text=text,
        heads=("TT", "Giấy, tệp", "Nơi nằm, mã băm"),
        rows=rows,
        printed_at=now,
    )


def _days(found: Scanned) -> str:
    end = found.case.discharged_at
    return f"{local(found.case.admitted_at):%d/%m/%Y} – {local(end):%d/%m/%Y}" if end else "–"
