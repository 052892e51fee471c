"""Find and retrieve documents at the hub (IHE MHD ITI-66, ITI-67, ITI-68), by right, every look disclosed.

Without a right the answer is the same refusal whether or not the person has documents elsewhere. The rows a
facility may see are cut by row-level security (custodian or grant); this module decides and records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from benhan.base.errors import NotAllowed, NotFound
from benhan.base.ids import new_uuid
from benhan.base.json_door import JsonObject
from benhan.exchange._rows import connection_of
from benhan.exchange.rights import Right, person_of, right_of
from benhan.identity import family, sources
from benhan.store import Repository, Stored, SystemPolicy, TenantInfo

_DISCLOSE = (
    "insert into exchange_disclosure (tenant, id, custodian, source_patient, patient_id, reader, requester, kind, "
    "reason, act, documents, at) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)


async def find(
    repo: Repository,
    reader: TenantInfo,
    identifier: str,
    requester: str,
    filters: Sequence[tuple[str, str]] = (),
) -> JsonObject:
    """ITI-67: the searchset Bundle of a person's documents that ``reader`` may see.

    ``identifier`` is ``system|value``; ``filters`` are further DocumentReference search parameters.
    Raises: ``NotAllowed`` (exchange.no-right).
    """
    patient_id, right = await admitted(repo, reader, identifier, requester)
    people = ",".join(await family(repo, patient_id))
    asked = [("patient", people), ("_count", "500"), *filters]
    if not any(name == "status" for name, _ in filters):
        asked.append(("status", "current"))
    page = await as_reader(repo, reader).search("DocumentReference", asked)
    await disclose(repo, reader, patient_id, right, "find", page.entries, requester)
    return _searchset(page.entries)


async def find_lists(
    repo: Repository,
    reader: TenantInfo,
    identifier: str,
    requester: str,
    filters: Sequence[tuple[str, str]] = (),
) -> JsonObject:
    """ITI-66: the searchset Bundle of a person's SubmissionSets that ``reader`` may see; disclosed as a find.

    Raises: ``NotAllowed`` (exchange.no-right).
    """
    patient_id, right = await admitted(repo, reader, identifier, requester)
    people = ",".join(f"Patient/{one}" for one in await family(repo, patient_id))
    asked = [("subject", people), ("_count", "500"), *filters]
    page = await as_reader(repo, reader).search("List", asked)
    await disclose(repo, reader, patient_id, right, "find", page.entries, requester)
    return _searchset(page.entries)


def _searchset(entries: Sequence[Stored]) -> JsonObject:
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(entries),
        "entry": [{"resource": e.data, "search": {"mode": "match"}} for e in entries],
    }


async def retrieve(repo: Repository, reader: TenantInfo, sha256: str, requester: str) -> tuple[bytes, str]:
    """ITI-68: the exact bytes of one document and its content type.

    Raises: ``NotFound`` (exchange.no-such-document), also where the reader has no right: the two look alike.
    """
    page = await as_reader(repo, reader).search(
        "DocumentReference", [("location", f"Binary/{sha256}"), ("_count", "20")]
    )
    for entry in page.entries:
        patient_id = entry.data["subject"]["reference"].split("/")[1]
        right = await right_of(repo, patient_id, reader.id)
        if right is None and entry.custodian != reader.id:
            continue
        await disclose(
            repo, reader, patient_id, right or Right("custodian", ""), "retrieve", [entry], requester
        )
        return await repo.store.blobs.get(sha256), entry.data["content"][0]["attachment"]["contentType"]
    await repo.audit(
        "retrieve-refused",
        entity=None,
        patient=None,
        outcome="4",
        detail={"reader": reader.code, "requester": requester},
    )
    raise NotFound("exchange.no-such-document", "Không có tài liệu này, hoặc cơ sở không có quyền xem.")


def as_reader(repo: Repository, reader: TenantInfo) -> Repository:
    """The hub as this facility may see it: row-level security cuts."""
    return repo.store.repo(replace(repo.ctx, reader=reader.id), SystemPolicy())


async def admitted(
    repo: Repository, reader: TenantInfo, identifier: str, requester: str
) -> tuple[str, Right]:
    """Hub id of the person and the right of ``reader``. Raises: ``NotAllowed`` (exchange.no-right), audited."""
    try:
        patient_id = await person_of(repo, identifier)
        right = await right_of(repo, patient_id, reader.id)
    except NotFound:
        patient_id, right = "", None
    if right is None:
        await repo.audit(
            "find-refused",
            entity=None,
            patient=patient_id or None,
            outcome="4",
            detail={"reader": reader.code, "requester": requester},
        )
        raise NotAllowed(
            "exchange.no-right",
            "Cơ sở chưa có quyền xem hồ sơ ở nơi khác của người bệnh này. Cần sự đồng ý của người bệnh, giấy "
            "chuyển đang còn hiệu lực, hoặc mở khẩn cấp có lý do.",
        )
    return patient_id, right


def _number_of(resource: JsonObject) -> str:
    """The number of a document, or of a submission."""
    held = resource.get("masterIdentifier") or resource["identifier"][0]
    return str(held["value"])


async def disclose(
    repo: Repository,
    reader: TenantInfo,
    patient_id: str,
    right: Right,
    act: str,
    entries: Sequence[Stored],
    requester: str,
) -> None:
    """Tell each custodian, and the audit, who looked at what of the person by which right."""
    by_custodian: dict[UUID, list[str]] = {}
    for entry in entries:
        if entry.custodian is not None and entry.custodian != reader.id:
            by_custodian.setdefault(entry.custodian, []).append(_number_of(entry.data))
    async with repo.transaction() as tx:
        connection = connection_of(tx)
        local = {link.source: link.source_patient_id for link in await sources(tx, patient_id)}
        for custodian, documents in by_custodian.items():
            await connection.execute(
                _DISCLOSE,
                (
                    repo.ctx.tenant,
                    new_uuid(clock=repo.clock),
                    custodian,
                    local.get(custodian, ""),
                    patient_id,
                    reader.id,
                    requester,
                    right.kind,
                    right.reason,
                    act,
                    documents,
                    repo.clock.now(),
                ),
            )
        await tx.audit(
            act,
            entity=f"Patient/{patient_id}",
            patient=patient_id,
            detail={
                "reader": reader.code,
                "requester": requester,
                "right": right.kind,
                "documents": sum(map(len, by_custodian.values())),
            },
        )
