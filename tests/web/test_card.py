"""The BHYT card at reception: every kind of QR, the portal's answer kept and shown, a portal that is away, the queue."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from benhan import jobs
from benhan.catalogue import systems
from benhan.gateways import bhyt
from benhan.gateways.bhyt import create_simulator, register_card, register_jobs
from benhan.identity import PersonInput
from benhan.records import register_patient

NAME = "Phạm Văn Kiểm Thử"
CARD = "GD4515100000031"
CCCD = "051090001234"
CCCD_QR = f"{CCCD}|212345678|{NAME}|14031990|Nam|Thôn 2, Xã Thử Nghiệm, Quảng Ngãi|04052023"
CAN_CUOC_QR = f"{CCCD_QR}|Thử|Nghiệm|x|y"


def bhyt_qr(number: str, *, whole: bool = True) -> str:
    """QR of a paper card: 16 fields, or the 9 of an older one."""
    nine = [number, NAME.encode().hex(), "14/03/1990", "1", "Thôn 2".encode().hex(), "51 - Z01", "01/01/2026", "31/12/2026",
            "20/12/2025"]  # fmt: skip
    rest = ["51000000000001", "-", "4", " 01/01/2030", "15abcdef-7102", "4", b"BHXH".hex()]
    return "|".join([*nine, *(rest if whole else [])]) + "$"


@pytest.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[tuple[str, Any]]:
    """A running portal that knows the card; its address and state."""
    more = {
        "maDKBD": "51Z01",
        "maKV": "K2",
        "ngayDu5Nam": "01/01/2030",
        "gioiTinh": "Nam",
        "cqBHXH": "BHXH tỉnh",
    }
    register_card(tmp_path / "cong", CARD, name=NAME, birth="14/03/1990", **more)
    app = create_simulator(tmp_path / "cong")
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    listener = socket.create_server(("127.0.0.1", 0))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", app.state.portal
    finally:
        server.should_exit = True
        await task


@pytest.fixture
async def patient(house: Any) -> str:
    """A registered person without a card."""
    person = PersonInput(name=NAME, birth_date="1990-03-14", sex="male", cccd=CCCD, phone="0905000111")
    return str((await register_patient(house.repo, person)).id)


def connect(house: Any, url: str) -> None:
    """The installation knows the portal at ``url``."""
    house.store.settings = house.store.settings.model_copy(
        update={"bhyt_url": url, "bhyt_username": "thu-nghiem"}
    )


async def admit(desk: Any, house: Any, patient: str, card: str) -> str:
    """Admit from the form as it stands; the id of the đợt."""
    text = desk.last.text
    happened = re.search(r'name="happened"[^>]*value="([^"]+)"', text)
    assert happened
    await desk.press(
        f"/tiep-don/nhap-vien/{patient}", happened=happened[1], kind="03", khoa="K03", room="201", bed="H001",
        doctor=house.people["bacsi"].reference, reason="Sốt", card=card, valid_from="01/01/2026", valid_to="31/12/2026",
        percent="80", ma_doituong="1.1", direct_from="2", referred_by="2",
    )  # fmt: skip
    return str(desk.where().split("/")[2])


@pytest.mark.parametrize(
    "qr", [CCCD_QR, CAN_CUOC_QR, bhyt_qr(CARD), bhyt_qr(CARD, whole=False), bhyt_qr(CARD[5:])]
)
async def test_every_kind_of_qr_is_read_and_shown(
    as_person: Any, house: Any, simulator: tuple[str, Any], patient: str, qr: str
) -> None:
    connect(house, simulator[0])
    desk = await as_person("tiepdon")
    await desk.see("/tiep-don")
    text = await desk.press("/tiep-don/quet", quet=qr)
    assert "Thẻ vừa quét" in text
    assert "14/03/1990" in text
    await desk.see(f"/nguoi-benh/{patient}/the")
    text = await desk.press(f"/nguoi-benh/{patient}/the", quet=qr)
    assert "Thẻ vừa quét" in text
    if "$" in qr:
        assert "dùng được" in text
        assert CARD in text, "also when only the social insurance number was on the card"
        assert ("[13] 15abcdef-7102" in text) == (qr.count("|") == 15)
    else:
        assert "Không có thông tin thẻ BHYT" in text, "the simulated register has no citizen number"


async def test_the_answer_is_shown_kept_and_used_for_admission(
    as_person: Any, house: Any, simulator: tuple[str, Any], patient: str
) -> None:
    """Right, level, place of registration and earlier treatments; the admission form is filled in, nothing is asked again."""
    connect(house, simulator[0])
    visit = {"maThe": CARD, "maHoSo": "51Z02-77", "maCSKCB": "51Z02", "ngayVao": "202605010800",
             "ngayRa": "202605050900", "tenBenh": "Viêm phế quản", "kqDieuTri": "1"}  # fmt: skip
    simulator[1].received["hoso:51Z02-77"] = {"sha256": "", "answer": {}, "visit": visit}
    desk = await as_person("tiepdon")
    await desk.see(f"/nguoi-benh/{patient}/the")
    text = await desk.press(f"/nguoi-benh/{patient}/the", quet=CARD)
    for said in (
        "dùng được",
        "Hưởng 80%",
        "51Z01",
        "tại cơ sở này",
        "K2",
        "01/01/2030",
        "01/05/2026 08:00",
        "Viêm phế quản",
        "Khỏi",
    ):
        assert said in text, said
    text = await desk.see(f"/tiep-don/nhap-vien/{patient}")
    assert f'name="card" type="text" value="{CARD}"' in text
    assert 'value="01/01/2026"' in text
    encounter = await admit(desk, house, patient, CARD)
    text = await desk.see(f"/dot/{encounter}")
    assert "dùng được" in text
    waiting = [j.topic for j in await jobs.pending(house.store, house.tenant, "bhyt.")]
    assert "bhyt.card-check" not in waiting


async def test_portal_away_admits_and_asks_again(
    as_person: Any, house: Any, simulator: tuple[str, Any], patient: str, tmp_path: Path
) -> None:
    """Admitted at once; the queue and the desk say so; when the portal is back the answer stands in the đợt."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    connect(house, f"http://127.0.0.1:{port}")
    register_jobs()
    desk = await as_person("tiepdon")
    await desk.see(f"/nguoi-benh/{patient}/the")
    text = await desk.press(f"/nguoi-benh/{patient}/the", quet=CARD)
    assert "Cứ tiếp nhận người bệnh" in text
    assert NAME.upper() in await desk.see("/tiep-don")
    await desk.see(f"/tiep-don/nhap-vien/{patient}")
    encounter = await admit(desk, house, patient, CARD)
    assert "chưa kiểm được" in await desk.see(f"/dot/{encounter}")
    await jobs.run_once(house.store)
    officer = await as_person("khth")
    text = await officer.see("/bhyt/hang-doi")
    assert "Tra thẻ" in text
    assert "Không kết nối được Cổng BHYT" in text
    connect(house, simulator[0])
    register_card(tmp_path / "cong", CARD, name="Người Khác", birth="14/03/1990")
    await bhyt_card_check(house, encounter)
    assert "Thẻ sai họ tên" in await desk.see(f"/dot/{encounter}")
    text = await desk.see("/tiep-don")
    assert "phải xem lại" in text
    register_card(tmp_path / "cong", CARD, name=NAME, birth="14/03/1990")
    await bhyt_card_check(house, encounter)
    assert "dùng được" in await desk.see(f"/dot/{encounter}")
    assert "Thẻ BHYT phải xem lại" not in await desk.see("/tiep-don")


