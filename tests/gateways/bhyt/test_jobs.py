"""From a discharged record to the portal's answer on the record."""

from __future__ import annotations

from typing import Any

import pytest

from benhan import records
from benhan.base.errors import NeighbourFailed
from benhan.gateways.bhyt import (
    build_claim,
    check,
    facts_from_record,
    read_package,
    register_card,
    submit_waiting,
)
from benhan.gateways.bhyt.card import answer_id
from benhan.gateways.bhyt.card_job import check_cards
from benhan.gateways.bhyt.jobs import submit
from benhan.store import Repository


async def _send(ward: Repository, record: Any) -> None:
    payload = {"encounter": record.id, "ma_lk": record.admitted.ma_lk}
    await submit(ward.store, ward.ctx.tenant, payload)


async def _found(ward: Repository, kind: str, record: Any) -> list[dict[str, Any]]:
    page = await ward.search(kind, [("patient", f"Patient/{record.patient.id}"), ("_count", "50")])
    return [e.data for e in page.entries]


async def _claim_document(ward: Repository, record: Any) -> list[dict[str, Any]]:
    documents = await _found(ward, "DocumentReference", record)
    return [d for d in documents if d["content"][0]["attachment"]["contentType"] == "application/xml"]


async def test_a_closed_record_is_claimed_once_and_answered(
    open_ward: Any, portal: tuple[str, Any], build: Any, clock: Any
) -> None:
    ward = await open_ward(portal[0])
    record = await build.a_closed_record(ward, clock)
    await _send(ward, record)
    await _send(ward, record)
    (claim,) = await _found(ward, "Claim", record)
    (answer,) = await _found(ward, "ClaimResponse", record)
    assert (answer["outcome"], answer["request"]["reference"]) == ("queued", f"Claim/{claim['id']}"), (
        answer.get("error")
    )
    assert claim["item"][0]["encounter"][0]["reference"] == f"Encounter/{record.id}"
    assert portal[1].deliveries == 1
    (document,) = await _claim_document(ward, record)
    package = read_package(await ward.store.blobs.get(records.blob_of(document)))
    assert [f for f in check(package) if f.severity == "error"] == []
    account = await records.account(ward, record.id)
    assert package.table("XML1")[0].get("T_TONGCHI_BV") == f"{account.total:.2f}"
    assert set(package.rows) == {"XML1", "XML2", "XML3", "XML4", "XML5", "XML7", "XML8"}


async def test_without_portal_the_claim_waits_until_there_is_one(
    open_ward: Any, portal: tuple[str, Any], build: Any, clock: Any
) -> None:
    ward = await open_ward(None)
    record = await build.a_whole_record(ward, clock)
    await _send(ward, record)
    (claim,) = await _found(ward, "Claim", record)
    assert claim["status"] == "draft"
    assert await _found(ward, "ClaimResponse", record) == []
    ward.store.settings = ward.store.settings.model_copy(update={"bhyt_url": portal[0]})
    assert await submit_waiting(ward.store, ward.ctx.tenant) == 1
    (answer,) = await _found(ward, "ClaimResponse", record)
    (claim,) = await _found(ward, "Claim", record)
    assert (answer["outcome"], claim["status"]) == ("queued", "active")


async def test_a_faulty_claim_is_not_sent_and_says_why(
    open_ward: Any, portal: tuple[str, Any], build: Any, clock: Any
) -> None:
    ward = await open_ward(portal[0])
    record = await build.a_discharged_record(ward, clock)
    await _send(ward, record)
    (answer,) = await _found(ward, "ClaimResponse", record)
    assert answer["outcome"] == "error"
    assert any("XML7" in e["code"]["text"] for e in answer["error"])
    assert portal[1].deliveries == 0


async def test_a_refusal_of_the_portal_leads_to_the_fields(
    open_ward: Any, portal: tuple[str, Any], build: Any, clock: Any
) -> None:
    ward = await open_ward(portal[0])
    record = await build.a_whole_record(ward, clock)
    portal[1].faults = {"refuse": 1}
    await _send(ward, record)
    (answer,) = await _found(ward, "ClaimResponse", record)
    assert answer["outcome"] == "error"
    assert [e["code"]["coding"][0]["code"] for e in answer["error"]] == ["205", "MA_BENH_CHINH", "TT_THAU"]
    await _send(ward, record)
    (answer,) = await _found(ward, "ClaimResponse", record)
    assert (answer["outcome"], portal[1].deliveries) == ("queued", 1)


