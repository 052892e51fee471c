"""Results nobody has acknowledged yet: nothing new is shown twice, nothing unseen is lost.

A result is new until a doctor of the patient's khoa acknowledges that very version of its ``DiagnosticReport``; a
correction is a new version and is new again. The list is read from the log's current rows, so a result that came by
any door (page, FHIR, a machine) is in it. A critical one (``interpretation`` HH, LL or AA, marked by who entered it)
is acknowledged only with a note of what was done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from benhan.base.errors import Conflict, NotAllowed, NotFound, RuleViolation
from benhan.identity import name_of
from benhan.records.results import point_of
from benhan.records.shapes import all_of, id_of, must
from benhan.records.types import JsonObject
from benhan.store import Repository, Stored

CRITICAL = frozenset({"HH", "LL", "AA"})
#: a closed record's late results (cultures, histology) stay in the list this long
AFTER_CLOSING = timedelta(days=365)
AT_ONCE = 300
_IDS_OF_ONE_SEARCH = 100

_UNSEEN = (
    "select id, version, encounter_id, khoa, count(*) over () from ("
    " select distinct on (r.id) r.id, r.version, r.at, c.encounter_id, c.khoa from record_case c"
    " join current_version r on r.tenant = c.tenant and r.patient = c.patient_id and r.type = 'DiagnosticReport'"
    " and not r.deleted where c.tenant = %s and (%s::text[] is null or c.khoa = any(%s))"
    " and (c.closed_at is null or c.closed_at > %s) and not exists (select 1 from result_seen s"
    " where s.tenant = r.tenant and s.report_id = r.id and s.version = r.version)"
    " order by r.id, c.admitted_at desc) one order by at desc, id limit %s"
)
_KHOA = (
    "select c.khoa from current_version r join record_case c on c.tenant = r.tenant and c.patient_id = r.patient"
    " where r.tenant = %s and r.type = 'DiagnosticReport' and r.id = %s"
)
_SEE = (
    "insert into result_seen (tenant, report_id, version, at, actor, actor_name, critical, note)"
    " values (%s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing"
)
_SEEN = "select report_id, version, at, actor_name, note from result_seen where tenant = %s and report_id = any(%s)"


@dataclass(frozen=True, slots=True)
class UnreadResult:
    """A result nobody has acknowledged. ``flag``: L, H, LL, HH, AA, N or empty; ``value``: number or text as entered."""

    report_id: str
    version: int
    encounter_id: str
    khoa: str
    patient_id: str
    patient_name: str
    birth_date: str
    title: str
    code: str
    value: Decimal | str
    unit: str
    low: Decimal | None
    high: Decimal | None
    flag: str
    issued: datetime
    corrected: bool

    @property
    def critical(self) -> bool:
        """Whether it was marked as critical."""
        return self.flag in CRITICAL


@dataclass(frozen=True, slots=True)
class Unread:
    """The list, critical ones first, then the newest; ``more``: how many older ones are not listed yet."""

    rows: list[UnreadResult]
    more: int


@dataclass(frozen=True, slots=True)
class Seen:
    """Who acknowledged a version of a result, when, and what was done."""

    version: int
    at: datetime
    by: str
    note: str


async def unread_results(repo: Repository, khoa: Sequence[str] | None = None) -> Unread:
    """What waits for the doctors of some khoa (None: of the facility), as far as the reader may see it."""
    places = list(khoa) if khoa is not None else None
    async with repo.transaction() as tx:
        since = tx.clock.now() - AFTER_CLOSING
        found = await tx.all(_UNSEEN, (tx.ctx.tenant, places, places, since, AT_ONCE))
        reports = await _by_id(tx, "DiagnosticReport", [row[0] for row in found])
        shown = [(row, reports[row[0]]) for row in found if row[0] in reports]
        values = await _by_id(tx, "Observation", [i for _, r in shown for i in _result_ids(r)])
        people = await _by_id(tx, "Patient", list({id_of(r.data["subject"]) for _, r in shown}))
        rows = [_row(row[2], row[3], report, values, people) for row, report in shown]
    rows.sort(key=lambda r: r.issued, reverse=True)
    rows.sort(key=lambda r: not r.critical)
    return Unread(rows, found[0][4] - len(found) if found else 0)


async def _by_id(tx: Repository, kind: str, ids: Sequence[str]) -> dict[str, Stored]:
    found: dict[str, Stored] = {}
    for start in range(0, len(ids), _IDS_OF_ONE_SEARCH):
        asked = ",".join(ids[start : start + _IDS_OF_ONE_SEARCH])
        found |= {s.id: s for s in await all_of(tx, kind, [("_id", asked)])}
    return found


def _result_ids(report: Stored) -> list[str]:
    return [id_of(r) for r in report.data.get("result", [])]


def _row(
    encounter_id: str, khoa: str, report: Stored, values: dict[str, Stored], people: dict[str, Stored]
) -> UnreadResult:
    data = report.data
    observations = [values[i] for i in _result_ids(report) if i in values]
    first: JsonObject = observations[0].data if observations else {}
    point = point_of(observations[0].id, first) if observations else None
    patient_id = id_of(data["subject"])
    text = str(first.get("valueString") or data.get("conclusion") or "")
    patient = people[patient_id].data if patient_id in people else {}
    return UnreadResult(
        report.id, report.version, id_of(data["encounter"]) if "encounter" in data else encounter_id, khoa, patient_id,
        name_of(patient) if patient else "", patient.get("birthDate", ""), _title(data), _code(data),
        point.value if point else text, point.unit if point else "",
        point.low if point else None, point.high if point else None, _flag(observations),
        must(data["issued"]) if "issued" in data else report.at, data["status"] in ("corrected", "amended"),
    )  # fmt: skip


def _title(report: JsonObject) -> str:
    return str(report["code"].get("text") or (report["code"].get("coding") or [{}])[0].get("display", ""))


def _code(report: JsonObject) -> str:
    return str((report["code"].get("coding") or [{}])[0].get("code", ""))


def _flag(observations: list[Stored]) -> str:
    """The worst flag of a report's values: critical before high or low before normal."""
    flags = [
        c.get("code", "") for o in observations for i in o.data.get("interpretation", []) for c in i.get("coding", [])
    ]  # fmt: skip
    return min(flags, key=lambda f: (f not in CRITICAL, f not in ("H", "L", "A")), default="")


