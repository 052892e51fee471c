"""Sealed records stay provable, and the audit is proved to outsiders: real signatures, real time stamps."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from benhan import records, signing
from benhan.base.clock import SYSTEM_CLOCK
from benhan.cli.node import _keep_archives
from benhan.records import SignWith, closed_record_guard
from benhan.store import Repository, Store, SystemPolicy

LONG = timedelta(days=40_000)


@pytest.fixture
async def house(settings: Any, build: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A facility with real ink and one closed record."""
    store = await Store.open(settings, clock=SYSTEM_CLOCK, guards=[closed_record_guard])
    tenant = await store.create_tenant("facility", "51Z01", "Bệnh viện Đa khoa tỉnh Quảng Ngãi")
    repo = store.repo(build.ctx(tenant), SystemPolicy())
    tsa = signing.time_stamper(settings)
    keys = signing.KeyStore(repo)
    await keys.enrol(build.DOCTOR.reference, build.DOCTOR.name, build.DOCTOR.licence, "246813")
    signer = await keys.signer_for(build.DOCTOR.reference, "246813")
    monkeypatch.setattr(build, "sign_as", lambda staff, role: SignWith(signer, staff, role, tsa))
    record = await build.a_closed_record(repo, None)
    yield repo, record, tsa, signing.root_certificate(settings)
    await store.close()


async def box_of(repo: Repository, encounter_id: str) -> bytes:
    """The container of a record."""
    (container,) = await records.containers(repo, encounter_id)
    return await records.content_of(repo, container.data)


async def test_a_proof_is_renewed_before_it_runs_out(house: Any) -> None:
    """Listed with its end; renewed: the earlier bytes stay, it verifies, nothing of the record has opened; never by half."""
    repo, record, tsa, roots = house
    before = await box_of(repo, record.id)
    assert await records.look_at_proofs(repo) == 1
    assert await records.look_at_proofs(repo) == 0
    assert await records.at_risk(repo, within=timedelta(days=1)) == []
    (proof,) = await records.at_risk(repo, within=LONG)
    assert proof.ends_at == signing.proof_ends(before)
    (here,) = await records.kept(repo, within=LONG)
    assert (here.containers, here.at_risk, here.custodian) == (1, 1, None)

    run = await records.renew_due(repo, tsa, roots, within=LONG)
    assert (len(run.renewed), run.failed) == (1, ())
    after = await box_of(repo, record.id)
    assert after != before
    assert (await signing.verify_container(after, roots)).ok
    assert (await records.case(repo, record.id)).state == "closed"
    (again,) = await records.at_risk(repo, within=LONG)
    assert again.renewals == 1
    assert again.ends_at == signing.proof_ends(after)
    assert (await records.scrub(repo)).broken == []


async def test_what_does_not_verify_is_not_renewed(house: Any) -> None:
    """A time stamp over something broken would prove nothing: it is named, the file is left as it is."""
    repo, record, tsa, roots = house
    await records.look_at_proofs(repo)
    (box,) = await records.containers(repo, record.id)
    sha256 = records.blob_of(box.data)
    place = repo.store.settings.home / "blobs" / sha256[:2] / sha256[2:4] / sha256
    whole = place.read_bytes()
    place.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    run = await records.renew_due(repo, tsa, roots, within=LONG)
    assert run.renewed == ()
    assert [document for document, _ in run.failed] == [box.id]
    assert place.read_bytes() != whole


async def test_the_audit_is_signed_and_a_change_is_told(house: Any) -> None:
    """Sound: told so. A row changed: its head is named. Rows and heads changed together: the signed head tells."""
    repo, _, tsa, roots = house
    store, tenant = repo.store, repo.ctx.tenant
    seal = await signing.KeyStore(repo).seal_signer(tenant)
    await store.seal_audit(tenant)
    size = await signing.sign_audit_head(repo, seal, tsa)
    assert size
    assert await signing.sign_audit_head(repo, seal, tsa) is None
    sound = await signing.check_audit(repo, roots)
    assert (sound.ok, sound.heads, sound.fault) == (True, 1, "")
    head = await signing.last_audit_head(repo)
    assert head is not None
    assert head.size == size

    await _as_master(
        store,
        "update audit set purpose = 'HACK' where seq = (select min(seq) from audit where tenant = %s)",
        tenant,
    )
    told = await signing.check_audit(repo, roots)
    assert not told.ok
    assert told.fault.startswith("rows ")

    await _as_master(store, "update audit_seal set root = sha256(root) where tenant = %s", tenant)
    await _as_master(store, "delete from audit where tenant = %s", tenant)
    await _as_master(store, "delete from audit_seal where tenant = %s", tenant)
    assert (await store.verify_audit(tenant)).ok  # the tree alone knows nothing of it any more
    assert (await signing.check_audit(repo, roots)).fault == f"root {size}"
    assert [c.ok for c in await signing.audit_checks(repo)] == [False, False, True]


async def test_the_night_does_it_all(house: Any) -> None:
    """One run of the worker: proofs noted, files read, audit signed and checked; a second run finds nothing to do."""
    repo, _, _, _ = house
    await repo.store.seal_audit(repo.ctx.tenant)
    for _ in range(2):
        await _keep_archives(repo.store)
    assert len(await records.kept(repo)) == 1
    assert len(await records.scrubs(repo)) == 1
    assert [c.ok for c in await signing.audit_checks(repo)] == [True]


async def _as_master(store: Store, statement: str, tenant: Any) -> None:
    """What the owner of the machine could do."""
    async with await psycopg.AsyncConnection.connect(store.database.admin) as connection:
        await connection.execute(statement.encode(), (tenant,))
