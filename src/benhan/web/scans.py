"""Paper records, scanned: register them, upload a batch, index the papers, check by a second person, sign the conversion."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from starlette.datastructures import UploadFile
from starlette.responses import Response
from starlette.routing import Route

from benhan import records
from benhan.base.errors import BenhanError, Conflict, InvalidInput, Issue, NotFound, RuleViolation
from benhan.catalogue import systems
from benhan.forms import catalogue
from benhan.web import lists, rail, show
from benhan.web.frame import Visit, attempt, page
from benhan.web.i18n import N_
from benhan.web.signing import sign_with

ADDRESS = "/luu-tru/so-hoa"
UPLOAD = "/so-hoa/tep"
#: KET_QUA_DTRI → what the cover of a paper record says
RESULTS = (
    ("1", N_("Khỏi")),
    ("2", N_("Đỡ")),
    ("3", N_("Không thay đổi")),
    ("4", N_("Nặng hơn")),
    ("5", N_("Tử vong")),
)


@page()
async def scans_page(visit: Visit) -> Response:
    """Records that are being scanned, those that wait for a check, a signature or the seal; registration and batch upload."""
    return await _scans(visit)


async def _scans(visit: Visit, **context: Any) -> Response:
    if not visit.may("record.scan"):
        visit.require("record.scan_check")
    rows = []
    for case in await records.scanned_cases(visit.repo):
        if visit.may("record.scan", case.khoa) or visit.may("record.scan_check", case.khoa):
            found = await records.scanned_record(visit.repo, case.encounter_id)
            rows.append((found, await records.scan_gaps(visit.repo, case.encounter_id)))
    return visit.draw(
        "scans.html",
        **{
            **await rail.around(visit),
            "rows": rows,
            "khoa": await lists.khoa_list(visit.repo),
            "results": RESULTS,
            "templates": [(f.code, f"{f.code} {f.title}") for f in _templates()],
            "may_scan": visit.may("record.scan"),
            "refused": [],
            **context,
        },
    )


def _templates() -> list[Any]:
    return sorted((f for f in catalogue().all() if f.code.endswith("/BV1")), key=lambda f: f.code)


@page("record.scan")
async def begin(visit: Visit) -> Response:
    """Register a paper record; its page opens."""
    return await attempt(visit, _begin(visit), _scans)


async def _begin(visit: Visit) -> Response:
    ma_bn = visit.text("ma_bn")
    found = await visit.repo.search("Patient", [("identifier", f"{systems.MA_BN}|{ma_bn}"), ("_count", "2")])
    if not ma_bn or not found.entries:
        raise _fault("Không có người bệnh với mã này. Đăng ký người bệnh ở trang Tiếp đón trước.", "ma_bn")
    pages = visit.text("pages")
    given = records.ScanInput(
        patient_id=found.entries[0].id,
        so_luu_tru=visit.text("so_luu_tru"),
        khoa=visit.text("khoa"),
        khoa_name=dict(await lists.khoa_list(visit.repo)).get(visit.text("khoa"), ""),
        admitted=show.read_day(visit.text("admitted"), "admitted"),
        discharged=show.read_day(visit.text("discharged"), "discharged"),
        pages=int(pages) if pages.isdecimal() else 0,
        decision=visit.text("decision"),
        inpatient=visit.text("kind") != "ngoai",
        so_benh_an=visit.text("so_benh_an"),
        form_code=visit.text("form"),
        icd10=visit.text("icd10").upper(),
        diagnosis=visit.text("diagnosis"),
        result=visit.text("result"),
        shelf=visit.text("shelf"),
        batch=visit.text("batch"),
    )
    case = await records.begin_scan(visit.repo, given, await visit.staff(), authorize=visit.authorize)
    return visit.go(f"/dot/{case.encounter_id}/so-hoa", "da-ghi")


def _fault(text: str, field: str) -> RuleViolation:
    return RuleViolation("web.scan", text, issues=[Issue("web.scan", text, field)])


@page("record.scan")
async def upload_batch(visit: Visit) -> Response:
    """Files of many records at once: the scanner names each by the archive number (``2019-K01-00123_2.pdf``)."""
    return await attempt(visit, _upload_batch(visit), _scans)


async def _upload_batch(visit: Visit) -> Response:
    by_number = {
        _bare(c.so_luu_tru or ""): c.encounter_id
        for c in await records.scanned_cases(visit.repo)
        if c.state == "scanned"
    }
    refused, taken = [], 0
    for name, data in await _files(visit):
        stem = _bare(PurePath(name).stem)
        fits = [number for number in by_number if stem == number or stem.startswith(f"{number}-")]
        try:
            if not fits:
                text = "Tên tệp không bắt đầu bằng số lưu trữ của hồ sơ nào đang số hóa."
                raise NotFound("web.scan-unknown", text)
            encounter_id = by_number[max(fits, key=len)]
            await records.add_scan(
                visit.repo, encounter_id, name, data, await visit.staff(), authorize=visit.authorize
            )
            taken += 1
        except BenhanError as error:
            refused.append((name, str(error)))
    if refused:
        return await _scans(visit, refused=refused, taken=taken)
    return visit.go(ADDRESS, "da-nhan-tep")


def _bare(text: str) -> str:
    """An archive number as it can stand in a file's name: letters and digits, everything between them one dash (pure)."""
    return "-".join("".join(c if c.isalnum() else " " for c in text).upper().split())


async def _files(visit: Visit) -> list[tuple[str, bytes]]:
    found = [f for f in visit.form.getlist("tep") if isinstance(f, UploadFile) and f.filename]
    if not found:
        raise _fault("Chọn ít nhất một tệp.", "tep")
    return [(PurePath(str(f.filename)).name[:120], await f.read()) for f in found]


