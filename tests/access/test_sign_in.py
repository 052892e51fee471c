"""Sign-in, sessions, lock-out, roles with dates: on a real database."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from benhan.access import (
    SessionToken,
    assign_role,
    begin_totp,
    change_password,
    clear_totp,
    confirm_totp,
    create_account,
    csrf_of,
    disable_account,
    disable_idle_accounts,
    end_role,
    list_accounts,
    lock_pin,
    may,
    onboard,
    override_permission,
    reset_password,
    roles_held,
    session_ctx,
    sign_in,
    sign_out,
    totp_code,
    unlock_pin,
)
from benhan.base.clock import FrozenClock
from benhan.base.errors import BenhanError, Conflict, InvalidInput, NotAllowed, NotAuthenticated, TooMany
from benhan.store import Action, Actor, Ctx, Scope, Store, SystemPolicy

from .conftest import PASSWORD, AddMember, Member, SignIn, admin_repo, code_of


async def token_of(store: Store, member: Member, clock: FrozenClock) -> SessionToken:
    """Sign in with a code not used yet."""
    clock.move(seconds=30)
    return await sign_in(store, member.code, member.username, PASSWORD, totp_code(member.secret, clock.now()))


async def test_doctor_signs_in_and_holds_the_role(
    store: Store, tenant: UUID, clock: FrozenClock, add_member: AddMember, enter: SignIn
) -> None:
    """Password and code give a session whose context carries person, account and roles; the sign-in is
    audited.
    """
    member = await add_member(tenant, "bs.an", [("bac_si", "K01")], licence="001234/QNG-CCHN")
    person = await enter(member)
    assert person.ctx.tenant == tenant
    assert person.ctx.actor.reference == member.person
    assert person.ctx.actor.account_id == member.account
    assert person.ctx.roles == {"bac_si"}
    assert may(person, "record.open", khoa="K01")
    assert not may(person, "record.open", khoa="K02")
    assert person.policy.scope(person.ctx, Action.SEARCH, "Patient") == Scope.ALL
    practitioner = await admin_repo(store, tenant).read("Practitioner", member.person.partition("/")[2])
    assert practitioner.data["identifier"][0]["value"] == "001234/QNG-CCHN"


async def test_every_wrong_part_gives_the_same_refusal(
    store: Store, tenant: UUID, clock: FrozenClock, add_member: AddMember
) -> None:
    """Facility, name, password, code: one sentence, one code."""
    member = await add_member(tenant, "bs.an", [("bac_si", "K01")])
    code = totp_code(member.secret, clock.now())
    said = set()
    for facility, name, password, totp in (
        ("KHONG-CO", member.username, PASSWORD, code),
        (member.code, "khong.co", PASSWORD, code),
        (member.code, member.username, PASSWORD + "x", code),
        (member.code, member.username, PASSWORD, "000000" if code != "000000" else "000001"),
        (member.code, member.username, PASSWORD, ""),
    ):
        with pytest.raises(NotAuthenticated) as caught:
            await sign_in(store, facility, name, password, totp)
        said.add((caught.value.code, caught.value.text))
    assert len(said) == 1


async def test_a_code_serves_once(
    store: Store, tenant: UUID, clock: FrozenClock, add_member: AddMember
) -> None:
    """The same code a second time is refused, also when two try at once."""
    member = await add_member(tenant, "bs.an", [("bac_si", "K01")])
    code = totp_code(member.secret, clock.now())
    tries = [sign_in(store, member.code, member.username, PASSWORD, code) for _ in range(3)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(r, SessionToken) for r in results) == 1
    assert all(isinstance(r, SessionToken | NotAuthenticated) for r in results)


@pytest.mark.parametrize("known", [True, False])
async def test_name_is_locked_after_five_failures_with_growing_delay(
    store: Store, tenant: UUID, clock: FrozenClock, add_member: AddMember, known: bool
) -> None:
    """A real and an invented name behave alike; the wait doubles; a right sign-in after it forgives."""
    member = await add_member(tenant, "bs.an", [("bac_si", "K01")])
    name = member.username if known else "khong.co"

    async def attempt(password: str = "sai") -> type[BaseException] | None:
        try:
            await sign_in(store, member.code, name, password, totp_code(member.secret, clock.now()))
        except BenhanError as error:
            return type(error)
        return None

    assert [await attempt() for _ in range(5)] == [NotAuthenticated] * 5
    assert await attempt(PASSWORD) is TooMany
    clock.move(seconds=61)
    assert await attempt() is NotAuthenticated
    clock.move(seconds=61)
    assert await attempt(PASSWORD) is TooMany
    clock.move(seconds=60)
    assert await attempt(PASSWORD) is (None if known else NotAuthenticated)
    assert await attempt() is (NotAuthenticated if known else TooMany)


async def test_parallel_guesses_all_count(
    store: Store, tenant: UUID, clock: FrozenClock, add_member: AddMember
) -> None:
    """Twenty guesses at once: at most five are looked at."""
    member = await add_member(tenant, "bs.an", [("bac_si", "K01")])
    tries = [sign_in(store, member.code, member.username, f"sai-{n}", "000000") for n in range(20)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(r, NotAuthenticated) for r in results) == 5
    assert sum(isinstance(r, TooMany) for r in results) == 15


async def test_session_ends_by_idle_time_age_and_sign_out(
    store: Store, tenant: UUID, clock: FrozenClock, add_member: AddMember
) -> None:
    """Idle 60 minutes, or 480 minutes in all, or sign-out: the token is dead; use keeps it alive till its
    age.
    """
    member = await add_member(tenant, "bs.an", [("bac_si", "K01")])
    settings = store.settings
    token = await token_of(store, member, clock)
    for _ in range(settings.session_minutes // 50 - 1):
        clock.move(minutes=50)
        await session_ctx(store, token.token)
    clock.move(minutes=settings.session_minutes)
    with pytest.raises(NotAuthenticated):
        await session_ctx(store, token.token)
    idle = await token_of(store, member, clock)
    clock.move(minutes=settings.session_idle_minutes, seconds=1)
    with pytest.raises(NotAuthenticated):
        await session_ctx(store, idle.token)
    left = await token_of(store, member, clock)
    await sign_out(store, left.token)
    await sign_out(store, left.token)
    with pytest.raises(NotAuthenticated):
        await session_ctx(store, left.token)


async def test_invented_tokens_are_refused(
    store: Store, tenant: UUID, other_tenant: UUID, clock: FrozenClock, add_member: AddMember
) -> None:
    """Garbage, another tenant's head on a good tail, and a changed letter: nobody."""
    member = await add_member(tenant, "bs.an", [("bac_si", "K01")])
    token = (await token_of(store, member, clock)).token
    head, _, tail = token.partition(".")
    for bad in (
        "",
        "x",
        ".",
        token + "A",
        f"{other_tenant.hex}.{tail}",
        f"{head}.{tail[:-1]}_",
        f"{head}.",
        "é" * 80,
    ):
        with pytest.raises(NotAuthenticated):
            await session_ctx(store, bad)
    assert (await session_ctx(store, token)).csrf == csrf_of(token)


