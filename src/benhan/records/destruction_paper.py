"""The certificate of a destruction: a signed PDF with the list of files and hashes, and the same list as signed data.

Kept for ever. It names numbers, people who decided, hashes and times, never the patient or anything clinical.
Source: Luật Lưu trữ Điều 16, 36 (hồ sơ hủy tài liệu).
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from benhan.base.clock import local
from benhan.base.errors import BenhanError, Conflict
from benhan.base.ids import new_uuid
from benhan.forms import print_certificate
from benhan.identity import name_of
from benhan.records.ink import ink_entry, ink_pdf
from benhan.records.requests import Request
from benhan.records.shapes import connection, house, instant
from benhan.records.types import Case, SignWith
from benhan.store import Repository

TITLE = "CHỨNG NHẬN TIÊU HỦY HỒ SƠ BỆNH ÁN"
WAY = (
    "Đã xóa khóa mã hóa của hồ sơ, các dòng hiện hành, chỉ mục, bản nháp, hàng đợi và tệp. Bản sao lưu làm trước lúc này chỉ"
    " còn dữ liệu đã mã hóa cùng khóa trong chính bản sao lưu đó, và mất khi bản sao lưu hết hạn giữ."
)
_COLUMNS = "id, request_id, encounter_id, at, actor, resources, files, certificate, signature, listing"
_NEW = (
    "insert into record_destruction (tenant, id, request_id, encounter_id, at, actor, resources, files, certificate,"
    " signature, listing) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (tenant, encounter_id) do nothing"
)
_READ = f"select {_COLUMNS} from record_destruction where tenant = %s and encounter_id = %s"  # noqa: S608 - constant
_LIST = f"select {_COLUMNS} from record_destruction where tenant = %s order by at desc, id limit %s"  # noqa: S608 - constant


@dataclass(frozen=True, slots=True)
class Destruction:
    """A destroyed record. ``files``: hashes of what was removed; ``certificate`` (PDF), ``listing`` (JSON), ``signature``
    (CAdES over the listing): blobs."""

    id: UUID
    request_id: UUID
    encounter_id: str
    at: datetime
    actor: str
    resources: int
    files: list[str]
    certificate: str
    signature: str
    listing: str


async def certify(
    repo: Repository, here: Case, wish: Request, resources: int, files: list[str], seal: SignWith
) -> Destruction:
    """Make, sign and keep the certificate; once for each record."""
    place, now = await house(repo), repo.clock.now()
    asker, judge = await _name(repo, wish.asked_by), await _name(repo, wish.decided_by or "")
    text: dict[str, Any] = {
        "giay": TITLE,
        "co_so": {"ma": place.code, "ten": place.name},
        "so_luu_tru": here.so_luu_tru,
        "so_benh_an": here.so_benh_an,
        "ma_lk": here.ma_lk,
        "ly_do": wish.reason,
        "nguoi_de_nghi": wish.asked_by,
        "de_nghi_luc": instant(wish.asked_at),
        "nguoi_duyet": wish.decided_by,
        "tieu_huy_luc": instant(now),
        "so_tai_lieu": resources,
        "tep_da_xoa": files,
        "cach": WAY,
    }
    listing = json.dumps(text, ensure_ascii=False, indent=1).encode()
    paper = await asyncio.to_thread(
        print_certificate,
        title=TITLE,
        subtitle=f"Số lưu trữ {here.so_luu_tru or '–'}",
        facility=place.name,
        facts=[
            ("Số bệnh án", here.so_benh_an or "–"),
            ("Mã đợt điều trị (MA_LK)", here.ma_lk),
            ("Lý do", wish.reason),
            ("Người đề nghị", f"{asker}, {local(wish.asked_at):%H:%M %d/%m/%Y}"),
            ("Người duyệt", f"{judge}, {local(wish.decided_at or now):%H:%M %d/%m/%Y}"),
            ("Tiêu hủy xong lúc", f"{local(now):%H:%M %d/%m/%Y}"),
            ("Số tài liệu đã hủy", str(resources)),
            ("Số tệp đã xóa", str(len(files))),
        ],
        text=WAY,
        heads=("TT", "Loại", "Mã băm SHA-256 của tệp"),
        rows=[("Tệp của hồ sơ", f) for f in files] or [("–", "Hồ sơ không có tệp")],
        printed_at=now,
    )
    signed = await ink_pdf(paper, seal, field="dau_co_so", reason="Chứng nhận tiêu hủy hồ sơ")
    signature = await ink_entry(listing, seal)
    blobs = repo.store.blobs
    kept = (await blobs.put(signed), await blobs.put(signature), await blobs.put(listing))
    async with repo.transaction() as tx:
        values = (
            tx.ctx.tenant, new_uuid(clock=tx.clock), wish.id, here.encounter_id, now, tx.ctx.actor.reference, resources,
            Jsonb(files), *kept,
        )  # fmt: skip
        await connection(tx).execute(_NEW, values)
    found = await destruction(repo, here.encounter_id)
    if found is None:
        raise Conflict("records.not-destroyed", "Hồ sơ chưa được tiêu hủy.")
    return found


async def _name(repo: Repository, reference: str) -> str:
    """Name of a person of the house; his reference where there is no such resource."""
    kind, _, id_ = reference.partition("/")
    try:
        return name_of((await repo.read(kind, id_)).data) or reference
    except BenhanError:
        return reference


async def destruction(repo: Repository, encounter_id: str) -> Destruction | None:
    """How a record was destroyed; None when it was not."""
    async with repo.transaction() as tx:
        row = await (await connection(tx).execute(_READ, (tx.ctx.tenant, encounter_id))).fetchone()
        return None if row is None else Destruction(*row)


async def destructions(repo: Repository, limit: int = 200) -> list[Destruction]:
    """Destroyed records, the newest first."""
    async with repo.transaction() as tx:
        return [Destruction(*row) for row in await tx.all(_LIST, (tx.ctx.tenant, limit))]
