"""The patient summary of the province, made when it is asked for: from every record that the asking facility may see.

Facts come out of the sealed containers the hub keeps (their document Bundle) and out of what claims brought. What was read
out of a container is kept in memory by its hash: the bytes never change. A look like any other: by right, disclosed, audited.
"""

from __future__ import annotations

import asyncio
import io
import zipfile
from typing import Any
from uuid import UUID

from benhan.base.errors import BenhanError
from benhan.base.json_door import JsonObject, loads_object
from benhan.catalogue import facility, systems
from benhan.exchange.find import admitted, as_reader, disclose
from benhan.exchange.ips import SECTIONS, Fact, summary_document
from benhan.identity import family, sources
from benhan.store import Repository, Stored, TenantInfo

#: the newest sealed records of a person that are opened for one summary
MOST_RECORDS = 200
_MOST_BYTES = 50_000_000
_KINDS = tuple(s.kind for s in SECTIONS)
_kept_facts: dict[str, tuple[JsonObject, ...]] = {}
_MOST_KEPT = 2000


async def summary(repo: Repository, reader: TenantInfo, identifier: str, requester: str) -> JsonObject:
    """The IPS document of a person (``system|value``) for ``reader``. Raises: ``NotAllowed`` (exchange.no-right)."""
    patient_id, right = await admitted(repo, reader, identifier, requester)
    seen = as_reader(repo, reader)
    people = await family(repo, patient_id)
    names = {t.id: _title(t) for t in await repo.store.tenants()}
    asked = [("patient", ",".join(people)), ("status", "current"), ("_sort", "-date"), ("_count", "500")]
    documents = [d for d in (await seen.search("DocumentReference", asked)).entries if _is_container(d)]
    facts: list[Fact] = []
    opened: list[Stored] = []
    for document in documents[:MOST_RECORDS]:
        found = await _facts_of(repo, document)
        if found is not None:
            opened.append(document)
            facts += [Fact(r, names.get(document.custodian or UUID(int=0), "")) for r in found]
    claimed = await _claimed(seen, people, names)
    facts += claimed
    told = {d.custodian for d in opened if d.custodian} | {
        i for i, n in names.items() if n in {f.facility for f in claimed}
    }
    linked = {link.source for link in await sources(repo, patient_id)}
    await disclose(repo, reader, patient_id, right, "summary", opened, requester)
    return summary_document(
        (await repo.read("Patient", patient_id)).data,
        facts,
        sorted(names[t] for t in told if t in names),
        sorted(names[t] for t in linked - told - await _holders(repo, people) if t in names),
        names.get(repo.ctx.tenant, "Trục liên thông"),
        repo.clock.now(),
    )


async def _holders(repo: Repository, people: list[str]) -> set[UUID | None]:
    """Facilities that have sent documents; one whose documents are all hidden from the reader is not named."""
    page = await repo.search("DocumentReference", [("patient", ",".join(people)), ("_count", "500")])
    return {d.custodian for d in page.entries}


def _title(tenant: TenantInfo) -> str:
    known = facility(tenant.code)
    return known.name if known else tenant.name


def _is_container(document: Stored) -> bool:
    codes = {c.get("code") for c in document.data.get("type", {}).get("coding", [])}
    return systems.DOC_CONTAINER in codes


async def _facts_of(repo: Repository, document: Stored) -> tuple[JsonObject, ...] | None:
    """Resources of a sealed record that a summary may hold; None when the container cannot be read."""
    sha256 = str(document.data["content"][0]["attachment"]["url"]).rsplit("/", 1)[-1]
    if sha256 not in _kept_facts:
        try:
            data = await repo.store.blobs.get(sha256)
            found = await asyncio.to_thread(facts_in, data)
        except (BenhanError, zipfile.BadZipFile, KeyError, ValueError, OSError, RuntimeError):
            return None
        if len(_kept_facts) >= _MOST_KEPT:
            _kept_facts.pop(next(iter(_kept_facts)))
        _kept_facts[sha256] = found
    return _kept_facts[sha256]


def facts_in(container: bytes) -> tuple[JsonObject, ...]:
    """The resources of the sections in a sealed record's document Bundle. Raises what a broken container raises."""
    with zipfile.ZipFile(io.BytesIO(container)) as archive:
        if archive.getinfo("ho-so.json").file_size > _MOST_BYTES:
            raise ValueError("document Bundle too large")
        bundle = loads_object(archive.read("ho-so.json"))
    resources: list[Any] = [e.get("resource") or {} for e in bundle.get("entry", [])]
    return tuple(r for r in resources if r.get("resourceType") in _KINDS)


async def _claimed(seen: Repository, people: list[str], names: dict[UUID, str]) -> list[Fact]:
    """What claims of other software brought to the hub, as the reader sees it, the newest of each kind."""
    who = ",".join(f"Patient/{p}" for p in people)
    found = []
    for kind in _KINDS:
        param = "patient" if kind in ("AllergyIntolerance", "Immunization") else "subject"
        page = await seen.search(kind, [(param, who), ("_sort", "-_lastUpdated"), ("_count", "500")])
        found += [Fact(s.data, names.get(s.custodian or UUID(int=0), "")) for s in page.entries]
    return found
