"""Tokens of machines: bound, short, once; and grants at the hub: on a real database."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from benhan.access import (
    MachineClient,
    TokenRefused,
    active_grants,
    break_glass,
    client_assertion,
    disable_client,
    grant_access,
    issue_token,
    open_reviews,
    register_client,
    review_break_glass,
    revoke_grant,
    token_ctx,
)
from benhan.access.certs import create_client_key
from benhan.base.clock import FrozenClock
from benhan.base.errors import InvalidInput, NotAuthenticated, NotFound
from benhan.store import Action, Actor, Ctx, Scope, Store, SystemPolicy

from .conftest import admin_repo

AUD = ["https://hub.test/oauth/token"]
OURS, THEIRS = "a" * 43, "b" * 43


@pytest.fixture
def key(tmp_path: Path) -> bytes:
    """Key with which the machine signs."""
    return create_client_key(tmp_path / "client.key")


async def registered(store: Store, tenant: UUID, key: bytes, facility: UUID | None = None) -> MachineClient:
    """A machine that may read and search observations and create patients."""
    return await register_client(
        admin_repo(store, tenant),
        "lis-a",
        key_pem=key,
        thumbprints=[OURS],
        scopes="system/Observation.rs system/Patient.c",
        facility=facility,
    )


def form(
    client: MachineClient, key: bytes, clock: FrozenClock, scope: str = "system/*.cruds"
) -> dict[str, str]:
    """A token request."""
    return {
        "grant_type": "client_credentials",
        "scope": scope,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": client_assertion(client.client_id, AUD[0], key, clock=clock),
    }


async def test_token_is_narrowed_bound_and_short(
    store: Store, tenant: UUID, clock: FrozenClock, key: bytes
) -> None:
    """The token carries registered scopes only, dies after five minutes, and needs its certificate."""
    client = await registered(store, tenant, key)
    token = await issue_token(store, form=form(client, key, clock), thumbprint=OURS, audience=AUD)
    assert token.expires_in_s <= 300
    assert token.scopes == "system/Observation.rs system/Patient.c"
    machine = await token_ctx(store, token.token, OURS)
    assert machine.ctx.actor.kind == "machine"
    assert machine.ctx.tenant == tenant
    assert machine.policy.scope(machine.ctx, Action.SEARCH, "Observation") == Scope.ALL
    assert machine.policy.scope(machine.ctx, Action.SEARCH, "Patient") == Scope.NONE
    for stolen_by in (THEIRS, None, ""):
        with pytest.raises(NotAuthenticated):
            await token_ctx(store, token.token, stolen_by)
    clock.move(seconds=300)
    with pytest.raises(NotAuthenticated):
        await token_ctx(store, token.token, OURS)


async def test_assertion_serves_once_even_at_once(
    store: Store, tenant: UUID, clock: FrozenClock, key: bytes
) -> None:
    """Ten parallel uses of one assertion: one token."""
    client = await registered(store, tenant, key)
    once = form(client, key, clock)
    tries = [issue_token(store, form=once, thumbprint=OURS, audience=AUD) for _ in range(10)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    refused = [r for r in results if isinstance(r, TokenRefused)]
    assert len(refused) == 9
    assert {r.error for r in refused} == {"invalid_client"}


async def test_wrong_requests_get_oauth_errors(
    store: Store, tenant: UUID, clock: FrozenClock, key: bytes
) -> None:
    """Each wrong part has its OAuth error; nothing tells whether the client exists."""
    client = await registered(store, tenant, key)

    async def error(thumbprint: str | None = OURS, **changes: str) -> str:
        with pytest.raises(TokenRefused) as caught:
            await issue_token(
                store, form={**form(client, key, clock), **changes}, thumbprint=thumbprint, audience=AUD
            )
        return caught.value.error

    stranger = client_assertion(f"khong-co@{tenant}", AUD[0], key, clock=clock)
    elsewhere = client_assertion(client.client_id, "https://other.test/oauth/token", key, clock=clock)
    assert await error(grant_type="password") == "unsupported_grant_type"
    assert await error(client_assertion_type="jwt") == "invalid_request"
    assert await error(client_assertion="") == "invalid_request"
    assert await error(client_assertion=stranger) == "invalid_client"
    assert await error(client_assertion=elsewhere) == "invalid_client"
    assert await error(client_assertion="x" * 60) == "invalid_client"
    assert await error(thumbprint=THEIRS) == "invalid_client"
    assert await error(thumbprint=None) == "invalid_client"
    assert await error(scope="system/Encounter.rs") == "invalid_scope"
    assert await error(scope="") == "invalid_scope"


async def test_disabled_client_loses_its_tokens(
    store: Store, tenant: UUID, clock: FrozenClock, key: bytes
) -> None:
    """Disabling works at once, for living tokens and new ones; a removed certificate likewise."""
    client = await registered(store, tenant, key)
    token = await issue_token(store, form=form(client, key, clock), thumbprint=OURS, audience=AUD)
    await register_client(
        admin_repo(store, tenant), "lis-a", key_pem=key, thumbprints=[THEIRS], scopes="system/Observation.rs"
    )
    with pytest.raises(NotAuthenticated):
        await token_ctx(store, token.token, OURS)
    await disable_client(admin_repo(store, tenant), client.client_id, "ngừng kết nối")
    with pytest.raises(TokenRefused):
        await issue_token(store, form=form(client, key, clock), thumbprint=THEIRS, audience=AUD)


async def test_registration_is_checked(store: Store, tenant: UUID, clock: FrozenClock, key: bytes) -> None:
    """Bad names, thumbprints, scopes and key sets are refused."""
    good = {"key_pem": key, "thumbprints": [OURS], "scopes": "system/*.rs"}
    for name, change in (
        ("có dấu", {}),
        ("a", {"thumbprints": []}),
        ("ab", {"thumbprints": ["short"]}),
        ("ab", {"scopes": "patient/*.rs"}),
        ("ab", {"scopes": ""}),
        ("ab", {"jwks": {"keys": []}}),
    ):
        with pytest.raises(InvalidInput):
            await register_client(admin_repo(store, tenant), name, **{**good, **change})


async def test_machine_at_the_hub_reads_as_its_facility(
    store: Store, tenant: UUID, other_tenant: UUID, clock: FrozenClock, key: bytes
) -> None:
    """The token's context carries the facility, so that row-level security narrows its view."""
    client = await registered(store, tenant, key, facility=other_tenant)
    token = await issue_token(store, form=form(client, key, clock), thumbprint=OURS, audience=AUD)
    machine = await token_ctx(store, token.token, OURS)
    assert machine.ctx.reader == other_tenant


