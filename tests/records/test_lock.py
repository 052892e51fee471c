"""The lock test: every way to write, enumerated from the code, leaves a closed record as it is, but the addendum.

What counts is not the answer but the record: its versions in the log and its row are compared before and after each
attempt. Ways are listed in ``lock_paths``; a way that is in the code and not in the list fails the test, and so does a
page added here on purpose without a guard.
"""

from __future__ import annotations

import ast
import hashlib
import itertools
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route
from typer.main import get_command

import benhan
from benhan import records
from benhan.access import new_totp_secret, onboard, totp_code
from benhan.base.errors import BenhanError, Conflict
from benhan.cli import build as build_cli
from benhan.fhir import RESOURCE_TYPES
from benhan.records import Addendum, closed_record_guard, everything_allowed
from benhan.records.guard import FINANCIAL, passing
from benhan.signing import KeyStore
from benhan.store import Repository
from benhan.web import create_app
from benhan.web.closing import ACTS

SRC = Path(benhan.__file__).parent
ROLES = [
    "bac_si",
    "truong_khoa",
    "lanh_dao",
    "phong_khth",
    "dieu_duong",
    "ky_thuat_vien",
    "thu_ngan",
    "tiep_don",
]
PASSWORD, PIN = "Mat-khau-kiem-thu-2026", "246810"
WRITING = {"POST", "PUT", "PATCH", "DELETE"}


@pytest.fixture
def paths(build: Any) -> Any:
    """Module ``lock_paths`` of this folder."""
    import importlib.util

    spec = importlib.util.spec_from_file_location(
        "records_lock_paths", Path(__file__).parent / "lock_paths.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def picture(ward: Repository, encounter_id: str) -> str:
    """Hash over every version under the record's key (money apart) and over its row (money lock apart)."""
    async with ward.transaction() as tx:
        connection = tx.open_connection
        rows = await (
            await connection.execute(
                "select l.type, l.id, l.version, encode(l.sha256, 'hex') from log l join record_key k on k.tenant = l.tenant"
                " and k.id = l.key_id where k.scope = %s and not (l.type = any(%s)) order by 1, 2, 3",
                (f"Encounter/{encounter_id}", sorted(FINANCIAL)),
            )
        ).fetchall()
        row = await (
            await connection.execute(
                "select state, khoa, doctor, form_code, composition_id, discharged_at, closed_at, so_benh_an, so_luu_tru"
                " from record_case where encounter_id = %s",
                (encounter_id,),
            )
        ).fetchone()
    return hashlib.sha256(repr((rows, row)).encode()).hexdigest()


class Intruder:
    """Somebody with every role, at every page, with plausible fields."""

    def __init__(
        self, ward: Repository, client: httpx.AsyncClient, csrf: str, record: Any, ids: dict[str, str]
    ) -> None:
        self.ward, self.client, self.csrf, self.record, self.ids = ward, client, csrf, record, ids

    def fields(self) -> dict[str, str]:
        """One body that fits many forms."""
        now = (self.ward.clock.now() + timedelta(hours=7)).strftime("%d/%m/%Y %H:%M")
        return {
            "csrf": self.csrf, "pin": PIN, "happened": now, "thoi_diem": now, "reason": "Thử", "ly_do": "Thử", "text": "Thử",
            "title": "Thử", "progress": "Thử", "orders": "Thử", "dien_bien": "Thử", "y_lenh": "Thử", "note": "Thử",
            "pulse": "80", "temperature": "37", "value": "4", "code": "LAB002", "codes": "LAB002", "form": "36/BV2",
            "form_code": "36/BV2", "version": "1", "base": "1", "role": "bac_si_dieu_tri", "khoa": "K01", "confirm": "1",
            "to_khoa": "K02", "event": "undo_discharge", "act": "sign", "name": "ly_do", "tk_qua_trinh": "Khác",
            "outcome": "ra-vien", "result": "2", "diagnosis": "Viêm phổi", "icd10": "J18.9", "quantity": "1",
            "drug": "TH0001", "dose": "1", "per_day": "3", "days": "2", "card": "GD4515100000002", "percent": "80",
            "bed": "H009", "room": "101",
        }  # fmt: skip

    async def try_page(self, path: str, more: dict[str, str] | None = None) -> bool:
        """Whether a POST changed the record."""
        before = await picture(self.ward, self.record.id)
        address = re.sub(
            r"\{(\w+)\}", lambda m: self.ids.get(m[1], "00000000-0000-7000-8000-000000000000"), path
        )
        await self.client.post(address, data={**self.fields(), **(more or {})})
        return await picture(self.ward, self.record.id) != before


@pytest.fixture
async def enter(ward: Repository, build: Any) -> AsyncIterator[Any]:
    """``await enter(record, extra_routes)``: an intruder signed in to the pages."""
    clients: list[httpx.AsyncClient] = []
    secret = new_totp_secret()

    async def start(record: Any, extra: list[BaseRoute]) -> Intruder:
        app = create_app(ward.store, ward.store.settings)
        app.router.routes[:0] = extra
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app, raise_app_exceptions=False), base_url="https://testserver",
            follow_redirects=True,
        )  # fmt: skip
        clients.append(client)
        if len(clients) == 1:
            held = [(r, None) for r in ROLES]
            made = await onboard(
                ward, "moi-quyen", PASSWORD, "Mọi Quyền", held, licence="009999/QNG-CCHN", totp_secret=secret,
                must_change=False,
            )  # fmt: skip
            await KeyStore(ward).enrol(made.person, "Mọi Quyền", "009999/QNG-CCHN", PIN)
        else:
            ward.clock.move(minutes=2)  # type: ignore[attr-defined]
        page = (await client.get("/dang-nhap")).text
        csrf = re.search(r'name="csrf" value="([^"]+)"', page)
        assert csrf
        code = totp_code(secret, ward.clock.now())
        body = {
            "csrf": csrf[1],
            "co_so": "51Z01",
            "ten": "moi-quyen",
            "mat_khau": PASSWORD,
            "ma": code,
            "tiep": "/",
        }
        done = await client.post("/dang-nhap", data=body)
        assert done.url.path != "/dang-nhap"
        csrf = re.search(
            r'name="csrf" value="([^"]+)"', (await client.get(f"/dot/{record.id}/kiem-tra")).text
        )
        assert csrf
        return Intruder(ward, client, csrf[1], record, await ids_of(ward, record))

    yield start
    for client in clients:
        await client.aclose()


