"""After a destruction nothing of the record is left anywhere; under hold nothing begins; a stop in between is gone on with."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from benhan import records
from benhan.base.errors import BenhanError, Conflict
from benhan.base.json_door import dumps
from benhan.base.text import fold
from benhan.catalogue import systems
from benhan.records import everything_allowed
from benhan.store import Repository


def strings(value: Any) -> Iterator[str]:
    """Every text of more than one word in a JSON value; references, codes and words of the standard are no text."""
    if isinstance(value, dict):
        for child in value.values():
            yield from strings(child)
    elif isinstance(value, list):
        for child in value:
            yield from strings(child)
    elif isinstance(value, str) and len(value) >= 6 and " " in value:
        yield value


def everywhere(dsn: str) -> dict[str, str]:
    """Table → all its rows as text, as the superuser sees them: every schema of the application."""
    found = {}
    with psycopg.connect(dsn) as admin:
        tables = admin.execute(
            "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where c.relkind in ('r', 'm') and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')"
        ).fetchall()
        for schema, name in tables:
            query = sql.SQL("select t::text from {} t").format(sql.Identifier(schema, name))
            found[f"{schema}.{name}"] = "\n".join(row[0] for row in admin.execute(query).fetchall())
    return found


def forms_of(text: str) -> list[str]:
    """A text as it may lie in a column: plain, escaped, folded for the index, as bytes in hexadecimal."""
    return [text, text.replace('"', '\\"'), fold(text), text.encode().hex()]


async def readable(repo: Repository) -> str:
    """Every current resource that can still be read, all of them, as one text."""
    with psycopg.connect(repo.store.database.admin) as admin:
        rows = admin.execute("select type, id, version from log where action <> 'delete'").fetchall()
    everyone, parts = repo.store.system_repo(repo.ctx.tenant), []
    for kind, id_, version in rows:
        try:
            parts.append((await everyone.vread(kind, id_, version)).raw.decode())
        except BenhanError:
            continue
    return "\n".join(parts)


def blobs(repo: Repository) -> set[str]:
    """Names of all files that are kept."""
    return {p.name for p in (repo.store.settings.home / "blobs").rglob("*") if p.is_file()}


async def a_due_record(ward: Repository, build: Any, clock: Any) -> Any:
    """Archived, its ten years over."""
    record = await build.a_closed_record(ward, clock)
    await records.archive_record(ward, record.id, authorize=everything_allowed)
    clock.move(days=3710)
    return record


def director(ward: Repository, build: Any) -> Repository:
    """The second person."""
    return ward.store.repo(build.ctx(ward.ctx.tenant, build.DIRECTOR), ward.policy)


async def give_a_copy(ward: Repository, build: Any, record: Any) -> str:
    """A copy is asked for, approved and made; gives its hash."""
    wish = records.ReleaseInput(
        "nguoi-benh", "Nguyễn Văn Mẫu", "summary", "Khám lại bệnh phổi", "051075000031"
    )
    asked = await records.ask_release(ward, record.id, wish, authorize=everything_allowed)
    await records.decide(director(ward, build), asked.id, True, authorize=everything_allowed)
    return (await records.make_release(ward, asked.id, authorize=everything_allowed)).sha256


async def claim_of(ward: Repository, record: Any) -> None:
    """A claim with its row at the desk, a package in quarantine, a referral and its message: what other rooms keep."""
    here = await records.case(ward, record.id)
    await ward.create(
        {
            "resourceType": "Claim",
            "identifier": [{"system": systems.MA_LK, "value": here.ma_lk}],
            "status": "active",
            "type": {"text": "Giám định viêm phổi"},
            "use": "claim",
            "patient": {"reference": f"Patient/{here.patient_id}"},
            "created": "2026-11-20",
            "provider": {"display": "Bệnh viện"},
            "priority": {"text": "thường"},
            "insurance": [{"sequence": 1, "focal": True, "coverage": {"display": "Thẻ"}}],
        }
    )
    package = await ward.store.blobs.put("gói XML viêm phổi".encode())
    body = await ward.store.blobs.put("thư chuyển viêm phổi".encode())
    tenant, now = ward.ctx.tenant, ward.clock.now()
    with psycopg.connect(ward.store.database.admin) as admin:
        admin.execute(
            "insert into bhyt_claim (tenant, ma_lk, encounter, claim, sha256, name, khoa, kind, left_at, month, state,"
            " total_bv, total_bh, total_bhtt, total_bncct, total_bntt, total_other, at)"
            " values (%s, %s, %s, 'c', %s, 'Giám định viêm phổi', 'K01', '03', %s, '202611', 'received', 0, 0, 0, 0, 0, 0, %s)",
            (tenant, here.ma_lk, record.id, package, now, now),
        )
        admin.execute(
            "insert into bhyt_quarantine (tenant, sha256, at, source_name, ma_lk, code, reason)"
            " values (%s, %s, %s, 'tệp', %s, 'x', 'Giám định viêm phổi')",
            (tenant, package, now, here.ma_lk),
        )
        referral = uuid4()
        admin.execute(
            "insert into exchange_referral values (%s, %s, '51Z01', '51Z02', %s, %s, '{\"note\": \"Giám định viêm phổi\"}',"
            " '2026-12-01', 'sent', 1, %s, %s)",
            (tenant, referral, here.patient_id, record.id, now, now),
        )
        admin.execute(
            "insert into exchange_referral_step (tenant, referral_id, number, event, side, at, who, name, note, message_id,"
            " body) values (%s, %s, 1, 'send', 'sender', %s, 'x', 'x', 'Giám định viêm phổi', 'urn:uuid:m', '')",
            (tenant, referral, now),
        )
        provided = await ward.store.blobs.put("giấy gửi trục viêm phổi".encode())
        for number, (message, sha256) in enumerate((("urn:uuid:m", body), ("urn:uuid:q", provided)), 1):
            admin.execute(
                "insert into exchange_out (tenant, message_id, lane, epoch, sequence, header, day, state, not_before,"
                " queued_at) values (%s, %s, 'urgent', 1, %s, %s, '2026-11-20', 'received', %s, %s)",
                (tenant, message, number, dumps({"message_id": message, "body_sha256": sha256}), now, now),
            )
    about = f"Encounter/{record.id}"
    await ward.audit("queued", entity=about, patient=here.patient_id, detail={"message": "urn:uuid:q"})


async def test_no_byte_of_the_record_is_left(ward: Repository, build: Any, clock: Any) -> None:
    """Tables as the superuser dumps them, what can be decrypted, the files: nothing; the certificate and the audit stay."""
    before = blobs(ward)
    record = await build.a_closed_record(ward, clock)
    await ward.store.drafts.put(
        ward, f"paper/{record.response_id}", "toan_than", "Nháp chưa lưu", clock.now(), 1
    )
    await records.archive_record(ward, record.id, authorize=everything_allowed)
    copy = await give_a_copy(ward, build, record)
    await claim_of(ward, record)
    clock.move(days=3710)
    texts: set[str] = set()
    for stored in await records.contents(ward, await records.case(ward, record.id)):
        if stored.type not in ("Patient", "EpisodeOfCare"):
            for version in range(1, stored.version + 1):
                texts |= set(strings((await ward.vread(stored.type, stored.id, version)).data))
    person = set(strings(record.patient.data))
    known = " ".join(
        [*person, "Bảo hiểm xã hội Việt Nam"]
    ).casefold()  # the person, the staff and the payer stay
    staff = [s.name for s in (build.DOCTOR, build.HEAD, build.DIRECTOR, build.NURSE, build.LAB, build.HOUSE)]
    texts = {t for t in texts if t.casefold() not in known and t not in staff}
    assert {v for v in build.history_answers().values() if isinstance(v, str) and len(v) > 40} <= texts
    born = blobs(ward) - before
    assert copy in born

    asked = await records.propose_destruction(ward, record.id, "Hết hạn", authorize=everything_allowed)
    seal = build.sign_as(build.HOUSE, "dau")
    done = await records.destroy_record(director(ward, build), asked.id, seal, authorize=everything_allowed)

    assert blobs(ward) - before == {done.certificate, done.signature, done.listing}
    tables = everywhere(ward.store.database.admin)
    audit = tables.pop("public.audit")
    assert f"Encounter/{record.id}" in audit
    tables["(readable)"] = await readable(ward)
    left = {
        (table, text)
        for table, rows in tables.items()
        for text in texts | {"Nháp chưa lưu", "Khám lại bệnh phổi", "Giám định viêm phổi"}
        if any(form in rows for form in forms_of(text) if len(form) >= 6)
    }
    assert left == set()
    with psycopg.connect(ward.store.database.admin) as admin:
        for table in (
            "draft",
            "record_shown",
            "record_waiting",
            "sensitive_row",
            "care_stay",
            "record_doomed",
        ):
            count = sql.SQL("select count(*) from {}").format(sql.Identifier(table))
            assert admin.execute(count).fetchone() == (0,), table


async def test_a_held_record_refuses_at_every_step(ward: Repository, build: Any, clock: Any) -> None:
    """Proposal, approval, raw SQL of the application, and the very moment between them."""
    record = await a_due_record(ward, build, clock)
    seal, other = build.sign_as(build.HOUSE, "dau"), director(ward, build)

    async def hold(held: bool) -> Any:
        return await records.set_legal_hold(other, record.id, held, "Tòa án", authorize=everything_allowed)

    await hold(True)
    (listed,) = await records.due_records(ward)
    assert listed.case.legal_hold
    with pytest.raises(Conflict) as proposal:
        await records.propose_destruction(ward, record.id, "Hết hạn", authorize=everything_allowed)
    assert proposal.value.code == "records.legal-hold"
    await hold(False)
    asked = await records.propose_destruction(ward, record.id, "Hết hạn", authorize=everything_allowed)
    with pytest.raises(Conflict) as twice:
        await records.propose_destruction(ward, record.id, "Hết hạn", authorize=everything_allowed)
    assert twice.value.code == "records.already-proposed"
    await hold(True)
    with pytest.raises(Conflict) as approval:
        await records.destroy_record(other, asked.id, seal, authorize=everything_allowed)
    assert approval.value.code == "records.legal-hold"
    with psycopg.connect(ward.store.database.admin) as admin:
        raw = "update record_case set state = 'destroyed' where encounter_id = %s"
        with pytest.raises(psycopg.Error) as refused:
            admin.execute(raw, (record.id,))
    assert refused.value.sqlstate == "BH001"
    await hold(False)

    first, second = await asyncio.gather(
        records.destroy_record(other, asked.id, seal, authorize=everything_allowed),
        hold(True),
        return_exceptions=True,
    )
    here = await records.case(ward, record.id)
    assert isinstance(first, BaseException) != isinstance(second, BaseException)
    assert (here.state, here.legal_hold) in (("destroyed", False), ("due", True))
    if here.legal_hold:
        await hold(False)
        await records.destroy_record(other, asked.id, seal, authorize=everything_allowed)
    with pytest.raises(Conflict) as late:
        await hold(True)
    assert late.value.code == "records.already-destroyed"


async def test_an_interrupted_destruction_is_gone_on_with(
    ward: Repository, build: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine stops after the decision: listed as stopped, the next attempt ends it with the whole list of files."""
    record = await a_due_record(ward, build, clock)
    seal, other = build.sign_as(build.HOUSE, "dau"), director(ward, build)
    asked = await records.propose_destruction(ward, record.id, "Hết hạn", authorize=everything_allowed)
    with monkeypatch.context() as patch:

        async def away(*_: Any) -> None:
            raise OSError("mất điện")

        patch.setattr(type(ward.store.blobs), "destroy", away)
        with pytest.raises(OSError, match="mất điện"):
            await records.destroy_record(other, asked.id, seal, authorize=everything_allowed)
    assert [r.id for r in await records.stopped_destructions(ward)] == [asked.id]
    done = await records.destroy_record(other, asked.id, seal, authorize=everything_allowed)
    assert done.files
    assert done.resources > 20
    assert await records.stopped_destructions(ward) == []
    assert [d.encounter_id for d in await records.destructions(ward)] == [record.id]
    paper = await records.certificate_of(ward, record.id, authorize=everything_allowed)
    assert paper.startswith(b"%PDF")


async def test_only_what_no_rule_keeps_is_proposed(ward: Repository, build: Any, clock: Any) -> None:
    """Before its day a record is not listed; a refused proposal goes back to the archive with the reason."""
    record = await build.a_closed_record(ward, clock)
    await records.archive_record(ward, record.id, authorize=everything_allowed)
    clock.move(days=3600)
    assert await records.due_records(ward) == []
    clock.move(days=110)
    (listed,) = await records.due_records(ward)
    assert (listed.rule, listed.years, listed.kept_until.isoformat()) == ("inpatient", 10, "2036-12-31")
    asked = await records.propose_destruction(ward, record.id, "Hết hạn", authorize=everything_allowed)
    other = director(ward, build)
    await records.refuse_destruction(other, asked.id, "Còn dùng nghiên cứu", authorize=everything_allowed)
    assert (await records.case(ward, record.id)).state == "archived"