async def bhyt_card_check(house: Any, encounter: str) -> None:
    """The job as the worker runs it when its time has come."""
    from benhan.gateways.bhyt.card_job import check_cards

    await check_cards(house.store, house.tenant, {"encounter": encounter})


async def test_a_new_card_and_a_refused_card_say_what_to_do(
    as_person: Any, house: Any, simulator: tuple[str, Any], patient: str, tmp_path: Path
) -> None:
    connect(house, simulator[0])
    new = {
        "maTheMoi": "GD4515100000099",
        "gtTheTuMoi": "01/06/2026",
        "gtTheDenMoi": "31/05/2027",
        "maDKBDMoi": "51Z02",
    }
    register_card(tmp_path / "cong", CARD, name=NAME, birth="14/03/1990", code="003", **new)
    desk = await as_person("tiepdon")
    await desk.see(f"/nguoi-benh/{patient}/the")
    text = await desk.press(f"/nguoi-benh/{patient}/the", quet=CARD)
    assert "Đã có thẻ mới" in text
    assert "31/05/2027" in text
    assert 'value="GD4515100000099"' in await desk.see(f"/tiep-don/nhap-vien/{patient}")
    await desk.see(f"/nguoi-benh/{patient}/the")
    text = await desk.press(f"/nguoi-benh/{patient}/the", 400, quet="123")
    assert "15 ký tự" in text
    text = await desk.press(f"/nguoi-benh/{patient}/the", 400, quet=bhyt_qr(CARD)[:-1])
    assert "bị cắt" in text
    other = bhyt_qr(CARD).replace(NAME.encode().hex(), "Trần Thị Khác".encode().hex())
    assert "ghi tên khác" in await desk.press(f"/nguoi-benh/{patient}/the", quet=other)
    (view,) = await bhyt.card_views(house.repo, patient)
    assert (view.code, view.use["card"]) == ("003", "GD4515100000099")
    found = await house.repo.search("CoverageEligibilityResponse", [("identifier", f"{systems.BHYT}|{CARD}")])
    assert len(found.entries) == 1


async def test_who_does_not_receive_patients_sees_no_card_page(as_person: Any, patient: str) -> None:
    technician = await as_person("kythuat")
    await technician.see(f"/nguoi-benh/{patient}/the", 403)
