"""The BHYT card of a person: what was scanned, what the portal says, earlier answers and treatments told by it.

Reception never waits for the portal: when it is away the person is admitted and the card is asked again by the worker.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from benhan.base.clock import local_date
from benhan.base.errors import InvalidInput, Issue
from benhan.base.text import fold
from benhan.catalogue import facility as facility_of
from benhan.catalogue import systems
from benhan.gateways import bhyt
from benhan.identity import CardScan, name_of, parse_qr
from benhan.web import rail, show
from benhan.web.frame import Visit, attempt, page
from benhan.web.i18n import N_

NOTICE_DAYS = 3
#: what each kind of code says: field of the scan → title
SCANNED = (
    ("number", N_("Số trên thẻ")), ("name", N_("Họ và tên")), ("birth_date", N_("Ngày sinh")), ("sex", N_("Giới")),
    ("address", N_("Địa chỉ")), ("old_number", N_("CMND cũ")), ("issued_on", N_("Ngày cấp")),
    ("registered_at", N_("Nơi đăng ký ban đầu")), ("valid_from", N_("Có giá trị từ")), ("valid_to", N_("Có giá trị đến")),
    ("five_years_from", N_("Đủ 5 năm liên tục từ")), ("guardian", N_("Cha, mẹ, người giám hộ")),
)  # fmt: skip
KINDS = {"cccd": N_("CCCD, thẻ căn cước"), "bhyt": N_("Thẻ BHYT giấy")}
#: fields of the QR with a known meaning, by kind; what stands after them is shown raw
_KNOWN = {"cccd": range(7), "bhyt": (*range(9), 10, 12)}


async def facility_code(visit: Visit) -> str:
    """Code of the facility of this visit."""
    tenant = visit.signed_in.ctx.tenant
    return next((t.code for t in await visit.store.tenants() if t.id == tenant), "")


def scanned(scan: CardScan) -> dict[str, Any]:
    """A scan as it is shown: titles and values in order, raw rest."""
    dates = ("birth_date", "issued_on", "valid_from", "valid_to", "five_years_from")
    values = {name: getattr(scan, name) for name, _ in SCANNED}
    values |= {name: show.day(values[name]) for name in dates} | {"sex": show.SEX.get(scan.sex, scan.sex)}
    rest = [(n, f) for n, f in enumerate(scan.raw_fields) if n not in _KNOWN[scan.kind] and f.strip("- ")]
    return {
        "kind": KINDS[scan.kind],
        "facts": [(title, values[name]) for name, title in SCANNED if values[name]],
        "rest": rest,
        "warnings": scan.warnings,
    }


def place(code: str) -> str:
    """A facility by its code, with its name where the list has it."""
    listed = facility_of(code) if code else None
    return f"{code} · {listed.name}" if listed else code


def told_day(text: str) -> str:
    """A day or moment of the portal (``yyyymmdd``, ``yyyymmddHHMM`` or dd/mm/yyyy) as people read it."""
    if len(text) >= 8 and text[:8].isdigit():
        day = f"{text[6:8]}/{text[4:6]}/{text[:4]}"
        return f"{day} {text[8:10]}:{text[10:12]}" if len(text) >= 12 else day
    return text


def checked_today(visit: Visit, views: list[bhyt.CardView], card: str) -> bhyt.CardView | None:
    """A good answer of today about this card."""
    today = local_date(visit.now)
    return next(
        (v for v in views if v.good and local_date(v.at) == today and card in (v.card, v.use["card"])), None
    )


def _require(visit: Visit) -> None:
    if not visit.may("patient.admit"):
        visit.require("entitlement.write")


@page()
async def card_page(visit: Visit) -> Response:
    """Scan field, the last answer, treatments, earlier answers."""
    return await _card(visit)


async def _card(visit: Visit, **context: Any) -> Response:
    _require(visit)
    patient_id = visit.path("patient")
    frame = await rail.about(visit, patient_id)
    views = await bhyt.card_views(visit.repo, patient_id)
    number = show.identifiers(frame["patient"]).get(systems.BHYT, "")
    own = await facility_code(visit)
    return visit.draw(
        "card.html",
        **{
            **frame,
            "views": views,
            "number": views[0].card if views else number,
            "own": own,
            "place": place,
            "told_day": told_day,
            "result": bhyt.treatment_result,
            "scan": None,
            "other_name": "",
            "portal": bool(visit.settings.bhyt_url),
            **context,
        },
    )


@page()
async def check(visit: Visit) -> Response:
    """Read what was scanned or typed, ask the portal, keep the answer and show it."""
    return await attempt(visit, _check(visit), _card)


async def _check(visit: Visit) -> Response:
    _require(visit)
    patient_id, text = visit.path("patient"), visit.text("quet")
    scan, number = None, text.upper().replace(" ", "")
    if "|" in text:
        try:
            scan = parse_qr(text, on=rail.today(visit))
        except InvalidInput as refused:
            raise InvalidInput(
                refused.code, refused.text, issues=[Issue(refused.code, refused.text, "quet")]
            ) from None
        number = scan.number
    elif len(number) not in (10, 12, 15):
        said = "Quét mã QR, hoặc gõ số thẻ 15 ký tự, mã số BHXH 10 số, số định danh 12 số."
        raise InvalidInput("web.no-card-number", said, issues=[Issue("web.no-card-number", said, "quet")])
    await bhyt.look_up_card(visit.repo, await facility_code(visit), patient_id, number)
    if visit.text("tiep") == "nhap-vien":
        return visit.go(f"/tiep-don/nhap-vien/{patient_id}")
    patient = (await visit.repo.read("Patient", patient_id)).data
    other = scan is not None and fold(scan.name) != fold(name_of(patient))
    return await _card(
        visit, scan=scanned(scan) if scan else None, other_name=scan.name if scan and other else ""
    )


async def to_see(visit: Visit) -> list[bhyt.CardView]:
    """Cards of the last days that the portal refuses or has not yet told of, for the reception desk."""
    return await bhyt.cards_to_see(visit.repo, visit.now - timedelta(days=NOTICE_DAYS))


ROUTES = [
    Route("/nguoi-benh/{patient}/the", card_page, methods=["GET"]),
    Route("/nguoi-benh/{patient}/the", check, methods=["POST"]),
]
