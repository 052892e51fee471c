"""What the record says of a đợt, as :class:`ClaimFacts`. Only reads; nothing is invented: what is not known stays empty
and is found by the check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from benhan import records
from benhan.base.clock import local_date, parse_instant
from benhan.base.errors import BenhanError, Conflict
from benhan.base.json_door import JsonObject
from benhan.catalogue import commune, drug, lab_items, price, systems
from benhan.gateways.bhyt.claim import (
    CardFacts,
    ClaimFacts,
    DrugLine,
    ProgressLine,
    ResultLine,
    ServiceLine,
    minute,
)
from benhan.gateways.bhyt.package import today_text
from benhan.gateways.bhyt.tables import codes
from benhan.identity import name_of, person_of
from benhan.records import Case, ChargeLine, Signature
from benhan.store import Repository

_BIRTH_TIME = "http://hl7.org/fhir/StructureDefinition/patient-birthTime"
_SUMMARY = {"QT_BENHLY": "tk_qua_trinh", "TOMTAT_KQ": "tk_can_lam_sang", "PP_DIEUTRI": "tk_phuong_phap"}
_PAPER = {
    "GHI_CHU": "ghi_chu",
    "PP_DIEUTRI": "pp_dieutri",
    "HO_TEN_CHA": "ho_ten_cha",
    "HO_TEN_ME": "ho_ten_me",
    "SO_NGAY_NGHI": "so_ngay_nghi",
    "NGUYENNHAN_DINHCHI": "nguyennhan_dinhchi",
    "TUOI_THAI": "tuoi_thai",
}
_SIGNER, _HEAD = "nguoi_hanh_nghe", "dai_dien_don_vi"
#: papers of one row: form → table, own tag → item of the form, role of the doctor, role of the head
_SLIPS: Mapping[str, tuple[str, Mapping[str, str], str, str]] = {
    "TT01/2025-PL6": (
        "XML13",
        {
            "SO_HOSO": "so_hoso", "SO_CHUYENTUYEN": "so_chuyentuyen", "GIAY_CHUYEN_TUYEN": "so_chuyentuyen",
            "MA_CSKCB_DEN": "ma_noi_den", "DAU_HIEU_LS": "dau_hieu_ls", "QT_BENHLY": "qt_benhly",
            "TOMTAT_KQ": "tomtat_kq", "PP_DIEUTRI": "pp_dieutri", "TINH_TRANG_CT": "tinh_trang_luc_chuyen",
            "MA_LYDO_CT": "ma_lydo_ct", "HUONG_DIEU_TRI": "huong_dieu_tri", "PHUONGTIEN_VC": "phuongtien_vc",
            "HOTEN_NGUOI_HT": "hoten_nguoi_ht", "CHUCDANH_NGUOI_HT": "chucdanh_nguoi_ht",
        },
        "bac_si",
        "nguoi_chuyen",
    ),
    "TT01/2025-PL5": (
        "XML14",
        {"SO_GIAYHEN_KL": "so_giayhen_kl", "NGAY_HEN_KL": "ngay_hen_kl"},
        "bac_si",
        "dai_dien_co_so",
    ),
}  # fmt: skip
_CODED = frozenset({"MA_CSKCB_DEN", "MA_LYDO_CT"})


@dataclass(slots=True)
class _Reader:
    """One đợt being read; remembers what was fetched."""

    repo: Repository
    here: Case
    encounter: JsonObject
    facility: str
    cache: dict[str, JsonObject] = field(default_factory=dict)

    async def get(self, reference: str) -> JsonObject:
        """A resource by reference; empty when there is none."""
        kind, _, resource_id = reference.partition("/")
        if not resource_id:
            return {}
        if reference not in self.cache:
            try:
                self.cache[reference] = (await self.repo.read(kind, resource_id)).data
            except BenhanError:
                self.cache[reference] = {}
        return self.cache[reference]

    async def licence(self, reference: JsonObject | str | None) -> str:
        """Number of the practising licence behind a reference."""
        if isinstance(reference, str):
            reference = {"reference": reference}
        if not reference:
            return ""
        named = reference.get("identifier", {})
        if named.get("system") == systems.CCHN:
            return str(named["value"])
        person = await self.get(str(reference.get("reference", "")))
        return identifier(person, systems.CCHN)


def identifier(resource: JsonObject, system: str) -> str:
    """First identifier with this system."""
    return next((str(i["value"]) for i in resource.get("identifier", []) if i.get("system") == system), "")


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
    reader = _Reader(repo, here, encounter, facility)
    kind = encounter["type"][0]["coding"][0]["code"]
    drugs, services = await _lines(reader, kind)
    known = await records.facts(repo, encounter_id)
    paper, summary, director = await _papers(reader)
    head = await _head(reader, known, director)
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
        papers=await _slips(reader),
    )


async def _cards(repo: Repository, encounter_id: str) -> tuple[CardFacts, ...]:
    return tuple(
        CardFacts(
            e.card, e.registered_at, e.valid_from, e.valid_to, Decimal(e.percent), e.starts, e.free_from
        )
        for e in await records.entitlement_line(repo, encounter_id)
    )


async def _lines(reader: _Reader, kind: str) -> tuple[list[DrugLine], list[ServiceLine]]:
    lines = await records.charge_lines(reader.repo, reader.here.encounter_id)
    gone = {line.reverses for line in lines if line.reverses}
    drugs: list[DrugLine] = []
    services: list[ServiceLine] = []
    for line in lines:
        if line.reverses or line.id in gone:
            continue
        if line.system == systems.DRUG:
            drugs.append(await _drug(reader, line))
        else:
            services.append(await _service(reader, line, kind))
    return drugs, services


async def _doctor(reader: _Reader, order: JsonObject) -> str:
    if order.get("requester"):
        return await reader.licence(order["requester"])
    for participant in reader.encounter.get("participant", []):
        return await reader.licence(participant.get("individual"))
    return ""


async def _drug(reader: _Reader, line: ChargeLine) -> DrugLine:
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
        source=line.source,
    )


def _route(text: str) -> str:
    wanted = text.casefold().strip()
    return next((c.code for c in codes("DUONG_DUNG").values() if c.title.casefold() == wanted), "")


async def _service(reader: _Reader, line: ChargeLine, kind: str) -> ServiceLine:
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
    return ServiceLine(
        code=line.code,
        name=line.name,
        unit=listed.unit if listed else "Lần",
        group=group,
        quantity=line.quantity,
        price=line.unit_price,
        ordered=min(at, line.happened),
        khoa=line.khoa,
        doctor=await _doctor(reader, order),
        performer=await reader.licence(performer),
        done=done,
        result_at=line.happened if report else None,
        in_scope=line.payer == "bhyt",
        bed=await _bed(reader, line.source) if group in ("14", "15") else "",
        source=line.source,
    )


async def _bed(reader: _Reader, source: str) -> str:
    for stay in await records.stays(reader.repo, reader.here.encounter_id):
        if source == f"Encounter/{stay.id}" and stay.beds:
            return stay.beds[-1].bed
    return ""


def _group(line: ChargeLine, what: str, kind: str) -> str:
    if line.system == systems.LAB or what == "lab":
        return "1"
    if what == "bed":
        return "15" if kind in ("03", "06") else "14"
    return "13" if line.code.startswith("KHAM") else "18" if what == "procedure" else "19"


async def _results(reader: _Reader) -> list[ResultLine]:
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


async def _progress(reader: _Reader) -> list[ProgressLine]:
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


async def _papers(reader: _Reader) -> tuple[dict[str, str] | None, dict[str, str] | None, str]:
    """XML7, XML8 and the licence of the head of the facility."""
    discharge: dict[str, str] | None = None
    summary: dict[str, str] | None = None
    director = ""
    for paper in await records.papers(reader.repo, reader.here.encounter_id):
        answers = await records.paper_answers(reader.repo, paper.response.id)
        if paper.form_code == "TT25/2025-M02":
            standing = {s.role: s for s in paper.signatures if s.standing}
            doctor, head = standing.get(_SIGNER), standing.get(_HEAD)
            director = await _signer(reader, head)
            discharge = {tag: _text(answers.get(key)) for tag, key in _PAPER.items() if answers.get(key)}
            discharge |= {
                "SO_LUU_TRU": reader.here.so_luu_tru or reader.here.so_benh_an or "",
                "MA_KHOA_RV": reader.here.khoa,
                "MA_BS": await _signer(reader, doctor),
                "TEN_BS": doctor.name if doctor else "",
                "NGAY_CT": _day(answers.get("ngay_ct")) or minute(reader.here.discharged_at)[:8],
                "MA_DINH_CHI_THAI": "1" if answers.get("ma_dinh_chi_thai") in (True, "1") else "0",
            }
            for tag, key in (
                ("NGOAITRU_TUNGAY", "ngoaitru_tungay"),
                ("NGOAITRU_DENNGAY", "ngoaitru_denngay"),
            ):
                discharge[tag] = _day(answers.get(key))
        elif all(answers.get(key) for key in ("tk_qua_trinh", "tk_can_lam_sang")):
            summary = {tag: _text(answers.get(key)) for tag, key in _SUMMARY.items() if answers.get(key)}
    for papers in (discharge, summary):
        if papers is not None and director:
            papers["MA_TTDV"] = director
    return discharge, summary, director


async def _slips(reader: _Reader) -> dict[str, dict[str, str]]:
    """Own tags of the referral slip (XML13) and of the appointment (XML14), the last of each that a doctor has signed."""
    found: dict[str, dict[str, str]] = {}
    for paper in await records.papers(reader.repo, reader.here.encounter_id):
        if paper.form_code not in _SLIPS:
            continue
        table, tags, doctor, head = _SLIPS[paper.form_code]
        standing = {s.role: s for s in paper.signatures if s.standing}
        if doctor not in standing:
            continue
        answers = await records.paper_answers(reader.repo, paper.response.id)
        own = {tag: _slip_text(tag, answers.get(key)) for tag, key in tags.items() if answers.get(key)}
        own |= {
            "MA_BAC_SI": await _signer(reader, standing[doctor]),
            "MA_TTDV": await _signer(reader, standing.get(head)),
        }
        if table == "XML13":
            own["MA_CSKCB_DI"] = reader.facility
        else:
            own["NGAY_CT"] = today_text(local_date(standing[doctor].at))
        found[table] = own
    return found


def _slip_text(tag: str, value: Any) -> str:
    if tag == "NGAY_HEN_KL":
        return _day(value)
    if tag in _CODED and isinstance(value, Mapping):
        return str(value.get("code") or "")
    return _text(value)


async def _signer(reader: _Reader, signature: Signature | None) -> str:
    """Licence of who signed, as it stands in the signature's Provenance."""
    if signature is None:
        return ""
    proof = await reader.get(f"Provenance/{signature.provenance_id}")
    return await reader.licence(proof.get("agent", [{}])[0].get("who"))


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value.get("text") or value.get("code") or "")
    return "" if value is None else str(value)


def _day(value: Any) -> str:
    return str(value)[:10].replace("-", "") if value else ""


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


async def _head(reader: _Reader, known: Mapping[str, Any], director: str) -> dict[str, str]:
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
        "LY_DO_VV": reason,
        "LY_DO_VNT": reason if inpatient else "",
        "CHAN_DOAN_VAO": begin[1] or end[1],
        "CHAN_DOAN_RV": end[1],
        "MA_BENH_CHINH": end[0],
        "MA_BENH_KT": ";".join(c for c in others if c),
        "MA_DOITUONG_KCB": rights[-1].ma_doituong if rights else "9",
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
