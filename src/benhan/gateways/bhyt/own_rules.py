"""Rules of the facility itself, and faults that somebody entitled lets through with a reason.

A rule is written as YAML, tried on the claims of a month, published; every save is a new version. A fault that is let
through stays on the claim as a warning with who did it and why; structure faults of the portal cannot be let through.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from psycopg.rows import dict_row

from benhan.base.errors import Conflict, InvalidInput, NotAllowed, NotFound, RuleViolation
from benhan.gateways.bhyt.check import left_on
from benhan.gateways.bhyt.desk import ClaimRow, desk
from benhan.gateways.bhyt.package import Package, make_row, read_package
from benhan.gateways.bhyt.rules import Finding, Rule, judge, read_rules, shipped_rules
from benhan.gateways.bhyt.rules.book import Example
from benhan.store import Repository

_LEAST_REASON = 10
_NEXT = (
    "insert into bhyt_rule (tenant, id, version, yaml, state, at, actor, actor_display) select %(tenant)s, %(id)s, "
    "coalesce(max(version), 0) + 1, %(yaml)s, %(state)s, %(at)s, %(actor)s, %(display)s from bhyt_rule "
    "where tenant = %(tenant)s and id = %(id)s"
)
_LAST = (
    "select distinct on (id) id, version, yaml, state, at, actor_display from bhyt_rule where tenant = %s "
    "order by id, version desc"
)
_LET = (
    "insert into bhyt_pass (tenant, ma_lk, rule, place, reason, at, actor, actor_display) "
    "values (%s, %s, %s, %s, %s, %s, %s, %s)"
)
_PASSES = "select rule, place, reason, at, actor_display from bhyt_pass where tenant = %s and ma_lk = %s order by at"


@dataclass(frozen=True, slots=True)
class OwnRule:
    """A rule of the facility in its last version; ``state``: draft, published, retired."""

    id: str
    version: int
    yaml: str
    state: str
    at: datetime
    by: str
    rule: Rule


@dataclass(frozen=True, slots=True)
class Pass:
    """A fault that was let through."""

    rule: str
    place: str
    reason: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What a rule would have said of the claims of a month."""

    claims: int
    found: tuple[tuple[ClaimRow, tuple[Finding, ...]], ...]


def one_rule(text: str) -> Rule:
    """The one rule of a YAML text, with its examples kept.

    Raises: ``InvalidInput`` bhyt.rule-file, bhyt.rule-example; ``Conflict`` bhyt.rule-shipped.
    """
    rules = read_rules(text, "Luật")
    if len(rules) != 1:
        raise InvalidInput("bhyt.rule-file", "Mỗi lần ghi một luật.", expression="yaml")
    (rule,) = rules
    if any(r.id == rule.id for r in shipped_rules()):
        raise Conflict("bhyt.rule-shipped", f"Mã {rule.id} là luật đi kèm chương trình: hãy đặt mã khác.")
    if _spoken(rule, rule.good):
        raise InvalidInput("bhyt.rule-example", "Ví dụ đúng (good) lại bị luật bắt lỗi.", expression="yaml")
    if not _spoken(rule, rule.bad):
        raise InvalidInput("bhyt.rule-example", "Ví dụ sai (bad) không bị luật bắt lỗi.", expression="yaml")
    return rule


def _spoken(rule: Rule, example: Example) -> list[Finding]:
    rows = {t: tuple(make_row(t, n, line) for n, line in enumerate(lines, 1)) for t, lines in example.items()}
    package = Package("51001", "20260101", rows)
    day = min(max(left_on(package), rule.first), rule.last)
    return list(judge(package, [rule], day))


async def save_rule(repo: Repository, text: str, state: str = "draft") -> OwnRule:
    """A new version of a rule. Raises as :func:`one_rule`."""
    rule = one_rule(text)
    actor = repo.ctx.actor
    values = {
        "tenant": repo.ctx.tenant, "id": rule.id, "yaml": text, "state": state, "at": repo.clock.now(),
        "actor": actor.reference, "display": actor.display,
    }  # fmt: skip
    async with repo.transaction() as tx:
        await tx.open_connection.execute(_NEXT, values)
        return await own_rule(tx, rule.id)