async def ids_of(ward: Repository, record: Any) -> dict[str, str]:
    """Values for the path parameters, from the record itself."""
    lines = await records.entries(ward, record.sheet_id) if record.sheet_id else []
    drugs = await records.drug_orders(ward, record.id)
    return {
        "encounter": record.id, "response": record.response_id, "sheet": record.sheet_id or record.response_id,
        "entry": lines[0].id if lines else "", "order": drugs[0].id if drugs else record.order_id,
        "patient": record.patient.id, "ma_lk": record.admitted.ma_lk,
    }  # fmt: skip


def writing_pages(routes: list[BaseRoute]) -> list[str]:
    """Paths of an app that take a writing method, in order; mounted apps have tests of their own kind below."""
    return [r.path for r in routes if isinstance(r, Route) and (r.methods or set()) & WRITING]


def unknown(found: list[str], known: Any) -> list[str]:
    """Ways in the code that nobody has judged."""
    return sorted(set(found) - set(known))


async def leaks(intruder: Intruder, found: list[str], paths: Any) -> list[str]:
    """Pages that changed the closed record, the addendum apart."""
    bad = []
    for path in found:
        if paths.PAGES.get(path, "record") != "record":
            continue
        if path == "/dot/{encounter}/kiem-tra":
            tries: list[dict[str, str]] = [{"event": e} for e in ACTS if e not in paths.LIFE_AFTER_CLOSING]
        else:
            tries = [{}]
        for more in tries:
            if await intruder.try_page(path, more):
                bad.append(path)
    return bad


