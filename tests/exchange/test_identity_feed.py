"""ITI-104 at the hub, from the text of IHE PIXm: add, revise, resolve a duplicate; whose ids, which refusals."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.exchange.test_cross_reference import AT_A, AT_B, CCCD, a_patient, hub

from benhan.api.hub import Caller, _Door, hub_app
from benhan.base.errors import BenhanError
from benhan.base.json_door import dumps
from benhan.exchange import cross_reference, feed
from benhan.identity import decide_review, merges, open_reviews
from benhan.store import Repository, TenantInfo

__all__ = ["hub"]
Hub = tuple[Repository, dict[str, TenantInfo]]
OWN = AT_A[0]


def fed(own: str, *numbers: tuple[str, str], **more: Any) -> bytes:
    """A made-up person of facility A as its software feeds them."""
    return dumps({**a_patient(own, (OWN, own), *numbers), **more})


async def test_a_person_is_added_once_and_then_revised(hub: Hub) -> None:
    """New: created; again: known, and the number that came later is there for ITI-83."""
    repo, by_code = hub
    a = by_code["51Z01"]
    assert (await feed(repo, a, f"{OWN}|moi", fed("moi", birthDate="1971-05-06"))).created
    later = fed("moi", ("urn:benhan:id:bhyt", "GD4515100000077"), birthDate="1971-05-06")
    assert not (await feed(repo, a, f"{OWN}|moi", later)).created
    told = await cross_reference(repo, a, f"{OWN}|moi", [])
    assert [p["valueIdentifier"]["value"] for p in told["parameter"]] == ["GD4515100000077"]


async def test_the_same_number_is_the_same_person(hub: Hub) -> None:
    """A second id of A with a CCCD the hub knows is linked to that person, and audited as a feed."""
    repo, by_code = hub
    await feed(repo, by_code["51Z01"], f"{OWN}|bn-a2", fed("bn-a2", CCCD))
    page = await repo.search("Patient", [("identifier", "|".join(CCCD))])
    assert len(page.entries) == 1
    rows = [r for r in await repo.audit_of_patient(page.entries[0].id) if r.action == "pix-feed"]
    assert [r.detail for r in rows] == [{"source": "51Z01", "how": "exact", "replaced": False}]


@pytest.mark.parametrize(
    ("identifier", "body", "status", "code"),
    [
        ("|".join(CCCD), fed("x", CCCD), 403, "exchange.foreign-domain"),
        ("|".join(AT_B), fed("bn-b"), 403, "exchange.foreign-domain"),
        (OWN, fed("x"), 400, "exchange.feed-identifier"),
        (f"{OWN}|x", fed("y"), 400, "exchange.feed-mismatch"),
        (f"{OWN}|x", dumps({"resourceType": "Basic", "code": {"text": "x"}}), 400, "exchange.feed-mismatch"),
        (f"{OWN}|x", fed("x", gender="nam"), 400, "fhir.invalid"),
        (f"{OWN}|x", fed("x", active=False, link=[{"type": "replaced-by", "other": {"display": "y"}}]), 400,
         "exchange.feed-replaced"),
        (f"{OWN}|x", fed("x", active=False, link=[
            {"type": "replaced-by", "other": {"identifier": {"system": OWN, "value": "khong-co"}}}]), 400,
         "exchange.feed-unknown-survivor"),
    ],
)  # fmt: skip
async def test_what_is_refused_leaves_nothing(
    hub: Hub, identifier: str, body: bytes, status: int, code: str
) -> None:
    """Each refusal by its reason; no person and no link is made."""
    repo, by_code = hub
    before = len((await repo.search("Patient", [("_count", "50")])).entries)
    with pytest.raises(BenhanError) as refused:
        await feed(repo, by_code["51Z01"], identifier, body)
    assert (refused.value.status, refused.value.code) == (status, code)
    assert len((await repo.search("Patient", [("_count", "50")])).entries) == before


async def test_a_duplicate_waits_for_a_steward_once(hub: Hub) -> None:
    """A says that its second id is the first: one pair on top of the list, nothing merged until the steward says so."""
    repo, by_code = hub
    a = by_code["51Z01"]
    await feed(repo, a, f"{OWN}|nham", fed("nham", name=[{"text": "TRẦN THỊ THỬ"}], birthDate="1950-02-03"))
    (_, waiting) = await open_reviews(repo)
    link = {"type": "replaced-by", "other": {"identifier": {"system": OWN, "value": "bn-a"}}}
    gone = fed("nham", name=[{"text": "TRẦN THỊ THỬ"}], birthDate="1950-02-03", active=False, link=[link])
    for _ in range(2):
        assert not (await feed(repo, a, f"{OWN}|nham", gone)).created
    pairs, total = await open_reviews(repo)
    assert (total, pairs[0].reasons[0]["field"], await merges(repo)) == (waiting + 1, "facility", [])
    assert await decide_review(repo, pairs[0].id, "same", "Đã gọi cơ sở A") is not None
    told = await cross_reference(repo, a, f"{OWN}|nham", [CCCD[0]])
    assert told["parameter"][0]["valueIdentifier"]["value"] == CCCD[1]


async def test_at_the_door(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """PUT with one identifier: 401 without a token, 201 then 200, 400 without or with two, 405 to delete."""
    repo, by_code = hub
    app = hub_app(repo.store, repo.store.settings, None)  # type: ignore[arg-type]
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://hub") as http:

        async def put(*identifiers: str) -> int:
            params = [("identifier", one) for one in identifiers]
            return (await http.put("/pixm/Patient", params=params, content=fed("moi"))).status_code

        assert await put(f"{OWN}|moi") == 401

        async def caller(self: Any, request: Any, action: Any) -> Caller:
            return Caller(repo, by_code["51Z01"], None)  # type: ignore[arg-type]

        monkeypatch.setattr(_Door, "_caller", caller)
        assert [await put(f"{OWN}|moi"), await put(f"{OWN}|moi")] == [201, 200]
        assert [await put(), await put(f"{OWN}|moi", f"{OWN}|hai"), await put("|".join(CCCD))] == [
            400,
            400,
            403,
        ]
        assert (await http.delete("/pixm/Patient", params={"identifier": f"{OWN}|moi"})).status_code == 405