async def test_token_and_seed_are_not_in_the_database(
    store: Store, tenant: UUID, clock: FrozenClock, add_member: AddMember
) -> None:
    """What the database keeps opens nothing: token hashed, seed sealed, password hashed."""
    member = await add_member(tenant, "bs.an", [("bac_si", "K01")])
    token = await token_of(store, member, clock)
    async with admin_repo(store, tenant).transaction() as tx:
        assert tx.connection is not None
        for query in ("select s::text from session s", "select a::text from account a"):
            text = " ".join(str(row[0]) for row in await (await tx.connection.execute(query)).fetchall())
            for secret in (token.token, token.token.partition(".")[2], member.secret, PASSWORD):
                assert secret not in text
                assert secret.encode().hex() not in text


async def test_new_account_must_change_password_and_enrol(
    store: Store, tenant: UUID, clock: FrozenClock
) -> None:
    """First sign-in: enrol TOTP, then change the password; before that nothing else is allowed."""
    repo = admin_repo(store, tenant)
    made = await create_account(repo, "DD.Binh ", PASSWORD, "Practitioner/9", "Trần Thị Bình")
    await assign_role(repo, made.id, "dieu_duong", khoa="K02")
    code = await code_of(store, tenant)
    first = await sign_in(store, code, "dd.binh", PASSWORD, "")
    assert first.pending == "totp"
    person = await session_ctx(store, first.token)
    assert not may(person, "entry.care", khoa="K02")
    assert person.policy.scope(person.ctx, Action.SEARCH, "Patient") == Scope.NONE
    enrolment = await begin_totp(repo, made.id)
    with pytest.raises(NotAllowed):
        await confirm_totp(repo, made.id, "000000")
    await confirm_totp(repo, made.id, totp_code(enrolment.secret, clock.now()))
    with pytest.raises(Conflict):
        await begin_totp(repo, made.id)
    assert (await session_ctx(store, first.token)).pending == "password"
    await change_password(repo, made.id, PASSWORD, "Núi Ấn sông Trà")
    with pytest.raises(NotAuthenticated):  # every session ended with the old password
        await session_ctx(store, first.token)
    clock.move(seconds=30)
    second = await sign_in(
        store, code, "dd.binh", "Núi Ấn sông Trà", totp_code(enrolment.secret, clock.now())
    )
    assert second.pending == ""
    assert may(await session_ctx(store, second.token), "entry.care", khoa="K02")