async def test_no_page_changes_a_closed_record_and_an_added_one_is_caught(
    ward: Repository, build: Any, clock: Any, paths: Any, enter: Any
) -> None:
    """All POST pages as somebody with all roles; the same bodies do change an open record; a rogue page is reported."""
    from benhan.web.app import routes

    found = writing_pages(routes())
    assert unknown(found, paths.PAGES) == []
    assert unknown(list(paths.PAGES), found) == []
    record = await build.a_closed_record(ward, clock)
    intruder = await enter(record, [])
    assert await leaks(intruder, found, paths) == []

    open_record = await build.an_inpatient_record(ward, cccd="051075000077")
    inside = await enter(open_record, [])
    assert open_record.id != record.id
    changed = [p for p in found if paths.PAGES[p] == "record" and await inside.try_page(p)]
    assert {
        f"/dot/{{encounter}}/{p}" for p in ("chuyen-khoa", "giay", "xet-nghiem", "to-dieu-tri", "sinh-hieu")
    } <= set(changed)

    async def rogue(request: Request) -> PlainTextResponse:
        with passing(record.id):
            stored = await ward.read("QuestionnaireResponse", record.response_id)
            await ward.update({**stored.data, "language": "vi"})
        return PlainTextResponse("đã ghi")

    again = await enter(record, [Route("/dot/{encounter}/cua-sau", rogue, methods=["POST"])])
    with_rogue = [*found, "/dot/{encounter}/cua-sau"]
    assert unknown(with_rogue, paths.PAGES) == ["/dot/{encounter}/cua-sau"]
    assert await leaks(again, ["/dot/{encounter}/cua-sau"], paths) == ["/dot/{encounter}/cua-sau"]


def test_the_repository_has_no_unknown_door(paths: Any) -> None:
    """FHIR, HL7, ingest, jobs and commands all write through the repository: its doors are known, each asks the guards."""
    found = [n for n in dir(Repository) if not n.startswith("_")]
    assert unknown(found, paths.REPOSITORY_WRITES | paths.REPOSITORY_OTHERS) == []


SLOTS = ("encounter", "subject", "context", "target", "focus", "partOf")


async def test_every_type_is_refused_in_every_interaction(ward: Repository) -> None:
    """All types of FHIR × create, update into, update out of, delete: asked of the guard itself."""
    case = f"Encounter/{ENCOUNTER}"
    async with ward.transaction() as tx:
        await tx.open_connection.execute(
            "insert into record_case (tenant, encounter_id, patient_id, khoa, doctor, state, admitted_at, ma_lk)"
            " values (%s, %s, 'p', 'K01', 'Practitioner/x', 'closed', now(), 'X1') on conflict do nothing",
            (tx.ctx.tenant, ENCOUNTER),
        )
        for kind, slot in itertools.product(sorted(RESOURCE_TYPES - FINANCIAL - {"Patient"}), SLOTS):
            inside = {"resourceType": kind, "id": "a", slot: {"reference": case}}
            away = {"resourceType": kind, "id": "a"}
            for action, new, old in (
                ("create", inside, None), ("update", inside, away), ("update", away, inside), ("delete", None, inside),
            ):  # fmt: skip
                with pytest.raises(Conflict) as error:
                    await closed_record_guard(tx, tx.ctx, action, new, old)  # type: ignore[arg-type]
                assert error.value.code == "records.already-closed", kind


ENCOUNTER = "01970000-0000-7000-8000-000000000001"


def calls(name: str) -> dict[str, list[ast.Call]]:
    """Calls of a function or method by the module they stand in."""
    found: dict[str, list[ast.Call]] = {}
    for path in SRC.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == name:
                found.setdefault(path.relative_to(SRC).as_posix(), []).append(node)
    return found


def test_every_process_opens_the_store_with_the_guard(paths: Any) -> None:
    """Pages, machine door, worker (all jobs, ingest, gateways) and commands."""
    for module, found in calls("Store.open").items():
        guarded = all(any(k.arg == "guards" for k in call.keywords) for call in found)
        assert guarded or module in paths.UNGUARDED_STORES, module
    shared = (SRC / "cli" / "common.py").read_text(encoding="utf-8")
    assert "closed_record_guard" in shared
    assert "closed_record_guard" in (SRC / "web" / "app.py").read_text(encoding="utf-8")


