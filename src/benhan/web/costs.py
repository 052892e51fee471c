"""The bill of a đợt: lines with payer and reversal, advances, bảng kê chi phí, quyết toán."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from benhan import records
from benhan.base.errors import InvalidInput, Issue
from benhan.gateways import bhyt
from benhan.store import SystemPolicy
from benhan.web import rail
from benhan.web.frame import Visit, attempt, page
from benhan.web.i18n import N_

PAYERS = {
    "bhyt": N_("BHYT"),
    "thu-phi": N_("Thu phí"),
    "theo-yeu-cau": N_("Theo yêu cầu"),
    "hao-phi": N_("Hao phí"),
    "mien-giam": N_("Miễn, giảm"),
    "nguon-khac": N_("Nguồn khác"),
}
#: what a cashier may choose: payer, or payer and the other source
CHOICES = {
    "bhyt": N_("BHYT"),
    "thu-phi": N_("Người bệnh (thu phí)"),
    "theo-yeu-cau": N_("Người bệnh (theo yêu cầu)"),
    "nguon-khac:nsnn": N_("Nguồn khác: ngân sách nhà nước"),
    "nguon-khac:vtnn": N_("Nguồn khác: viện trợ nước ngoài"),
    "nguon-khac:vttn": N_("Nguồn khác: viện trợ trong nước"),
    "nguon-khac:rest": N_("Nguồn khác: còn lại"),
    "mien-giam": N_("Miễn, giảm"),
    "hao-phi": N_("Hao phí (đã trong giá dịch vụ)"),
}


async def _statement(visit: Visit, encounter_id: str) -> bhyt.Statement:
    """Made from orders and results, which a cashier may not open: who may see the bill sees its lines, not their source.

    The audit names the person and the purpose of payment.
    """
    visit.require("charge.read", (await records.case(visit.repo, encounter_id)).khoa)
    ctx = replace(visit.signed_in.ctx, purpose="HPAYMT")
    return await bhyt.statement(visit.store.repo(ctx, SystemPolicy()), encounter_id)


@page("charge.read")
async def costs_page(visit: Visit) -> Response:
    """Lines, payments, what is left."""
    return await _costs(visit)


async def _costs(visit: Visit, **context: Any) -> Response:
    encounter_id = visit.path("encounter")
    frame = await rail.about_case(visit, encounter_id, "vien-phi")
    lines = await records.charge_lines(visit.repo, encounter_id)
    paper = await _statement(visit, encounter_id)
    paid = await records.payments(visit.repo, encounter_id)
    return visit.draw(
        "costs.html",
        **{
            **frame,
            "lines": lines,
            "reversed": {line.reverses for line in lines if line.reverses},
            "payers": PAYERS,
            "choices": CHOICES,
            "sums": paper.sums,
            "pays": paper.sums["shared"] + paper.sums["own"],
            "payments": paid,
            "whole": _paid_whole(paper, lines),
            "advanced": sum((p.amount for p in paid), Decimal(0)),
            "settled": await records.settled_at(visit.repo, encounter_id),
            **context,
        },
    )


def _paid_whole(paper: bhyt.Statement, lines: list[records.ChargeLine]) -> bool:
    """The claim gives every line 100 % though the card gives less: the đợt is below 15 % of the reference salary."""
    less = any(line.payer == "bhyt" and 0 < line.percent < 100 for line in lines)
    covered = [line for group in paper.groups for line in group.lines if line.rate]
    return less and bool(covered) and all(line.percent == 100 for line in covered)


@page("charge.read")
async def statement_page(visit: Visit) -> Response:
    """Bảng kê chi phí, to be printed."""
    encounter_id = visit.path("encounter")
    frame = await rail.about_case(visit, encounter_id, "vien-phi")
    paper = await _statement(visit, encounter_id)
    paid = await records.payments(visit.repo, encounter_id)
    return visit.draw(
        "statement.html",
        **{
            **frame,
            "paper": paper,
            "rights": await records.entitlement_line(visit.repo, encounter_id),
            "advanced": sum((p.amount for p in paid), Decimal(0)),
            "settled": await records.settled_at(visit.repo, encounter_id),
            "confirmed": bhyt.LAYOUT_CONFIRMED,
        },
    )


@page("charge.write")
async def act(visit: Visit) -> Response:
    """Take an advance, give one back, reverse a line or give it another payer, settle, open again."""
    return await attempt(visit, _act(visit), _costs)


async def _act(visit: Visit) -> Response:
    encounter_id, what, repo = visit.path("encounter"), visit.text("viec"), visit.repo
    if what in ("tam-ung", "hoan-ung"):
        amount = _amount(visit)
        signed = amount if what == "tam-ung" else -amount
        await records.add_advance(repo, encounter_id, signed, visit.now, visit.text("ghi_chu"))
    elif what == "dao":
        await records.reverse_charge(repo, visit.text("dong"), visit.text("ly_do"))
    elif what == "doi-nguon":
        payer, _, other = visit.text("nguon").partition(":")
        await records.change_payer(repo, visit.text("dong"), payer, visit.text("ly_do"), other=other)
    elif what == "quyet-toan":
        sums = (await _statement(visit, encounter_id)).sums
        pays = sums["shared"] + sums["own"]
        await records.settle(repo, encounter_id, pays, visit.now, authorize=visit.authorize)
    elif what == "mo-lai":
        await records.unsettle(repo, encounter_id, visit.text("ly_do"), authorize=visit.authorize)
    return visit.go(f"/dot/{encounter_id}/vien-phi", "da-luu")


def _amount(visit: Visit) -> Decimal:
    text = visit.text("so_tien").replace(".", "").replace(",", ".")
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(0)
    if not Decimal(0) < amount < Decimal(10) ** 12:
        said = "Ghi số tiền lớn hơn 0."
        raise InvalidInput("web.no-amount", said, issues=[Issue("web.no-amount", said, "so_tien")])
    return amount


ROUTES = [
    Route("/dot/{encounter}/vien-phi", costs_page, methods=["GET"]),
    Route("/dot/{encounter}/vien-phi", act, methods=["POST"]),
    Route("/dot/{encounter}/bang-ke", statement_page, methods=["GET"]),
]
