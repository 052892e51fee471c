"""Reception: one field for the scanned card, who it may be, registering without doubles, admission with bed and card."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from benhan import records
from benhan.base.errors import BenhanError, InvalidInput, Issue, RuleViolation
from benhan.catalogue import ethnic_groups
from benhan.gateways import bhyt
from benhan.identity import (
    CardScan,
    PersonInput,
    find_candidates,
    find_patients,
    parse_qr,
    person_from_scan,
)
from benhan.web import card, lists, rail, show
from benhan.web.frame import Visit, attempt, page
from benhan.web.i18n import N_

PERSON_FIELDS = (
    "name", "birth_date", "birth_time", "sex", "cccd", "cmnd", "passport", "bhyt", "bhxh", "phone", "address", "ethnicity",
    "occupation", "commune_code", "workplace", "contact_name", "contact_phone",
)  # fmt: skip
#: characters; the longest QR of a card (BHYT with its address in hexadecimal) stays far below
MOST_SCANNED = 2000
CARD_FIELDS = ("number", "registered_at", "valid_from", "valid_to", "five_years_from")
KINDS = (
    ("03", N_("Điều trị nội trú")),
    ("01", N_("Khám bệnh")),
    ("02", N_("Điều trị ngoại trú")),
    ("04", N_("Điều trị nội trú ban ngày")),
)


@page("patient.register")
async def desk_page(visit: Visit) -> Response:
    """The empty desk: the cursor stands in the scan field."""
    return await _desk(visit)


async def _desk(visit: Visit, **context: Any) -> Response:
    shown: dict[str, Any] = {
        "person": None,
        "candidates": [],
        "scan": None,
        "read": None,
        "found": None,
        "warnings": (),
        "ethnic": sorted(ethnic_groups().items()),
        "cards": await card.to_see(visit),
        **await rail.around(visit),
        **context,
    }
    return visit.draw("desk.html", **shown)


@page("patient.register")
async def scan(visit: Visit) -> Response:
    """Read the scanned text; find the person, else offer the form filled in from the card."""
    text = visit.text("quet")
    if len(text) > MOST_SCANNED:
        said = "Nội dung quét dài hơn mọi mã QR của thẻ."
        return await _desk(visit, status=422, issues=[Issue("web.scan-too-long", said, "quet")])
    try:
        if "|" not in text:
            return await _typed_search(visit, text)
        read = parse_qr(text, on=rail.today(visit))
    except BenhanError as refused:
        issues = [Issue(i.code, i.text, "quet") for i in refused.issues]
        return await _desk(visit, status=refused.status, issues=issues, typed={"quet": text})
    return await _offer(visit, person_from_scan(read), read)


async def _typed_search(visit: Visit, text: str) -> Response:
    if len(text) < 2:
        sentence = "Quét hoặc dán mã QR của thẻ, hoặc gõ tên, số định danh, số thẻ."
        raise InvalidInput("web.nothing-scanned", sentence)
    people = await find_patients(visit.repo, text)
    person = PersonInput() if text.isdigit() else PersonInput(name=text)
    return await _desk(visit, found=people, person=person, searched=text)


async def _offer(visit: Visit, person: PersonInput, scan: CardScan | None, **context: Any) -> Response:
    candidates = await find_candidates(visit.repo, person)
    exact = [c.patient for c in candidates if c.exact]
    return await _desk(
        visit,
        person=person,
        scan=scan,
        read=card.scanned(scan) if scan else None,
        candidates=candidates,
        exact=exact,
        warnings=scan.warnings if scan else (),
        **context,
    )


def person_of_form(visit: Visit) -> PersonInput:
    """The person as typed at the desk; a birth date in Vietnamese order or a year alone."""
    values = {name: visit.text(name) for name in PERSON_FIELDS}
    born = values.pop("birth_date")
    if born:
        from benhan.forms import parse_date

        read = parse_date(born)
        if read is None:
            text = f"“{born}” không phải ngày sinh. Ghi ngày/tháng/năm, tháng/năm hoặc năm."
            raise InvalidInput("web.bad-day", text, issues=[Issue("web.bad-day", text, "birth_date")])
        born = read
    values["sex"] = values["sex"] or "unknown"
    values["bhyt"] = values["bhyt"].upper().replace(" ", "")
    typed: dict[str, Any] = {**values, "birth_date": born, "source": visit.text("source")}
    return PersonInput(**typed)


@page("patient.register")
async def register(visit: Visit) -> Response:
    """Register a person; look-alikes must first be set aside by a tick."""
    return await attempt(visit, _register(visit), _again)


async def _again(visit: Visit, **context: Any) -> Response:
    return await _desk(visit, person=PersonInput(), **context)


async def _register(visit: Visit) -> Response:
    person = person_of_form(visit)
    candidates = await find_candidates(visit.repo, person)
    if candidates and not visit.text("khac_nguoi"):
        text = "Có người bệnh giống người này. Chọn người đã có, hoặc đánh dấu là người khác rồi đăng ký."
        issues = [Issue("web.look-alike", text, "khac_nguoi")]
        exact = [c.patient for c in candidates if c.exact]
        return await _desk(
            visit,
            status=422,
            issues=issues,
            typed=visit.typed(),
            person=person,
            candidates=candidates,
            exact=exact,
        )
    made = await records.register_patient(visit.repo, person)
    await _keep_card(visit, made.id)
    return visit.go(f"/tiep-don/nhap-vien/{made.id}", "da-dang-ky")


async def _keep_card(visit: Visit, patient_id: str) -> None:
    """Keep what the card said for the admission form, in this clerk's drafts: it does not go into an address."""
    for number, name in enumerate(CARD_FIELDS):
        value = visit.text(f"the_{name}")
        if value:
            await visit.store.drafts.put(
                visit.repo, f"admit/{patient_id}", name, value, visit.now, number + 1
            )


