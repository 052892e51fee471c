"""Whose duty a signature is: sent back with a reason, signed for another between two days, owed since when."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from benhan import records
from benhan.base.clock import local_date
from benhan.base.errors import Conflict, InvalidInput, NotAllowed, NotFound, RuleViolation
from benhan.records import Reader, everything_allowed
from benhan.records.shapes import fact_of
from benhan.store import Repository


def allowed(*permissions: str) -> Any:
    """``authorize`` of somebody with these permissions in khoa K01."""

    def authorize(permission: str, khoa: str | None) -> None:
        if permission not in permissions or khoa not in ("K01", None):
            raise NotAllowed("access.not-permitted", "Vai trò hiện tại không có quyền.")

    return authorize


async def a_summed_up_record(ward: Repository, build: Any) -> Any:
    """A record that both doctors' places are signed on: it waits for the head."""
    record = await build.an_inpatient_record(ward)
    await build.write(record, build.summary_answers())
    await build.sign(record, build.DOCTOR, "bac_si_lam_benh_an")
    await build.sign(record, build.DOCTOR, "bac_si_dieu_tri")
    return record


HEAD_MAY = allowed("form.sign", "form.sign_head")


async def test_a_returned_paper_waits_for_its_author(ward: Repository, build: Any, clock: Any) -> None:
    """The head sends it back with a reason: nobody signs it, the author sees why, it is a gap; mended, it goes on."""
    record = await a_summed_up_record(ward, build)
    await records.return_paper(
        ward, record.response_id, build.HEAD, "Thiếu tiền sử dị ứng", authorize=HEAD_MAY
    )
    held = await records.paper(ward, record.response_id)
    assert held.returned is not None
    assert (held.returned.name, held.returned.reason) == (build.HEAD.name, "Thiếu tiền sử dị ứng")
    with pytest.raises(Conflict) as waits:
        await build.sign(record, build.HEAD, "truong_khoa")
    assert waits.value.code == "records.paper-returned"
    (mine,) = await records.returned_papers(ward, build.DOCTOR.reference)
    assert (mine.response_id, mine.owed_by) == (record.response_id, build.DOCTOR.name)
    head = Reader(build.HEAD.reference, ("truong_khoa",), lambda p, k: True)
    assert await records.papers_to_sign(ward, head) == []
    gaps = await records.completeness(ward, record.id)
    assert [g.who for g in gaps if g.code == "returned"] == [build.DOCTOR.name]
    trail = await ward.audit_of_patient(record.patient.id)
    assert "paper-return" in {row.action for row in trail}

    await build.write(record, {"tien_su_ban_than": "Dị ứng penicillin."}, reason="Bổ sung tiền sử")
    held = await records.paper(ward, record.response_id)
    assert (held.returned, held.next_role) == (None, "bac_si_lam_benh_an")
    for staff, role in (
        (build.DOCTOR, "bac_si_lam_benh_an"),
        (build.DOCTOR, "bac_si_dieu_tri"),
        (build.HEAD, "truong_khoa"),
    ):
        await build.sign(record, staff, role)
    assert (await records.paper(ward, record.response_id)).next_role is None


async def test_the_author_sends_it_again_with_an_answer(ward: Repository, build: Any) -> None:
    """Without a change: the signatures stay, the head signs; both words are kept."""
    record = await a_summed_up_record(ward, build)
    await records.return_paper(ward, record.response_id, build.HEAD, "Xem lại chẩn đoán", authorize=HEAD_MAY)
    with pytest.raises(NotAllowed) as other:
        await records.resend_paper(ward, record.response_id, build.NURSE, "Đã xem")
    assert other.value.code == "records.not-your-paper"
    await records.resend_paper(ward, record.response_id, build.DOCTOR, "Đã hội chẩn, giữ chẩn đoán")
    with pytest.raises(Conflict):
        await records.resend_paper(ward, record.response_id, build.DOCTOR, "Lần nữa")
    await build.sign(record, build.HEAD, "truong_khoa")
    assert await records.returns_of(ward, record.response_id) == [
        ("tra-lai", build.HEAD.name, "Xem lại chẩn đoán"),
        ("gui-lai", build.DOCTOR.name, "Đã hội chẩn, giữ chẩn đoán"),
    ]


async def test_only_the_next_signer_returns_and_says_why(ward: Repository, build: Any) -> None:
    """No reason, not the right, one's own paper, twice, a finished paper: refused, nothing is written."""
    record = await a_summed_up_record(ward, build)
    paper = record.response_id
    with pytest.raises(RuleViolation):
        await records.return_paper(ward, paper, build.HEAD, "  ", authorize=HEAD_MAY)
    with pytest.raises(NotAllowed):
        await records.return_paper(ward, paper, build.NURSE, "Thử", authorize=allowed("form.sign"))
    with pytest.raises(Conflict) as own:
        await records.return_paper(ward, paper, build.DOCTOR, "Thử", authorize=HEAD_MAY)
    assert own.value.code == "records.own-paper"
    assert await records.returns_of(ward, paper) == []
    await records.return_paper(ward, paper, build.HEAD, "Thử", authorize=HEAD_MAY)
    with pytest.raises(Conflict) as twice:
        await records.return_paper(ward, paper, build.HEAD, "Thử", authorize=HEAD_MAY)
    assert twice.value.code == "records.paper-returned"
    await records.resend_paper(ward, paper, build.DOCTOR, "Đúng rồi")
    await build.sign(record, build.HEAD, "truong_khoa")
    with pytest.raises(RuleViolation) as done:
        await records.return_paper(ward, paper, build.HEAD, "Thử", authorize=HEAD_MAY)
    assert done.value.code == "records.not-your-turn"


