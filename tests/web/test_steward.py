"""The steward's pages at the hub: the list, two people side by side, the decision, its undoing."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import httpx
import pytest

from benhan.access import new_totp_secret, onboard, totp_code
from benhan.base.settings import Settings
from benhan.identity import PersonInput, link_patient, open_reviews, patient_resource, said_the_same
from benhan.store import Actor, Ctx, Store, SystemPolicy
from benhan.web import create_app

PASSWORD = "Mat-khau-kiem-thu-2026"
KNOWN = PersonInput(
    name="Nguyễn Thị Hồng Hạnh", birth_date="1988-04-08", sex="female", cccd="051188000020", phone="0905123456",
    commune_code="21028",
)  # fmt: skip


@pytest.fixture
async def steward(settings: Settings) -> AsyncIterator[tuple[Any, httpx.AsyncClient]]:
    """The hub with one doubtful pair, and its steward signed in."""
    chosen = settings.model_copy(update={"role": "hub"})
    store = await Store.open(chosen)
    try:
        hub = await store.create_tenant("hub", "51-HUB", "Trục liên thông tỉnh thử nghiệm")
        repo = store.repo(Ctx(tenant=hub, actor=Actor("Device/test", "Kiểm thử", "system")), SystemPolicy())
        doubtful = replace(KNOWN, cccd="", birth_date="1988-04-09")
        for person, known_as in ((KNOWN, "p-a"), (doubtful, "p-b")):
            await link_patient(repo, uuid4(), patient_resource(person, patient_id=known_as))
        secret = new_totp_secret()
        roles = [("phong_khth", None)]
        await onboard(
            repo, "dinhdanh", PASSWORD, "Huỳnh Văn Mẫu", roles, totp_secret=secret, must_change=False
        )
        transport = httpx.ASGITransport(app=create_app(store, chosen))
        async with httpx.AsyncClient(
            transport=transport, base_url="https://hub", follow_redirects=True
        ) as one:
            page = await one.get("/dang-nhap")
            await _press(
                one, page, "/dang-nhap", co_so="51-HUB", ten="dinhdanh", mat_khau=PASSWORD,
                ma=totp_code(secret, store.clock.now()),
            )  # fmt: skip
            yield repo, one
    finally:
        await store.close()


async def _press(one: httpx.AsyncClient, page: httpx.Response, path: str, **fields: str) -> httpx.Response:
    token = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert token, page.text[:300]
    return await one.post(path, data={"csrf": token[1], **fields})


async def test_steward_compares_decides_and_undoes(steward: tuple[Any, httpx.AsyncClient]) -> None:
    """From the list to the pair, a merge with its reason, and the way back."""
    repo, one = steward
    page = await one.get("/dinh-danh")
    assert "1 cặp chờ xem" in page.text
    (pair,), _ = await open_reviews(repo)
    page = await one.get(f"/dinh-danh/{pair.id}")
    assert all(
        text in page.text
        for text in ("08/04/1988", "09/04/1988", "051188000020", "Ngày sinh: lệch một ký tự")
    )
    page = await _press(one, page, f"/dinh-danh/{pair.id}", decision="same", reason="")
    assert page.status_code == 400
    assert "Ghi lý do gộp hai người này." in page.text
    page = await _press(
        one, page, f"/dinh-danh/{pair.id}", decision="same", reason="Đã gọi điện cho người bệnh"
    )
    assert page.url.path == "/dinh-danh"
    assert "Không có cặp nào chờ xem." in page.text
    undo = re.search(r'action="(/dinh-danh/gop/[^"]+/huy)"', page.text)
    assert undo
    page = await _press(one, page, undo[1], reason="Nhầm người")
    assert "đã tách lại" in page.text


async def test_pair_of_nobody_is_not_found(steward: tuple[Any, httpx.AsyncClient]) -> None:
    """An address that names no open pair says so."""
    _, one = steward
    assert (await one.get(f"/dinh-danh/{uuid4()}")).status_code == 404
    assert (await one.get("/dinh-danh/khong-phai-so")).status_code == 404


async def test_what_a_facility_says_of_its_own_ids_is_shown(steward: tuple[Any, httpx.AsyncClient]) -> None:
    """Two people whom a facility calls one stand on top of the list, with its word beside the comparison."""
    repo, one = steward
    other = PersonInput(name="Trần Văn Thử", birth_date="1950-02-03", sex="male", cccd="051050000021")
    fresh = await link_patient(repo, uuid4(), patient_resource(other, patient_id="p-c"))
    known = (await repo.search("Patient", [("identifier", "urn:benhan:id:cccd|051188000020")])).entries[0]
    await said_the_same(repo, fresh.patient_id, known.id, "Cơ sở 51Z01 báo hai mã là một người.")
    (first, _), total = await open_reviews(repo)
    assert total == 2
    page = await one.get(f"/dinh-danh/{first.id}")
    assert "Cơ sở 51Z01 báo hai mã là một người." in page.text
