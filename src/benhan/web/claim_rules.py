"""Rules of the claim on screen: those that come with the program, and the facility's own: written, tried, published."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from benhan.base.clock import local_date
from benhan.gateways import bhyt
from benhan.web import rail
from benhan.web.frame import Visit, attempt, page
from benhan.web.i18n import N_

STATES = {"draft": N_("Bản thảo"), "published": N_("Đang dùng"), "retired": N_("Đã thôi dùng")}
GATES = {
    "order": N_("khi chỉ định"),
    "discharge": N_("khi ra viện"),
    "payment": N_("khi thanh toán"),
    "send": N_("khi gửi"),
}
TEMPLATE = """rules:
  - id: CS-01
    code: own.check
    table: XML3
    field: MA_DICH_VU
    when: MA_NHOM == '2'
    must: filled(MA_MAY)
    text: chẩn đoán hình ảnh phải ghi mã máy
    severity: warning
    source: quy định của bệnh viện
    gates: [order, send]
    good: {MA_NHOM: "2", MA_MAY: "HA.1.51001.0001"}
    bad: {MA_NHOM: "2", MA_MAY: ""}
"""


@page("claim.check")
async def rules_page(visit: Visit) -> Response:
    """All rules, own ones first; ``q`` filters by id, table or words."""
    wanted = visit.request.query_params.get("q", "").strip().lower()
    shipped = [
        r
        for r in bhyt.shipped_rules()
        if not wanted or wanted in f"{r.id} {r.code} {' '.join(r.tables)} {r.text} {r.source}".lower()
    ]
    return visit.draw(
        "claim_rules.html",
        **await rail.around(visit),
        own=await bhyt.own_rules(visit.repo),
        shipped=shipped,
        total=len(bhyt.shipped_rules()),
        wanted=wanted,
        states=STATES,
        gates=GATES,
    )


@page("claim.check")
async def rule_page(visit: Visit) -> Response:
    """Write a rule; ``luat`` opens one of the facility's."""
    return await _rule(visit)


async def _rule(visit: Visit, **context: Any) -> Response:
    known = visit.request.query_params.get("luat", "")
    own = await bhyt.own_rule(visit.repo, known) if known else None
    return visit.draw(
        "claim_rule.html",
        **{
            **await rail.around(visit),
            "own": own,
            "yaml": own.yaml if own else TEMPLATE,
            "month": local_date(visit.now).strftime("%Y%m"),
            "trial": None,
            "states": STATES,
            **context,
        },
    )


@page("claim.send")
async def write(visit: Visit) -> Response:
    """Try on a month, save as a draft, publish or retire."""
    return await attempt(visit, _write(visit), _rule)


async def _write(visit: Visit) -> Response:
    text, act = visit.text("yaml"), visit.text("viec")
    if act == "thu":
        rule = bhyt.one_rule(text)
        trial = await bhyt.try_rule(visit.repo, rule, visit.text("thang"))
        return await _rule(visit, trial=trial, yaml=text, month=visit.text("thang"))
    if act == "thoi-dung":
        saved = await bhyt.set_rule_state(visit.repo, bhyt.one_rule(text).id, "retired")
    else:
        saved = await bhyt.save_rule(visit.repo, text, "published" if act == "dung" else "draft")
    return visit.go(f"/bhyt/luat/soan?luat={saved.id}", "da-luu")


ROUTES = [
    Route("/bhyt/luat", rules_page, methods=["GET"]),
    Route("/bhyt/luat/soan", rule_page, methods=["GET"]),
    Route("/bhyt/luat/soan", write, methods=["POST"]),
]
