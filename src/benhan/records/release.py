"""Giving a record away: request, who may have what (Điều 69), approval by another, exact pages, mark, expiry, log.

A copy bears a watermark, the system's name, who converted it and when, and a code with QR (NĐ 137/2024 Điều 4–5); whoever
holds the paper can ask whether the code is true (``verify_code``) and learns nothing of the patient by it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml
from psycopg.types.json import Jsonb

from benhan.base.clock import local, local_date
from benhan.base.errors import Conflict, NotAllowed, NotFound, RuleViolation
from benhan.base.ids import new_uuid
from benhan.forms import get as get_form
from benhan.forms import marked, page_count
from benhan.records.cases import case
from benhan.records.documents import render
from benhan.records.printing import print_record
from benhan.records.proposals import defaults
from benhan.records.requests import Request, ask, request, use_request
from benhan.records.shapes import connection, house
from benhan.records.types import Authorize, Case
from benhan.store import Repository, Store

SUMMARY_FORM = "TT25/2025-M03"
ARCHIVED = frozenset({"archived", "due"})
SYSTEM = "Bệnh Án"
#: item of the summary for others (Mẫu 03) → item of the record's summing up (TT 32/2023, phần tổng kết)
_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
_COLUMNS = (
    "id, request_id, encounter_id, code, act, recipient, purpose, papers, pages, sha256, made_at, made_by, made_by_name,"
    " expires_on, withdrawn_at, withdraw_reason"
)
_NEW = (
    "insert into record_release (tenant, id, request_id, encounter_id, code, act, recipient, purpose, papers, pages,"
    " sha256, made_at, made_by, made_by_name, expires_on)"
    " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_LIST = f"select {_COLUMNS} from record_release where tenant = %s and encounter_id = %s order by made_at desc"  # noqa: S608
_READ = f"select {_COLUMNS} from record_release where tenant = %s and id = %s"  # noqa: S608 - constant
_BY_CODE = f"select {_COLUMNS} from record_release where tenant = %s and code = %s"  # noqa: S608 - constant
_WITHDRAW = (
    "update record_release set withdrawn_at = %s, withdraw_reason = %s"
    " where tenant = %s and id = %s and withdrawn_at is null"
)


@dataclass(frozen=True, slots=True)
class Requester:
    """Who may ask and what for: acts while in treatment and after archiving."""

    code: str
    title: str
    treatment: tuple[str, ...]
    archived: tuple[str, ...]
    paper: bool
    source: str


@dataclass(frozen=True, slots=True)
class ReleaseInput:
    """A request form (Mẫu 04 TT 25/2025). ``papers``: response ids for a copy; ``days``: how long it may be used."""

    requester: str
    name: str
    act: str
    purpose: str
    document: str = ""
    papers: tuple[str, ...] = ()
    days: int = 30


@dataclass(frozen=True, slots=True)
class Release:
    """One copy that was given away."""

    id: UUID
    request_id: UUID
    encounter_id: str
    code: str
    act: str
    recipient: str
    purpose: str
    papers: Sequence[str]
    pages: int
    sha256: str
    made_at: datetime
    made_by: str
    made_by_name: str
    expires_on: date
    withdrawn_at: datetime | None
    withdraw_reason: str


@dataclass(frozen=True, slots=True)
class CodeAnswer:
    """What a stranger learns from a printed code: nothing that is not on the paper. ``state``: good, expired, withdrawn."""

    facility: str
    act: str
    pages: int
    made_at: datetime
    expires_on: date
    state: str


@cache
def _table() -> Mapping[str, Any]:
    path = Path(__file__).parent / "data" / "release.yaml"
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def requesters() -> list[Requester]:
    """All kinds of requesters, in the order of the law."""
    return [
        Requester(code, r["title"], tuple(r["treatment"]), tuple(r["archived"]), r["paper"], r["source"])
        for code, r in _table()["requesters"].items()
    ]


def act_title(act: str) -> str:
    """What people call an act."""
    return str(_table()["acts"][act])


def may_have(requester: str, state: str) -> tuple[str, ...]:
    """Acts that a requester may ask for in a state of the record (pure)."""
    found = next((r for r in requesters() if r.code == requester), None)
    if found is None or state in ("destroyed", "cancelled"):
        return ()
    return found.archived if state in ARCHIVED else found.treatment


async def ask_release(
    repo: Repository, encounter_id: str, given: ReleaseInput, *, authorize: Authorize
) -> Request:
    """Put a request for somebody.

    Raises: ``NotAllowed`` (records.release-not-entitled); ``RuleViolation`` records.reason-needed, records.release-incomplete.
    """
    here = await case(repo, encounter_id)
    _check(here, given)
    detail = {
        "requester": given.requester,
        "name": given.name.strip(),
        "document": given.document.strip(),
        "act": given.act,
        "papers": list(given.papers),
        "days": given.days,
    }
    return await ask(repo, encounter_id, "release", given.purpose, authorize=authorize, detail=detail)


def _check(here: Case, given: ReleaseInput) -> None:
    allowed = may_have(given.requester, here.state)
    if given.act not in allowed:
        text = "Người này không được nhận hình thức này ở giai đoạn này của hồ sơ (Luật KCB Điều 69)."
        raise NotAllowed("records.release-not-entitled", text)
    needs_paper = next(r.paper for r in requesters() if r.code == given.requester)
    if not given.name.strip() or (needs_paper and not given.document.strip()):
        text = "Ghi tên và giấy tờ (hoặc văn bản đề nghị) của người nhận."
        raise RuleViolation("records.release-incomplete", text, expression="document")
    if not 1 <= given.days <= 365:
        raise RuleViolation(
            "records.release-incomplete", "Thời hạn sử dụng từ 1 đến 365 ngày.", expression="days"
        )


async def make_release(repo: Repository, request_id: UUID, *, authorize: Authorize) -> Release:
    """Make the copy of a granted request: exactly the pages asked for, marked; kept as blob and in the book.

    Raises: ``Conflict`` (records.not-approved); ``NotAllowed`` when the record has left the stage that allowed it.
    """
    wish = await request(repo, request_id)
    here = await case(repo, wish.encounter_id)
    authorize("record.export", here.khoa)
    detail = wish.detail
    if wish.decision != "approved" or detail["act"] not in may_have(detail["requester"], here.state):
        raise Conflict("records.not-approved", "Bước này cần đề nghị đã được người khác duyệt.")
    place, now = await house(repo), repo.clock.now()
    code = f"{place.code}-{_random()}"
    pdf = await _pages(repo, here, detail)
    actor = repo.ctx.actor
    until = local_date(now) + timedelta(days=int(detail["days"]))
    text = (
        f"BẢN CHUYỂN ĐỔI TỪ HỒ SƠ ĐIỆN TỬ · Hệ thống {SYSTEM} · Chủ quản: {place.name} · Người chuyển đổi:"
        f" {actor.display} · {local(now):%H:%M %d/%m/%Y} · Người nhận: {detail['name']} · Dùng đến hết"
        f" {until:%d/%m/%Y} · Tra cứu mã:"
    )
    base = repo.store.settings.public_url
    address = f"{base.rstrip('/')}/tra-cuu/{code}" if base else code
    copy = await asyncio.to_thread(marked, pdf, watermark="BẢN SAO", text=text, code=code, address=address)
    async with repo.transaction() as tx:
        await use_request(tx, request_id, wish.encounter_id, "release")
        sha256 = await tx.store.blobs.put(copy)
        made = new_uuid(clock=tx.clock)
        values = (
            tx.ctx.tenant, made, request_id, wish.encounter_id, code, detail["act"], detail["name"], wish.reason,
            Jsonb(detail["papers"]), page_count(copy), sha256, now, actor.reference, actor.display, until,
        )  # fmt: skip
        await connection(tx).execute(_NEW, values)
        await tx.audit(
            "release", entity=f"Encounter/{wish.encounter_id}", patient=here.patient_id,
            detail={"release": str(made), "act": detail["act"], "recipient": detail["name"], "pages": page_count(copy)},
        )  # fmt: skip
        return await _read(tx, _READ, made)


async def _pages(repo: Repository, here: Case, detail: Mapping[str, Any]) -> bytes:
    if detail["act"] == "summary":
        on = local_date(here.discharged_at or repo.clock.now())
        form = get_form(SUMMARY_FORM, on)
        known = {
            **await defaults(repo, here.encounter_id, SUMMARY_FORM),
            "ngay_ct": local_date(repo.clock.now()).isoformat(),
        }
        return (await render(repo, form, here.encounter_id, known)).pdf
    return await print_record(repo, here.encounter_id, tuple(detail["papers"]))


async def releases(repo: Repository, encounter_id: str) -> list[Release]:
    """Copies of a record, the newest first."""
    async with repo.transaction() as tx:
        rows = await (await connection(tx).execute(_LIST, (tx.ctx.tenant, encounter_id))).fetchall()
        return [Release(*row) for row in rows]


async def release_file(repo: Repository, release_id: UUID, *, authorize: Authorize) -> bytes:
    """The marked PDF, as long as it may be used; every fetch is logged.

    Raises: ``Conflict`` (records.release-over); ``NotFound`` (records.no-such-release).
    """
    async with repo.transaction() as tx:
        found = await _read(tx, _READ, release_id)
        here = await case(tx, found.encounter_id)
        authorize("record.export", here.khoa)
        if _state(found, local_date(tx.clock.now())) != "good":
            raise Conflict("records.release-over", "Bản sao đã hết hạn hoặc bị thu hồi.")
        await tx.audit(
            "release-read", entity=f"Encounter/{found.encounter_id}", patient=here.patient_id,
            detail={"release": str(release_id)},
        )  # fmt: skip
    return await repo.store.blobs.get(found.sha256)


async def withdraw_release(
    repo: Repository, release_id: UUID, reason: str, *, authorize: Authorize
) -> Release:
    """Take a copy back: its code answers "withdrawn" from now on."""
    if not reason.strip():
        raise RuleViolation("records.reason-needed", "Bước này phải nêu lý do.", expression="reason")
    async with repo.transaction() as tx:
        found = await _read(tx, _READ, release_id)
        authorize("record.release", (await case(tx, found.encounter_id)).khoa)
        await connection(tx).execute(_WITHDRAW, (tx.clock.now(), reason.strip(), tx.ctx.tenant, release_id))
        return await _read(tx, _READ, release_id)


async def verify_code(store: Store, code: str) -> CodeAnswer | None:
    """What stands behind a printed code; None when there is no such copy. No sign-in, nothing of the patient."""
    text = code.strip().upper()
    facility, _, rest = text.partition("-")
    info = await store.tenant_by_code(facility) if rest and len(text) <= 40 else None
    if info is None:
        return None
    async with store.system_repo(info.id).transaction() as tx:
        row = await (await connection(tx).execute(_BY_CODE, (info.id, text))).fetchone()
        if row is None:
            return None
        found = Release(*row)
        state = _state(found, local_date(tx.clock.now()))
    return CodeAnswer(info.name, found.act, found.pages, found.made_at, found.expires_on, state)


def _state(found: Release, on: date) -> str:
    return "withdrawn" if found.withdrawn_at else "expired" if on > found.expires_on else "good"


def _random() -> str:
    """Three groups of four letters: 31¹² codes, not to be guessed."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(3))


async def _read(tx: Repository, query: str, release_id: UUID) -> Release:
    row = await (await connection(tx).execute(query, (tx.ctx.tenant, release_id))).fetchone()
    if row is None:
        raise NotFound("records.no-such-release", "Không có bản sao này.")
    return Release(*row)