async def test_old_passwords_do_not_come_back(
    store: Store, tenant: UUID, clock: FrozenClock, add_member: AddMember
) -> None:
    """The last ten are refused, so is a wrong old one; a reset must be changed."""
    member = await add_member(tenant, "bs.an", [("bac_si", "K01")])
    repo = admin_repo(store, tenant)
    with pytest.raises(NotAllowed):
        await change_password(repo, member.account, "sai", "Mot mat khau khac")
    clock.move(seconds=1)
    await change_password(repo, member.account, PASSWORD, "Mot mat khau khac")
    with pytest.raises(InvalidInput) as caught:
        await change_password(repo, member.account, "Mot mat khau khac", PASSWORD)
    assert caught.value.code == "access.password-used"
    clock.move(seconds=1)
    await reset_password(repo, member.account, "Tam thoi 12345")
    token = await sign_in(
        store, member.code, member.username, "Tam thoi 12345", totp_code(member.secret, clock.now())
    )
    assert token.pending == "password"


async def test_disabled_account_is_out_at_once(
    store: Store, tenant: UUID, clock: FrozenClock, add_member: AddMember
) -> None:
    """Disabling ends sessions and refuses sign-in; idle accounts are disabled after 45 days; a lost phone too
    ends.
    """
    member = await add_member(tenant, "bs.an", [("bac_si", "K01")])
    repo = admin_repo(store, tenant)
    token = await token_of(store, member, clock)
    await clear_totp(repo, member.account, "mất điện thoại")
    with pytest.raises(NotAuthenticated):
        await session_ctx(store, token.token)
    again = await sign_in(store, member.code, member.username, PASSWORD, "")
    assert again.pending == "totp"
    await disable_account(repo, member.account, "nghỉ việc")
    for attempt in (
        session_ctx(store, again.token),
        sign_in(store, member.code, member.username, PASSWORD, ""),
    ):
        with pytest.raises(NotAuthenticated):
            await attempt
    await add_member(tenant, "bs.binh", [("bac_si", "K01")])
    clock.move(days=46)
    assert await disable_idle_accounts(repo) == 1
    assert {a.status for a in await list_accounts(repo)} == {"disabled"}


async def test_roles_come_and_go_with_their_dates(
    store: Store, tenant: UUID, clock: FrozenClock, add_member: AddMember
) -> None:
    """A duty shift gives several khoa for its hours only; an ended role is gone in a living session."""
    member = await add_member(tenant, "bs.an", [("bac_si", "K01")])
    repo = admin_repo(store, tenant)
    clock.move(seconds=30)
    now = clock.now()
    for khoa in ("K02", "K03"):
        await assign_role(
            repo,
            member.account,
            "bac_si",
            khoa=khoa,
            valid_from=now + timedelta(minutes=30),
            valid_to=now + timedelta(minutes=80),
            duty=True,
        )
    delegated = await assign_role(
        repo, member.account, "lanh_dao", valid_to=now + timedelta(days=1), delegated=True, reason="UQ 12"
    )
    token = await token_of(store, member, clock)

    async def khoas() -> tuple[str, ...]:
        return (await session_ctx(store, token.token)).khoa

    assert await khoas() == ("K01",)
    assert may(await session_ctx(store, token.token), "form.sign_director")
    await end_role(repo, member.account, delegated)
    assert not may(await session_ctx(store, token.token), "form.sign_director")
    clock.move(minutes=31)
    assert await khoas() == ("K01", "K02", "K03")
    clock.move(minutes=50)
    assert await khoas() == ("K01",)
    assert len(await roles_held(repo, member.account, now + timedelta(minutes=40))) == 3