async def hand_on(ward: Repository, build: Any, first: date, last: date, **over: Any) -> Any:
    """The head hands the record's cover to the doctor."""
    given: dict[str, Any] = {
        "permission": "form.sign_head",
        "khoa": "K01",
        "forms": ["01/BV1"],
        "reason": "Đi công tác",
        "authorize": HEAD_MAY,
    }
    giver = ward.store.repo(build.ctx(ward.ctx.tenant, build.HEAD), ward.policy)
    return await records.delegate(
        giver, build.HEAD, build.DOCTOR, first=first, last=last, **{**given, **over}
    )


async def test_signing_for_the_head_between_two_days(ward: Repository, build: Any, clock: Any) -> None:
    """Refused before the first and after the last day; in between it is signed "ký thay", and the record closes with it."""
    record = await a_summed_up_record(ward, build)
    today = local_date(clock.now())
    made = await hand_on(ward, build, today + timedelta(days=1), today + timedelta(days=2))
    sign, may = build.sign_as(build.DOCTOR, "truong_khoa"), allowed("form.sign")
    with pytest.raises(NotAllowed):
        await records.sign_paper(ward, record.response_id, sign, authorize=may)
    clock.move(days=3)
    with pytest.raises(NotAllowed):
        await records.sign_paper(ward, record.response_id, sign, authorize=may)
    clock.move(days=-1)
    reader = Reader(
        build.DOCTOR.reference,
        ("bac_si",),
        lambda p, k: p == "form.sign",
        await records.delegations_to(ward, build.DOCTOR.reference),
    )
    (waiting,) = await records.papers_to_sign(ward, reader)
    assert waiting.role == "truong_khoa"
    with pytest.raises(NotAllowed):
        await records.sign_paper(ward, record.response_id, sign, authorize=allowed())
    signed = await records.sign_paper(ward, record.response_id, sign, authorize=may)
    assert signed.data["agent"][0]["onBehalfOf"]["reference"] == build.HEAD.reference
    assert fact_of(signed.data, "uy-quyen") == str(made)
    last = (await records.paper(ward, record.response_id)).signatures[-1]
    assert (last.name, last.on_behalf, last.standing) == (build.DOCTOR.name, build.HEAD.name, True)
    pdf = await records.print_paper(ward, record.response_id)
    assert f"Trưởng khoa (ký thay {build.HEAD.name})".encode() in pdf


async def test_a_delegation_covers_what_it_names(ward: Repository, build: Any, clock: Any) -> None:
    """Another paper, another khoa, taken back: refused. One's own right is never called ký thay."""
    record = await a_summed_up_record(ward, build)
    today = local_date(clock.now())
    sign, may = build.sign_as(build.DOCTOR, "truong_khoa"), allowed("form.sign")
    await hand_on(ward, build, today, today, forms=["02/BV1"])
    await hand_on(
        ward, build, today, today, khoa=None, permission="form.sign_director", authorize=everything_allowed
    )
    with pytest.raises(NotAllowed):
        await records.sign_paper(ward, record.response_id, sign, authorize=may)
    made = await hand_on(ward, build, today, today)
    with pytest.raises(NotFound):
        await records.end_delegation(ward, made)  # the doctor cannot take back what the head has given
    giver = ward.store.repo(build.ctx(ward.ctx.tenant, build.HEAD), ward.policy)
    await records.end_delegation(giver, made)
    with pytest.raises(NotAllowed):
        await records.sign_paper(ward, record.response_id, sign, authorize=may)
    await hand_on(ward, build, today, today)
    own = await records.sign_paper(ward, record.response_id, sign, authorize=HEAD_MAY)
    assert "onBehalfOf" not in own.data["agent"][0]
    assert len(await records.delegations_from(ward, build.HEAD.reference)) == 4


async def test_only_who_has_the_duty_hands_it_on(ward: Repository, build: Any, clock: Any) -> None:
    """Not the right, not delegable, no paper, days that are over, to oneself, without a reason: refused."""
    today = local_date(clock.now())
    with pytest.raises(NotAllowed):
        await hand_on(ward, build, today, today, authorize=allowed("form.sign"))
    for over in ({"permission": "form.sign"}, {"forms": []}):
        with pytest.raises(InvalidInput):
            await hand_on(ward, build, today, today, **over)
    for first, last in (
        (today, today - timedelta(days=1)),
        (today - timedelta(days=3), today - timedelta(days=1)),
    ):
        with pytest.raises(InvalidInput):
            await hand_on(ward, build, first, last)
    with pytest.raises(RuleViolation):
        await hand_on(ward, build, today, today, reason=" ")
    assert await records.delegations_to(ward, build.DOCTOR.reference) == []


async def test_late_signatures_name_who_owes_and_since_when(ward: Repository, build: Any, clock: Any) -> None:
    """Author, then treating doctor, then the head's place; the clock starts again with each signature."""
    record = await build.an_inpatient_record(ward)
    began = clock.now()
    clock.move(hours=30)
    (owed,) = await records.late_signatures(ward, "K01")
    assert (owed.owed_by, owed.place_title, owed.since) == (build.DOCTOR.name, "Bác sĩ làm bệnh án", began)
    await build.write(record, build.summary_answers())
    for role in ("bac_si_lam_benh_an", "bac_si_dieu_tri"):
        await build.sign(record, build.DOCTOR, role)
    (owed,) = await records.late_signatures(ward)
    assert (owed.owed_by, owed.since) == ("Trưởng khoa", clock.now())
    clock.move(hours=2)
    await records.return_paper(ward, record.response_id, build.HEAD, "Thiếu", authorize=HEAD_MAY)
    (owed,) = await records.late_signatures(ward)
    assert (owed.owed_by, owed.since) == (build.DOCTOR.name, clock.now())
    assert owed.returned is not None
    assert await records.late_signatures(ward, "K09") == []
