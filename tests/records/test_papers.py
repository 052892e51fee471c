"""Forms in the record: one version on Lưu, signed in order, withdrawn, amended, extracted, issued."""

from __future__ import annotations

from typing import Any

import pytest

from benhan import records
from benhan.base.errors import Conflict, NotAllowed, RuleViolation
from benhan.catalogue import systems
from benhan.records import everything_allowed
from benhan.store import Repository


async def test_opening_takes_the_number_and_fills_what_is_known(ward: Repository, build: Any) -> None:
    """Số bệnh án on the binder; name, card, vital signs and stay stand in the form already."""
    record = await build.an_inpatient_record(ward)
    case = await records.case(ward, record.id)
    assert case.so_benh_an == "26000001/BA-K01"
    held = await records.paper_answers(ward, record.response_id)
    assert held["ho_ten"] == "NGUYỄN VĂN MẪU"
    assert held["so_the_bhyt"] == "GD4515100000001"
    assert str(held["nhiet_do"]) == "38.5"
    assert held["vao_khoa.khoa"] == {"code": "K01", "text": "Khoa Nội tổng hợp"}
    assert held["doi_tuong"] == "1"
    with pytest.raises(Conflict) as error:
        await records.open_record(ward, record.id, "01/BV1", build.DOCTOR, ward.clock.now())
    assert error.value.code == "records.record-opened"


async def test_saving_is_one_version_and_the_same_writes_nothing(ward: Repository, build: Any) -> None:
    """Lưu appends one version; unchanged answers append none."""
    record = await build.an_inpatient_record(ward)
    before = await ward.read("QuestionnaireResponse", record.response_id)
    after = await build.write(record, {"tien_luong": "Tốt."})
    again = await build.write(record, {"tien_luong": "Tốt."})
    assert (after.version, again.version) == (before.version + 1, before.version + 1)


async def test_incomplete_form_is_not_signed_and_says_all(ward: Repository, build: Any) -> None:
    """Everything missing is said at once."""
    record = await build.an_inpatient_record(ward)
    held = await records.paper_answers(ward, record.response_id)
    emptied = {k: v for k, v in held.items() if k not in ("ly_do", "toan_than")}
    await records.save_form(ward, record.response_id, emptied, build.DOCTOR)
    with pytest.raises(RuleViolation) as error:
        await build.sign(record, build.DOCTOR, "bac_si_lam_benh_an")
    assert {i.expression for i in error.value.issues} == {"ly_do", "toan_than"}


async def test_signing_puts_the_pdf_away_with_its_provenance(ward: Repository, build: Any) -> None:
    """Blob, DocumentReference, Provenance with role and signed version; the form is completed."""
    record = await build.an_inpatient_record(ward, signed=True)
    paper = await records.paper(ward, record.response_id)
    assert [(s.role, s.standing) for s in paper.signatures] == [("bac_si_lam_benh_an", True)]
    assert paper.next_role == "bac_si_dieu_tri"
    assert paper.response.data["status"] == "completed"
    assert paper.document_id is not None
    document = await ward.read("DocumentReference", paper.document_id)
    pdf = await records.content_of(ward, document.data)
    assert pdf.startswith(b"%PDF")
    assert b"ky_bac_si_lam_benh_an|BS. L" in pdf
    assert await records.print_paper(ward, record.response_id) == pdf


async def test_order_of_signers_is_kept(ward: Repository, build: Any) -> None:
    """The head does not sign before the doctor; nobody signs twice in a role."""
    record = await build.an_inpatient_record(ward)
    with pytest.raises(RuleViolation) as error:
        await build.sign(record, build.HEAD, "truong_khoa")
    assert error.value.code == "records.not-your-turn"
    await build.sign(record, build.DOCTOR, "bac_si_lam_benh_an")
    with pytest.raises(RuleViolation):
        await build.sign(record, build.DOCTOR, "bac_si_lam_benh_an")


async def test_permission_of_the_place_is_asked(ward: Repository, build: Any) -> None:
    """The form's permission and the khoa of the patient go to authorize; nothing is written when it refuses."""
    record = await build.an_inpatient_record(ward)
    asked = []

    def refuse(permission: str, khoa: str | None) -> None:
        asked.append((permission, khoa))
        raise NotAllowed("access.no-permission", "Không được phép.")

    ink = build.sign_as(build.DOCTOR, "bac_si_lam_benh_an")
    with pytest.raises(NotAllowed):
        await records.sign_paper(ward, record.response_id, ink, authorize=refuse)
    assert asked == [("form.sign", "K01")]
    assert (await records.paper(ward, record.response_id)).signatures == ()