async def test_roles_that_may_not_be_given(
    store: Store, tenant: UUID, clock: FrozenClock, add_member: AddMember
) -> None:
    """Unknown role, other type of account, own account, shift without end, period upside down: refused."""
    member = await add_member(tenant, "bs.an", [("bac_si", "K01")])
    repo = admin_repo(store, tenant)
    own = store.repo(Ctx(tenant, Actor("Practitioner/1", "An", "person", member.account)), SystemPolicy())
    with pytest.raises(NotAllowed):
        await assign_role(own, member.account, "truong_khoa", khoa="K01")
    for role, more in (
        ("giam_doc_so", {}),
        ("cntt", {}),
        ("nguoi_benh", {}),
        ("bac_si", {"duty": True}),
        ("bac_si", {"valid_to": clock.now() - timedelta(days=1)}),
    ):
        with pytest.raises(InvalidInput):
            await assign_role(repo, member.account, role, **more)
    with pytest.raises(InvalidInput):
        await onboard(repo, "hai.vai", PASSWORD, "Hai Vai", [("bac_si", "K01"), ("cntt", None)])
    with pytest.raises(Conflict):
        await create_account(repo, "BS.AN", PASSWORD, "Practitioner/2", "Trùng tên")
    with pytest.raises(InvalidInput):
        await create_account(repo, "bn", PASSWORD, "Practitioner/2", "Sai loại", kind="patient")


async def test_accounts_of_another_tenant_are_out_of_reach(
    store: Store, tenant: UUID, other_tenant: UUID, clock: FrozenClock, add_member: AddMember
) -> None:
    """The same user name lives in both; neither signs in at the other, and lists do not mix."""
    here = await add_member(tenant, "bs.an", [("bac_si", "K01")])
    there = await add_member(other_tenant, "bs.an", [("cntt", None)])
    assert here.account != there.account
    assert [a.id for a in await list_accounts(admin_repo(store, tenant))] == [here.account]
    clock.move(seconds=30)
    with pytest.raises(NotAuthenticated):
        await sign_in(store, there.code, here.username, PASSWORD, totp_code(here.secret, clock.now()))
    with pytest.raises(BenhanError):
        await assign_role(admin_repo(store, other_tenant), here.account, "bac_si")


async def test_pin_flag_lives_for_its_minutes(
    store: Store, tenant: UUID, clock: FrozenClock, add_member: AddMember
) -> None:
    """After a right PIN the session may sign for the set minutes, not longer; leaving the desk ends it."""
    member = await add_member(tenant, "bs.an", [("bac_si", "K01")])
    token = (await token_of(store, member, clock)).token
    assert not (await session_ctx(store, token)).pin_open(clock.now())
    until = await unlock_pin(store, token)
    assert until - clock.now() == timedelta(minutes=store.settings.pin_minutes)
    assert (await session_ctx(store, token)).pin_open(clock.now())
    clock.move(minutes=store.settings.pin_minutes)
    assert not (await session_ctx(store, token)).pin_open(clock.now())
    await unlock_pin(store, token)
    await lock_pin(store, token)
    assert not (await session_ctx(store, token)).pin_open(clock.now())


async def test_override_takes_effect_in_sessions(
    store: Store, tenant: UUID, clock: FrozenClock, add_member: AddMember, enter: SignIn
) -> None:
    """A facility that lets cashiers not send claims is obeyed; a misspelt one is refused."""
    member = await add_member(tenant, "tn.cuc", [("thu_ngan", None)])
    repo = admin_repo(store, tenant)
    assert may(await enter(member), "claim.send")
    await override_permission(repo, "claim.send", "thu_ngan", "none", "chỉ phòng KHTH gửi")
    assert not may(await enter(member), "claim.send")
    with pytest.raises(InvalidInput):
        await override_permission(repo, "claim.sned", "thu_ngan", "none", "sai tên quyền")


async def test_patient_account_sees_own_compartment(
    store: Store, tenant: UUID, clock: FrozenClock, add_member: AddMember, enter: SignIn
) -> None:
    """A patient signs in and the policy is cut to that person."""
    member = await add_member(tenant, "nb.dao", [("nguoi_benh", None)], person="Patient/p1")
    person = await enter(member)
    assert person.policy.scope(person.ctx, Action.SEARCH, "Observation") == Scope.patients(frozenset({"p1"}))
    assert may(person, "audit.read_own")
    assert not may(person, "record.read")
