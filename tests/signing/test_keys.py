"""Keys in the database: opened by their PIN only, counted tries, replaced when they run out."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from benhan.base.clock import FrozenClock
from benhan.base.errors import Conflict, InvalidInput, NotAllowed, NotFound
from benhan.signing import KeyStore, LocalTimeStamper, pki, root_certificate, sign_cades, verify_entry
from benhan.signing.keys import FREE_TRIES, pki_folder

OWNER, PIN = "Practitioner/thu", "246813"


async def _enrol(repo) -> KeyStore:
    keys = KeyStore(repo)
    await keys.enrol(OWNER, "Nguyễn Văn Thử", "000001/QNG-CCHN", PIN)
    return keys


async def _code(opening) -> str:
    with pytest.raises((NotAllowed, NotFound)) as refused:
        await opening
    return refused.value.code


async def test_enrolled_key_signs_with_its_pin(repo) -> None:
    """The certificate carries name and licence; the signature verifies; a second key of one person is refused."""
    keys = await _enrol(repo)
    signer = await keys.signer_for(OWNER, PIN)
    assert signer.certificate.subject.native["serial_number"] == "000001/QNG-CCHN"
    assert "thử nghiệm" in signer.certificate.subject.native["common_name"]
    report = await verify_entry(b"x", await sign_cades(b"x", signer), root_certificate(repo.store.settings))
    assert report.ok, report
    with pytest.raises(Conflict):
        await keys.enrol(OWNER, "Nguyễn Văn Thử", "000001/QNG-CCHN", PIN)


@pytest.mark.parametrize("pin", ["12345", "111111", "121212", ""])
async def test_weak_pin_is_refused(repo, pin) -> None:
    """Short PINs and PINs of one or two symbols."""
    with pytest.raises(InvalidInput):
        await KeyStore(repo).enrol(OWNER, "Thử", "1", pin)


async def test_wrong_pins_suspend_the_key_until_somebody_acts(repo) -> None:
    """After the free tries the right PIN opens nothing; reactivating starts the count anew."""
    keys = await _enrol(repo)
    for _ in range(FREE_TRIES):
        assert await _code(keys.signer_for(OWNER, "000001")) == "signing.wrong-pin"
    assert await _code(keys.signer_for(OWNER, PIN)) == "signing.key-suspended"
    await keys.set_status(OWNER, "active", "đã xác minh người dùng")
    assert await keys.signer_for(OWNER, PIN)


async def test_right_pin_forgives_wrong_ones(repo) -> None:
    """The count is of wrong tries in a row."""
    keys = await _enrol(repo)
    for _ in range(FREE_TRIES - 1):
        assert await _code(keys.signer_for(OWNER, "000001")) == "signing.wrong-pin"
    await keys.signer_for(OWNER, PIN)
    assert await _code(keys.signer_for(OWNER, "000001")) == "signing.wrong-pin"
    assert await keys.signer_for(OWNER, PIN)


async def test_guesses_sent_together_are_all_counted(repo) -> None:
    """Twelve guesses at once try no more PINs than the free ones."""
    keys = await _enrol(repo)
    codes = await asyncio.gather(*(_code(keys.signer_for(OWNER, f"00000{n:x}")) for n in range(12)))
    assert sorted(codes) == ["signing.key-suspended"] * (12 - FREE_TRIES) + ["signing.wrong-pin"] * FREE_TRIES


async def test_wrong_pin_is_counted_inside_a_transaction_that_fails(repo) -> None:
    """The caller's transaction rolls back; the tries stay counted."""
    keys = await _enrol(repo)
    for _ in range(FREE_TRIES):
        with pytest.raises(NotAllowed):
            async with repo.transaction() as tx:
                await KeyStore(tx).signer_for(OWNER, "000001")
    assert await _code(keys.signer_for(OWNER, PIN)) == "signing.key-suspended"


async def test_key_of_another_tenant_is_not_there(repo, other_tenant) -> None:
    """Row-level security hides it."""
    await _enrol(repo)
    ctx = type(repo.ctx)(tenant=other_tenant, actor=repo.ctx.actor)
    assert await _code(KeyStore(repo.store.repo(ctx, repo.policy)).signer_for(OWNER, PIN)) == "signing.no-key"


async def test_revoked_key_leaves_earlier_signatures_good(repo) -> None:
    """Its certificate goes on the list; a stamped signature made before stays proved, a later one is refused."""
    keys = await _enrol(repo)
    settings = repo.store.settings
    folder, roots = pki_folder(settings), root_certificate(settings)
    signer = await keys.signer_for(OWNER, PIN)
    clock = FrozenClock(repo.clock.now())
    clock.move(minutes=-1)
    before = await sign_cades(b"x", signer, LocalTimeStamper(folder, clock))
    await keys.set_status(OWNER, "revoked", "mất khóa")
    assert await _code(keys.signer_for(OWNER, PIN)) == "signing.no-key"
    clock.move(days=1)
    assert await _code(sign_cades(b"x", signer)) == "signing.certificate-revoked"
    thief = replace(signer, revocation=None)
    after = await sign_cades(b"x", thief, LocalTimeStamper(folder, clock))
    clock.move(days=1)
    lists = [(folder / "ca.crl").read_bytes()]
    assert (await verify_entry(b"x", before, roots, clock.now(), crls=lists)).ok
    refused = await verify_entry(b"x", after, roots, clock.now(), crls=lists)
    assert refused.sub.startswith("REVOKED"), refused
    assert [k.status for k in await keys.certificates_of(OWNER)] == ["revoked"]
    await keys.enrol(OWNER, "Nguyễn Văn Thử", "000001/QNG-CCHN", PIN)
    assert await keys.signer_for(OWNER, PIN)


async def test_seal_is_made_once_by_many_and_carries_evidence(repo, tenant) -> None:
    """First uses at the same time end with one certificate; its signatures hold revocation data."""
    signers = await asyncio.gather(*(KeyStore(repo).seal_signer(tenant) for _ in range(4)))
    assert len({s.certificate.serial_number for s in signers}) == 1
    assert signers[0].revocation is not None
    pki.revoke(pki_folder(repo.store.settings), signers[0].certificate.serial_number, repo.clock)
    assert await _code(sign_cades(b"x", signers[0])) == "signing.certificate-revoked"


async def test_key_that_has_run_out_makes_room_for_the_next(store, repo, tenant) -> None:
    """An expired person's key refuses and can be replaced; the expired seal is replaced by itself."""
    keys = await _enrol(repo)
    first = await keys.seal_signer(tenant)
    clock, present = FrozenClock(store.clock.now()), store.clock
    clock.move(days=4 * 365)
    store.clock = clock
    try:
        assert await _code(keys.signer_for(OWNER, PIN)) == "signing.certificate-expired"
        await keys.enrol(OWNER, "Nguyễn Văn Thử", "000001/QNG-CCHN", PIN)
        assert await keys.signer_for(OWNER, PIN)
        assert [k.status for k in await keys.certificates_of(OWNER)] == ["retired", "active"]
        again = await keys.seal_signer(tenant)
        assert again.certificate.serial_number != first.certificate.serial_number
    finally:
        store.clock = present
