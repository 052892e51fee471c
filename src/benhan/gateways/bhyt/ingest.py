"""Intake of packages of other software: read, turn into FHIR, write in one transaction.

The source file is put away as a blob, named by the Provenance of what it became. What cannot be read is quarantined with
its reason, and can be read again by :func:`replay`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from benhan.base.errors import BenhanError
from benhan.base.json_door import JsonObject
from benhan.gateways.bhyt.check import check
from benhan.gateways.bhyt.fhir_parts import line_id
from benhan.gateways.bhyt.package import Package, read_packages, refused
from benhan.gateways.bhyt.quarantine import keep_aside, note_replay, source_of
from benhan.gateways.bhyt.tables import tables, use_local
from benhan.gateways.bhyt.to_fhir import PACKAGE, content_hash, provenance_id, to_fhir
from benhan.store import Repository

Status = Literal["created", "updated", "unchanged", "quarantined"]
#: faults that make a package untrustworthy; all others are told as warnings
_FATAL = frozenset({"bhyt.ma-lk"})


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What became of a package. ``ma_lk``: several are divided by ``;``; ``written``: resources of new versions."""

    status: Status
    ma_lk: str | None = None
    reason: str | None = None
    warnings: list[str] = field(default_factory=list)
    written: int = 0
    code: str = ""


async def ingest(repo: Repository, raw: bytes, source_name: str) -> IngestResult:
    """Take a package over. The same content again is ``unchanged``; changed content makes new versions, no doubles.

    A file of several đợt is written whole or not at all.
    """
    result = await _read_in(repo, raw, source_name)
    if result.status == "quarantined":
        await keep_aside(repo, raw, source_name, result.ma_lk, result.code, result.reason or "")
    return result


async def replay(repo: Repository, sha256: str) -> IngestResult:
    """Read a quarantined package again, after the tables or the program have changed.

    Raises: ``NotFound`` bhyt.not-quarantined.
    """
    source_name = await source_of(repo, sha256)
    result = await _read_in(repo, await repo.store.blobs.get(sha256), source_name)
    await note_replay(repo, sha256, result.status, result.code, result.reason or "")
    return result


async def _read_in(repo: Repository, raw: bytes, source_name: str) -> IngestResult:
    """As :func:`ingest`, without putting a refused package aside."""
    use_local(repo.store.settings.home / "bhyt")
    packages: list[Package] = []
    warnings: list[str] = []
    try:
        packages = read_packages(raw)
        for package in packages:
            warnings += _judge(package)
        sha256 = await repo.store.blobs.put(raw)
        async with repo.transaction() as tx:
            done = [await _write(tx, package, source_name, sha256) for package in packages]
    except BenhanError as error:
        if error.status not in (400, 413, 422):
            raise
        reason = "; ".join(i.text for i in error.issues[:10])
        return IngestResult("quarantined", _names(packages), reason, code=error.code)
    order: tuple[Status, ...] = ("created", "updated", "unchanged")
    status = next(s for s in order if any(s == each for each, _ in done))
    return IngestResult(status, _names(packages), None, warnings, sum(count for _, count in done))


def _names(packages: list[Package]) -> str | None:
    return ";".join(p.ma_lk for p in packages if p.ma_lk) or None


def _judge(package: Package) -> list[str]:
    """Warnings of a package that may be taken over; raises when it may not."""
    if not package.table("XML1"):
        raise refused("XML0", "gói check-in không phải hồ sơ đợt khám chữa bệnh")
    findings = check(package)
    fatal = next((f for f in findings if f.code in _FATAL), None)
    if fatal is not None:
        raise refused(fatal.place, fatal.text)
    return [f"{n.place}: {n.text}" for n in package.leniencies] + [f.sentence() for f in findings]


async def _write(tx: Repository, package: Package, source_name: str, sha256: str) -> tuple[Status, int]:
    before = await _present(tx, f"Claim/{line_id(package, 'XML1', 1)}")
    if before is not None and _hash_of(before) == content_hash(package):
        return "unchanged", 0
    bundle = to_fhir(package, source_name, tx.clock.now(), sha256)
    wanted = {e["request"]["url"] for e in bundle["entry"]}
    stale = await _targets(tx, package) - wanted
    await tx.bundle(bundle)
    for reference in sorted(stale):
        kind, _, resource_id = reference.partition("/")
        await tx.delete(kind, resource_id)
    return ("updated" if before is not None else "created"), len(wanted)


async def _present(tx: Repository, reference: str) -> JsonObject | None:
    kind, _, resource_id = reference.partition("/")
    try:
        return (await tx.read(kind, resource_id)).data
    except BenhanError as error:
        if error.status in (404, 410):
            return None
        raise


def _hash_of(claim: JsonObject) -> str:
    for extension in claim.get("extension", []):
        if extension["url"] == PACKAGE:
            return next((str(p["valueString"]) for p in extension["extension"] if p["url"] == "sha256"), "")
    return ""


async def _targets(tx: Repository, package: Package) -> set[str]:
    """References written by the package before this one."""
    found: set[str] = set()
    for table in tables():
        provenance = await _present(tx, f"Provenance/{provenance_id(package, table)}")
        if provenance is not None:
            found |= {str(t["reference"]) for t in provenance["target"]}
            if table not in package.rows:
                found.add(f"Provenance/{provenance['id']}")
    return found