@page("patient.admit")
async def take(visit: Visit) -> Response:
    """Go on with a person already known, keeping what the scanned card said."""
    await _keep_card(visit, visit.text("nguoi"))
    return visit.go(f"/tiep-don/nhap-vien/{visit.text('nguoi')}")


@page("patient.admit")
async def admit_page(visit: Visit) -> Response:
    """The admission form of a person."""
    return await _admission(visit)


async def _admission(visit: Visit, **context: Any) -> Response:
    patient_id = visit.path("patient")
    frame = await rail.about(visit, patient_id)
    kept = await visit.store.drafts.get(visit.repo, f"admit/{patient_id}")
    number = str(kept.get("number", "")) or show.identifiers(frame["patient"]).get(records_bhyt(), "")
    proposed: dict[str, Any] = {
        "card": number if len(number) in (10, 12, 15) else "",
        "valid_from": show.day(str(kept.get("valid_from", ""))),
        "valid_to": show.day(str(kept.get("valid_to", ""))),
        "registered_at": str(kept.get("registered_at", "")),
        "percent": 80,
    }
    views = await bhyt.card_views(visit.repo, patient_id)
    told = next((v for v in views if number in ("", v.card, v.use["card"])), None)
    if told is not None and (told.good or told.replaced):
        proposed |= {name: text for name, text in told.use.items() if text} | {"percent": told.level or 80}
    here = proposed["registered_at"] in ("", await card.facility_code(visit))
    proposed["subject"] = "1.1" if here else ""
    return visit.draw(
        "admit.html",
        **{
            **frame,
            "proposed": proposed,
            "told": told,
            "khoa": await lists.khoa_list(visit.repo),
            "doctors": await doctors(visit),
            "kinds": KINDS,
            "subjects": lists.listed("doi_tuong"),
            **context,
        },
    )


def records_bhyt() -> str:
    """Identifier system of BHYT cards."""
    from benhan.catalogue import systems

    return systems.BHYT


async def doctors(visit: Visit) -> list[tuple[str, str]]:
    """Practitioners with a licence, to choose the responsible one."""
    from benhan.catalogue import systems

    found = await visit.repo.search("Practitioner", [("_count", "200")])
    return sorted(
        (f"Practitioner/{s.id}", show.name_of(s.data))
        for s in found.entries
        if show.identifiers(s.data).get(systems.CCHN)
    )


