"""The desk follows a claim: faulty, let through, refused, corrected, received; lines after sending; the month's sums."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from benhan.base.errors import Conflict, InvalidInput, NotAllowed, RuleViolation
from benhan.gateways.bhyt import (
    claim_row,
    desk,
    judge_case,
    let_pass,
    line_states,
    make_row,
    note_line,
    one_rule,
    own_rules,
    passes,
    read_portal_list,
    reconcile,
    save_rule,
    set_rule_state,
    try_rule,
)
from benhan.gateways.bhyt.desk import changes_between
from benhan.gateways.bhyt.jobs import submit
from benhan.gateways.bhyt.samples import package_of, stories
from benhan.store import Repository

OWN = """rules:
  - id: CS-01
    code: own.machine
    table: XML3
    field: MA_MAY
    when: MA_NHOM == '{group}'
    must: MA_MAY == 'KHONG-CO-MAY-NAY'
    text: chưa đúng mã máy
    severity: error
    source: quy định của bệnh viện
    good: {{MA_NHOM: "{group}", MA_MAY: KHONG-CO-MAY-NAY}}
    bad: {{MA_NHOM: "{group}", MA_MAY: X}}
"""


async def _send(ward: Repository, record: Any) -> None:
    await submit(ward.store, ward.ctx.tenant, {"encounter": record.id, "ma_lk": record.admitted.ma_lk})


async def test_a_faulty_claim_stands_at_the_desk_with_its_rules(
    open_ward: Any, portal: tuple[str, Any], build: Any, clock: Any
) -> None:
    ward = await open_ward(portal[0])
    record = await build.a_discharged_record(ward, clock)
    await _send(ward, record)
    row = await claim_row(ward, record.admitted.ma_lk)
    assert (row.state, row.sent, row.encounter) == ("faulty", 0, record.id)
    assert "B-XML7" in {f["rule"] for f in row.faults}
    with pytest.raises(RuleViolation):
        await let_pass(ward, row, "B-XML7", "XML7", "ngắn")
    structure = {
        "rule": "XML1.HO_TEN.required",
        "place": "XML1/dòng 1/HO_TEN",
        "severity": "error",
        "text": "",
    }
    with pytest.raises(NotAllowed):
        await let_pass(
            ward, replace(row, faults=(structure,)), structure["rule"], structure["place"], "Cổng sẽ từ chối"
        )
    await let_pass(ward, row, "B-XML7", "XML7", "Giấy ra viện ký sau, trưởng khoa đồng ý")
    await _send(ward, record)
    row = await claim_row(ward, record.admitted.ma_lk)
    (fault,) = [f for f in row.faults if f["rule"] == "B-XML7"]
    assert fault["severity"] == "warning"
    assert "trưởng khoa đồng ý" in fault["text"]
    assert [p.rule for p in await passes(ward, row.ma_lk)] == ["B-XML7"]


async def test_a_refusal_then_acceptance_and_lines_after_sending(
    open_ward: Any, portal: tuple[str, Any], build: Any, clock: Any
) -> None:
    ward = await open_ward(portal[0])
    record = await build.a_whole_record(ward, clock)
    portal[1].faults = {"refuse": 1}
    await _send(ward, record)
    row = await claim_row(ward, record.admitted.ma_lk)
    assert (row.state, row.sent) == ("refused", 1)
    assert "Cổng BHYT từ chối" in row.answer
    await _send(ward, record)
    row = await claim_row(ward, record.admitted.ma_lk)
    assert (row.state, row.sent) == ("received", 2)
    lines = {f.split("/")[0] for f in row.twin}
    assert lines >= {"XML2", "XML3", "XML4", "XML5"}, "every line has the fact behind it"
    for place, source in row.twin.items():
        assert (await ward.read(*source.split("/"))).id, place
    board = await desk(ward, month=row.month)
    assert board.sums["received"]["count"] == 1
    assert board.sums["received"]["bhtt"] == row.totals["bhtt"]
    assert [k["claims"] for k in board.by_khoa] == [1]
    assert (await desk(ward, month=row.month, state="refused")).rows == ()

    await note_line(ward, row.ma_lk, "XML3/1", "tu-choi", Decimal(5000), "Thiếu chỉ định")
    await note_line(ward, row.ma_lk, "XML3/1", "giai-trinh", None, "Chỉ định ở tờ điều trị ngày đầu")
    (line,) = await line_states(ward, row.ma_lk)
    assert (line.place, line.state) == ("XML3/1", "giai-trinh")
    with pytest.raises(InvalidInput):
        await note_line(ward, row.ma_lk, "XML3/1", "xuat-toan", Decimal(1), "")

    theirs = read_portal_list(f"MA_LK;T_BHTT\n{row.ma_lk};{row.totals['bhtt']}\nKHAC;10\n")
    report = await reconcile(ward, row.month, theirs)
    assert (report.agreed, report.missing_here, report.missing_there, report.different) == (
        1,
        ("KHAC",),
        (),
        (),
    )
    report = await reconcile(ward, row.month, {row.ma_lk: Decimal(1)})
    assert report.different == ((row.ma_lk, row.totals["bhtt"], Decimal(1)),)


async def test_an_own_rule_is_tried_published_and_stops_the_claim(
    open_ward: Any, build: Any, clock: Any
) -> None:
    ward = await open_ward(None)
    record = await build.a_whole_record(ward, clock)
    await _send(ward, record)
    row = await claim_row(ward, record.admitted.ma_lk)
    assert row.state == "waiting"
    text = OWN.format(group="15")
    trial = await try_rule(ward, one_rule(text), row.month)
    assert (trial.claims, [r.ma_lk for r, _ in trial.found]) == (1, [row.ma_lk])
    assert await own_rules(ward) == [], "trying changes nothing"
    await save_rule(ward, text)
    await set_rule_state(ward, "CS-01", "published")
    (rule,) = await own_rules(ward)
    assert (rule.state, rule.version) == ("published", 2)
    await _send(ward, record)
    stopped = await claim_row(ward, record.admitted.ma_lk)
    assert stopped.state == "faulty"
    assert "CS-01" in {f["rule"] for f in stopped.faults}


AT_ORDER = """rules:
  - {id: CS-02, code: own.reason, table: XML1, field: LY_DO_VV, must: "LY_DO_VV == 'không có'", text: lý do khác,
     source: quy định của bệnh viện, gates: [order], good: {LY_DO_VV: không có}, bad: {LY_DO_VV: sốt}}
