"""The pages on which administrative acts are taken back: asked in the khoa, granted by somebody else, refused with a reason."""

from __future__ import annotations

from typing import Any

from tests.web.test_acts import stay

from benhan import records

__all__ = ["stay"]


async def test_asked_refused_asked_again_and_granted(
    house: Any, as_person: Any, stay: tuple[str, str]
) -> None:
    """The doctor asks, KHTH refuses with a reason, later grants; the list of waiting requests follows."""
    here = f"/dot/{stay[1]}/hoan-tac"
    doctor, office = await as_person("bacsi"), await as_person("khth")
    assert "Hủy nhập viện" in await doctor.see(here)
    assert "Không có đề nghị nào chờ." in await office.see("/viec/de-nghi")
    await doctor.press(here, 422, step="ask", act="cancel", reason=" ")
    await doctor.press(here, step="ask", act="cancel", reason="Nhập nhầm")
    assert "Nhập nhầm" in await office.see("/viec/de-nghi")
    (wish,) = await records.requests(house.repo, kind="undo")
    await doctor.press(here, 403, step="grant", request=str(wish.id))
    await office.see(here)
    await office.press(here, 422, step="refuse", request=str(wish.id))
    await office.press(here, step="refuse", request=str(wish.id), note="Người bệnh vẫn ở khoa")
    assert "Người bệnh vẫn ở khoa" in await doctor.see(here)
    await doctor.press(here, step="ask", act="cancel", reason="Trốn viện ngay")
    wish = next(w for w in await records.requests(house.repo, kind="undo") if w.decision is None)
    await office.press(here, step="grant", request=str(wish.id))
    assert (await records.case(house.repo, stay[1])).state == "cancelled"
    assert "Hồ sơ đã khóa." in await doctor.see(here)


async def test_what_is_typed_wrong_is_said_beside_the_field(
    house: Any, as_person: Any, stay: tuple[str, str]
) -> None:
    """An unknown mã người bệnh, mã đợt or no paper: a sentence, nothing asked."""
    here = f"/dot/{stay[1]}/hoan-tac"
    doctor = await as_person("bacsi")
    await doctor.see(here)
    for act, sentence in (
        ("patient", "Không có người bệnh với mã này."),
        ("merge", "Không có đợt điều trị với mã này."),
        ("paper", "Chọn tờ giấy cần chuyển."),
    ):
        assert sentence in await doctor.press(here, 422, step="ask", act=act, reason="Nhầm")
    assert await records.requests(house.repo, kind="undo") == []


async def test_a_transfer_nobody_took_is_stopped(house: Any, as_person: Any, stay: tuple[str, str]) -> None:
    """With its reason, by the khoa that asked; then another can be asked for."""
    doctor = await as_person("bacsi")
    await doctor.see(f"/dot/{stay[1]}")
    khoa = (await records.case(house.repo, stay[1])).khoa
    by = records.Staff(house.people["bacsi"].reference, "Bác sĩ", khoa=khoa)
    now = house.store.clock.now()
    task = await records.request_transfer(house.repo, stay[1], "K99", "Khoa khác", now, "Nặng", by)
    await doctor.see(f"/dot/{stay[1]}")
    await doctor.press(f"/dot/{stay[1]}/nhan/{task.id}/thoi", reason="Hết giường")
    assert await records.pending_transfers(house.repo, stay[1]) == []