async def test_grants_open_and_close(
    store: Store, tenant: UUID, other_tenant: UUID, clock: FrozenClock
) -> None:
    """Consent, referral and break-glass are listed while in force; revoked and lapsed ones are not."""
    repo = admin_repo(store, tenant)
    until = clock.now() + timedelta(days=1)
    consent = await grant_access(repo, "consent", "p1", other_tenant, until, "giấy đồng ý số 5")
    await grant_access(repo, "referral", "p2", other_tenant, until, "chuyển tuyến")
    opened = await break_glass(repo, "p3", other_tenant, "cấp cứu, hôn mê, không có người nhà")
    assert {g.kind for g in await active_grants(repo)} == {"consent", "referral", "break-glass"}
    assert [g.id for g in await active_grants(repo, patient="p1")] == [consent]
    await revoke_grant(repo, consent, "người bệnh rút")
    with pytest.raises(NotFound):
        await revoke_grant(repo, consent, "lần hai")
    clock.move(hours=4)
    assert {g.kind for g in await active_grants(repo)} == {"referral"}
    assert [r.grant_id for r in await open_reviews(repo)] == [opened]
    assert await active_grants(admin_repo(store, other_tenant)) == []


async def test_bad_grants_are_refused(
    store: Store, tenant: UUID, other_tenant: UUID, clock: FrozenClock
) -> None:
    """Unknown kind, no reason, no end, an end in the past, a short reason or a long break-glass."""
    repo = admin_repo(store, tenant)
    later = clock.now() + timedelta(hours=1)
    for kind, until, reason in (
        ("friend", later, "lý do"),
        ("consent", later, " "),
        ("consent", None, "lý do"),
        ("consent", clock.now(), "lý do"),
    ):
        with pytest.raises(InvalidInput):
            await grant_access(repo, kind, "p1", other_tenant, until, reason)
    with pytest.raises(InvalidInput):
        await break_glass(repo, "p1", other_tenant, "gấp")
    with pytest.raises(InvalidInput):
        await break_glass(repo, "p1", other_tenant, "cấp cứu hôn mê", until=clock.now() + timedelta(hours=25))


async def test_break_glass_is_reviewed_by_somebody_else(
    store: Store, tenant: UUID, other_tenant: UUID, clock: FrozenClock
) -> None:
    """The opener cannot review the own act; another can, once."""
    repo = admin_repo(store, tenant)
    opened = await break_glass(repo, "p1", other_tenant, "cấp cứu, hôn mê")
    with pytest.raises(NotFound):
        await review_break_glass(repo, opened, justified=True, note="tự xét")
    reviewer = store.repo(Ctx(tenant, Actor("Practitioner/qlcl", "QLCL", "person")), SystemPolicy())
    await review_break_glass(reviewer, opened, justified=True, note="đúng chỉ định")
    assert await open_reviews(repo) == []
    with pytest.raises(NotFound):
        await review_break_glass(reviewer, opened, justified=False, note="lần hai")
