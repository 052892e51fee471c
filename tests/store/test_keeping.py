"""Drafts, blobs, keys and destruction, guards, rebuilding, migrations, backup."""

from __future__ import annotations

import hashlib
from pathlib import Path

import psycopg
import pytest
from tests.store.builders import a_patient, an_observation
from tests.store.waiting import until

from benhan.base.errors import ConfigurationError, Conflict, Deleted, InvalidInput, NotFound, RuleViolation
from benhan.base.json_door import dumps
from benhan.store import Action, Actor, Ctx, Repository, Store, SystemPolicy, backup, destroy_record, restore
from benhan.store.codec import SealBroken, compress, decompress, seal, unseal
from benhan.store.migrations import Migration, discover, migrate

pytestmark = pytest.mark.server
INDEX = (
    "index_equal",
    "index_string",
    "index_trigram",
    "index_date",
    "index_number",
    "index_reference",
    "index_group",
    "current_version",
)


async def test_draft_keeps_the_latest_patch_of_each_field(store: Store, repo: Repository) -> None:
    now = store.clock.now()
    drafts = store.drafts
    assert await drafts.put(repo, "f1", "ly_do", "sốt", now, 1)
    assert await drafts.put(repo, "f1", "ly_do", "sốt cao", now, 3)
    assert not await drafts.put(repo, "f1", "ly_do", "cũ", now, 2)
    assert await drafts.put(repo, "f1", "mach", 88, now, 4)
    assert await drafts.get(repo, "f1") == {"ly_do": "sốt cao", "mach": 88}
    assert list(await drafts.list(repo)) == ["f1"]
    stranger = store.repo(Ctx(repo.ctx.tenant, Actor("Practitioner/x", "X", "person")), SystemPolicy())
    assert await drafts.get(stranger, "f1") == {}
    async with repo.transaction() as tx:
        row = await tx.one("select value from draft limit 1", ())
        assert "sốt".encode() not in bytes(row[0])
    await drafts.discard(repo, "f1", 3)
    assert await drafts.get(repo, "f1") == {"mach": 88}
    await drafts.discard(repo, "f1")
    assert await drafts.get(repo, "f1") == {}


async def test_draft_expires(store_factory) -> None:
    from benhan.base.clock import SYSTEM_CLOCK, FrozenClock

    clock = FrozenClock(SYSTEM_CLOCK.now())
    store = await store_factory(clock=clock)
    tenant = await store.create_tenant("facility", "51Z01", "X")
    repo = store.repo(Ctx(tenant, Actor("Device/t", "T", "system")), SystemPolicy())
    await store.drafts.put(repo, "f", "x", 1, clock.now(), 1)
    clock.move(days=store.settings.draft_days + 1)
    assert await store.drafts.get(repo, "f") == {}
    assert await store.drafts.expire(repo) == 1


async def test_blob_is_sealed_addressed_by_content_and_checked(store: Store) -> None:
    data = b"%PDF-1.7 " + b"noi dung" * 1000
    digest = await store.blobs.put(data)
    assert digest == hashlib.sha256(data).hexdigest()
    assert await store.blobs.put(data) == digest
    assert await store.blobs.get(digest) == data
    assert await store.blobs.exists(digest)
    file = store.settings.home / "blobs" / digest[:2] / digest[2:4] / digest
    assert b"noi dung" not in file.read_bytes()
    broken = bytearray(file.read_bytes())
    broken[-1] ^= 1
    file.write_bytes(bytes(broken))
    with pytest.raises(SealBroken):
        await store.blobs.get(digest)
    for absent in ("0" * 64, "../../secrets/master.key", ""):
        assert not await store.blobs.exists(absent)
        with pytest.raises(NotFound):
            await store.blobs.get(absent)
    await store.blobs.destroy(digest)
    assert not await store.blobs.exists(digest)


