"""The simulated portal over a real socket, and the client against it."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from benhan.base.clock import FrozenClock
from benhan.base.errors import NeighbourFailed, NeighbourTimeout
from benhan.gateways.bhyt import Account, PortalClient, check, create_simulator, register_card, write_package
from benhan.gateways.bhyt.package import Package, make_row
from benhan.gateways.bhyt.sample_cards import register
from benhan.gateways.bhyt.samples import package_of, spelled, stories
from benhan.gateways.bhyt.tables import tables

DATA = Path(__file__).parents[3] / "src/benhan/gateways/bhyt/data"
CARD = "DN4510000000077"


@pytest.fixture
async def client(portal: tuple[str, Any]) -> AsyncIterator[PortalClient]:
    async with PortalClient(portal[0], Account.of("thu-nghiem", "bi-mat"), "51Z07", timeout_s=5) as made:
        yield made


def _package() -> tuple[bytes, str]:
    package = package_of(stories()[0], 1)
    return write_package(package), package.ma_lk


async def test_a_good_package_is_received_once(client: PortalClient, portal: tuple[str, Any]) -> None:
    raw, ma_lk = _package()
    first = await client.send(raw, ma_lk)
    second = await client.send(raw, ma_lk)
    assert first.received
    assert first.transaction
    assert first.transaction == second.transaction
    assert len(portal[1].received) == 1


async def test_a_bad_package_is_refused_with_its_place(client: PortalClient) -> None:
    package = package_of(stories()[0], 1)
    row = make_row("XML1", 1, {**package.table("XML1")[0].values, "NGAY_RA": "hôm nay"})
    bad = Package(package.facility, package.made_on, {**package.rows, "XML1": (row,)})
    receipt = await client.send(write_package(bad), package.ma_lk)
    assert receipt.code == "205"
    assert "XML1/dòng 1/NGAY_RA" in receipt.text


async def test_a_lost_answer_is_asked_for_before_sending_again(
    client: PortalClient, portal: tuple[str, Any]
) -> None:
    portal[1].faults = {"lose_answer": 1}
    receipt = await client.send(*_package())
    assert receipt.received
    assert portal[1].deliveries == 1


async def test_an_expired_token_is_taken_anew(client: PortalClient, portal: tuple[str, Any]) -> None:
    portal[1].faults = {"expire": 1}
    assert (await client.send(*_package())).received


async def test_failure_of_the_portal_is_an_error_to_repeat(
    client: PortalClient, portal: tuple[str, Any]
) -> None:
    async with httpx.AsyncClient() as admin:
        await admin.post(f"{portal[0]}/_admin/faults", json={"fail": 1})
    with pytest.raises(NeighbourFailed, match="portal-failed"):
        await client.send(*_package())


async def test_absent_portal() -> None:
    async with PortalClient("http://127.0.0.1:1", Account.of("a", "b"), "51Z07", timeout_s=1) as gone:
        with pytest.raises(NeighbourTimeout, match="portal-away"):
            await gone.send(*_package())


async def test_without_token_everything_is_refused(portal: tuple[str, Any]) -> None:
    async with httpx.AsyncClient(base_url=portal[0]) as anybody:
        assert (await anybody.get("/healthz")).status_code == 200
        for path in (
            "/api/qd130/guiHoSoXmlQD3176",
            "/api/egw/KQNhanLichSuKCB2024",
            "/api/egw/nhanHoSoKCBChiTiet",
        ):
            assert (await anybody.post(path)).json()["maKetQua"] == "401"
        assert (await anybody.post("/api/token/take", data={"username": "a", "password": "rõ"})).json()[
            "maKetQua"
        ] == "401"


async def test_cards(client: PortalClient, tmp_path: Path) -> None:
    assert (await client.check_card(CARD, "Nguyễn Văn Mẫu", "14/05/1980")).code == "050"
    register_card(tmp_path / "portal", CARD, name="Nguyễn Văn Mẫu", birth="14/05/1980")
    good = await client.check_card(CARD, "NGUYEN VAN MAU", "1980")
    assert (good.code, good.good) == ("000", True)
    assert (await client.check_card(CARD, "Người Khác", "1980")).code == "060"
    assert (await client.check_card(CARD, "Nguyễn Văn Mẫu", "1981")).code == "070"
    assert (await client.check_card("XX", "Nguyễn Văn Mẫu", "1980")).code == "051"


def test_secrets_stay_out_of_text() -> None:
    account = Account.of("thu-nghiem", "bi-mat")
    assert account.password_md5 not in repr(account)


async def test_a_slow_answer_is_asked_for_and_not_sent_twice(portal: tuple[str, Any]) -> None:
    portal[1].faults = {"slow": 1, "slow_ms": 1200}
    async with PortalClient(portal[0], Account.of("a", "b"), "51Z07", timeout_s=0.6) as hasty:
        assert (await hasty.send(*_package())).received
    assert portal[1].deliveries == 1


async def test_a_wrong_token_is_taken_anew(client: PortalClient, portal: tuple[str, Any]) -> None:
    portal[1].faults = {"wrong_token": 1}
    assert (await client.send(*_package())).received


async def test_what_intake_would_forgive_the_portal_refuses(client: PortalClient) -> None:
    package = package_of(stories()[19], 20)
    receipt = await client.send(spelled(package, "swapped"), package.ma_lk)
    assert receipt.code == "205"
    assert "không theo thứ tự" in receipt.text
    twice = await client.send(spelled(package, "base64"), package.ma_lk)
    assert (twice.code, "một lớp base64" in twice.text) == ("205", True)
    as_checkin = await client.send(write_package(package), package.ma_lk, checkin=True)
    assert as_checkin.code == "205"


async def test_a_check_in_is_received(client: PortalClient, portal: tuple[str, Any]) -> None:
    head = package_of(stories()[0], 1).table("XML1")[0].values
    own = {"MA_DICH_VU": "02.1896", "TEN_DICH_VU": "Khám Nội", "NGAY_YL": "202608030736"}
    package = Package("51Z07", "", {"XML0": (make_row("XML0", 1, {**_shared(head), **own}),)})
    assert check(package) == []
    assert (await client.send(write_package(package), package.ma_lk, checkin=True)).received
    assert list(portal[1].received) == [f"checkin:{package.ma_lk}"]


def _shared(head: Mapping[str, str]) -> dict[str, str]:
    return {name: head[name] for name in tables()["XML0"].names() if head.get(name)}


async def test_the_shipped_cards_answer_as_they_say(tmp_path: Path) -> None:
    text = (DATA / "simulator_cards.csv").read_text(encoding="utf-8")
    assert text == register()
    clock = FrozenClock(datetime(2026, 8, 4, 1, 0, tzinfo=UTC))
    app = create_simulator(clock=clock)
    transport = httpx.ASGITransport(app=app)
    async with PortalClient(
        "http://p", Account.of("a", "b"), "51Z07", clock=clock, transport=transport
    ) as known:
        for row in csv.DictReader(text.splitlines()):
            expected = "010" if row["gtTheTu"] == "05/08/2026" else row["maKetQua"]
            assert (await known.check_card(row["maThe"], row["hoTen"], row["ngaySinh"])).code == expected
