"""Intake of packages of other software: read, turn into FHIR, write in one transaction.

At a hub what a known facility sent is in its custody, and its patient is linked with the person the hub knows.
The source file is put away as a blob, named by the Provenance of what it became. What cannot be read is quarantined with
its reason, and can be read again by :func:`replay`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from benhan.base import json_door
from benhan.base.errors import BenhanError
from benhan.base.json_door import JsonObject
from benhan.gateways.bhyt.check import check
from benhan.gateways.bhyt.fhir_parts import line_id, patient_id
from benhan.gateways.bhyt.package import Package, read_packages, refused
from benhan.gateways.bhyt.quarantine import keep_aside, note_replay, source_of
from benhan.gateways.bhyt.tables import tables, use_local
from benhan.gateways.bhyt.to_fhir import PACKAGE, content_hash, provenance_id, to_fhir
from benhan.identity import link_patient
from benhan.store import Repository, TenantInfo

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


async def ingest(
    repo: Repository, raw: bytes, source_name: str, *, sender: TenantInfo | None = None
) -> IngestResult:
    """Take a package over. The same content again is ``unchanged``; changed content makes new versions, no doubles.

    A file of several đợt is written whole or not at all. ``sender``: the facility that stands at the door; it may send
    packages of its own MA_CSKCB only.
    """
    result = await _read_in(repo, raw, source_name, sender)
    if result.status == "quarantined":
        await keep_aside(repo, raw, source_name, result.ma_lk, result.code, result.reason or "", sender)
    return result


async def replay(repo: Repository, sha256: str) -> IngestResult:
    """Read a quarantined package again, after the tables or the program have changed.

    Raises: ``NotFound`` bhyt.not-quarantined.
    """
    source_name, sender = await source_of(repo, sha256)
    result = await _read_in(repo, await repo.store.blobs.get(sha256), source_name, sender)
    await note_replay(repo, sha256, result.status, result.code, result.reason or "")
    return result


async def _read_in(repo: Repository, raw: bytes, source_name: str, sender: TenantInfo | None) -> IngestResult:
    """As :func:`ingest`, without putting a refused package aside."""
    use_local(repo.store.settings.home / "bhyt")
    packages: list[Package] = []
    warnings: list[str] = []
    try:
        packages = read_packages(raw)
        custodians = [await _custodian(repo, package, sender) for package in packages]
        for package in packages:
            warnings += _judge(package)
        sha256 = await repo.store.blobs.put(raw)
        async with repo.transaction() as tx:
            done = [
                await _write(tx, package, source_name, sha256, custodian)
                for package, custodian in zip(packages, custodians, strict=True)
            ]
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


async def _custodian(repo: Repository, package: Package, sender: TenantInfo | None) -> UUID | None:
    """The facility in whose custody a hub keeps the package; None at a facility, or when the hub does not know it."""
    if sender is None and not any(
        t.id == repo.ctx.tenant and t.kind == "hub" for t in await repo.store.tenants()
    ):
        return None
    facility = await repo.store.tenant_by_code(package.facility)
    if sender is not None and (facility is None or facility.id != sender.id):
        raise refused("gói/MACSKCB", f"gói của cơ sở {package.facility}, nơi gửi là {sender.code}")
    return facility.id if facility is not None and facility.kind == "facility" else None


async def _write(
    tx: Repository, package: Package, source_name: str, sha256: str, custodian: UUID | None
) -> tuple[Status, int]:
    before, known = await _claim_before(tx, package)
    if before is not None and _hash_of(before) == content_hash(package):
        return "unchanged", 0
    bundle = to_fhir(package, source_name, tx.clock.now(), sha256)
    stale = await _targets(tx, package) if known else set()
    if custodian is not None:
        bundle = await _linked(tx, package, bundle, custodian)
    await tx.bundle(bundle, custodian=custodian)
    wanted = {e["request"]["url"] for e in bundle["entry"]}
    for reference in sorted(stale - wanted):
        kind, _, resource_id = reference.partition("/")
        if kind != "Patient":
            await tx.delete(kind, resource_id)
    return ("updated" if before is not None else "created"), len(wanted)


async def _linked(tx: Repository, package: Package, bundle: JsonObject, custodian: UUID) -> JsonObject:
    """The bundle with the hub's person in place of the facility's patient."""
    own = patient_id(package)
    resources = [e["resource"] for e in bundle["entry"]]
    patient = next(r for r in resources if r["resourceType"] == "Patient")
    person = (await link_patient(tx, custodian, patient)).patient_id
    rest = {**bundle, "entry": [e for e in bundle["entry"] if e["resource"]["resourceType"] != "Patient"]}
    text = json_door.dumps(rest).replace(f"Patient/{own}".encode(), f"Patient/{person}".encode())
    linked = json_door.loads(text)
    return linked if isinstance(linked, dict) else rest


async def _claim_before(tx: Repository, package: Package) -> tuple[JsonObject | None, bool]:
    """The claim of an earlier package of this đợt, and whether there ever was one (it may have been deleted)."""
    try:
        return (await tx.read("Claim", line_id(package, "XML1", 1))).data, True
    except BenhanError as error:
        if error.status not in (404, 410):
            raise
        return None, error.status == 410


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
