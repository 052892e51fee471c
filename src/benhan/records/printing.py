"""Print of a whole record or of a chosen set of its papers: cover with contents, then the papers in their order.

Each paper is the one that stands: the signed PDF of the present version, else a fresh print. The joined file is for
printing; the signatures are those of the single papers and of the sealed container.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from benhan.base.clock import local
from benhan.base.errors import InvalidInput
from benhan.forms import Cover, joined, page_count, pages, print_cover
from benhan.identity import name_of, person_of
from benhan.records.binder import binder
from benhan.records.papers import print_paper
from benhan.records.scans import pages_of
from benhan.records.shapes import house
from benhan.records.sheets import print_sheet
from benhan.records.types import Binder, BinderPart
from benhan.store import Repository


async def print_record(repo: Repository, encounter_id: str, chosen: Sequence[str] = ()) -> bytes:
    """PDF of the record's papers with cover and contents; ``chosen`` are response ids, all when empty.

    Raises: ``InvalidInput`` (records.nothing-to-print) when no paper is left.
    """
    view = await binder(repo, encounter_id)
    parts = [p for p in view.parts if not chosen or p.response_id in chosen]
    if not parts:
        raise InvalidInput("records.nothing-to-print", "Chưa có giấy nào để in.")
    papers = [await _paper(repo, part) for part in parts]
    cover = await _cover(repo, view, parts, papers, whole=not chosen)
    front = await asyncio.to_thread(print_cover, cover, repo.clock.now())
    return await asyncio.to_thread(joined, [front, *papers])


async def _paper(repo: Repository, part: BinderPart) -> bytes:
    if part.state == "scan":
        _, first, last = pages_of(part.response_id)
        return await asyncio.to_thread(pages, await repo.store.blobs.get(part.sha256 or ""), first, last)
    sheet = part.state.startswith("sheet:")
    return await (print_sheet if sheet else print_paper)(repo, part.response_id)


async def _cover(
    repo: Repository, view: Binder, parts: Sequence[BinderPart], papers: Sequence[bytes], *, whole: bool
) -> Cover:
    here, place = view.case, await house(repo)
    patient = (await repo.read("Patient", here.patient_id)).data
    person = person_of(patient)
    moments = (("Vào viện", here.admitted_at), ("Ra viện", here.discharged_at))
    facts = [
        ("Họ và tên", name_of(patient).upper()),
        ("Sinh ngày", "/".join(reversed((person.birth_date or "").split("-")))),
        ("Giới", {"male": "Nam", "female": "Nữ"}.get(person.sex or "", "")),
        ("Số bệnh án", here.so_benh_an or ""),
        ("Số lưu trữ", here.so_luu_tru or ""),
        *((name, f"{local(at):%H:%M %d/%m/%Y}" if at else "") for name, at in moments),
    ]
    return Cover(
        "HỒ SƠ BỆNH ÁN" if whole else "GIẤY TỜ TRONG HỒ SƠ BỆNH ÁN",
        "Toàn bộ hồ sơ" if whole else f"{len(parts)} giấy được chọn",
        place.name,
        "",
        name_of(patient),
        here.so_benh_an or "",
        [f for f in facts if f[1]],
        [(p.title, p.form_code, page_count(data)) for p, data in zip(parts, papers, strict=True)],
    )
