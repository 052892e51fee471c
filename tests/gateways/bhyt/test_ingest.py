"""Packages of other software become FHIR; repeats make no doubles; what cannot be read is kept aside."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from benhan.base.errors import NotFound
from benhan.gateways.bhyt import ingest, make_row, quarantined, replay, write_package
from benhan.gateways.bhyt.package import Package
from benhan.gateways.bhyt.samples import package_of, stories
from benhan.gateways.bhyt.to_fhir import provenance_id
from benhan.store import Actor, Ctx, Repository, Store, SystemPolicy

SAMPLES = Path(__file__).parents[3] / "src/benhan/gateways/bhyt/data/samples"
TYPES = (
    "Patient",
    "Encounter",
    "Claim",
    "MedicationAdministration",
    "Procedure",
    "Observation",
    "Composition",
    "Condition",
    "DiagnosticReport",
    "MedicationRequest",
)


OTHERS = ("Coverage", "Provenance", "ServiceRequest")


async def _counts(repo: Repository) -> dict[str, int]:
    return {kind: await repo.count(kind, []) for kind in TYPES}


async def test_all_samples_are_read(repo: Repository) -> None:
    for path in sorted(SAMPLES.glob("*.xml")):
        result = await ingest(repo, path.read_bytes(), path.name)
        assert (path.name, result.status, result.reason) == (path.name, "created", None)
    assert (await _counts(repo))["Encounter"] == 20


async def test_twice_makes_no_doubles_and_a_change_updates(repo: Repository) -> None:
    package = package_of(stories()[1], 2)
    raw = write_package(package)
    assert (await ingest(repo, raw, "a.xml")).status == "created"
    before = await _counts(repo)
    assert (await ingest(repo, raw, "b.xml")).status == "unchanged"
    shorter = {**package.rows, "XML4": package.table("XML4")[:1]}
    changed = Package(package.facility, package.made_on, shorter)
    assert (await ingest(repo, write_package(changed), "c.xml")).status == "updated"
    assert await _counts(repo) == {**before, "DiagnosticReport": 0}


async def test_what_cannot_be_read_is_kept_aside(repo: Repository) -> None:
    package = package_of(stories()[0], 1)
    row = make_row("XML2", 1, {**package.table("XML2")[0].values, "MA_LK": "KHAC"})
    mixed = Package(package.facility, package.made_on, {**package.rows, "XML2": (row,)})
    for raw in (write_package(mixed), b"<khong", b"<khong"):
        result = await ingest(repo, raw, "x.xml")
        assert result.status == "quarantined"
        assert result.reason
    assert await repo.count("Encounter", []) == 0
    async with repo.transaction() as tx:
        assert tx.connection is not None
        rows = await (
            await tx.connection.execute("select code, ma_lk from bhyt_quarantine order by code")
        ).fetchall()
    assert rows == [("bhyt.unreadable", package.ma_lk), ("xml.malformed", None)]


async def test_the_source_file_is_put_away_and_named(repo: Repository) -> None:
    package = package_of(stories()[0], 1)
    raw = b"\xef\xbb\xbf" + write_package(package)
    result = await ingest(repo, raw, "a.xml")
    assert result.written == sum([await repo.count(kind, []) for kind in (*TYPES, *OTHERS)])
    sha256 = hashlib.sha256(raw).hexdigest()
    assert await repo.store.blobs.get(sha256) == raw
    provenance = (await repo.read("Provenance", provenance_id(package, "XML2"))).data
    assert provenance["entity"][1]["what"]["identifier"]["value"] == f"urn:sha256:{sha256}"


async def test_several_cases_in_one_file_stand_or_fall_together(repo: Repository) -> None:
    raw = [write_package(package_of(stories()[i], i + 1)) for i in (0, 11)]
    inner = raw[1][raw[1].index(b"<HOSO>") : raw[1].index(b"</DANHSACHHOSO>")]
    both = raw[0].replace(b"</DANHSACHHOSO>", inner + b"</DANHSACHHOSO>")
    result = await ingest(repo, both, "hai.xml")
    assert (result.status, result.ma_lk) == ("created", "MAU-2026-000001;MAU-2026-000012")
    assert "Gói có 2 HOSO." in result.warnings[0]
    broken = both.replace(inner, inner.replace(b"<LOAIHOSO>XML1<", b"<LOAIHOSO>XML2<", 1))
    assert (await ingest(repo, broken, "hai.xml")).status == "quarantined"


async def test_a_quarantined_package_is_read_again_when_the_tables_allow(
    repo: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = write_package(package_of(stories()[12], 13))
    monkeypatch.setattr(sys.modules[ingest.__module__], "_FATAL", frozenset({"bhyt.total"}))
    assert (await ingest(repo, raw, "a.xml")).status == "quarantined"
    (waiting,) = await quarantined(repo)
    assert (waiting.source_name, waiting.ma_lk) == ("a.xml", "MAU-2026-000013")
    assert (await replay(repo, waiting.sha256)).status == "quarantined"
    assert len(await quarantined(repo)) == 1
    monkeypatch.undo()
    assert (await replay(repo, waiting.sha256)).status == "created"
    assert await quarantined(repo) == []
    with pytest.raises(NotFound):
        await replay(repo, "0" * 64)


async def test_quarantine_is_seen_by_its_own_tenant_only(repo: Repository, other_repo: Repository) -> None:
    await ingest(repo, b"<khong", "x.xml")
    assert len(await quarantined(repo)) == 1
    assert await quarantined(other_repo) == []


async def test_at_the_hub_the_sender_keeps_custody_and_people_are_linked(store: Store) -> None:
    hub = await store.create_tenant("hub", "51", "Trục liên thông")
    for code in ("51Z07", "51Z01"):
        await store.create_tenant("facility", code, code)
    first, other = [await store.tenant_by_code(code) for code in ("51Z07", "51Z01")]
    assert first is not None
    assert other is not None
    repo = store.repo(Ctx(hub, Actor("Device/thu", "Thử", "system")), SystemPolicy())
    package = package_of(stories()[0], 1)
    assert (await ingest(repo, write_package(package), "a.xml", sender=first)).status == "created"
    head = package.table("XML1")[0].values
    there = {**head, "MA_CSKCB": "51Z01", "MA_BN": "KHAC-9", "MA_LK": "KHAC-1"}
    rows = {
        n: tuple(make_row(n, r.line, {**r.values, "MA_LK": "KHAC-1"}) for r in rs)
        for n, rs in package.rows.items()
    }
    elsewhere = Package("51Z01", package.made_on, {**rows, "XML1": (make_row("XML1", 1, there),)})
    forged = await ingest(repo, write_package(elsewhere), "b.xml", sender=first)
    assert (forged.status, forged.reason) == (
        "quarantined",
        "gói/MACSKCB: gói của cơ sở 51Z01, nơi gửi là 51Z07.",
    )
    (waiting,) = await quarantined(repo)
    assert (await replay(repo, waiting.sha256)).status == "quarantined"
    assert (await ingest(repo, write_package(elsewhere), "b.xml", sender=other)).status == "created"
    assert await repo.count("Patient", []) == 1
    encounters = (await repo.search("Encounter", [])).entries
    assert {e.custodian for e in encounters} == {first.id, other.id}
    assert len({e.data["subject"]["reference"] for e in encounters}) == 1
    changed = Package("51Z07", package.made_on, {n: r for n, r in package.rows.items() if n != "XML4"})
    assert (await ingest(repo, write_package(changed), "c.xml", sender=first)).status == "updated"
    assert await repo.count("Patient", []) == 1
    assert await repo.count("Observation", []) == 1
