"""Correcting what a claim says, at its home: the person, the codes of the diagnoses, the cards. Then it is built again.

Each field has an anchor ``f-<name>``, to which the faults of a claim lead. Clinical text is not written here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from benhan import records
from benhan.base.errors import Issue, RuleViolation
from benhan.gateways import bhyt
from benhan.identity import person_of, update_person
from benhan.web import lists, rail, show
from benhan.web.frame import Visit, attempt, page

#: fields of the person that a claim repeats
PERSON = ("name", "birth_date", "birth_time", "sex", "cccd", "phone", "address", "commune_code", "ethnicity")
#: tag (or beginning of it) of XML1 → field of this page
FIELDS: Mapping[str, str] = {
    "HO_TEN": "name", "NGAY_SINH": "birth_date", "GIOI_TINH": "sex", "SO_CCCD": "cccd", "DIEN_THOAI": "phone",
    "DIA_CHI": "address", "MAXA": "commune_code", "MATINH": "commune_code", "MA_DANTOC": "ethnicity",
    "MA_BENH_CHINH": "ma_chinh", "CHAN_DOAN_RV": "ma_chinh", "MA_BENH_KT": "ma_kem", "MA_THE_BHYT": "the",
    "GT_THE": "the", "MA_DKBD": "the", "NGAY_MIEN_CCT": "the", "MA_DOITUONG_KCB": "doi_tuong",
}  # fmt: skip


def field_of(tag: str) -> str:
    """Field of this page that holds the fact behind a tag of XML1; empty when none does."""
    return next((name for start, name in FIELDS.items() if tag.startswith(start)), "")


@page("claim.read")
async def fix_page(visit: Visit) -> Response:
    """What the claim says of person, diagnoses and cards, to be mended."""
    return await _fix(visit)


async def _fix(visit: Visit, **context: Any) -> Response:
    row = await bhyt.claim_row(visit.repo, visit.path("ma_lk"))
    case = await records.case(visit.repo, row.encounter)
    patient = (await visit.repo.read("Patient", case.patient_id)).data
    return visit.draw(
        "claim_fix.html",
        **{
            **await rail.around(visit),
            "row": row,
            "person": person_of(patient),
            "born": show.day(patient.get("birthDate", "")),
            "faults": _by_field(row),
            "diagnoses": await records.discharge_diagnoses(visit.repo, row.encounter),
            "cards": await records.entitlement_line(visit.repo, row.encounter),
            "subjects": lists.listed("doi_tuong"),
            "closed": case.state in ("closed", "archived"),
            **context,
        },
    )


def _by_field(row: bhyt.ClaimRow) -> dict[str, str]:
    """What is said against each field, the first sentence of each."""
    said: dict[str, str] = {}
    for fault in row.faults:
        table, tag = fault["place"].split("/")[0], fault["place"].rsplit("/", 1)[-1]
        name = field_of(tag) if table == "XML1" else ""
        if name:
            said.setdefault(name, fault["text"])
    return said


@page("claim.send")
async def fix(visit: Visit) -> Response:
    """Write the corrections at their homes and put the claim into the queue again."""
    return await attempt(visit, _write(visit), _fix)


async def _write(visit: Visit) -> Response:
    row = await bhyt.claim_row(visit.repo, visit.path("ma_lk"))
    case = await records.case(visit.repo, row.encounter)
    reason = visit.text("reason")
    if len(reason) < 5:
        text = "Ghi lý do sửa."
        raise RuleViolation("web.reason", text, issues=[Issue("web.reason", text, "reason")])
    async with visit.repo.transaction() as tx:
        stored = await tx.read("Patient", case.patient_id)
        before = person_of(stored.data)
        after = replace(before, **_typed(visit))
        if after != before:
            await update_person(tx, case.patient_id, after)
        for diagnosis in await records.discharge_diagnoses(tx, row.encounter):
            code = visit.text(f"ma-{diagnosis.id}").upper()
            if code and code != diagnosis.code:
                await records.recode(tx, row.encounter, diagnosis.id, code, reason)
        for card in await records.entitlement_line(tx, row.encounter):
            if visit.text(f"bo-{card.coverage_id}"):
                await records.withdraw_coverage(tx, row.encounter, card.coverage_id, reason)
        if visit.text("doi_tuong"):
            await records.fix_doituong(tx, row.encounter, visit.text("doi_tuong"))
        key = f"{row.ma_lk}:{visit.now.isoformat()}"
        await tx.outbox(bhyt.SUBMIT_TOPIC, key, {"encounter": row.encounter, "ma_lk": row.ma_lk})
    return visit.go(f"/bhyt/ho-so/{row.ma_lk}", "da-sua-gui")


def _typed(visit: Visit) -> dict[str, Any]:
    """Fields of the person as typed; what the form does not send stays."""
    values: dict[str, Any] = {name: visit.text(name) for name in PERSON if name in visit.form}
    if values.get("birth_date"):
        from benhan.forms import parse_date

        read = parse_date(values["birth_date"])
        if read is None:
            text = f"“{values['birth_date']}” không phải ngày sinh. Ghi ngày/tháng/năm, tháng/năm hoặc năm."
            raise RuleViolation("web.bad-day", text, issues=[Issue("web.bad-day", text, "birth_date")])
        values["birth_date"] = read
    return values


ROUTES = [
    Route("/bhyt/ho-so/{ma_lk}/sua", fix_page, methods=["GET"]),
    Route("/bhyt/ho-so/{ma_lk}/sua", fix, methods=["POST"]),
]