async def doctor_of(visit: Visit, reference: str) -> records.Staff:
    """The chosen practitioner. Raises: ``RuleViolation`` (web.choose-doctor)."""
    from benhan.catalogue import systems

    if not reference.startswith("Practitioner/"):
        text = "Chọn bác sĩ điều trị."
        raise RuleViolation("web.choose-doctor", text, issues=[Issue("web.choose-doctor", text, "doctor")])
    found = await visit.repo.read("Practitioner", reference.split("/")[1])
    return records.Staff(reference, show.name_of(found.data), show.identifiers(found.data).get(systems.CCHN))


@page("patient.admit")
async def admit(visit: Visit) -> Response:
    """Admit: đợt, first stay with bed, and the card when there is one, in one transaction."""
    return await attempt(visit, _admit(visit), _admission)


async def _admit(visit: Visit) -> Response:
    khoa = visit.text("khoa")
    names = dict(await lists.khoa_list(visit.repo))
    if khoa not in names:
        text = "Chọn khoa nhận người bệnh."
        raise RuleViolation("web.choose-khoa", text, issues=[Issue("web.choose-khoa", text, "khoa")])
    visit.require("patient.admit", khoa)
    happened = visit.moment("happened")
    ill = visit.text("time_of_illness")
    admission = records.Admission(
        patient_id=visit.path("patient"),
        happened=happened,
        khoa=khoa,
        khoa_name=names[khoa],
        doctor=await doctor_of(visit, visit.text("doctor")),
        ma_loai_kcb=visit.text("kind") or "03",
        bed=records.Bed(visit.text("room") or None, visit.text("bed") or None) if visit.text("bed") else None,
        reason=visit.text("reason"),
        direct_from=visit.text("direct_from") or "2",
        referred_by=visit.text("referred_by") or "2",
        referred_from=visit.text("referred_from"),
        referral_no=visit.text("referral_no"),
        time_of_illness=int(ill) if ill.isdigit() else None,
        late_reason=visit.text("late_reason") or None,
    )
    coverage = await checked(visit, admission.patient_id, coverage_of_form(visit))
    async with visit.repo.transaction() as tx:
        admitted = await records.admit(tx, admission)
        if coverage is not None:
            await records.add_coverage(tx, admitted.encounter.id, coverage)
    await visit.store.drafts.discard(visit.repo, f"admit/{admission.patient_id}")
    return visit.go(f"/dot/{admitted.encounter.id}", "da-nhap-vien")


async def checked(
    visit: Visit, patient_id: str, coverage: records.CoverageInput | None
) -> records.CoverageInput | None:
    """The card with the time of today's good answer of the portal; without one it is asked later by the worker."""
    if coverage is None:
        return None
    views = await bhyt.card_views(visit.repo, patient_id)
    told = card.checked_today(visit, views, coverage.card)
    return coverage if told is None else replace(coverage, verified_at=told.at, source="portal")


def coverage_of_form(visit: Visit) -> records.CoverageInput | None:
    """The card as typed; None when no card was given."""
    number = visit.text("card").upper().replace(" ", "")
    if not number:
        return None
    percent = show.read_number(visit.text("percent") or "80", "percent")
    return records.CoverageInput(
        card=number,
        valid_from=show.read_day(visit.text("valid_from"), "valid_from"),
        valid_to=show.read_day(visit.text("valid_to"), "valid_to") if visit.text("valid_to") else None,
        percent=int(percent),
        ma_doituong=visit.text("ma_doituong") or None,
        registered_at=visit.text("registered_at") or None,
        starts=visit.moment("starts") if visit.text("starts") else None,
    )


__all__ = ["ROUTES", "checked", "coverage_of_form", "doctor_of"]

ROUTES = [
    Route("/tiep-don", desk_page, methods=["GET"]),
    Route("/tiep-don/quet", scan, methods=["POST"]),
    Route("/tiep-don/dang-ky", register, methods=["POST"]),
    Route("/tiep-don/chon", take, methods=["POST"]),
    Route("/tiep-don/nhap-vien/{patient}", admit_page, methods=["GET"]),
    Route("/tiep-don/nhap-vien/{patient}", admit, methods=["POST"]),
    *card.ROUTES,
]