async def test_bytes_in_the_log_are_sealed_and_bound_to_their_place(store: Store, repo: Repository) -> None:
    patient = await repo.create(a_patient())
    other = await repo.create(a_patient("Khác", "051190000002"))
    admin = await psycopg.AsyncConnection.connect(store.database.admin, autocommit=True)
    async with admin:
        row = await (await admin.execute("select bytes from log where id = %s", (patient.id,))).fetchone()
        assert row is not None
        assert b"Nguy" not in row[0]
        assert len(row[0]) < len(patient.raw) / 2, "compressed by the trained dictionary"
        await admin.execute(
            "update log set (bytes, key_id) = (select bytes, key_id from log where id = %s) where id = %s",
            (other.id, patient.id),
        )
    with pytest.raises(SealBroken):
        await repo.read("Patient", patient.id)


def test_codec_round_trip() -> None:
    data = dumps(a_patient()) * 5
    assert decompress(compress(data), 1) == data
    sealed = seal(b"k" * 32, data, b"a")
    assert unseal(b"k" * 32, sealed, b"a") == data
    for key, aad in ((b"x" * 32, b"a"), (b"k" * 32, b"b")):
        with pytest.raises(SealBroken):
            unseal(key, sealed, aad)


async def test_destroyed_record_cannot_be_read_any_more_by_anybody(store: Store, repo: Repository) -> None:
    patient = await repo.create(a_patient())
    encounter = await repo.create({
        "resourceType": "Encounter", "status": "finished", "subject": {"reference": f"Patient/{patient.id}"},
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
    })  # fmt: skip
    observation = await repo.create(
        {**an_observation(patient.id), "encounter": {"reference": encounter.reference}}
    )
    await repo.read("Observation", observation.id)
    assert await destroy_record(repo, [encounter.reference], "hết hạn lưu trữ") == 2
    with pytest.raises(NotFound):
        await repo.read("Observation", observation.id)
    with pytest.raises(Deleted) as gone:
        await repo.vread("Observation", observation.id, 1)
    assert gone.value.code == "store.destroyed"
    assert await repo.count("Observation", "") == 0
    assert (await repo.read("Patient", patient.id)).raw == patient.raw
    page = await until(lambda: store.read_feed(repo.ctx.tenant, None, 10), lambda p: len(p.items) == 3)
    assert [i.data is None for i in page.items] == [False, True, True]
    async with repo.transaction() as tx:
        rows = await tx.all("select count(*) from audit where action = 'destroy'", ())
    assert rows[0][0] == 1


async def test_guard_refuses_inside_the_transaction(store_factory) -> None:
    seen: list[tuple[Action, bool, bool]] = []

    async def guard(tx: Repository, ctx: Ctx, action: Action, new: dict | None, old: dict | None) -> None:
        assert tx.connection is not None
        seen.append((action, new is not None, old is not None))
        if (new or old or {}).get("active") is False:
            raise RuleViolation("records.closed", "Hồ sơ đã đóng.")

    store = await store_factory(guards=(guard,))
    tenant = await store.create_tenant("facility", "51Z01", "X")
    repo = store.repo(Ctx(tenant, Actor("Device/t", "T", "system")), SystemPolicy())
    stored = await repo.create(a_patient())
    await repo.update(stored.data)
    with pytest.raises(RuleViolation):
        await repo.update({**stored.data, "active": False})
    await repo.delete("Patient", stored.id)
    assert [s[0] for s in seen] == [Action.CREATE, Action.UPDATE, Action.UPDATE, Action.DELETE]
    assert seen[1][1:] == (True, True)
    assert seen[3][1:] == (False, True)


async def test_rebuilt_rows_are_the_live_rows(store: Store, repo: Repository) -> None:
    patient = await repo.create(a_patient())
    for value in ("1", "2.50", "3"):
        observation = await repo.create(an_observation(patient.id, value))
    part = {"code": {"coding": [{"code": "x"}]}, "valueQuantity": an_observation(patient.id)["valueQuantity"]}
    await repo.update({**an_observation(patient.id, "9.9"), "id": observation.id, "component": [part]})
    await repo.update({**patient.data, "name": [{"text": "Lê Thị Mới"}]})
    gone = await repo.create(a_patient("Bị Xóa", "051190000099"))
    await repo.delete("Patient", gone.id)
    before = await derived(store)
    assert await store.reindex(repo.ctx.tenant) == 5
    assert await derived(store) == before
    assert await repo.count("Patient", "name=moi") == 0
    assert await repo.count("Patient", "name=le thi moi") == 1
    assert {state for state, _, _ in await store.health()} <= {"ok", "warn"}


