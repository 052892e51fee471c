"""The page of papers that wait for my signature: hashes, ticks, one PIN, a result for each paper."""

from __future__ import annotations

import asyncio
import hashlib
import re
from typing import Any

import pytest

from benhan import records
from benhan.base.clock import local_date
from benhan.base.errors import NeighbourFailed
from benhan.identity import PersonInput

PIN = "246810"
ANSWERS = {
    "chan_doan": {"code": "R10.4", "text": "Đau bụng"},
    "yeu_cau": "Siêu âm bụng tổng quát",
    "mo_ta": "Gan, mật, tụy, lách bình thường.",
    "ket_luan": "Chưa thấy bất thường.",
}


@pytest.fixture
async def waiting(house: Any) -> list[str]:
    """Three patients of the doctor, each with a paper of his."""
    repo = house.repo
    doctor = records.Staff(house.people["bacsi"].reference, "Nguyễn Văn Thử", "000001/QNG-CCHN", "K03")
    found = []
    for n in range(3):
        person = PersonInput(
            name=f"Phạm Văn Mẫu {n}", birth_date=f"199{n}-03-14", sex="male", cccd=f"05109000123{n}"
        )
        patient = await records.register_patient(repo, person)
        now = house.store.clock.now().replace(microsecond=0)
        came = records.Admission(patient.id, now, "K03", "Khoa Nội tổng hợp", doctor)
        admitted = await records.admit(repo, came)
        at = now.isoformat()
        answers = {**ANSWERS, "gio_yeu_cau": at, "gio_ket_qua": at}
        paper = await records.open_paper(repo, admitted.encounter.id, "11/BV2", doctor, now, answers)
        found.append(paper.id)
    return found


async def until_done(doctor: Any) -> str:
    """The page of the batch when nothing waits any more."""
    for _ in range(200):
        text = await doctor.see(doctor.where())
        if "Đang ký" not in text:
            return str(text)
        await asyncio.sleep(0.05)
    raise AssertionError("never done")


def ticks(html: str) -> list[str]:
    """Values of the ticks of the page."""
    return re.findall(r'type="checkbox" name="giay" value="([^"]+)"', html)


async def test_many_papers_with_one_pin(house: Any, as_person: Any, waiting: list[str]) -> None:
    """Three are shown with their hashes, one is changed before the PIN: two are signed, the third says why not."""
    doctor = await as_person("bacsi")
    html = await doctor.see("/viec/ky")
    shown = ticks(html)
    assert len(shown) == 3
    for value in shown:
        _, paper, _, sha256 = value.split(":")
        assert f"{sha256[:4]} {sha256[4:8]} {sha256[8:12]}" in html
        seen = await doctor.get(f"/giay/{paper}/ban-ky/{sha256}")
        assert hashlib.sha256(seen.content).hexdigest() == sha256
    author = records.Staff(house.people["bacsi"].reference, "Nguyễn Văn Thử", "000001/QNG-CCHN", "K03")
    held = await records.paper_answers(house.repo, waiting[1])
    await records.save_form(house.repo, waiting[1], {**held, "ket_luan": "Sỏi túi mật."}, author)
    await doctor.press("/viec/ky", 403, giay=shown, pin="000000")
    await doctor.see("/viec/ky")
    await doctor.press("/viec/ky", giay=shown, pin=PIN)
    assert doctor.where().startswith("/viec/ky/lan/")
    text = await until_done(doctor)
    assert "Đã ký 2 giấy; 1 giấy không ký được" in text
    assert "Tờ đã thay đổi sau khi bạn xem; xem lại rồi ký." in text
    assert len((await records.paper(house.repo, waiting[0])).signatures) == 1
    assert (await records.paper(house.repo, waiting[1])).signatures == ()
    rest = ticks(await doctor.see("/viec/ky"))
    assert [v.split(":")[1] for v in rest] == [waiting[1]]
    trail = await house.repo.audit_of_patient(
        (await house.repo.read("QuestionnaireResponse", waiting[0])).data["subject"]["reference"][8:]
    )
    assert "preview" in {row.action for row in trail}


async def test_nothing_ticked_is_said(as_person: Any, waiting: list[str]) -> None:
    """A PIN without a tick signs nothing and says so; a made-up tick is no act."""
    doctor = await as_person("bacsi")
    await doctor.see("/viec/ky")
    assert "Chưa đánh dấu giấy nào." in await doctor.press("/viec/ky", 422, pin=PIN)
    await doctor.press("/viec/ky", 400, giay="x", pin=PIN)
    assert "Chưa ghi" not in await doctor.see("/viec/ky")


