"""The simulated portal over a real socket, and the client against it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from benhan.base.errors import NeighbourFailed, NeighbourTimeout
from benhan.gateways.bhyt import Account, PortalClient, register_card, write_package
from benhan.gateways.bhyt.package import Package, make_row
from benhan.gateways.bhyt.samples import package_of, stories

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
