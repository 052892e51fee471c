"""Discharge, completeness, closing, the sealed record, addenda, and the guard that stands behind all doors."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from benhan import records
from benhan.base.errors import Conflict, NotAllowed, RuleViolation
from benhan.records import (
    Addendum,
    Administration,
    Bed,
    ChargeInput,
    Entry,
    LabOrder,
    ResultInput,
    everything_allowed,
)
from benhan.records.steps import retention_rule
from benhan.store import Repository


async def outbox(ward: Repository) -> list[tuple[str, str]]:
    """(topic, key) of what waits to go out after the discharge, in order; check-in (XML0) and card went before."""
    async with ward.transaction() as tx:
        assert tx.connection is not None
        rows = await (
            await tx.connection.execute("select topic, key from outbox order by at, key")
        ).fetchall()
        return [(r[0], r[1]) for r in rows if r[0] not in ("bhyt.check-in", "bhyt.card-check")]


async def test_discharge_writes_every_code_of_the_outcome(ward: Repository, build: Any, clock: Any) -> None:
    """Form items, MA_LOAI_RV and KET_QUA_DTRI follow from one choice; stay, bed and episode end; bed-days are charged."""
    record = await build.a_discharged_record(ward, clock)
    encounter = await ward.read("Encounter", record.id)
    facts = records.discharge_facts(encounter.data)
    assert (facts["ket_cuc"], facts["muc_18"], facts["muc_24"]) == ("ra-vien", "1", "2")
    assert (facts["ma_loai_rv"], facts["ket_qua_dtri"]) == ("1", "2")
    assert [d["rank"] for d in encounter.data["diagnosis"]] == [1, 2]
    (stay,) = await records.stays(ward, record.id)
    assert stay.end is not None
    assert stay.beds[-1].end == stay.end
    case = await records.case(ward, record.id)
    assert (case.state, case.due_on) == ("discharged", date(2026, 11, 30))
    beds = [c for c in await records.charge_lines(ward, record.id) if c.code == "GIUONG.NOI"]
    assert [c.quantity for c in beds] == [Decimal(5)]
    assert (await ward.read("EpisodeOfCare", record.admitted.episode.id)).data["status"] == "finished"


async def test_discharge_that_lacks_something_is_refused(ward: Repository, build: Any, clock: Any) -> None:
    """No result, no destination, unknown code, a transfer on its way."""
    record = await build.an_inpatient_record(ward)
    for over, code in (
        ({"result": None}, "records.outcome-needs"),
        ({"outcome": "chuyen-chuyen-mon"}, "records.outcome-needs"),
        ({"icd10": "Z99.99"}, "records.no-such-icd10"),
        ({"outcome": "nang-xin-ve", "result": "1"}, "catalogue.result-not-possible"),
    ):
        end = build.an_end(clock.now(), **over)
        with pytest.raises(RuleViolation) as error:
            await records.discharge(ward, record.id, end, authorize=everything_allowed)
        assert error.value.code == code
    await records.request_transfer(ward, record.id, "K02", "Hồi sức", clock.now(), "Nặng", build.DOCTOR)
    with pytest.raises(Conflict) as pending:
        await records.discharge(ward, record.id, build.an_end(clock.now()), authorize=everything_allowed)
    assert pending.value.code == "records.transfer-pending"


async def test_claim_goes_out_once_when_the_paper_is_issued(ward: Repository, build: Any, clock: Any) -> None:
    """Signed facts, not a closed record: after issuing, once."""
    record = await build.a_discharged_record(ward, clock)
    assert await outbox(ward) == []
    paper = await records.issue_discharge_paper(ward, record.id, author=build.DOCTOR)
    await build.sign(record, build.DOCTOR, "nguoi_hanh_nghe", paper.id)
    await build.sign(record, build.DIRECTOR, "dai_dien_don_vi", paper.id)
    await records.issue_paper(
        ward, paper.id, seal=build.sign_as(build.HOUSE, "dau"), authorize=everything_allowed
    )
    ((topic, key),) = await outbox(ward)
    assert topic == "bhyt.submit"
    assert key.startswith(record.admitted.ma_lk)


async def test_gaps_name_what_who_and_where(ward: Repository, build: Any, clock: Any) -> None:
    """A record just discharged lacks summary, signatures, ended sheet and discharge paper; completing is refused."""
    record = await build.a_discharged_record(ward, clock)
    gaps = await records.completeness(ward, record.id)
    found = {(g.code, g.field or g.form_code) for g in gaps if g.blocking}
    assert ("field", "tk_qua_trinh") in found
    assert ("signature", "01/BV1") in found
    assert ("sheet-open", "36/BV2") in found
    assert ("paper-missing", "TT25/2025-M02") in found
    assert all(g.who and g.text for g in gaps)
    with pytest.raises(RuleViolation) as error:
        await records.complete_record(ward, record.id, authorize=everything_allowed)
    assert error.value.code == "records.incomplete"
    assert len(error.value.issues) == len([g for g in gaps if g.blocking])


async def test_whole_record_has_no_gap(ward: Repository, build: Any, clock: Any) -> None:
    """Everything signed and issued: nothing blocks."""
    record = await build.a_whole_record(ward, clock)
    assert [g for g in await records.completeness(ward, record.id) if g.blocking] == []


async def test_record_is_returned_and_received(ward: Repository, build: Any, clock: Any) -> None:
    """Trả lại with faults and deadline; received it gets its số lưu trữ, on the cover too."""
    record = await build.a_whole_record(ward, clock)
    await records.complete_record(ward, record.id, authorize=everything_allowed)
    await records.submit_record(ward, record.id, authorize=everything_allowed)
    with pytest.raises(RuleViolation):
        await records.return_record(ward, record.id, [], date(2026, 12, 1), authorize=everything_allowed)
    case = await records.return_record(
        ward, record.id, ["Thiếu phim X-quang"], date(2026, 12, 1), authorize=everything_allowed
    )
    assert (case.state, case.due_on) == ("returned", date(2026, 12, 1))
    await records.submit_record(ward, record.id, authorize=everything_allowed)
    received = await records.receive_record(ward, record.id, authorize=everything_allowed)
    assert received.so_luu_tru == "26/000001"
    assert (await records.paper_answers(ward, record.response_id))["so_luu_tru"] == "26/000001"
    assert (await records.paper(ward, record.response_id)).complete


async def test_permission_is_asked_before_a_step(ward: Repository, build: Any, clock: Any) -> None:
    """Who may not close does not close."""
    record = await build.a_received_record(ward, clock)

    def doctors_only(permission: str, khoa: str | None) -> None:
        if permission == "record.close":
            raise NotAllowed("access.no-permission", "Không được phép.")

    with pytest.raises(NotAllowed):
        await records.close_record(
            ward, record.id, build.sign_as(build.HOUSE, "seal"), authorize=doctors_only
        )
    assert (await records.case(ward, record.id)).state == "received"


async def test_closing_seals_and_sends(ward: Repository, build: Any, clock: Any) -> None:
    """One container with PDFs, bundle with exact bytes and manifest; the binder is final; exchange is told."""
    record = await build.a_closed_record(ward, clock)
    (container,) = await records.containers(ward, record.id)
    listed = (await records.content_of(ward, container.data)).decode()
    assert "ho-so.json" in listed
    assert "muc-luc.json" in listed
    assert listed.count("giay/") >= 3
    case = await records.case(ward, record.id)
    assert case.state == "closed"
    assert case.composition_id is not None
    binder = await ward.read("Composition", case.composition_id)
    assert binder.data["status"] == "final"
    assert records.record_state(binder.data) == "closed"
    assert [s["code"]["coding"][0]["code"] for s in binder.data["section"]][:2] == ["01/BV1", "36/BV2"]
    assert ("exchange.provide", container.id) in await outbox(ward)
    found = await records.contents(ward, case)
    bundle = json.loads(records.document_bundle(found, clock.now(), "x"))
    assert bundle["entry"][0]["resource"]["resourceType"] == "Composition"
    assert all(s.raw in records.document_bundle(found, clock.now(), "x") for s in found)


async def test_closed_record_refuses_every_act_of_the_room(ward: Repository, build: Any, clock: Any) -> None:
    """Every function that writes clinical facts is refused with the same error."""
    record = await build.a_closed_record(ward, clock)
    now = clock.now()
    drug = (await records.drug_orders(ward, record.id))[0]
    task = records.request_transfer(ward, record.id, "K02", "Hồi sức", now, "Nặng", build.DOCTOR)
    with pytest.raises(Conflict) as not_open:
        await task
    assert not_open.value.code == "records.not-open"
    attempts = [
        records.record_vitals(ward, record.id, build.vitals(now)),
        records.order_lab(ward, record.id, LabOrder(("LAB002",), now, build.DOCTOR)),
        records.save_form(ward, record.response_id, {}, build.DOCTOR, reason="Sửa"),
        records.open_paper(ward, record.id, "36/BV2", build.DOCTOR, now),
        records.open_sheet(ward, record.id, "36/BV2", build.DOCTOR, now),
        records.amend_entry(
            ward,
            (await records.entries(ward, record.sheet_id))[0].id,
            Entry(now, build.DOCTOR, "Khác"),
            "Sửa",
        ),
        records.correct_result(
            ward, await observation_of(ward, record), ResultInput(Decimal(9), now, build.LAB), "Sửa"
        ),
        records.withdraw_signature(ward, record.response_id, build.HEAD, "Rút", authorize=everything_allowed),
        records.move_bed(ward, record.id, Bed("1", "H009"), now),
        records.ask_undo(ward, record.id, "discharge", "Hủy", authorize=everything_allowed),
        records.complete_record(ward, record.id, authorize=everything_allowed),
        records.close_record(ward, record.id, build.sign_as(build.HOUSE, "x"), authorize=everything_allowed),
    ]
    codes = []
    for attempt in attempts:
        with pytest.raises(Conflict) as error:
            await attempt
        codes.append(error.value.code)
    assert set(codes) <= {"records.already-closed", "records.sheet-ended", "records.paper-issued"}
    assert codes.count("records.already-closed") >= 10
    with pytest.raises(Conflict):
        await records.administer(ward, drug.id, Administration(now, Decimal(1), build.NURSE))


async def observation_of(ward: Repository, record: Any) -> str:
    """Id of the laboratory result of the record."""
    page = await ward.search(
        "Observation", [("encounter", f"Encounter/{record.id}"), ("category", "laboratory")]
    )
    return page.entries[0].id


KINDS = [
    "Encounter", "Composition", "QuestionnaireResponse", "Condition", "Observation", "ServiceRequest", "DiagnosticReport",
    "MedicationRequest", "MedicationAdministration", "DocumentReference", "Provenance", "AllergyIntolerance",
]  # fmt: skip


async def test_closed_record_refuses_the_repository_itself(ward: Repository, build: Any, clock: Any) -> None:
    """Update, delete and create straight at the store are refused for every kind of resource in the record."""
    record = await build.a_closed_record(ward, clock)
    case = await records.case(ward, record.id)
    found = {s.type: s for s in await records.contents(ward, case)}
    assert set(KINDS) <= set(found)
    (stay,) = await records.stays(ward, record.id)
    held = [*(found[k] for k in KINDS), await ward.read("Encounter", stay.id)]
    for stored in held:
        copy = {k: v for k, v in stored.data.items() if k not in ("id", "meta")}
        attempts = [ward.update({**stored.data, "language": "vi"}), ward.delete(stored.type, stored.id)]
        if stored.type != "Encounter" or "partOf" in stored.data:
            attempts.append(ward.create(copy))
        for attempt in attempts:
            with pytest.raises(Conflict) as error:
                await attempt
            assert error.value.code == "records.already-closed", stored.type


async def test_moving_a_resource_out_of_a_closed_record_is_refused(
    ward: Repository, build: Any, clock: Any
) -> None:
    """The old version counts as much as the new one; and nothing moves in."""
    closed = await build.a_closed_record(ward, clock)
    other = await build.an_admission(ward, await build.a_patient(ward, cccd="051075000099"))
    observation = await ward.read("Observation", await observation_of(ward, closed))
    away = {**observation.data, "encounter": {"reference": f"Encounter/{other.encounter.id}"}}
    with pytest.raises(Conflict) as out:
        await ward.update(away)
    (fresh,) = await records.record_vitals(
        ward, other.encounter.id, records.VitalSigns(clock.now(), build.NURSE, pulse=Decimal(80))
    )
    with pytest.raises(Conflict) as into:
        await ward.update({**fresh.data, "encounter": {"reference": f"Encounter/{closed.id}"}})
    assert {out.value.code, into.value.code} == {"records.already-closed"}


async def test_money_of_a_closed_record_is_under_its_own_lock(
    ward: Repository, build: Any, clock: Any
) -> None:
    """A claim correction that touches no clinical fact reopens nothing."""
    record = await build.a_closed_record(ward, clock)
    line = (await records.charge_lines(ward, record.id))[0]
    await records.reverse_charge(ward, line.id, "Xuất toán")
    item = ChargeInput("urn:benhan:dvkt", "KHAM.NOI", "Khám Nội", Decimal(1), clock.now())
    await records.charge(ward, record.id, item)
    assert (await records.case(ward, record.id)).state == "closed"


async def test_late_result_is_a_signed_addendum_with_its_own_container(
    ward: Repository, build: Any, clock: Any
) -> None:
    """The first container is untouched; the result is in; the hub is told again; after it all is closed as before."""
    record = await build.a_received_record(ward, clock)
    (order,) = await records.order_lab(ward, record.id, LabOrder(("LAB002",), clock.now(), build.DOCTOR))
    await records.close_record(
        ward, record.id, build.sign_as(build.HOUSE, "seal"), authorize=everything_allowed
    )
    (first,) = await records.containers(ward, record.id)
    clock.move(days=20)
    late = Addendum(
        "Kết quả cấy máu", "Cấy máu mọc S. pneumoniae.", clock.now() - timedelta(hours=1), build.DOCTOR,
        "Kết quả về sau khi đóng hồ sơ", order.id, ResultInput(Decimal("140"), clock.now(), build.LAB),
    )  # fmt: skip
    ink, seal = build.sign_as(build.DOCTOR, "bac_si_dieu_tri"), build.sign_as(build.HOUSE, "seal")
    with pytest.raises(RuleViolation):
        await records.add_addendum(
            ward,
            record.id,
            Addendum("x", "y", clock.now(), build.DOCTOR, ""),
            ink,
            seal,
            authorize=everything_allowed,
        )
    done = await records.add_addendum(ward, record.id, late, ink, seal, authorize=everything_allowed)
    containers = await records.containers(ward, record.id)
    assert [c.id for c in containers] == [first.id, done.container.id]
    assert (await ward.read("DocumentReference", first.id)).raw == first.raw
    assert done.container.data["relatesTo"][0]["code"] == "appends"
    assert (await ward.read("ServiceRequest", order.id)).data["status"] == "completed"
    assert ("exchange.provide", done.container.id) in await outbox(ward)
    assert (await records.case(ward, record.id)).state == "closed"
    assert [e.event for e in await records.events(ward, record.id)][-1] == "addend"
    with pytest.raises(Conflict):
        await ward.update({**done.response.data, "language": "vi"})


async def test_addendum_needs_a_closed_record(ward: Repository, build: Any, clock: Any) -> None:
    """Before closing one simply writes."""
    record = await build.an_inpatient_record(ward)
    ink = build.sign_as(build.DOCTOR, "x")
    with pytest.raises(Conflict) as error:
        await records.add_addendum(
            ward,
            record.id,
            Addendum("x", "y", clock.now(), build.DOCTOR, "z"),
            ink,
            ink,
            authorize=everything_allowed,
        )
    assert error.value.code == "records.transition-forbidden"


async def test_reopened_record_is_closed_again_with_a_further_container(
    ward: Repository, build: Any, clock: Any
) -> None:
    """Reopening is an exception with a reason; the first container stays."""
    record = await build.a_closed_record(ward, clock)
    (first,) = await records.containers(ward, record.id)
    with pytest.raises(RuleViolation):
        await records.ask(ward, record.id, "reopen", "", authorize=everything_allowed)
    wish = await records.ask(ward, record.id, "reopen", "Sai người bệnh", authorize=everything_allowed)
    with pytest.raises(Conflict) as alone:
        await records.reopen_record(ward, wish.id, authorize=everything_allowed)
    assert alone.value.code == "records.same-person"
    head = ward.store.repo(build.ctx(ward.ctx.tenant, build.DIRECTOR), ward.policy)
    await records.reopen_record(head, wish.id, authorize=everything_allowed)
    with pytest.raises(Conflict):
        await records.reopen_record(head, wish.id, authorize=everything_allowed)
    await records.record_vitals(ward, record.id, build.vitals(clock.now()))
    clock.move(days=1)
    await records.close_record(
        ward, record.id, build.sign_as(build.HOUSE, "seal"), authorize=everything_allowed
    )
    kept, _ = await records.containers(ward, record.id)
    assert kept.id == first.id


async def test_the_record_of_a_death_is_kept_thirty_years(ward: Repository, build: Any, clock: Any) -> None:
    """The longest rule that fits, not the ten years of every inpatient."""
    on = date(2026, 11, 25)
    record = await build.an_inpatient_record(ward, signed=True)
    assert await retention_rule(ward, await records.case(ward, record.id), on) == ("inpatient", 10)
    end = build.an_end(
        clock.now() + timedelta(hours=1), outcome="tu-vong", result=None, death_cause="Suy hô hấp"
    )
    clock.move(hours=2)
    await records.discharge(ward, record.id, end, authorize=everything_allowed)
    assert await retention_rule(ward, await records.case(ward, record.id), on) == ("death", 30)


async def test_archive_keeps_until_the_law_lets_go(ward: Repository, build: Any, clock: Any) -> None:
    """Ten years from the end of the year of closing; a legal hold stops destruction."""
    record = await build.a_closed_record(ward, clock)
    await records.archive_record(ward, record.id, authorize=everything_allowed)
    clock.move(days=3650)
    with pytest.raises(Conflict) as early:
        await records.mark_due(ward, record.id, authorize=everything_allowed)
    assert early.value.code == "records.retention-not-over"
    clock.move(days=60)
    await records.mark_due(ward, record.id, authorize=everything_allowed)
    await records.set_legal_hold(ward, record.id, True, "Yêu cầu của tòa án", authorize=everything_allowed)
    assert (await records.case(ward, record.id)).legal_hold
