"""What the record says of a đợt, as :class:`ClaimFacts`. Only reads; nothing is invented: what is not known stays empty
and is found by the check."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from benhan import records
from benhan.base.clock import local_date, parse_instant
from benhan.base.errors import Conflict
from benhan.base.json_door import JsonObject
from benhan.catalogue import commune, drug, facility_setting, lab_items, price, systems
from benhan.gateways.bhyt.claim import (
    CardFacts,
    ClaimFacts,
    DrugLine,
    ProgressLine,
    ResultLine,
    ServiceLine,
    examination_rate,
    minute,
)
from benhan.gateways.bhyt.money import HUNDRED
from benhan.gateways.bhyt.record_papers import read_births, read_papers, read_slips
from benhan.gateways.bhyt.record_reader import Reader, identifier
from benhan.gateways.bhyt.rules.settings import setting
from benhan.gateways.bhyt.slips import slip_rows
from benhan.gateways.bhyt.tables import codes
from benhan.identity import name_of, person_of
from benhan.records import ChargeLine, Entitlement
from benhan.store import Repository

#: a facility's code at the beginning of a text
_FACILITY = re.compile(r"\d{2}[0-9A-Z]{3}(?![0-9A-Za-z])")
_BIRTH_TIME = "http://hl7.org/fhir/StructureDefinition/patient-birthTime"


async def facts_from_record(repo: Repository, encounter_id: str, *, provisional: bool = False) -> ClaimFacts:
    """Facts of an ended đợt; ``provisional``: also of one that still runs, as if it ended now.

    Raises: ``Conflict`` bhyt.not-discharged.
    """
    here = await records.case(repo, encounter_id)
    left = here.discharged_at or (repo.clock.now() if provisional else None)
    if left is None:
        raise Conflict("bhyt.not-discharged", "Chưa ra viện: chưa lập được hồ sơ BHYT.")
    encounter = (await repo.read("Encounter", encounter_id)).data
    tenants = await repo.store.tenants()
    facility = next((t.code for t in tenants if t.id == repo.ctx.tenant), "")
    reader = Reader(repo, here, encounter, facility)
    kind = encounter["type"][0]["coding"][0]["code"]
    drugs, services = await _lines(reader, kind)
    known = await records.facts(repo, encounter_id)
    paper, summary, director = await read_papers(reader)
    head = await _head(reader, known, director)
    slips = await slip_rows(repo, encounter_id)
    births = await read_births(reader)
    if births:
        head["CAN_NANG_CON"] = ";".join(child.get("CAN_NANG_CON", "") for child in births)
    head["NGAY_TTOAN"] = minute(await records.settled_at(repo, encounter_id))
    return ClaimFacts(
        ma_lk=here.ma_lk,
        facility=facility,
        made_on=local_date(repo.clock.now()),
        arrived=here.admitted_at,
        left=left,
        kind=kind,
        head=head,
        cards=await _cards(repo, encounter_id),
        drugs=tuple(drugs),
        services=tuple(services),
        results=tuple(await _results(reader)),
        progress=tuple(await _progress(reader)),
        discharge_paper=paper,
        summary=summary,
        treatment_days=await _days(reader, kind, drugs, services),
        full_below=_full_below(head, local_date(left)),
        papers={**slips, **({"XML9": births} if births else {}), **await read_slips(reader)},
    )


async def _days(reader: Reader, kind: str, drugs: list[DrugLine], services: list[ServiceLine]) -> int | None:
    """SO_NGAY_DTRI where it is not the days between coming and leaving: 05 days of drugs, 08 days with services."""
    if kind == "08":
        return len({local_date(at) for at in (*(d.ordered for d in drugs), *(s.ordered for s in services))})
    if kind != "05":
        return None
    found = 1
    for order in await records.drug_orders(reader.repo, reader.here.encounter_id):
        for dosage in order.data.get("dosageInstruction", []):
            bounds = dosage.get("timing", {}).get("repeat", {}).get("boundsDuration", {})
            found = max(found, int(bounds.get("value", 1)))
    return found


def _full_below(head: Mapping[str, str], on: date) -> Decimal | None:
    """15 % of the reference salary, for those whose category is paid at its full ratio (rules §6)."""
    listed = codes("MA_DOITUONG_KCB", on).get(head["MA_DOITUONG_KCB"])
    full = listed is not None and "(%): 100" in listed.note
    return setting("nguong_15_phan_tram", on) if full else None


async def _cards(repo: Repository, encounter_id: str) -> tuple[CardFacts, ...]:
    return tuple(
        CardFacts(
            e.card,
            e.registered_at or _province_only(e),
            e.valid_from,
            e.valid_to,
            Decimal(e.percent),
            e.starts,
            e.free_from,
        )
        for e in await records.entitlement_line(repo, encounter_id)
    )


def _province_only(right: Entitlement) -> str:
    """MA_DKBD of a temporary card: its province and 000 (note of XML0); empty for others."""
    return f"{right.card[3:5]}000" if right.temporary and len(right.card) == 15 else ""


async def _lines(reader: Reader, kind: str) -> tuple[list[DrugLine], list[ServiceLine]]:
    lines = await records.charge_lines(reader.repo, reader.here.encounter_id)
    gone = {line.reverses for line in lines if line.reverses}
    drugs: list[DrugLine] = []
    services: list[ServiceLine] = []
    for line in lines:
        if line.reverses or line.id in gone or line.payer == "hao-phi":
            continue
        if line.system == systems.DRUG:
            drugs.append(await _drug(reader, line))
        else:
            services.append(await _service(reader, line, kind))
    return drugs, _repeated_examinations(services)


def _repeated_examinations(services: list[ServiceLine]) -> list[ServiceLine]:
    """Later examinations of the đợt at their lower rates."""
    seen = 0
    done: list[ServiceLine] = []
    for line in sorted(services, key=lambda s: s.ordered):
        if line.group == "13":
            seen += 1
            line = replace(line, rate_service=examination_rate(seen))
        done.append(line)
    return done


async def _doctor(reader: Reader, order: JsonObject) -> str:
    if order.get("requester"):
        return await reader.licence(order["requester"])
    for participant in reader.encounter.get("participant", []):
        return await reader.licence(participant.get("individual"))
    return ""


async def _drug(reader: Reader, line: ChargeLine) -> DrugLine:
    given = await reader.get(line.source)
    order = await reader.get(given.get("request", {}).get("reference", ""))
    listed = drug(line.code)
    dosage: JsonObject = next(iter(order.get("dosageInstruction", [])), {})
    route = str(dosage.get("route", {}).get("text") or (listed.route if listed else ""))
    ordered = order.get("authoredOn")
    unit = str(given.get("dosage", {}).get("dose", {}).get("unit") or (listed.form if listed else ""))
    return DrugLine(
        code=line.code,
        name=line.name,
        unit=unit,
        strength=listed.strength if listed else "",
        route=_route(route),
        dosage=str(dosage.get("text", "")),
        quantity=line.quantity,
        price=line.unit_price,
        ordered=parse_instant(ordered) if ordered else line.happened,
        khoa=line.khoa,
        doctor=await _doctor(reader, order),
        done=line.happened,
        registration=listed.registration_no if listed else "",
        in_scope=line.payer == "bhyt",
        paid_by=_paid_by(line),
        source=line.source,
    )


def _paid_by(line: ChargeLine) -> str:
    """Which other source pays the whole line; what the facility waives counts as the rest."""
    return line.other if line.payer == "nguon-khac" else "rest" if line.payer == "mien-giam" else ""


def _route(text: str) -> str:
    wanted = text.casefold().strip()
    return next((c.code for c in codes("DUONG_DUNG").values() if c.title.casefold() == wanted), "")


async def _service(reader: Reader, line: ChargeLine, kind: str) -> ServiceLine:
    source = await reader.get(line.source)
    based = source.get("basedOn", [{}])[0].get("reference", "")
    order = await reader.get(based) if based else source
    report = source.get("resourceType") in ("DiagnosticReport", "Procedure")
    listed = price(line.code, local_date(line.happened))
    what = listed.kind if listed else ""
    group = _group(line, what, kind)
    done = line.happened if report or group in ("1", "2", "3", "8", "18") else None
    ordered = order.get("authoredOn")
    performers = source.get("performer") or source.get("resultsInterpreter") or [{}]
    performer = performers[0].get("actor", performers[0])
    at = parse_instant(ordered) if ordered and group not in ("14", "15") else line.happened
    bed, shared = await _bed(reader, line) if group in ("14", "15") else ("", Decimal(1))
    return ServiceLine(
        code=line.code,
        name=line.name,
        unit=listed.unit if listed else "Lần",
        group=group,
        quantity=line.quantity / shared,
        rate_service=HUNDRED * shared,
        price=line.unit_price,
        ordered=min(at, line.happened),
        khoa=line.khoa,
        doctor=await _doctor(reader, order),
        performer=await reader.licence(performer),
        done=done,
        result_at=line.happened if report else None,
        in_scope=line.payer == "bhyt",
        paid_by=_paid_by(line),
        bed=bed,
        source=line.source,
    )


async def _bed(reader: Reader, line: ChargeLine) -> tuple[str, Decimal]:
    """MA_GIUONG, and the part of the price of a shared bed: the bill has it in the days, the claim in TYLE_TT_DV."""
    for stay in await records.stays(reader.repo, reader.here.encounter_id):
        if line.source == f"Encounter/{stay.id}" and stay.beds:
            on = local_date(stay.start)
            rate = facility_setting("shared_bed_rate", on, facility=reader.facility)
            return stay.beds[-1].bed or "", Decimal(str(rate)) if stay.beds[-1].shared else Decimal(1)
    return "", Decimal(1)


def _group(line: ChargeLine, what: str, kind: str) -> str:
    if line.system == systems.LAB or what == "lab":
        return "1"
    if what == "bed":
        return "15" if kind in ("03", "06") else "14"
    return "13" if line.code.startswith("KHAM") else "18" if what == "procedure" else "19"


async def _results(reader: Reader) -> list[ResultLine]:
    items = {item.code: item for item in lab_items()}
    found: list[ResultLine] = []
    params = [
        ("encounter", f"Encounter/{reader.here.encounter_id}"),
        ("category", "laboratory"),
        ("_count", "500"),
    ]
    for stored in (await reader.repo.search("Observation", params)).entries:
        data = stored.data
        if data.get("status") in ("entered-in-error", "cancelled"):
            continue
        codings = data["code"].get("coding", [])
        code = next((c["code"] for c in codings if c.get("system") == systems.LAB), "")
        item = items.get(code)
        quantity = data.get("valueQuantity", {})
        value = quantity.get("value", data.get("valueString", ""))
        name = item.name if item else str(data["code"].get("text", ""))
        reader_of = next(iter(data.get("performer", [])), None)
        at = parse_instant(data.get("issued") or data["effectiveDateTime"])
        found.append(
            ResultLine(
                code,
                code,
                name,
                str(value),
                str(quantity.get("unit", "")),
                at,
                await reader.licence(reader_of),
                source=stored.reference,
            )
        )
    return sorted(found, key=lambda r: (r.at, r.code))


async def _progress(reader: Reader) -> list[ProgressLine]:
    found: list[ProgressLine] = []
    for sheet in await records.sheets(reader.repo, reader.here.encounter_id):
        for entry in await records.entries(reader.repo, sheet.id):
            parts = (entry.values.get("dien_bien"), entry.values.get("y_lenh"))
            text = "\n".join(str(p) for p in parts if p)
            if text:
                source = f"QuestionnaireResponse/{entry.id}"
                author = await reader.licence((await reader.get(source)).get("author"))
                found.append(ProgressLine(text, entry.happened, author, source=source))
    return sorted(found, key=lambda p: p.at)


def _birth(patient: JsonObject) -> str:
    """NGAY_SINH: unknown day, month, hour and minute are zeros."""
    extensions = patient.get("_birthDate", {}).get("extension", [])
    time = next((e.get("valueDateTime") for e in extensions if e["url"] == _BIRTH_TIME), None)
    if time:
        return minute(parse_instant(time))
    return str(patient.get("birthDate", "")).replace("-", "").ljust(8, "0") + "0000"


def _coding(patient: JsonObject, url: str) -> str:
    coding: JsonObject = next(
        (e.get("valueCoding", {}) for e in patient.get("extension", []) if e["url"] == url), {}
    )
    return str(coding.get("code", ""))


async def _head(reader: Reader, known: Mapping[str, Any], director: str) -> dict[str, str]:
    patient = (await reader.repo.read("Patient", reader.here.patient_id)).data
    out = records.discharge_facts(reader.encounter)
    end = _diagnosis(known.get("encounter.diagnosis.discharge"))
    begin = next(
        (
            d
            for s in ("admission", "emergency", "referral")
            if (d := _diagnosis(known.get(f"encounter.diagnosis.{s}")))[1]
        ),
        ("", ""),
    )
    others = [_diagnosis(o)[0] for o in known.get("encounter.diagnosis.discharge_other", [])]
    rights = await records.entitlement_line(reader.repo, reader.here.encounter_id)
    reasons = [r["text"] for r in reader.encounter.get("reasonCode", []) if r.get("text")]
    stays = await records.stays(reader.repo, reader.here.encounter_id)
    weight, height = known.get("vitals.weight"), known.get("vitals.height")
    reason = "; ".join(reasons) or begin[1]
    inpatient = reader.encounter["class"]["code"] == "IMP"
    return {
        **_person(patient, known),
        **await _unregistered(reader, patient),
        **_referral(reader.encounter, out.get("chuyen_den", "")),
        "LY_DO_VV": reason,
        "LY_DO_VNT": reason if inpatient else "",
        "CHAN_DOAN_VAO": begin[1] or end[1],
        "CHAN_DOAN_RV": end[1],
        "MA_BENH_CHINH": end[0],
        "MA_BENH_KT": ";".join(c for c in others if c),
        "MA_DOITUONG_KCB": _fixed(reader.encounter) or (rights[-1].ma_doituong if rights else "9"),
        "NGAY_VAO_NOI_TRU": minute(stays[0].start) if inpatient and stays else "",
        "PP_DIEU_TRI": out["pp_dieu_tri"] or "Nội khoa",
        "KET_QUA_DTRI": out["ket_qua_dtri"],
        "MA_LOAI_RV": out["ma_loai_rv"],
        "GHI_CHU": out["loi_dan"],
        "MA_KHOA": ";".join(dict.fromkeys(s.khoa for s in stays)),
        "CAN_NANG": f"{Decimal(str(weight)):.2f}" if weight is not None else "",
        "MA_HSBA": reader.here.so_benh_an or reader.here.ma_lk,
        "MA_TTDV": director,
        "DU_PHONG": "" if height is None else str(height),
    }


async def _unregistered(reader: Reader, patient: JsonObject) -> dict[str, str]:
    """HO_TEN of a child whose birth is not registered yet: its mother's name (note of XML1)."""
    person = person_of(patient)
    if person.status != "newborn" or not person.mother_id:
        return {}
    mother = await reader.get(f"Patient/{person.mother_id}")
    return {"HO_TEN": name_of(mother)} if mother else {}