async def own_rules(repo: Repository) -> list[OwnRule]:
    """All rules of the facility in their last version."""
    async with repo.transaction() as tx, tx.open_connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_LAST, (repo.ctx.tenant,))
        rows = await cursor.fetchall()
    return [
        OwnRule(
            r["id"],
            r["version"],
            r["yaml"],
            r["state"],
            r["at"],
            r["actor_display"],
            read_rules(r["yaml"], r["id"])[0],
        )
        for r in rows
    ]


async def own_rule(repo: Repository, rule_id: str) -> OwnRule:
    """One of them. Raises: ``NotFound`` bhyt.no-rule."""
    found = next((r for r in await own_rules(repo) if r.id == rule_id), None)
    if found is None:
        raise NotFound("bhyt.no-rule", "Không có luật này.")
    return found


async def published_rules(repo: Repository) -> list[Rule]:
    """The facility's rules that are in use."""
    return [r.rule for r in await own_rules(repo) if r.state == "published"]


async def set_rule_state(repo: Repository, rule_id: str, state: str) -> OwnRule:
    """Publish or retire. Raises: ``NotFound`` bhyt.no-rule."""
    return await save_rule(repo, (await own_rule(repo, rule_id)).yaml, state)


async def try_rule(repo: Repository, rule: Rule, month: str) -> Trial:
    """What it would have said of the claims of a month (``yyyymm``)."""
    rows = (await desk(repo, month=month, limit=100_000)).rows
    found = []
    for row in rows:
        package = read_package(await repo.store.blobs.get(row.sha256))
        spoken = tuple(judge(package, [rule], left_on(package)))
        if spoken:
            found.append((row, spoken))
    return Trial(len(rows), tuple(found))


async def let_pass(repo: Repository, row: ClaimRow, rule_id: str, place: str, reason: str) -> None:
    """Let one fault of a claim through.

    Raises: ``NotFound`` bhyt.no-fault; ``RuleViolation`` bhyt.pass-reason; ``NotAllowed`` bhyt.cannot-pass.
    """
    if not any(f["rule"] == rule_id and f["place"] == place for f in row.faults):
        raise NotFound("bhyt.no-fault", "Hồ sơ không còn lỗi này.")
    rule = next((r for r in (*shipped_rules(), *await published_rules(repo)) if r.id == rule_id), None)
    if rule is None or not rule.may_pass:
        raise NotAllowed("bhyt.cannot-pass", "Lỗi cấu trúc không cho qua được: cổng sẽ từ chối.")
    if len(reason.strip()) < _LEAST_REASON:
        raise RuleViolation(
            "bhyt.pass-reason", "Ghi rõ lý do cho qua (ít nhất 10 ký tự).", expression="ly_do"
        )
    actor = repo.ctx.actor
    values = (repo.ctx.tenant, row.ma_lk, rule_id, place, reason.strip(), repo.clock.now())
    async with repo.transaction() as tx:
        await tx.open_connection.execute(_LET, (*values, actor.reference, actor.display))


async def passes(repo: Repository, ma_lk: str) -> list[Pass]:
    """Faults of a claim that were let through."""
    async with repo.transaction() as tx:
        cursor = await tx.open_connection.execute(_PASSES, (repo.ctx.tenant, ma_lk))
        return [Pass(*row) for row in await cursor.fetchall()]


def with_passes(findings: list[Finding], let_through: list[Pass]) -> list[Finding]:
    """Faults that were let through become warnings that say so."""
    why = {(p.rule, p.place): p for p in let_through}
    return [
        replace(f, severity="warning", text=f"{f.text} (đã cho qua: {why[f.rule, f.place].reason})")
        if (f.rule, f.place) in why
        else f
        for f in findings
    ]