async def test_a_portal_that_fails_is_tried_again_by_the_worker(
    open_ward: Any, portal: tuple[str, Any], build: Any, clock: Any
) -> None:
    ward = await open_ward(portal[0])
    record = await build.a_whole_record(ward, clock)
    portal[1].faults = {"fail": 1}
    with pytest.raises(NeighbourFailed):
        await _send(ward, record)
    assert await _found(ward, "ClaimResponse", record) == []
    assert len(await _found(ward, "Claim", record)) == 1
    await _send(ward, record)
    (answer,) = await _found(ward, "ClaimResponse", record)
    assert answer["outcome"] == "queued"


async def test_cards_are_looked_up_later_and_the_answer_stands(
    open_ward: Any, portal: tuple[str, Any], build: Any, clock: Any, tmp_path: Any
) -> None:
    ward = await open_ward(portal[0])
    record = await build.a_whole_record(ward, clock)
    (card, *_) = await records.entitlement_line(ward, record.id)
    await check_cards(ward.store, ward.ctx.tenant, {"encounter": record.id})
    answer = (await ward.read("CoverageEligibilityResponse", answer_id(record.patient.id, card.card))).data
    assert (answer["outcome"], answer["error"][0]["code"]["coding"][0]["code"]) == ("error", "050")
    register_card(tmp_path / "portal", card.card)
    await check_cards(ward.store, ward.ctx.tenant, {"encounter": record.id})
    answer = (await ward.read("CoverageEligibilityResponse", answer_id(record.patient.id, card.card))).data
    assert (answer["outcome"], answer["insurance"][0]["inforce"]) == ("complete", True)


async def test_changed_facts_go_again_under_the_same_ma_lk(
    open_ward: Any, portal: tuple[str, Any], build: Any, clock: Any
) -> None:
    ward = await open_ward(portal[0])
    record = await build.a_whole_record(ward, clock)
    await _send(ward, record)
    (first,) = await _found(ward, "Claim", record)
    patient = await ward.read("Patient", record.patient.id)
    telecom = [{"system": "phone", "value": "0900000001"}]
    await ward.update({**patient.data, "telecom": telecom}, if_match=patient.version)
    await _send(ward, record)
    (second,) = [c for c in await _found(ward, "Claim", record) if c["id"] != first["id"]]
    assert second["related"][1]["claim"]["reference"] == f"Claim/{first['id']}"
    assert portal[1].deliveries == 2
    assert list(portal[1].received) == [f"hoso:{record.admitted.ma_lk}"]


async def test_signed_slips_travel_as_tables_of_their_own(open_ward: Any, build: Any, clock: Any) -> None:
    """A referral slip becomes XML13, an appointment XML14; an unsigned one does not."""
    ward = await open_ward(None)
    record = await build.a_discharged_record(ward, clock)
    now = ward.clock.now()
    slips = {
        "TT01/2025-PL6": {
            "so_hoso": "HSCT-01", "so_chuyentuyen": "01/2026", "ma_noi_den": {"code": "51Z02", "text": "Cơ sở B"},
            "dau_hieu_ls": "Khó thở.", "qt_benhly": "Đáp ứng kém.", "tomtat_kq": "Bạch cầu tăng.",
            "pp_dieutri": "Kháng sinh.", "tinh_trang_luc_chuyen": "Tỉnh.", "ma_lydo_ct": "1",
            "huong_dieu_tri": "Chuyên khoa.", "phuongtien_vc": "Xe cứu thương",
            "chuyen_luc": "2026-11-20T08:00:00+07:00",
        },
        "TT01/2025-PL5": {"so_giayhen_kl": "HK-01", "ngay_hen_kl": "2026-12-20T08:00:00+07:00"},
    }  # fmt: skip
    for code, answers in slips.items():
        paper = await records.open_paper(ward, record.id, code, build.DOCTOR, now)
        known = await records.defaults(ward, record.id, code)
        held = await records.paper_answers(ward, paper.id)
        await records.save_form(ward, paper.id, {**known, **held, **answers}, build.DOCTOR)
        before = (await facts_from_record(ward, record.id)).papers
        assert len(before) == list(slips).index(code), "an unsigned slip does not travel"
        await build.sign(record, build.DOCTOR, "bac_si", paper.id)
    package = build_claim(await facts_from_record(ward, record.id))
    (referral,), (appointment,) = package.table("XML13"), package.table("XML14")
    assert (referral.get("MA_CSKCB_DEN"), referral.get("MA_CSKCB_DI")) == ("51Z02", "51Z01")
    assert referral.get("MA_BAC_SI")
    assert referral.get("HO_TEN") == package.table("XML1")[0].get("HO_TEN")
    assert (appointment.get("SO_GIAYHEN_KL"), appointment.get("NGAY_HEN_KL")) == ("HK-01", "20261220")