async def derived(store: Store) -> dict[str, list[str]]:
    found = {}
    async with await psycopg.AsyncConnection.connect(store.database.admin, autocommit=True) as admin:
        for table in INDEX:
            rows = await (
                await admin.execute(f"select t::text from {table} t order by 1".encode())
            ).fetchall()
            found[table] = [r[0] for r in rows]
    assert all(found.values())
    return found


async def test_tenant_code_of_the_past_still_finds_it(store: Store, tenant) -> None:
    await store.rename_tenant(tenant, "51Z77", "Bệnh viện Mới")
    for code in ("51Z01", "51Z77"):
        found = await store.tenant_by_code(code)
        assert found is not None
        assert (found.id, found.code, found.name) == (tenant, "51Z77", "Bệnh viện Mới")
    assert await store.tenant_by_code("khong") is None
    with pytest.raises(Conflict):
        await store.create_tenant("facility", "51Z77", "Trùng")


async def test_changed_unknown_and_doubled_migrations_are_errors(store: Store, tmp_path: Path) -> None:
    known = discover()
    assert [m.number for m in known] == sorted({m.number for m in known})
    async with await psycopg.AsyncConnection.connect(store.database.admin, autocommit=True) as admin:
        assert await migrate(admin) == 0
        changed = [Migration(m.number, m.name, m.sql + "--" if m.number == 1 else m.sql) for m in known]
        with pytest.raises(ConfigurationError) as refused:
            await migrate(admin, changed)
        assert refused.value.code == "store.migration-changed"
        with pytest.raises(ConfigurationError) as refused:
            await migrate(admin, known[1:])
        assert refused.value.code == "store.migration-unknown"
        broken = [*known, Migration(9999, "9999_pre_x.sql", "create table a (b int); select khong_co")]
        with pytest.raises(ConfigurationError):
            await migrate(admin, broken)
        row = await (await admin.execute("select to_regclass('a'), max(number) from migration")).fetchone()
        assert row is not None
        assert row[0] is None
    folder = tmp_path / "p" / "room" / "sql"
    folder.mkdir(parents=True)
    (folder / "0001_pre_a.sql").write_text("select 1")
    (folder / "0001_post_b.sql").write_text("select 1")
    with pytest.raises(ConfigurationError):
        discover(tmp_path / "p")
    (folder / "0001_post_b.sql").rename(folder / "0002_sai.sql")
    with pytest.raises(ConfigurationError):
        discover(tmp_path / "p")


async def test_backup_restores_into_an_empty_installation(
    store: Store, repo: Repository, tmp_path: Path, database_server
) -> None:
    patient = await repo.create(a_patient())
    digest = await store.blobs.put(b"to giay")
    await repo.outbox("t", "k", {"n": 1})
    await until(lambda: store.seal_audit(repo.ctx.tenant), bool)
    page = await until(lambda: store.read_feed(repo.ctx.tenant, None, 10), lambda p: len(p.items) == 1)
    await backup(store.settings, tmp_path / "copy")
    with pytest.raises(InvalidInput):
        await backup(store.settings, tmp_path / "copy")
    name = f"{store.settings.database_name}_restored"
    target = database_server.settings(tmp_path / "elsewhere", name)
    await restore(target, tmp_path / "copy")
    with pytest.raises(InvalidInput):
        await restore(target, tmp_path / "copy")
    restored = await Store.open(target)
    try:
        again = restored.repo(repo.ctx, SystemPolicy())
        assert (await again.read("Patient", patient.id)).raw == patient.raw
        assert await restored.blobs.get(digest) == b"to giay"
        assert (await restored.verify_audit(repo.ctx.tenant)).ok
        await again.create(a_patient("Sau Khôi Phục", "051190000044"))
        after = await until(
            lambda: restored.read_feed(repo.ctx.tenant, page.cursor, 10), lambda p: len(p.items) == 1
        )
        assert after.epoch_changed
        assert after.items[0].cursor.epoch == 2
    finally:
        await restored.close()
        database_server.drop(name)
    manifest = tmp_path / "copy" / "secrets" / "master.key"
    manifest.write_bytes(b"x" * 32)
    with pytest.raises(InvalidInput):
        await restore(target, tmp_path / "copy")
