"""The job ``bhyt.submit``: build the claim of a đợt, check it, keep it, send it, keep the answer.

``Claim`` and the package (a blob and its ``DocumentReference``) are written before sending; the sending happens outside
any transaction; ``ClaimResponse`` is written after. The ids come from MA_LK and the hash of the package, so a repeated
delivery of the same package makes nothing twice and is not sent again once the portal has it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Protocol
from uuid import NAMESPACE_URL, UUID, uuid5

from benhan import records
from benhan.base.clock import fhir_instant, local_date
from benhan.base.errors import BenhanError, NotFound
from benhan.base.json_door import JsonObject
from benhan.catalogue import systems
from benhan.gateways.bhyt.card_job import CARD_TOPIC, check_cards
from benhan.gateways.bhyt.check import Finding, check, errors
from benhan.gateways.bhyt.checkin import CHECKIN_TOPIC, check_in
from benhan.gateways.bhyt.claim import ClaimFacts, build_claim, twin_of
from benhan.gateways.bhyt.desk import known_claim, put_claim
from benhan.gateways.bhyt.icd_list import use_icd_list
from benhan.gateways.bhyt.own_rules import passes, published_rules, with_passes
from benhan.gateways.bhyt.package import Package, read_package, write_package
from benhan.gateways.bhyt.portal import Receipt, portal_of
from benhan.gateways.bhyt.record_facts import facts_from_record
from benhan.gateways.bhyt.tables import use_local
from benhan.gateways.bhyt.values import number
from benhan.jobs import register
from benhan.records import entitlement_line
from benhan.signing import KeyStore, sign_xades
from benhan.store import Actor, Ctx, Repository, Store, SystemPolicy

TOPIC = "bhyt.submit"
_DEVICE = Actor("Device/bhyt", "Cổng giao tiếp BHYT", "system")
_CLAIM_TYPE = "http://terminology.hl7.org/CodeSystem/claim-type"
_RELATION = "http://terminology.hl7.org/CodeSystem/ex-relatedclaimrelationship"
_PRIORITY = "http://terminology.hl7.org/CodeSystem/processpriority"
_EXT_ENCOUNTER = "urn:benhan:encounter"
_EXT_TRANSACTION = "urn:benhan:bhyt:ma-giao-dich"
_ERRORS = "urn:benhan:bhyt:loi"
_PLACE = re.compile(r"XML\d+/(?:dòng \d+/)?(\w+)")
#: stands in place of a rule's id where the portal refused
PORTAL_RULE = "CONG"
_TITLES = {"XML2": "Thuốc (XML2)", "XML3": "Dịch vụ kỹ thuật, vật tư (XML3)"}


def register_jobs() -> None:
    """Register the outbox topics of this gateway."""
    register(TOPIC, submit)
    register(CARD_TOPIC, check_cards)
    register(CHECKIN_TOPIC, check_in)


async def submit(store: Store, tenant: UUID, payload: JsonObject) -> None:
    """Handle ``{"encounter": id, "ma_lk": text}``. Without ``bhyt_url`` the claim waits as a draft.

    Raises: ``NeighbourFailed`` when the portal is away (the worker tries again).
    """
    use_local(store.settings.home / "bhyt")
    use_icd_list(store.settings.home / "bhyt")
    ctx = Ctx(tenant, _DEVICE, purpose="HPAYMT")
    repo = store.repo(ctx, SystemPolicy())
    encounter_id = str(payload["encounter"])
    facts = await _facts(repo, encounter_id)
    package = build_claim(facts)
    raw = write_package(package)
    findings = with_passes(check(package, own=await published_rules(repo)), await passes(repo, package.ma_lk))
    claim_id = claim_id_of(package, raw)
    if await _answered(repo, claim_id):
        return
    raw = await _sealed(repo, claim_id, raw)
    faults = errors(findings)
    portal = portal_of(store.settings, package.facility, clock=store.clock)
    waiting = portal is None and not faults
    await _keep(repo, encounter_id, claim_id, package, raw, waiting=waiting)
    at_desk = await _at_desk(repo, encounter_id, claim_id, package, raw, findings, twin_of(facts))
    await at_desk("faulty" if faults else "waiting", sent=False, answer="")
    if faults:
        await _answer(repo, encounter_id, claim_id, None, findings)
    elif portal is not None:
        async with portal:
            receipt = await portal.send(raw, package.ma_lk)
        answer = await _answer(repo, encounter_id, claim_id, receipt, findings)
        state = "received" if receipt.received else "refused"
        await at_desk(state, sent=True, answer=answer, told=portal_findings(receipt))


async def _sealed(repo: Repository, claim_id: str, raw: bytes) -> bytes:
    """The package with the organisation's XAdES seal in CHUKYDONVI, when the installation signs (``bhyt_sign``).

    What was sealed once is sent again as it is: a repeated delivery has the same bytes.
    """
    if not repo.store.settings.bhyt_sign:
        return raw
    try:
        kept = await repo.read("DocumentReference", _document_id(claim_id))
    except NotFound:
        signer = await KeyStore(repo).seal_signer(repo.ctx.tenant)
        return await sign_xades(raw, signer, parent="CHUKYDONVI", clock=repo.store.clock)
    return await repo.store.blobs.get(records.blob_of(kept.data))


class AtDesk(Protocol):
    """Writes down how the claim stands."""

    async def __call__(self, state: str, *, sent: bool, answer: str, told: Sequence[Finding] = ()) -> None:
        """``state`` of ``bhyt_claim``; ``sent``: the package went out now; ``answer``: the portal's sentence; ``told``: the
        places the portal named when it refused."""
        ...


async def _at_desk(
    repo: Repository,
    encounter_id: str,
    claim_id: str,
    package: Package,
    raw: bytes,
    findings: list[Finding],
    twin: list[dict[str, str]],
) -> AtDesk:
    sha256 = hashlib.sha256(raw).hexdigest()
    known = await known_claim(repo, package.ma_lk)
    before = None
    if known is not None and known.sha256 != sha256:
        before = read_package(await repo.store.blobs.get(known.sha256))
    left = (await records.case(repo, encounter_id)).discharged_at or repo.clock.now()

    async def write(state: str, *, sent: bool, answer: str, told: Sequence[Finding] = ()) -> None:
        await put_claim(
            repo, package, encounter=encounter_id, claim=claim_id, sha256=sha256, left_at=left, state=state, sent=sent,
            answer=answer, findings=[*told, *findings], before=before, twin=twin,
        )  # fmt: skip

    return write


async def submit_waiting(store: Store, tenant: UUID) -> int:
    """Send the claims that waited for a portal; how many were taken up."""
    repo = store.repo(Ctx(tenant, _DEVICE, purpose="HPAYMT"), SystemPolicy())
    page = await repo.search("Claim", [("status", "draft"), ("_count", "200")])
    for claim in page.entries:
        reference = str(claim.data["item"][0]["encounter"][0]["reference"])
        await submit(store, tenant, {"encounter": reference.removeprefix("Encounter/")})
    return len(page.entries)


async def _facts(repo: Repository, encounter_id: str) -> ClaimFacts:
    """What the claim says, dated by the day of leaving: the same facts give the same bytes on every delivery."""
    facts = await facts_from_record(repo, encounter_id)
    return replace(facts, made_on=local_date(facts.left))


def claim_id_of(package: Package, raw: bytes) -> str:
    """Id of the claim of exactly this package."""
    digest = hashlib.sha256(raw).hexdigest()
    return str(uuid5(NAMESPACE_URL, f"urn:benhan:claim:{package.facility}|{package.ma_lk}|{digest}"))


def _document_id(claim_id: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"urn:benhan:claim-document:{claim_id}"))


def _response_id(claim_id: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"urn:benhan:claim-response:{claim_id}"))


async def _answered(repo: Repository, claim_id: str) -> bool:
    try:
        answer = await repo.read("ClaimResponse", _response_id(claim_id))
    except BenhanError:
        return False
    return answer.data["outcome"] != "error" or any(
        e["url"] == _EXT_TRANSACTION for e in answer.data.get("extension", [])
    )


async def _keep(
    repo: Repository, encounter_id: str, claim_id: str, package: Package, raw: bytes, *, waiting: bool
) -> None:
    sha256 = await repo.store.blobs.put(raw)
    encounter = (await repo.read("Encounter", encounter_id)).data
    earlier = await _earlier(repo, package.ma_lk, claim_id)
    async with repo.transaction() as tx:
        document = _document(tx, encounter, encounter_id, claim_id, package, sha256, len(raw))
        await tx.update(document)
        claim = await _claim(tx, encounter, encounter_id, claim_id, package, waiting=waiting)
        claim["related"] += [
            {"claim": {"reference": r}, "relationship": {"coding": [{"system": _RELATION, "code": "prior"}]}}
            for r in earlier
        ]
        await tx.update(claim)


async def _earlier(repo: Repository, ma_lk: str, claim_id: str) -> list[str]:
    """References of the earlier claims of the đợt; the portal replaces them by MA_LK. Drafts of them are withdrawn."""
    page = await repo.search("Claim", [("identifier", f"{systems.MA_LK}|{ma_lk}"), ("_count", "100")])
    others = [c for c in page.entries if c.id != claim_id]
    for draft in others:
        if draft.data["status"] == "draft":
            await repo.update({**draft.data, "status": "cancelled"}, if_match=draft.version)
    return sorted(c.reference for c in others if c.data["status"] == "active")


def _document(
    tx: Repository,
    encounter: JsonObject,
    encounter_id: str,
    claim_id: str,
    package: Package,
    sha: str,
    size: int,
) -> JsonObject:
    kind = {
        "coding": [
            {"system": systems.DOCUMENT_KIND, "code": systems.DOC_CLAIM, "display": "Hồ sơ BHYT (XML)"}
        ]
    }
    return {
        "resourceType": "DocumentReference",
        "id": _document_id(claim_id),
        "identifier": [{"system": systems.MA_LK, "value": package.ma_lk}],
        "status": "current",
        "type": {**kind, "text": "Hồ sơ BHYT (XML)"},
        "category": [kind],
        "subject": encounter["subject"],
        "date": fhir_instant(tx.clock.now()),
        "description": f"Hồ sơ BHYT {package.ma_lk}",
        "content": [
            {"attachment": {"contentType": "application/xml", "url": f"urn:sha256:{sha}", "size": size,
                            "title": f"{package.ma_lk}.xml"}}
        ],
        "context": {"encounter": [{"reference": f"Encounter/{encounter_id}"}]},
    }  # fmt: skip


async def _claim(
    tx: Repository,
    encounter: JsonObject,
    encounter_id: str,
    claim_id: str,
    package: Package,
    *,
    waiting: bool,
) -> JsonObject:
    rights = await entitlement_line(tx, encounter_id)
    insurance: list[JsonObject] = [
        {"sequence": i, "focal": i == len(rights), "coverage": {"reference": f"Coverage/{r.coverage_id}"}}
        for i, r in enumerate(rights, 1)
    ] or [{"sequence": 1, "focal": True, "coverage": {"display": "Không có thẻ BHYT"}}]
    head = package.table("XML1")[0]
    inpatient = encounter["class"]["code"] == "IMP"
    claim: JsonObject = {
        "resourceType": "Claim",
        "id": claim_id,
        "identifier": [{"system": systems.MA_LK, "value": package.ma_lk}],
        "status": "draft" if waiting else "active",
        "type": {
            "coding": [{"system": _CLAIM_TYPE, "code": "institutional" if inpatient else "professional"}]
        },
        "use": "claim",
        "patient": encounter["subject"],
        "created": fhir_instant(tx.clock.now()),
        "insurer": {"display": "Bảo hiểm xã hội Việt Nam"},
        "provider": {"identifier": {"system": systems.MA_CSKCB, "value": package.facility}},
        "priority": {"coding": [{"system": _PRIORITY, "code": "normal"}]},
        "related": [{"reference": {"system": systems.MA_LK, "value": package.ma_lk}}],
        "insurance": insurance,
        "item": _items(encounter_id, package),
        "total": _money(str(number(head, "T_TONGCHI_BV"))),
    }
    if waiting:
        claim["extension"] = [{"url": systems.EXT_FACT + "bhyt", "valueString": "waiting"}]
    return claim


def _items(encounter_id: str, package: Package) -> list[JsonObject]:
    items: list[JsonObject] = []
    for name, title in _TITLES.items():
        rows = package.table(name)
        if not rows and name == "XML2":
            continue
        total = sum(number(r, "THANH_TIEN_BV") for r in rows)
        items.append(
            {
                "sequence": len(items) + 1,
                "productOrService": {
                    "coding": [{"system": "urn:benhan:bhyt:bang", "code": name}],
                    "text": title,
                },
                "encounter": [{"reference": f"Encounter/{encounter_id}"}],
                "net": _money(str(total)),
            }
        )
    return items


def _money(value: str) -> JsonObject:
    return {"value": Decimal(value), "currency": "VND"}


async def _answer(
    repo: Repository, encounter_id: str, claim_id: str, receipt: Receipt | None, findings: list[Finding]
) -> str:
    """The ClaimResponse: refused by our own check (no receipt), received, or refused by the portal; its sentence."""
    claim = (await repo.read("Claim", claim_id)).data
    faults = errors(findings)
    received = receipt is not None and receipt.received
    if receipt is None:
        text = f"Chưa gửi: hồ sơ còn {len(faults)} lỗi."
    elif received:
        text = f"Cổng BHYT đã tiếp nhận, mã giao dịch {receipt.transaction}."
    else:
        text = f"Cổng BHYT từ chối (mã {receipt.code}): {receipt.text}"
    answer: JsonObject = {
        "resourceType": "ClaimResponse",
        "id": _response_id(claim_id),
        "extension": [{"url": _EXT_ENCOUNTER, "valueString": encounter_id}],
        "identifier": claim["identifier"],
        "status": "active",
        "type": claim["type"],
        "use": "claim",
        "patient": claim["patient"],
        "created": fhir_instant(repo.clock.now()),
        "insurer": claim["insurer"],
        "request": {"reference": f"Claim/{claim_id}"},
        "outcome": "queued" if received else "error",
        "disposition": text,
    }
    if receipt is not None and received:
        answer["extension"].append({"url": _EXT_TRANSACTION, "valueString": receipt.transaction or "200"})
    notes = [f for f in findings if f.severity == "warning" or receipt is None]
    if notes:
        answer["processNote"] = [
            {"number": i, "type": "display", "text": f.sentence()} for i, f in enumerate(notes, 1)
        ]
    if receipt is None:
        answer["error"] = [{"code": _error(f.code, f.sentence())} for f in faults]
    elif not received:
        answer["error"] = [{"code": _error(receipt.code, receipt.text)}]
        told = [part.strip() for part in receipt.text.split(";") if _PLACE.search(part)]
        answer["error"] += [{"code": _error(_tag_at(part), part)} for part in told if part != receipt.text]
    await repo.update(answer)
    return text


def portal_findings(receipt: Receipt) -> list[Finding]:
    """What the portal refused, place by place; one finding on the whole claim when its sentence names no place."""
    if receipt.received:
        return []
    named = [(found, part.strip()) for part in receipt.text.split(";") if (found := _PLACE.search(part))]
    if not named:
        return [Finding("error", receipt.code, "XML1", receipt.text or "Cổng không nói lý do", PORTAL_RULE)]
    return [
        Finding("error", receipt.code, at.group(0), text[text.find(at.group(0)) + len(at.group(0)) :].lstrip(" :"),
                PORTAL_RULE)
        for at, text in named
    ]  # fmt: skip


def _tag_at(text: str) -> str:
    """The tag a sentence of the portal names."""
    found = _PLACE.search(text)
    return found.group(1) if found else ""


def _error(code: str, text: str) -> JsonObject:
    return {
        "coding": [{"system": _ERRORS, "code": code or "khong-ro"}],
        "text": text or "Không có thông điệp.",
    }
