"""Packages of other software become FHIR; repeats make no doubles; what cannot be read is kept aside."""

from __future__ import annotations

from pathlib import Path

from benhan.gateways.bhyt import ingest, make_row, write_package
from benhan.gateways.bhyt.package import Package
from benhan.gateways.bhyt.samples import package_of, stories
from benhan.store import Repository

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
)


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
    assert await _counts(repo) == {**before, "Observation": before["Observation"] - 1}


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