async def test_a_stopped_signing_asks_for_the_pin_again(
    house: Any, as_person: Any, waiting: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time stamp is away: nothing shows as signed; later the same batch goes on with the PIN."""
    doctor = await as_person("bacsi")
    shown = ticks(await doctor.see("/viec/ky"))

    async def away(*_: Any, **__: Any) -> bytes:
        raise NeighbourFailed("signing.tsa-away", "Dịch vụ dấu thời gian không trả lời.")

    with monkeypatch.context() as without:
        without.setattr("benhan.records.paper_signing.ink_pdf", away)
        await doctor.press("/viec/ky", giay=shown, pin=PIN)
        text = await until_done(doctor)
    assert "Dừng giữa chừng: đã ký 0 giấy, còn 3 giấy chưa ký." in text
    assert "Dịch vụ dấu thời gian không trả lời." in text
    batch = doctor.where()
    assert batch in await doctor.see("/viec/ky")
    await doctor.see(batch)
    await doctor.press(batch, pin=PIN)
    assert "Đã ký cả 3 giấy." in await until_done(doctor)
    assert "Không còn gì chờ bạn ký." in await doctor.see("/viec/ky")


async def test_the_page_of_one_paper_signs_what_it_shows(
    house: Any, as_person: Any, waiting: list[str]
) -> None:
    """The same hash stands on the page of a single paper, and is what is signed there."""
    doctor = await as_person("bacsi")
    html = await doctor.see(f"/giay/{waiting[0]}/ky")
    sha256 = re.search(r'name="shown" value="([0-9a-f]{64})"', html)
    version = re.search(r'name="version" value="(\d+)"', html)
    assert sha256
    assert version
    fields = {"version": version[1], "role": "bac_si_dieu_tri", "pin": PIN}
    await doctor.press(f"/giay/{waiting[0]}/ky", 409, **fields, shown="0" * 64)
    await doctor.see(f"/giay/{waiting[0]}/ky")
    await doctor.press(f"/giay/{waiting[0]}/ky", **fields, shown=sha256[1])
    assert "Đã ký." in doctor.last.text


async def test_a_head_sends_back_and_hands_on(house: Any, as_person: Any, waiting: list[str]) -> None:
    """Sent back with a reason, seen by the author, answered; late signatures; signing for another by the pages alone."""
    doctor, head = await as_person("bacsi"), await as_person("truongkhoa")
    await doctor.see("/viec/ky")
    await doctor.press("/viec/ky", giay=ticks(doctor.last.text), pin=PIN)
    await until_done(doctor)
    paper = waiting[0]
    assert "Trả lại người lập" in await head.see(f"/giay/{paper}/ky")
    assert "Ghi lý do trả lại." in await head.press(f"/giay/{paper}/tra-lai", 400, return_reason=" ")
    await head.press(f"/giay/{paper}/tra-lai", return_reason="Thiếu kích thước gan")
    assert "Đã trả giấy lại cho người lập" in head.last.text
    text = await doctor.see("/viec/ky")
    assert "Giấy của tôi bị trả lại" in text
    assert "Thiếu kích thước gan" in text
    assert "Thiếu kích thước gan" in await doctor.see(f"/giay/{paper}")
    late = await head.see("/viec/ky-tre")
    assert "bị trả lại" in late
    await doctor.see(f"/giay/{paper}/ky")
    await doctor.press(f"/giay/{paper}/gui-lai", answer="Không đo được do hơi nhiều")
    assert "Giấy của tôi bị trả lại" not in await doctor.see("/viec/ky")
    assert "Không đo được do hơi nhiều" in await head.see(f"/giay/{paper}/ky")
    await doctor.see("/viec/ky-tre", 403)
    await doctor.see("/viec/uy-quyen", 403)
    await head.see("/viec/uy-quyen")
    day = f"{local_date(house.store.clock.now()):%d/%m/%Y}"
    given = {"permission": "form.sign_head", "first": day, "last": day, "reason": "Đi họp"}
    other = house.people["bacsi"].reference
    assert "Chọn ít nhất một loại giấy." in await head.press("/viec/uy-quyen", 400, **given, taker=other)
    await head.see("/viec/uy-quyen")
    await head.press("/viec/uy-quyen", **given, taker=other, forms="BV1")
    assert "đang hiệu lực" in head.last.text
    (made, *_) = await records.delegations_to(house.repo, other)
    assert made.covers("form.sign_head", "01/BV1", "K03")
    await head.press(f"/viec/uy-quyen/{made.id}/thoi")
    assert "đã thôi" in head.last.text
    assert made.id not in {d.id for d in await records.delegations_to(house.repo, other)}