async def acknowledge_result(
    repo: Repository,
    report_id: str,
    version: int,
    note: str = "",
    *,
    authorize: Callable[[str, str | None], None],
) -> None:
    """Note that the acting person has seen this version; twice is once, the first stays.

    Raises: ``Conflict`` (records.result-changed); ``RuleViolation`` (records.critical-needs-note);
    ``NotFound`` (records.no-such-result); what ``authorize`` raises.
    """
    async with repo.transaction() as tx:
        places = [row[0] for row in await tx.all(_KHOA, (tx.ctx.tenant, report_id))]
        if not places:
            raise NotFound("records.no-such-result", "Không có kết quả này.")
        _authorize_one(authorize, places)
        report = await tx.read("DiagnosticReport", report_id)
        if report.version != version:
            raise Conflict("records.result-changed", "Kết quả vừa được sửa. Xem lại trị số mới rồi xác nhận.")
        critical = _flag(list((await _by_id(tx, "Observation", _result_ids(report))).values())) in CRITICAL
        if critical and not note.strip():
            raise RuleViolation(
                "records.critical-needs-note",
                "Kết quả báo động: ghi đã xử trí gì rồi mới xác nhận.",
                expression=f"note-{report_id}",
            )
        actor = tx.ctx.actor
        values = (
            tx.ctx.tenant, report_id, version, tx.clock.now(), actor.reference, actor.display, critical, note.strip(),
        )  # fmt: skip
        await tx.open_connection.execute(_SEE, values)


def _authorize_one(authorize: Callable[[str, str | None], None], places: list[str]) -> None:
    """Pass when one of the khoa where the person is or was treated allows it; else the last refusal."""
    for n, khoa in enumerate(places, start=1):
        try:
            return authorize("order.write", khoa)
        except NotAllowed:
            if n == len(places):
                raise


async def seen_by(repo: Repository, report_ids: Sequence[str]) -> dict[str, Seen]:
    """The latest acknowledgement of each report that has one."""
    async with repo.transaction() as tx:
        rows = await tx.all(_SEEN, (tx.ctx.tenant, list(report_ids)))
    return {row[0]: Seen(*row[1:]) for row in sorted(rows, key=lambda r: r[1])}
