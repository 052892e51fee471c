"""ITI-83 at the hub, from the text of IHE PIXm: answers, error codes, and who may learn which number."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from benhan.api.hub import Caller, _Door, hub_app
from benhan.base.errors import BenhanError
from benhan.exchange import cross_reference, grant
from benhan.fhir import validate
from benhan.identity import link_patient
from benhan.signing import KeyStore
from benhan.store import Actor, Ctx, Repository, Store, SystemPolicy, TenantInfo

CCCD, BHYT = ("urn:benhan:id:cccd", "051199000001"), ("urn:benhan:id:bhyt", "GD4515100000001")
AT_A, AT_B, AT_C = (
    (f"urn:benhan:id:nguoi-benh:51Z0{n}", f"bn-{letter}") for n, letter in ((1, "a"), (2, "b"), (3, "c"))
)
FACILITIES = ("51Z01", "51Z02", "51Z03")


def a_patient(own: str, *numbers: tuple[str, str]) -> dict:
    """A made-up person as one facility sends them."""
    return {
        "resourceType": "Patient",
        "id": own,
        "identifier": [{"system": system, "value": value} for system, value in numbers],
        "name": [{"text": "NGUYỄN VĂN MẪU"}],
        "gender": "male",
        "birthDate": "1999-01-01",
    }


@pytest.fixture
async def hub(store: Store) -> tuple[Repository, dict[str, TenantInfo]]:
    """A hub where A and B know one person, and C knows nobody."""
    tenant = await store.create_tenant("hub", "QNG-HUB", "Trục thử")
    for code in FACILITIES:
        await store.create_tenant("facility", code, f"Cơ sở {code}")
    repo = store.repo(Ctx(tenant, Actor("Device/test", "Thử", "system")), SystemPolicy())
    await KeyStore(repo).seal_signer(tenant)
    by_code = {t.code: t for t in await store.tenants()}
    first = await link_patient(repo, by_code["51Z01"].id, a_patient("bn-a", CCCD))
    second = await link_patient(repo, by_code["51Z02"].id, a_patient("bn-b", CCCD, BHYT))
    assert first.patient_id == second.patient_id
    return repo, by_code


async def ask(hub, code: str, source: tuple[str, str], *targets: str) -> set[tuple[str, str]]:
    """The numbers facility ``code`` gets; the answer is a valid Parameters of nothing but targetIdentifier."""
    repo, by_code = hub
    answer = await cross_reference(repo, by_code[code], "|".join(source), list(targets))
    validate(answer)
    assert {p["name"] for p in answer.get("parameter", [])} <= {"targetIdentifier"}
    found = [p["valueIdentifier"] for p in answer.get("parameter", [])]
    assert len(found) == len({(i["system"], i["value"]) for i in found})
    return {(i["system"], i["value"]) for i in found}


async def test_own_patient_gives_national_numbers_and_no_id_of_elsewhere(hub) -> None:
    """A asks by its own id: the numbers the province knows, but not that B has a record."""
    assert await ask(hub, "51Z01", AT_A) == {CCCD, BHYT}
    assert await ask(hub, "51Z01", CCCD) == {AT_A, BHYT}


async def test_a_right_in_force_opens_the_other_domains(hub) -> None:
    """After break-glass at B, B reads A's id; A, without a right of its own, still does not read B's."""
    repo, by_code = hub
    b = by_code["51Z02"]
    await grant(repo, b, b, "|".join(CCCD), "break-glass", "Cấp cứu, người bệnh hôn mê", "BS Thử", "")
    assert await ask(hub, "51Z02", AT_B) == {CCCD, BHYT, AT_A}
    assert await ask(hub, "51Z02", AT_A, AT_B[0]) == {AT_B}
    assert await ask(hub, "51Z01", AT_A) == {CCCD, BHYT}


async def test_target_system_selects_and_nothing_there_is_an_empty_answer(hub) -> None:
    """targetSystem 0..*; a known domain without a number of this person: 200 with no parameter."""
    assert await ask(hub, "51Z01", AT_A, BHYT[0]) == {BHYT}
    assert await ask(hub, "51Z01", AT_A, BHYT[0], CCCD[0]) == {CCCD, BHYT}
    assert await ask(hub, "51Z01", AT_A, "urn:benhan:id:ho-chieu") == set()


@pytest.mark.parametrize(
    ("source", "targets", "status", "kind"),
    [
        (("urn:oid:1.2.3.4", "1"), (), 400, "code-invalid"),
        (("urn:benhan:id:cccd", ""), (), 400, "code-invalid"),
        (AT_A, ("urn:oid:1.2.3.4",), 403, "code-invalid"),
        (AT_A, (BHYT[0], "urn:benhan:id:nguoi-benh:51Z99"), 403, "code-invalid"),
        (("urn:benhan:id:cccd", "051199999999"), (), 404, "not-found"),
        ((AT_A[0], "khong-co"), (), 404, "not-found"),
    ],
)
async def test_error_cases_of_the_profile(hub, source, targets, status, kind) -> None:
    """Unknown source domain 400, unknown target domain 403, unknown patient 404, each with its issue type."""
    with pytest.raises(BenhanError) as refused:
        await ask(hub, "51Z01", source, *targets)
    issue = refused.value.issues[0]
    assert (refused.value.status, issue.issue_type or refused.value.issue_type) == (status, kind)


async def test_strangers_cannot_tell_known_from_unknown_and_leave_a_trace(hub) -> None:
    """C, without link or right: the same refusal for a person who is there and for one who is not; audited."""
    refusals = []
    for source in (CCCD, AT_A, ("urn:benhan:id:cccd", "051199999999"), (AT_A[0], "khong-co")):
        with pytest.raises(BenhanError) as refused:
            await ask(hub, "51Z03", source)
        refusals.append((refused.value.status, refused.value.code, str(refused.value)))
    assert len(set(refusals)) == 1
    repo, _ = hub
    page = await repo.search("Patient", [("identifier", "|".join(CCCD))])
    rows = [r for r in await repo.audit_of_patient(page.entries[0].id) if r.action == "pix-query"]
    assert [r.outcome for r in rows] == ["8", "8"]


async def test_at_the_door_the_query_is_a_get_with_parameters_or_outcome(
    hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GET [base]/Patient/$ihe-pix: 401 without a token; then 200 Parameters, 400/403/404 with OperationOutcome."""
    repo, by_code = hub
    app = hub_app(repo.store, repo.store.settings, None)  # type: ignore[arg-type]
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://hub") as http:

        async def get(*pairs: tuple[str, str]) -> tuple[int, dict[str, Any]]:
            answer = await http.get("/pixm/Patient/$ihe-pix", params=list(pairs))
            assert answer.headers["content-type"].startswith("application/fhir+json")
            return answer.status_code, answer.json()

        source = ("sourceIdentifier", "|".join(AT_A))
        assert (await get(source))[0] == 401

        async def caller(self: Any, request: Any, action: Any) -> Caller:
            return Caller(repo, by_code["51Z01"], None)  # type: ignore[arg-type]

        monkeypatch.setattr(_Door, "_caller", caller)
        status, told = await get(source, ("targetSystem", BHYT[0]), ("targetSystem", CCCD[0]))
        assert (status, told["resourceType"], len(told["parameter"])) == (200, "Parameters", 2)
        for pairs, wanted in (
            ((), 400),
            ((source, source), 400),
            ((("sourceIdentifier", "urn:oid:1.2.3|4"),), 400),
            ((source, ("targetSystem", "urn:oid:1.2.3")), 403),
            ((("sourceIdentifier", f"{AT_A[0]}|khong-co"),), 404),
        ):
            status, told = await get(*pairs)
            assert (status, told["resourceType"], told["issue"][0]["severity"]) == (
                wanted,
                "OperationOutcome",
                "error",
            )
