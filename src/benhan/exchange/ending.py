"""The end of a record at the hub: its facility destroyed it, so the copies here are destroyed as well, with a receipt.

The message is a FHIR Bundle of type ``message`` (MessageHeader ``urn:benhan:record-destroyed`` and the identifiers of the
documents); it names no person. Here go: document entries and submission sets (key and current row), the files, and the
bodies of the messages that brought them. What stays: the receipts, the audit and the disclosures. Source: Luật Lưu trữ Điều 16.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import NAMESPACE_URL, uuid5

from benhan.base.errors import InvalidInput
from benhan.base.json_door import JsonObject
from benhan.catalogue import systems
from benhan.exchange._rows import connection_of
from benhan.exchange.mhd import URI
from benhan.store import Repository, Stored, TenantInfo, destroy_record

EVENT = "urn:benhan:record-destroyed"
_BODIES = (
    "select distinct body_sha256 from exchange_in where tenant = %s and source = %s and message_id = any(%s)"
)


@dataclass(frozen=True, slots=True)
class Ending:
    """A destroyed record: MA_CSKCB of its facility, and the master identifiers of its documents."""

    source: str
    message_id: str
    documents: tuple[str, ...]


def ending_of(code: str, encounter_id: str, documents: Sequence[str]) -> Ending:
    """The message about a record; the same at every try. ``documents``: ids of its ``DocumentReference``s."""
    number = uuid5(NAMESPACE_URL, f"{EVENT}|{code}|{encounter_id}")
    return Ending(code, f"urn:uuid:{number}", tuple(f"urn:uuid:{d}" for d in sorted(documents)))


def ending_bundle(ending: Ending) -> JsonObject:
    """The message as FHIR."""
    header: JsonObject = {
        "resourceType": "MessageHeader",
        "id": ending.message_id.rsplit(":", 1)[-1],
        "eventUri": EVENT,
        "source": {"name": ending.source, "endpoint": f"{systems.MA_CSKCB}:{ending.source}"},
    }
    listed = [{"name": "document", "valueUri": d} for d in ending.documents]
    parameters: JsonObject = {"resourceType": "Parameters", "parameter": listed}
    return {
        "resourceType": "Bundle",
        "type": "message",
        "entry": [{"resource": header}, {"resource": parameters}],
    }


def is_ending(bundle: JsonObject) -> bool:
    """Whether a Bundle says that a record was destroyed."""
    if bundle.get("resourceType") != "Bundle" or bundle.get("type") != "message":
        return False
    entries = bundle.get("entry")
    first = entries[0] if isinstance(entries, list) and entries else None
    header = first.get("resource") if isinstance(first, dict) else None
    return isinstance(header, dict) and header.get("eventUri") == EVENT


def read_ending(bundle: JsonObject) -> Ending:
    """Inverse of :func:`ending_bundle`. Raises: ``InvalidInput`` (exchange.bad-ending)."""
    try:
        header, parameters = (bundle["entry"][n]["resource"] for n in (0, 1))
        documents = tuple(
            str(p["valueUri"]) for p in parameters.get("parameter", []) if p["name"] == "document"
        )
        if any(not d.startswith("urn:uuid:") or "," in d for d in documents):
            raise ValueError("identifier")
        return Ending(str(header["source"]["name"]), f"urn:uuid:{header['id']}", documents)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise InvalidInput("exchange.bad-ending", "Tin báo tiêu hủy không đúng cấu trúc.") from error


async def forget_documents(repo: Repository, source: TenantInfo, documents: Sequence[str]) -> int:
    """Destroy the copies of a facility's documents here; gives the number of resources. Repeated, it ends what is left.

    Files go before rows, so that a stop in between leaves the rows by which the next attempt finds the files.
    """
    everyone = repo.store.system_repo(repo.ctx.tenant)
    found: dict[str, Stored] = {}
    for master in documents:
        page = await everyone.search("DocumentReference", [("identifier", f"{URI}|{master}")])
        found |= {d.reference: d for d in page.entries if d.custodian == source.id}
    sets: dict[str, Stored] = {}
    for reference in found:
        page = await everyone.search("List", [("item", reference)])
        sets |= {s.reference: s for s in page.entries if s.custodian == source.id}
    numbers = [str(i["value"]) for s in sets.values() for i in s.data["identifier"]]
    async with everyone.transaction() as tx:
        values = (tx.ctx.tenant, source.id, numbers)
        rows = await (await connection_of(tx).execute(_BODIES, values)).fetchall()
    for sha256 in {str(r[0]) for r in rows} | await _files(everyone, found):
        await repo.store.blobs.destroy(sha256)
    return await destroy_record(repo, [*found, *sets], "Cơ sở đã tiêu hủy hồ sơ") if found else 0


async def is_forgotten(repo: Repository, message_id: str) -> bool:
    """Whether the submission that a known message brought was destroyed since: its set is gone."""
    everyone = repo.store.system_repo(repo.ctx.tenant)
    return await everyone.count("List", [("identifier", f"{URI}|{message_id}")]) == 0


async def _files(repo: Repository, found: dict[str, Stored]) -> set[str]:
    """Files of every version: a container that was given a further time stamp has several."""
    files = set()
    for document in found.values():
        for version in range(1, document.version + 1):
            old = await repo.vread("DocumentReference", document.id, version)
            files.add(str(old.data["content"][0]["attachment"]["url"]).removeprefix("Binary/"))
    return files
