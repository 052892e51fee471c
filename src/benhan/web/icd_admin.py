"""The ICD-10 list of the installation: the one in use, a new one judged from its file, published from a day, taken back."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from starlette.datastructures import UploadFile
from starlette.responses import Response
from starlette.routing import Route

from benhan.base.clock import local_date
from benhan.base.errors import InvalidInput, Issue, NotFound
from benhan.catalogue import icd10, icd10_in_force, icd10_list, later_icd10
from benhan.gateways import bhyt
from benhan.web import rail, show
from benhan.web.frame import Visit, attempt, page

#: first day of TT 06/2026/TT-BYT
NEXT_LIST = date(2026, 7, 1)
SHOWN = 200
_SHA256 = re.compile(r"[0-9a-f]{64}")


@page("settings.manage")
async def icd_page(visit: Visit) -> Response:
    """The list in use and the form for another."""
    return await _icd(visit)


async def _icd(visit: Visit, **context: Any) -> Response:
    today = local_date(visit.now)
    return visit.draw(
        "icd_admin.html",
        **{
            **await rail.around(visit),
            "since": later_icd10(),
            "in_force": icd10_in_force(today),
            "size": len(icd10_list(today)),
            "first": show.day(NEXT_LIST),
            "told": None,
            **context,
        },
    )


@page("settings.manage")
async def act(visit: Visit) -> Response:
    """Judge a file, publish the judged one, take the published one back."""
    return await attempt(visit, _act(visit), _icd)


async def _act(visit: Visit) -> Response:
    folder, what = visit.settings.home / "bhyt", visit.text("viec")
    if what == "bo":
        bhyt.drop_icd_list(folder)
        await visit.repo.audit("icd-list", entity=None, patient=None, detail={"icd10": "dropped"})
        return visit.go("/bhyt/icd", "da-luu")
    first = show.read_day(visit.text("tu_ngay"), "tu_ngay")
    if first < NEXT_LIST:
        said = f"Danh mục kèm theo có hiệu lực đến 30/06/2026: danh mục mới bắt đầu từ {show.day(NEXT_LIST)} trở đi."
        raise InvalidInput("bhyt.icd-day", said, issues=[Issue("bhyt.icd-day", said, "tu_ngay")])
    if what == "ban-hanh":
        sha256 = visit.text("tep")
        if not _SHA256.fullmatch(sha256):
            raise NotFound("bhyt.no-icd-file", "Xem trước tệp rồi mới ban hành.")
        told = bhyt.read_icd_list(await visit.store.blobs.get(sha256), first)
        bhyt.keep_icd_list(folder, told.entries, first)
        detail = {"icd10": sha256, "from": first.isoformat(), "codes": len(told.entries)}
        await visit.repo.audit("icd-list", entity=None, patient=None, detail=detail)
        return visit.go("/bhyt/icd", "da-luu")
    upload = visit.form.get("tep")
    raw = await upload.read() if isinstance(upload, UploadFile) else b""
    if not raw:
        raise InvalidInput("bhyt.sheet-file", "Chọn tệp CSV hoặc XLSX.", expression="tep")
    told = bhyt.read_icd_list(raw, first)
    return await _icd(
        visit, told=told, sha256=await visit.store.blobs.put(raw), shown=SHOWN, day=visit.text("tu_ngay"),
        changes=_changes(told, first),
    )  # fmt: skip


def _changes(told: bhyt.IcdImport, first: date) -> dict[str, list[tuple[str, str, str]]]:
    """What differs, kind by kind: code, title before, title after; the first of each."""
    after = {e.key: e.title for e in told.entries}

    def before(key: str) -> str:
        entry = icd10(key, first)
        return entry.title if entry else ""

    kinds = {"new": told.new, "dropped": told.dropped, "retitled": told.retitled, "marked": told.marked}
    return {kind: [(k, before(k), after.get(k, "")) for k in keys[:SHOWN]] for kind, keys in kinds.items()}


ROUTES = [
    Route("/bhyt/icd", icd_page, methods=["GET"]),
    Route("/bhyt/icd", act, methods=["POST"]),
]
