"""The health of the archive: sealed files read again, proofs that run out, the audit checked; at the hub, by facility."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from benhan import records
from benhan.base.clock import local_date
from benhan.signing import audit_checks, check_audit, last_audit_head, root_certificate, time_stamper
from benhan.web import rail
from benhan.web.frame import Visit, attempt, page

ADDRESS = "/luu-tru/suc-khoe"


@page("archive.keep")
async def health(visit: Visit) -> Response:
    """What was checked, what was found, what runs out soon."""
    return await _health(visit)


async def _health(visit: Visit, **context: Any) -> Response:
    today = local_date(visit.now)
    names = {t.id: t for t in await visit.store.tenants()}
    risky = await records.at_risk(visit.repo)
    return visit.draw(
        "keeping.html",
        **{
            **await rail.around(visit),
            "hub": visit.settings.role == "hub",
            "scrubs": await records.scrubs(visit.repo, 10),
            "kept": [
                (k, names.get(k.custodian) if k.custodian else None) for k in await records.kept(visit.repo)
            ],
            "risky": [
                (
                    p,
                    names.get(p.custodian) if p.custodian else None,
                    None if p.ends_at is None else (local_date(p.ends_at) - today).days,
                )
                for p in risky
            ],
            "has_cold": visit.store.blobs.has_cold,
            "cold": await records.cold_state(visit.repo),
            "cold_faults": await records.cold_faults(visit.repo, 20),
            "waiting": await records.waiting_signatures(visit.repo, 20),
            "void": await records.void_signatures(visit.repo, 20),
            "checks": await audit_checks(visit.repo),
            "head": await last_audit_head(visit.repo),
            **context,
        },
    )


@page("archive.keep")
async def act(visit: Visit) -> Response:
    """Check or renew now instead of tonight."""
    return await attempt(visit, _act(visit), _health)


async def _act(visit: Visit) -> Response:
    roots = root_certificate(visit.settings)
    if visit.text("viec") == "gia-han":
        await records.look_at_proofs(visit.repo)
        run = await records.renew_due(visit.repo, time_stamper(visit.settings, of_seal=True), roots)
        return visit.go(ADDRESS, "co-loi-gia-han" if run.failed else "da-gia-han")
    if visit.text("viec") == "kho-lanh":
        after = timedelta(days=visit.settings.cold_after_days)
        await records.move_to_cold(visit.store.system_repo(visit.signed_in.ctx.tenant), after)
        return visit.go(ADDRESS, "da-chuyen-lanh")
    if visit.text("viec") == "nhat-ky":
        await check_audit(visit.repo, roots)
    else:
        await records.look_at_proofs(visit.repo)
        await records.scrub(visit.repo)
    return visit.go(ADDRESS, "da-kiem-tra")


ROUTES = [Route(ADDRESS, health, methods=["GET"]), Route(ADDRESS, act, methods=["POST"])]