def _referral(encounter: JsonObject, sent_to: str) -> dict[str, str]:
    """MA_NOI_DI, MA_NOI_DEN and the number of the slip; a place that is told by name only stays empty."""

    def said(name: str) -> str:
        url = systems.EXT_FACT + name
        told = (str(e.get("valueString", "")) for e in encounter.get("extension", []) if e["url"] == url)
        return next(told, "").strip()

    def code(text: str) -> str:
        found = _FACILITY.match(text.strip())
        return found[0] if found else ""

    return {
        "MA_NOI_DI": code(said("noi-gioi-thieu-ten")),
        "MA_NOI_DEN": code(sent_to),
        "GIAY_CHUYEN_TUYEN": said("so-phieu-chuyen"),
    }


def _fixed(encounter: JsonObject) -> str:
    """MA_DOITUONG_KCB as it was fixed at the end of the đợt; empty while it is provisional."""
    url = systems.EXT_FACT + "ma-doituong-kcb"
    return next((str(e["valueString"]) for e in encounter.get("extension", []) if e["url"] == url), "")


def _diagnosis(value: Any) -> tuple[str, str]:
    if not isinstance(value, Mapping):
        return "", ""
    return str(value.get("code", "")), str(value.get("text", ""))


def _person(patient: JsonObject, known: Mapping[str, Any]) -> dict[str, str]:
    person = person_of(patient)
    unit = commune(person.commune_code)
    province = person.province_code or (unit.province_code if unit else "")
    occupation = _coding(patient, systems.EXT_OCCUPATION)[:2]
    return {
        "MA_BN": identifier(patient, systems.MA_BN),
        "HO_TEN": name_of(patient),
        "SO_CCCD": person.cccd or person.passport,
        "NGAY_SINH": _birth(patient),
        "GIOI_TINH": {"male": "1", "female": "2"}.get(person.sex, "3"),
        "MA_QUOCTICH": "" if person.nationality else "000",
        "MA_DANTOC": person.ethnicity or "",
        "MA_NGHE_NGHIEP": occupation or "00",
        "DIA_CHI": str(known.get("patient.address", "")),
        "MATINH_CU_TRU": province,
        "MAXA_CU_TRU": person.commune_code,
        "DIEN_THOAI": person.phone,
    }