async def test_second_signer_signs_the_same_pdf(ward: Repository, build: Any) -> None:
    """A further signature on the same version lies in the same document."""
    record = await build.an_inpatient_record(ward, signed=True)
    first = await records.paper(ward, record.response_id)
    await build.sign(record, build.DOCTOR, "bac_si_dieu_tri")
    second = await records.paper(ward, record.response_id)
    assert second.document_id == first.document_id
    pdf = await records.print_paper(ward, record.response_id)
    assert b"ky_bac_si_lam_benh_an" in pdf
    assert b"ky_bac_si_dieu_tri" in pdf


async def test_filling_in_what_was_empty_leaves_the_signature(ward: Repository, build: Any) -> None:
    """The summary is written after the first signature; the first signature stands, the next print is a new document."""
    record = await build.an_inpatient_record(ward, signed=True)
    first = await records.paper(ward, record.response_id)
    await build.write(record, build.summary_answers())
    await build.sign(record, build.DOCTOR, "bac_si_dieu_tri")
    paper = await records.paper(ward, record.response_id)
    assert [(s.role, s.standing) for s in paper.signatures] == [
        ("bac_si_lam_benh_an", True),
        ("bac_si_dieu_tri", True),
    ]
    assert paper.document_id != first.document_id
    assert first.document_id is not None
    assert (await ward.read("DocumentReference", first.document_id)).data["status"] == "superseded"


async def test_signature_is_withdrawn_until_the_next_signs(ward: Repository, build: Any) -> None:
    """With a reason, by its owner, only the last one; then it may be signed again."""
    record = await build.an_inpatient_record(ward, signed=True)

    async def withdraw(staff: Any, reason: str) -> None:
        await records.withdraw_signature(
            ward, record.response_id, staff, reason, authorize=everything_allowed
        )

    with pytest.raises(RuleViolation):
        await withdraw(build.DOCTOR, " ")
    with pytest.raises(NotAllowed):
        await withdraw(build.HEAD, "Không phải của tôi")
    await withdraw(build.DOCTOR, "Ký nhầm")
    paper = await records.paper(ward, record.response_id)
    assert [(s.withdrawn, s.standing) for s in paper.signatures] == [(True, False)]
    assert paper.next_role == "bac_si_lam_benh_an"
    assert paper.document_id is None
    await build.sign(record, build.DOCTOR, "bac_si_lam_benh_an")
    await build.sign(record, build.HEAD, "bac_si_dieu_tri")
    with pytest.raises(Conflict) as error:
        await withdraw(build.DOCTOR, "Quá muộn")
    assert error.value.code == "records.signed-after"
    await withdraw(build.HEAD, "Chưa xem kỹ")
    pdf = await records.print_paper(ward, record.response_id)
    assert b"ky_bac_si_lam_benh_an" in pdf
    assert b"ky_bac_si_dieu_tri" not in pdf


async def test_signed_content_changes_only_with_a_reason(ward: Repository, build: Any) -> None:
    """An amendment is a new version with its reason; the signature lapses, the old version stays readable."""
    record = await build.an_inpatient_record(ward, signed=True)
    signed = await ward.read("QuestionnaireResponse", record.response_id)
    with pytest.raises(RuleViolation) as error:
        await build.write(record, {"ly_do": "Khó thở"})
    assert error.value.code == "records.amendment-needs-reason"
    amended = await build.write(record, {"ly_do": "Khó thở"}, reason="Ghi nhầm lý do vào viện")
    assert amended.data["status"] == "amended"
    paper = await records.paper(ward, record.response_id)
    assert [s.standing for s in paper.signatures] == [False]
    assert paper.next_role == "bac_si_lam_benh_an"
    assert (await ward.vread("QuestionnaireResponse", record.response_id, signed.version)).raw == signed.raw
    await build.sign(record, build.DOCTOR, "bac_si_lam_benh_an")
    assert (await records.paper(ward, record.response_id)).next_role == "bac_si_dieu_tri"


