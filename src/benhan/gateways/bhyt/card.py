"""What the portal says of a card: asked at the desk or later by the job, kept as ``CoverageEligibilityResponse``, shown.

One resource for a person and a card; asking again makes a new version. ``outcome``: ``complete`` the card may be used,
``error`` it may not (or names another person), ``queued`` the portal was away: the person is admitted, the card is asked
again (Nghị định 188/2025/NĐ-CP; rules §10.5). The portal is asked outside any transaction. Fields of the answer: rules
§10.2; they are kept as they came, dates dd/mm/yyyy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from benhan.base.clock import fhir_instant, local_date, parse_instant
from benhan.base.json_door import JsonObject
from benhan.catalogue import systems
from benhan.gateways.bhyt.portal import GOOD_CARD, CardAnswer, check_card
from benhan.gateways.bhyt.tables import codes
from benhan.identity import name_of
from benhan.store import Repository

#: codes that say nothing of the card: portal away, its own errors, account or parameters refused
NO_ANSWER = frozenset({"unverified", "100", "101", "205", "401"})
_RESULT = "urn:benhan:bhyt:ket-qua-tra-the"
_SAID = "urn:benhan:bhyt:the"
_VISIT = "dsLichSuKCB2018"
#: fields of the answer that are kept
_KEPT = (
    "maThe", "hoTen", "ngaySinh", "gioiTinh", "diaChi", "maDKBD", "cqBHXH", "gtTheTu", "gtTheDen", "maKV", "ngayDu5Nam",
    "maSoBHXH", "maTheCu", "maTheMoi", "gtTheTuMoi", "gtTheDenMoi", "maDKBDMoi", "tenDKBDMoi",
)  # fmt: skip
_VISIT_KEPT = (
    "maHoSo",
    "maCSKCB",
    "ngayVao",
    "ngayRa",
    "tenBenh",
    "tinhTrang",
    "kqDieuTri",
    "lyDoVV",
    "TEMP2",
)
#: mức hưởng by the third character of a card (identifiers.md §2, medium): a proposal, the officer confirms it
_LEVELS: Mapping[str, int] = {"1": 100, "2": 100, "3": 95, "4": 80, "5": 100}
_MOST_VISITS = 100


@dataclass(frozen=True, slots=True)
class CardView:
    """An answer as it is shown. ``card``: number asked for; ``said``: fields of the portal; ``visits``: treatments told."""

    card: str
    code: str
    text: str
    at: datetime
    patient: str
    name: str
    said: Mapping[str, str]
    visits: Sequence[Mapping[str, str]]

    @property
    def good(self) -> bool:
        """The card may be used."""
        return self.code in GOOD_CARD

    @property
    def away(self) -> bool:
        """The portal did not answer; the card will be asked again."""
        return self.code in NO_ANSWER

    @property
    def level_title(self) -> str:
        """What the level on the card is called, by the list THE_BHYT_QUYEN_LOI."""
        number = self.use["card"] or self.card
        listed = codes("THE_BHYT_QUYEN_LOI").get(number[2]) if len(number) == 15 else None
        return listed.title if listed else ""

    @property
    def replaced(self) -> bool:
        """The portal names a new card in place of this one."""
        return bool(self.said.get("maTheMoi"))

    @property
    def use(self) -> Mapping[str, str]:
        """Card, days and place of registration to be written down: of the new card when there is one."""
        new = "Moi" if self.replaced else ""
        names = {"card": "maThe", "valid_from": "gtTheTu", "valid_to": "gtTheDen", "registered_at": "maDKBD"}
        return {name: self.said.get(tag + new, "") for name, tag in names.items()}

    @property
    def level(self) -> int | None:
        """Mức hưởng that the number of the card stands for, per cent; None when the number does not tell."""
        number = self.use["card"] or self.card
        return _LEVELS.get(number[2]) if len(number) == 15 else None


def answer_id(patient_id: str, card: str) -> str:
    """Id of the answer about a card of a person."""
    return str(uuid5(NAMESPACE_URL, f"urn:benhan:card-check:{patient_id}:{card}"))


async def look_up(
    repo: Repository, facility: str, patient_id: str, card: str, *, timeout_s: float = 8.0
) -> CardView:
    """Ask the portal about a card of a person and keep the answer; a portal that is away is an answer too.

    Raises: ``InvalidInput`` bhyt.no-card.
    """
    number = card.strip().upper().replace(" ", "")
    patient = (await repo.read("Patient", patient_id)).data
    settings = repo.store.settings
    answer = await check_card(
        settings, facility, number, name_of(patient), birth_of(patient), timeout_s=timeout_s
    )
    return await keep_answer(repo, patient, number, answer)


async def keep_answer(
    repo: Repository, patient: JsonObject, card: str, answer: CardAnswer, coverage_id: str = ""
) -> CardView:
    """Keep an answer; ``coverage_id``: the card of a đợt that was asked about."""
    away = answer.code in NO_ANSWER
    details = answer.details or {}
    text = answer.text or "Không có thông điệp."
    listed = {"coding": [{"system": _RESULT, "code": answer.code}], "text": text}
    resource: JsonObject = {
        "resourceType": "CoverageEligibilityResponse",
        "id": answer_id(str(patient["id"]), card),
        "extension": [_extension(details)],
        "identifier": [{"system": systems.BHYT, "value": card}],
        "status": "active",
        "purpose": ["validation"],
        "patient": {"reference": f"Patient/{patient['id']}", "display": name_of(patient)},
        "created": fhir_instant(repo.clock.now()),
        "request": {"display": "Tra cứu thẻ BHYT"},
        "outcome": "queued" if away else "complete" if answer.good else "error",
        "disposition": f"{answer.code}: {text}",
        "insurer": {"display": "Bảo hiểm xã hội Việt Nam"},
    }
    if not resource["extension"][0]["extension"]:
        del resource["extension"]
    if coverage_id:
        covered = {"coverage": {"reference": f"Coverage/{coverage_id}"}, "inforce": answer.good}
        resource["insurance"] = [covered]
    if not answer.good:
        resource["error"] = [{"code": listed}]
    return view_of((await repo.update(resource)).data)


def result_title(code: str) -> str:
    """KET_QUA_DTRI in words; the code itself when it is not known."""
    listed = codes("KET_QUA_DTRI").get(code)
    return listed.title if listed else code


def _extension(details: Mapping[str, Any]) -> JsonObject:
    parts: list[JsonObject] = [
        {"url": name, "valueString": str(details[name])} for name in _KEPT if details.get(name)
    ]
    for visit in list(details.get(_VISIT) or [])[:_MOST_VISITS]:
        told = [{"url": n, "valueString": str(visit[n])} for n in _VISIT_KEPT if visit.get(n)]
        if told:
            parts.append({"url": _VISIT, "extension": told})
    return {"url": _SAID, "extension": parts}


def view_of(resource: JsonObject) -> CardView:
    """An answer read from its resource."""
    found: JsonObject = next((e for e in resource.get("extension", []) if e["url"] == _SAID), {})
    parts = found.get("extension", [])
    code, _, text = str(resource.get("disposition", "")).partition(": ")
    return CardView(
        card=str(resource["identifier"][0]["value"]),
        code=code,
        text=text,
        at=parse_instant(resource["created"]),
        patient=str(resource["patient"]["reference"]).partition("/")[2],
        name=str(resource["patient"].get("display", "")),
        said=_fields(_KEPT, parts),
        visits=[_fields(_VISIT_KEPT, p["extension"]) for p in parts if p["url"] == _VISIT],
    )


def _fields(names: Sequence[str], parts: Sequence[JsonObject]) -> dict[str, str]:
    """Every field by its name, empty where the portal said nothing."""
    told = {p["url"]: str(p["valueString"]) for p in parts if "valueString" in p}
    return {name: told.get(name, "") for name in names}


async def card_views(repo: Repository, patient_id: str) -> list[CardView]:
    """Answers about the cards of a person, the newest first."""
    params = [("patient", f"Patient/{patient_id}"), ("_count", "50")]
    found = (await repo.search("CoverageEligibilityResponse", params)).entries
    mine = [view_of(s.data) for s in found if s.data.get("disposition")]
    return sorted(mine, key=lambda v: v.at, reverse=True)


async def cards_to_see(repo: Repository, since: datetime) -> list[CardView]:
    """Answers since an instant that somebody must look at: refused cards, and those the portal has not answered."""
    params = [
        ("outcome", "error,queued"),
        ("created", f"ge{local_date(since).isoformat()}"),
        ("_count", "50"),
    ]
    found = (await repo.search("CoverageEligibilityResponse", params)).entries
    return sorted((view_of(s.data) for s in found), key=lambda v: v.at, reverse=True)


def birth_of(patient: JsonObject) -> str:
    """dd/mm/yyyy, or the year when the day is not known."""
    parts = str(patient.get("birthDate", "")).split("-")
    return "/".join(reversed(parts)) if len(parts) == 3 else parts[0]
