"""A facility tells the hub of a person before any paper goes: IHE PIXm, Patient Identity Feed FHIR (ITI-104).

The facility names the person by its own id, in its own domain ``urn:benhan:id:nguoi-benh:<code>``; a number of the nation in
the address is refused, it would stand in logs. Add and revise are one conditional update. A duplicate the facility resolved
(``active`` false, ``link`` *replaced-by*) is not merged by its word: two people of the province go on the steward's list,
whose decision can be undone.
"""

from __future__ import annotations

from dataclasses import dataclass

from benhan.base.errors import InvalidInput, NotAllowed
from benhan.base.json_door import JsonObject, loads_object
from benhan.exchange.cross_reference import FACILITY_DOMAIN
from benhan.fhir import validate
from benhan.identity import crossref, link_patient, said_the_same
from benhan.store import Repository, TenantInfo

MOST = 200_000  # bytes of a Patient


@dataclass(frozen=True, slots=True)
class Fed:
    """What became of a feed. ``created``: this facility had not named the person before."""

    created: bool
    resource: JsonObject


async def feed(repo: Repository, source: TenantInfo, identifier: str, raw: bytes) -> Fed:
    """Take one ``Patient`` of ``source``; ``identifier`` is ``system|value`` of the conditional update.

    Raises: ``InvalidInput`` (exchange.feed-identifier, exchange.feed-mismatch, exchange.feed-too-big, fhir.invalid);
    ``NotAllowed`` 403 (exchange.foreign-domain) for another facility's domain or a national number.
    """
    domain = f"{FACILITY_DOMAIN}:{source.code}"
    own = _own_id(identifier, domain)
    if len(raw) > MOST:
        raise InvalidInput("exchange.feed-too-big", "Bản ghi Patient quá lớn.", issue_type="too-long")
    resource = loads_object(raw)
    validate(resource)
    if resource.get("resourceType") != "Patient" or (domain, own) not in _numbers(resource):
        raise InvalidInput(
            "exchange.feed-mismatch",
            "Patient phải mang đúng mã người bệnh ghi trong địa chỉ (Patient.identifier).",
            expression="Patient.identifier",
        )
    async with repo.transaction() as tx:
        created = await crossref(tx, source.id, own) is None
        linked = await link_patient(tx, source.id, {**resource, "id": own})
        lives_as = _replaced_by(resource, domain)
        if lives_as is not None:
            await _same(tx, source, linked.patient_id, lives_as)
        await tx.audit(
            "pix-feed",
            entity=f"Patient/{linked.patient_id}",
            patient=linked.patient_id,
            detail={"source": source.code, "how": linked.how, "replaced": lives_as is not None},
        )
    return Fed(created, resource)


def _own_id(identifier: str, domain: str) -> str:
    system, _, value = identifier.partition("|")
    if not value:
        raise InvalidInput(
            "exchange.feed-identifier",
            "Ghi người bệnh theo đúng một identifier=<hệ thống>|<mã>.",
            expression="identifier",
        )
    if system != domain:
        raise NotAllowed(
            "exchange.foreign-domain",
            f"Cơ sở chỉ gửi người bệnh theo mã của mình ({domain}), không theo số định danh quốc gia hay mã nơi khác.",
            expression="identifier",
            issue_type="code-invalid",
        )
    return value


def _numbers(resource: JsonObject) -> set[tuple[str, str]]:
    return {(i.get("system", ""), i.get("value", "")) for i in resource.get("identifier", [])}


def _replaced_by(resource: JsonObject, domain: str) -> str | None:
    """The facility's own id of the person this one was found to be, or None. Raises: ``InvalidInput``."""
    links = [link for link in resource.get("link", []) if link.get("type") == "replaced-by"]
    if not links:
        return None
    named = links[0]["other"].get("identifier") or {}
    if (
        len(links) > 1
        or resource.get("active") is not False
        or named.get("system") != domain
        or not named.get("value")
    ):
        raise InvalidInput(
            "exchange.feed-replaced",
            "Người bệnh trùng: active = false và một link replaced-by mang identifier của người còn lại ở chính cơ sở.",
            expression="Patient.link",
        )
    return str(named["value"])


async def _same(tx: Repository, source: TenantInfo, gone: str, lives_as: str) -> None:
    kept = await crossref(tx, source.id, lives_as)
    if kept is None:
        raise InvalidInput(
            "exchange.feed-unknown-survivor",
            "Trục liên thông chưa có người còn lại; gửi người đó trước.",
            expression="Patient.link.other",
            issue_type="not-found",
        )
    await said_the_same(tx, gone, kept, f"Cơ sở {source.code} báo hai mã là một người.")