async def test_signed_form_becomes_clinical_resources(ward: Repository, build: Any) -> None:
    """Diagnosis, allergy and history are derived with their linkId; what has another home is not doubled."""
    record = await build.an_inpatient_record(ward, signed=True)
    response = await ward.read("QuestionnaireResponse", record.response_id)
    made = {k.split("#", 1)[1]: s for k, s in (await records.derived(ward, response)).items()}
    diagnosis = made["cd_benh_chinh#0"]
    assert records.diagnosis_value(diagnosis.data) == {"code": "J18.9", "text": "Viêm phổi, không đặc hiệu"}
    assert records.diagnosis_stage(diagnosis) == "vao-khoa"
    assert made["dac_diem_lien_quan#01"].data["code"]["text"] == "Penicillin"
    assert "mach#0" not in made
    assert all(any(e["url"] == systems.EXT_LINK_ID for e in s.data["extension"]) for s in made.values())


async def test_amended_form_derives_again(ward: Repository, build: Any) -> None:
    """A changed diagnosis is a new version of the same Condition; a removed allergy is entered in error."""
    record = await build.an_inpatient_record(ward, signed=True)
    response = await ward.read("QuestionnaireResponse", record.response_id)
    before = {k.split("#", 1)[1]: s for k, s in (await records.derived(ward, response)).items()}
    changed = {
        "cd_benh_chinh": {"code": "J15.9", "text": "Viêm phổi do vi khuẩn"},
        "dac_diem_lien_quan": [{"ma": "01", "dac_diem": "Dị ứng (ghi dị nguyên)", "co": False}],
    }
    await build.write(record, changed, reason="Hội chẩn lại")
    after = {k.split("#", 1)[1]: s for k, s in (await records.derived(ward, response)).items()}
    assert after["cd_benh_chinh#0"].id == before["cd_benh_chinh#0"].id
    assert records.diagnosis_value(after["cd_benh_chinh#0"].data)["code"] == "J15.9"
    allergy = after["dac_diem_lien_quan#01"].data
    assert allergy["verificationStatus"]["coding"][0]["code"] == "entered-in-error"


async def test_discharge_paper_is_numbered_signed_twice_sealed_and_final(
    ward: Repository, build: Any, clock: Any
) -> None:
    """Practitioner, then representative, then the seal; after issuing nothing is withdrawn or changed."""
    record = await build.a_discharged_record(ward, clock)
    paper = await records.issue_discharge_paper(ward, record.id, author=build.DOCTOR)
    held = await records.paper_answers(ward, paper.id)
    assert held["so"] == "00001/2026/RV"
    assert held["chan_doan_rv"]["code"] == "J18.9"
    with pytest.raises(RuleViolation):
        await build.sign(record, build.DIRECTOR, "dai_dien_don_vi", paper.id)
    await build.sign(record, build.DOCTOR, "nguoi_hanh_nghe", paper.id)
    seal = build.sign_as(build.HOUSE, "dau")
    with pytest.raises(Conflict) as early:
        await records.issue_paper(ward, paper.id, seal=seal, authorize=everything_allowed)
    assert early.value.code == "records.not-fully-signed"
    await build.sign(record, build.DIRECTOR, "dai_dien_don_vi", paper.id)
    with pytest.raises(Conflict) as bare:
        await records.issue_paper(ward, paper.id, seal=None, authorize=everything_allowed)
    assert bare.value.code == "records.seal-needed"
    issued = await records.issue_paper(ward, paper.id, seal=seal, authorize=everything_allowed)
    pdf = await records.content_of(ward, issued.document.data)
    assert [pdf.count(f) for f in (b"%ky_nguoi_hanh_nghe", b"%ky_dai_dien_don_vi", b"%dau_co_so")] == [
        1,
        1,
        1,
    ]
    assert issued.document.data["docStatus"] == "final"
    assert await records.print_paper(ward, paper.id) == pdf
    with pytest.raises(Conflict) as late:
        await records.withdraw_signature(ward, paper.id, build.DIRECTOR, "Nhầm", authorize=everything_allowed)
    assert late.value.code == "records.paper-issued"
    with pytest.raises(Conflict):
        await records.save_form(ward, paper.id, {**held, "pp_dieutri": "Khác"}, build.DOCTOR, reason="Sửa")