def test_only_known_places_open_the_door_and_only_the_store_appends(paths: Any) -> None:
    """``passing`` and the setting of the database stand where the addendum and the life cycle are; SQL on the log in one
    module."""
    assert set(calls("passing")) == paths.PASSES
    naming, writing = set(), set()
    for path in SRC.rglob("*.py"):
        text, module = path.read_text(encoding="utf-8"), path.relative_to(SRC).as_posix()
        if "benhan.passing" in text:
            naming.add(module)
        if re.search(r"(?i)insert\s+into\s+log\b|copy\s+log\b", text):
            writing.add(module)
    assert naming == {"records/guard.py"}
    assert writing == paths.LOG_WRITERS


def test_commands_are_known(paths: Any) -> None:
    """A new command must be judged."""

    def walk(group: Any, before: str = "") -> list[str]:
        found = []
        for name, command in getattr(group, "commands", {}).items():
            inner = walk(command, f"{before}{name} ")
            found += inner or [before + name]
        return found

    assert unknown(walk(get_command(build_cli())), paths.COMMANDS) == []


async def test_raw_sql_of_the_application_changes_nothing(
    ward: Repository, build: Any, clock: Any, paths: Any
) -> None:
    """Every table the role may write is known; statements against those that hold the record are refused."""
    record = await build.a_closed_record(ward, clock)
    async with ward.transaction() as tx:
        rows = await (
            await tx.open_connection.execute(
                "select distinct c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
                " where n.nspname = 'public' and c.relkind in ('r', 'p') and (has_any_column_privilege(c.oid, 'insert')"
                " or has_any_column_privilege(c.oid, 'update') or has_table_privilege(c.oid, 'delete'))"
            )
        ).fetchall()
    tables = [r[0] for r in rows]
    judged = set(paths.TABLES) | {t for t in tables if t.startswith(paths.OTHER_ROOMS)}
    assert unknown(tables, judged | paths.SMALL) == []
    before = await picture(ward, record.id)
    this = "type = 'QuestionnaireResponse' and id = %(response)s"
    for statement in (
        "insert into log (tenant, at, custodian, key_id, epoch, version, dictionary, type, id, author, action, sha256, bytes)"
        " select tenant, at, custodian, key_id, epoch, version + 1, dictionary, type, id, author, 'update', sha256, bytes"
        f" from log where {this} order by version desc limit 1",
        f"update log set author = 'x' where {this}",
        f"delete from log where {this}",
        "truncate log",
        f"delete from current_version where {this}",
        f"update current_version set deleted = true where {this}",
        f"update current_version set version = 1, id = 'x' where {this}",
        "update record_case set state = 'open' where encounter_id = %(encounter)s",
        "update record_case set state = 'reopened' where encounter_id = %(encounter)s",
        "update record_case set khoa = 'K99' where encounter_id = %(encounter)s",
        "delete from record_case where encounter_id = %(encounter)s",
        "update record_event set reason = 'x' where encounter_id = %(encounter)s",
        "delete from record_event where encounter_id = %(encounter)s",
        "update audit set actor = 'x'",
        "delete from audit",
        "delete from record_key where scope = 'Encounter/' || %(encounter)s",
        "update record_key set wrapped = ''",
        "delete from record_request",
        "delete from record_sealing",
        "update record_state set closed = false",
        "alter table log disable trigger all",
        "drop trigger record_closed_refuses on log",
    ):
        with pytest.raises((psycopg.Error, BenhanError)) as refused:
            await raw(ward, statement, {"response": record.response_id, "encounter": record.id})
        cause = refused.value if isinstance(refused.value, psycopg.Error) else refused.value.__cause__
        assert getattr(cause, "sqlstate", "") in ("42501", "BH001"), statement  # not allowed, or the lock
    assert await picture(ward, record.id) == before
    late = Addendum("Cấy máu", "Âm tính", clock.now() - timedelta(hours=1), build.DOCTOR, "Kết quả muộn")
    ink, seal = build.sign_as(build.DOCTOR, "bac_si_dieu_tri"), build.sign_as(build.HOUSE, "dau")
    await records.add_addendum(ward, record.id, late, ink, seal, authorize=everything_allowed)
    assert await picture(ward, record.id) != before  # the one way; and the picture does see it


async def raw(ward: Repository, statement: str, values: dict[str, str]) -> None:
    """Run SQL as the application's role in a transaction of its own."""
    async with ward.transaction() as tx:
        await tx.open_connection.execute(statement.encode(), values)