@page()
async def scan_page(visit: Visit) -> Response:
    """One scanned record: cover, files, index, what is missing, the next act."""
    return await _scan(visit)


async def _scan(visit: Visit, **context: Any) -> Response:
    encounter_id = visit.path("encounter")
    frame = await rail.about_case(visit, encounter_id, "so-hoa")
    case: records.Case = frame["case"]
    if not visit.may("record.scan", case.khoa):
        visit.require("record.scan_check", case.khoa)
    found = await records.scanned_record(visit.repo, encounter_id)
    me = visit.signed_in.ctx.actor.reference
    return visit.draw(
        "scan.html",
        **{
            **frame,
            "found": found,
            "cover": records.scan_facts(found),
            "gaps": await records.scan_gaps(visit.repo, encounter_id),
            "missing": {f.document.id: records.unlisted(f, found.index) for f in found.files},
            "mine": any(me in (f.by, f.document.author) for f in found.files),
            "may_scan": case.state == "scanned" and visit.may("record.scan", case.khoa),
            "may_check": visit.may("record.scan_check", case.khoa),
            "may_sign": visit.may("record.scan_sign", case.khoa),
            "lines": len(found.index) + 3,
            **context,
        },
    )


@page("record.scan")
async def upload(visit: Visit) -> Response:
    """Files of this record; those that cannot be kept are named with the reason, the others stay."""
    return await attempt(visit, _upload(visit), _scan)


async def _upload(visit: Visit) -> Response:
    encounter_id = visit.path("encounter")
    refused = []
    for name, data in await _files(visit):
        try:
            await records.add_scan(
                visit.repo, encounter_id, name, data, await visit.staff(), authorize=visit.authorize
            )
        except (InvalidInput, Conflict) as error:
            refused.append((name, str(error)))
    if refused:
        return await _scan(visit, refused=refused)
    return visit.go(f"/dot/{encounter_id}/so-hoa", "da-nhan-tep")


@page()
async def act(visit: Visit) -> Response:
    """Index, drop a file, check, send back, sign; the room below asks for the permission."""
    return await attempt(visit, _act(visit), _scan)


async def _act(visit: Visit) -> Response:
    encounter_id, step = visit.path("encounter"), visit.text("step")
    here = f"/dot/{encounter_id}/so-hoa"
    if step == "index":
        await records.index_scan(visit.repo, encounter_id, _rows(visit), authorize=visit.authorize)
        return visit.go(here, "da-luu")
    if step == "drop":
        document = visit.text("document")
        await records.drop_scan(
            visit.repo, encounter_id, document, visit.text("reason"), authorize=visit.authorize
        )
        return visit.go(here, "da-huy")
    if step == "check":
        if visit.text("compared") != "1":
            raise _fault("Đánh dấu đã đối chiếu từng trang với bản giấy.", "compared")
        await records.check_scan(visit.repo, encounter_id, authorize=visit.authorize)
        return visit.go(here, "da-kiem")
    if step == "rescan":
        await records.rescan(visit.repo, encounter_id, visit.text("why"), authorize=visit.authorize)
        return visit.go(here, "da-tra-quet")
    if step == "sign":
        visit.require("record.scan_sign", (await records.case(visit.repo, encounter_id)).khoa)
        await records.sign_scan(
            visit.repo, encounter_id, await sign_with(visit, ""), authorize=visit.authorize
        )
        return visit.go(here, "da-ky")
    raise InvalidInput("web.no-such-act", "Không có bước này.")


def _rows(visit: Visit) -> list[records.IndexRow]:
    """Lines of the posted index; an empty line is left out. Raises: ``RuleViolation`` beside the field."""
    rows, number = [], 0
    titles, files = visit.form.getlist("title"), visit.form.getlist("file")
    firsts, lasts = visit.form.getlist("first"), visit.form.getlist("last")
    for title, document, first, last in zip(titles, files, firsts, lasts, strict=False):
        told = [str(v).strip() for v in (title, first, last)]
        if not any(told):
            continue
        number += 1
        if not told[1].isdecimal() or not (told[2] or told[1]).isdecimal():
            raise _fault(f"Dòng {number}: ghi trang bằng số.", "index")
        rows.append(records.IndexRow(str(document), int(told[1]), int(told[2] or told[1]), told[0]))
    return rows


@page()
async def scan_file(visit: Visit) -> Response:
    """The bytes of one scanned file, for those who scan or check."""
    encounter_id = visit.path("encounter")
    case = await records.case(visit.repo, encounter_id)
    if not visit.may("record.scan", case.khoa):
        visit.require("record.scan_check", case.khoa)
    found = await records.scanned_record(visit.repo, encounter_id)
    file = next((f for f in found.files if f.document.id == visit.path("document")), None)
    if file is None:
        raise NotFound("records.no-such-scan", "Không có tệp này trong hồ sơ.")
    data = await visit.store.blobs.get(file.sha256)
    headers = {"Content-Disposition": f'inline; filename="{file.sha256[:16]}.pdf"'}
    return Response(data, media_type="application/pdf", headers=headers)


ROUTES = [
    Route(ADDRESS, scans_page, methods=["GET"]),
    Route(ADDRESS, begin, methods=["POST"]),
    Route("/luu-tru/so-hoa/tep", upload_batch, methods=["POST"]),
    Route("/dot/{encounter}/so-hoa", scan_page, methods=["GET"]),
    Route("/dot/{encounter}/so-hoa", act, methods=["POST"]),
    Route("/dot/{encounter}/so-hoa/tep", upload, methods=["POST"]),
    Route("/dot/{encounter}/so-hoa/tep/{document}", scan_file, methods=["GET"]),
]