"""


async def test_rules_speak_while_the_record_is_being_made(open_ward: Any, build: Any) -> None:
    """Orders are judged while the patient is here, papers when he has left; each gate has its own rules."""
    ward = await open_ward(None)
    record = await build.an_inpatient_record(ward, signed=True)
    await save_rule(ward, AT_ORDER, "published")
    assert {f.rule for f in await judge_case(ward, record.id)} == {"CS-02"}
    at_discharge = {f.rule for f in await judge_case(ward, record.id, "discharge")}
    assert "B-XML7" in at_discharge
    assert "CS-02" not in at_discharge


def test_a_rule_must_agree_with_its_examples_and_leave_shipped_ones_alone() -> None:
    with pytest.raises(InvalidInput, match="good"):
        one_rule(OWN.format(group="15").replace('good: {MA_NHOM: "15"', 'good: {MA_NHOM: "15", MA_MAY: Y, STT: "1"').replace(
            "MA_MAY: Y, STT", "STT").replace(", MA_MAY: KHONG-CO-MAY-NAY}", ", MA_MAY: Y}"))  # fmt: skip
    with pytest.raises(InvalidInput, match="bad"):
        one_rule(OWN.format(group="15").replace("MA_MAY: X", "MA_MAY: KHONG-CO-MAY-NAY"))
    with pytest.raises(Conflict):
        one_rule(OWN.format(group="15").replace("CS-01", "X2-NHOM"))


def test_the_portal_list_names_every_bad_line() -> None:
    with pytest.raises(InvalidInput) as refused:
        read_portal_list("MA_LK,T_BHTT\nA,1\nA,2\nB,x\n")
    assert [i.text[:6] for i in refused.value.issues] == ["Dòng 3", "Dòng 4"]
    with pytest.raises(InvalidInput):
        read_portal_list("MA,TIEN\n")


def test_what_changed_is_told_tag_by_tag() -> None:
    before = package_of(stories()[1], 2)
    rows = before.table("XML3")
    changed = make_row("XML3", 1, {**rows[0].values, "SO_LUONG": "9"})
    after = replace(before, rows={**before.rows, "XML3": (changed, *rows[1:-1])})
    found = changes_between(before, after)
    assert {"place": "XML3/dòng 1/SO_LUONG", "before": rows[0].get("SO_LUONG"), "after": "9"} in found
    assert {"place": f"XML3/dòng {len(rows)}", "before": "có", "after": ""} in found
    assert changes_between(before, before) == []
