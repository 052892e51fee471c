"""Intake of packages of other software: read, turn into FHIR, write in one transaction; what cannot be is quarantined."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal

from benhan.base.errors import BenhanError
from benhan.base.json_door import JsonObject
from benhan.gateways.bhyt.check import check
from benhan.gateways.bhyt.package import Package, read_package, refused
from benhan.gateways.bhyt.tables import tables
from benhan.gateways.bhyt.to_fhir import PACKAGE, content_hash, line_id, provenance_id, to_fhir
from benhan.store import Repository

_QUARANTINE = (
    "insert into bhyt_quarantine (tenant, sha256, at, source_name, ma_lk, code, reason) "
    "values (%s, %s, %s, %s, %s, %s, %s) on conflict do nothing"
)
#: faults that make a package untrustworthy; all others are told as warnings
_FATAL = frozenset({"bhyt.ma-lk"})


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What became of a package."""

    status: Literal["created", "updated", "unchanged", "quarantined"]
    ma_lk: str | None = None
    reason: str | None = None
    warnings: list[str] = field(default_factory=list)


async def ingest(repo: Repository, raw: bytes, source_name: str) -> IngestResult:
    """Take a package over. The same content again is ``unchanged``; changed content makes new versions, no doubles."""
    ma_lk: str | None = None
    try:
        package = read_package(raw)
        ma_lk = package.ma_lk or None
        if not package.table("XML1"):
            raise refused("XML0", "gói check-in không phải hồ sơ đợt khám chữa bệnh")
        findings = check(package)
        fatal = next((f for f in findings if f.code in _FATAL), None)
        if fatal is not None:
            raise refused(fatal.place, fatal.text)
        status = await _write(repo, package, source_name)
    except BenhanError as error:
        if error.status not in (400, 413, 422):
            raise
        return await _quarantine(repo, raw, source_name, ma_lk, error)
    warnings = [f"{n.place}: {n.text}" for n in package.leniencies] + [f.sentence() for f in findings]
    return IngestResult(status, ma_lk, None, warnings)


async def _write(
    repo: Repository, package: Package, source_name: str
) -> Literal["created", "updated", "unchanged"]:
    bundle = to_fhir(package, source_name, repo.clock.now())
    wanted = {e["request"]["url"] for e in bundle["entry"]}
    async with repo.transaction() as tx:
        before = await _present(tx, f"Claim/{line_id(package, 'XML1', 1)}")
        if before is not None and _hash_of(before) == content_hash(package):
            return "unchanged"
        stale = await _targets(tx, package) - wanted
        await tx.bundle(bundle)
        for reference in sorted(stale):
            kind, _, resource_id = reference.partition("/")
            await tx.delete(kind, resource_id)
    return "updated" if before is not None else "created"


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


async def _quarantine(
    repo: Repository, raw: bytes, source_name: str, ma_lk: str | None, error: BenhanError
) -> IngestResult:
    """Keep the bytes and the reason; the same bytes are kept once."""
    await repo.store.blobs.put(raw)
    reason = "; ".join(i.text for i in error.issues[:10])
    values = (
        repo.ctx.tenant,
        hashlib.sha256(raw).hexdigest(),
        repo.clock.now(),
        source_name,
        ma_lk,
        error.code,
        reason,
    )
    async with repo.transaction() as tx:
        if tx.connection is not None:
            await tx.connection.execute(_QUARANTINE, values)
    return IngestResult("quarantined", ma_lk, reason)
