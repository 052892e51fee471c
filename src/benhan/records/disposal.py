"""Destruction of a record whose time of keeping is over: proposal, approval by another, shredding, signed certificate.

What goes: the key of the record (no copy of its bytes in log or backup can be read again), its current and index rows
(``store.destruction``, by the destroyer role), its files. What stays: that there was a record, its steps, the request, and
the certificate. Stopped in between it goes on when asked again. Source: Luật Lưu trữ Điều 16, 36; TT 33/2025/TT-BYT.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from benhan.base.errors import Conflict
from benhan.base.ids import new_uuid
from benhan.records.cases import case
from benhan.records.contents import contents
from benhan.records.documents import blob_of, documents
from benhan.records.ink import ink_entry
from benhan.records.paper_signing import shown_files
from benhan.records.requests import Request, ask, decide, request
from benhan.records.shapes import all_of, connection, house, instant
from benhan.records.steps import step
from benhan.records.types import Authorize, Case, SignWith
from benhan.store import Repository, Stored
from benhan.store import destroy_record as shred

_COLUMNS = "id, request_id, encounter_id, at, actor, resources, files, certificate, signature"
_NEW = (
    "insert into record_destruction (tenant, id, request_id, encounter_id, at, actor, resources, files, certificate,"
    " signature) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_READ = f"select {_COLUMNS} from record_destruction where tenant = %s and encounter_id = %s"  # noqa: S608 - constant


@dataclass(frozen=True, slots=True)
class Destruction:
    """A destroyed record: ``files`` are hashes of what was removed, ``certificate`` and ``signature`` of blobs."""

    id: UUID
    request_id: UUID
    encounter_id: str
    at: datetime
    actor: str
    resources: int
    files: list[str]
    certificate: str
    signature: str


async def propose_destruction(
    repo: Repository, encounter_id: str, reason: str, *, authorize: Authorize
) -> Request:
    """Propose a record that is due. Raises: ``Conflict`` records.not-due, records.legal-hold."""
    here = await case(repo, encounter_id)
    if here.state != "due":
        raise Conflict("records.not-due", "Hồ sơ chưa được ghi là hết hạn lưu trữ.")
    if here.legal_hold:
        raise Conflict("records.legal-hold", "Hồ sơ đang bị giữ theo yêu cầu pháp lý, không được tiêu hủy.")
    return await ask(repo, encounter_id, "destroy", reason, authorize=authorize)


async def destroy_record(
    repo: Repository, request_id: UUID, seal: SignWith, *, authorize: Authorize
) -> Destruction:
    """Grant a proposal of somebody else and destroy; the certificate is signed with the organisation's seal.

    Raises: ``Conflict`` records.same-person, records.already-decided, records.legal-hold, records.retention-not-over.
    """
    wish = await request(repo, request_id)
    here = await case(repo, wish.encounter_id)
    if here.state != "destroyed":
        scopes, files = await _scopes(repo, here), await _files(repo, wish.encounter_id)
        async with repo.transaction() as tx:
            await decide(tx, request_id, True, authorize=authorize)
            await step(
                tx, wish.encounter_id, "destroy", authorize=authorize, reason=wish.reason, request=request_id,
                detail={"files": files, "scopes": scopes},
            )  # fmt: skip
    elif await destruction(repo, wish.encounter_id) is not None:
        raise Conflict("records.already-decided", "Yêu cầu đã được quyết định.")
    else:
        authorize("record.destroy", here.khoa)
        scopes, files = await _planned(repo, wish.encounter_id)
    gone = await shred(repo, scopes, wish.reason)
    for sha256 in files:
        await repo.store.blobs.destroy(sha256)
    return await _certify(repo, here, await request(repo, request_id), gone, files, seal)


async def _files(repo: Repository, encounter_id: str) -> list[str]:
    """Hashes of the blobs of every version of every document of the record, and of prints that wait for a signature."""
    found: set[str] = set()
    for document in await documents(repo, encounter_id):
        for version in range(1, document.version + 1):
            old: Stored = await repo.vread("DocumentReference", document.id, version)
            found.add(blob_of(old.data))
    return sorted(found | set(await shown_files(repo, encounter_id)))


async def _scopes(repo: Repository, here: Case) -> list[str]:
    """What the keys are called: the record's own, and those of its signatures, which stand by themselves."""
    signatures = {s.id for s in await contents(repo, here) if s.type == "Provenance"}
    for document in await documents(repo, here.encounter_id):
        target = f"DocumentReference/{document.id}"
        signatures |= {s.id for s in await all_of(repo, "Provenance", [("target", target)])}
    return [f"Encounter/{here.encounter_id}", *sorted(f"Provenance/{i}" for i in signatures)]


async def _planned(repo: Repository, encounter_id: str) -> tuple[list[str], list[str]]:
    sql = "select detail from record_event where tenant = %s and encounter_id = %s and event = 'destroy'"
    async with repo.transaction() as tx:
        row = await (await connection(tx).execute(sql, (tx.ctx.tenant, encounter_id))).fetchone()
    return ([], []) if row is None else (list(row[0]["scopes"]), list(row[0]["files"]))


async def _certify(
    repo: Repository, here: Case, wish: Request, resources: int, files: list[str], seal: SignWith
) -> Destruction:
    place, now = await house(repo), repo.clock.now()
    text: dict[str, Any] = {
        "giay": "Chứng nhận tiêu hủy hồ sơ bệnh án",
        "co_so": {"ma": place.code, "ten": place.name},
        "so_luu_tru": here.so_luu_tru,
        "so_benh_an": here.so_benh_an,
        "ma_lk": here.ma_lk,
        "ly_do": wish.reason,
        "nguoi_de_nghi": wish.asked_by,
        "de_nghi_luc": instant(wish.asked_at),
        "nguoi_duyet": wish.decided_by,
        "tieu_huy_luc": instant(now),
        "so_tai_lieu": resources,
        "tep_da_xoa": files,
        "cach": "Xóa khóa mã hóa của hồ sơ, các dòng hiện hành, chỉ mục và tệp; bản sao lưu không còn đọc được.",
    }
    data = json.dumps(text, ensure_ascii=False, indent=1).encode()
    signature = await ink_entry(data, seal)
    async with repo.transaction() as tx:
        certificate, signed = await tx.store.blobs.put(data), await tx.store.blobs.put(signature)
        values = (
            tx.ctx.tenant, new_uuid(clock=tx.clock), wish.id, here.encounter_id, now, tx.ctx.actor.reference, resources,
            Jsonb(files), certificate, signed,
        )  # fmt: skip
        await connection(tx).execute(_NEW, values)
    found = await destruction(repo, here.encounter_id)
    if found is None:
        raise Conflict("records.already-decided", "Yêu cầu đã được quyết định.")
    return found


async def destruction(repo: Repository, encounter_id: str) -> Destruction | None:
    """How a record was destroyed; None when it was not."""
    async with repo.transaction() as tx:
        row = await (await connection(tx).execute(_READ, (tx.ctx.tenant, encounter_id))).fetchone()
        return None if row is None else Destruction(*row)
