"""kill -9 of the browser, of the server, of both while somebody types: at most two seconds of typing are gone."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.async_api import BrowserContext, Page, Playwright, async_playwright

from benhan import records
from benhan.access import COOKIE, sign_in, sign_out, totp_code
from benhan.identity import PersonInput

pytestmark = pytest.mark.browser
FIELD, PASSWORD = "qua_trinh_benh_ly", "Mat-khau-kiem-thu-2026"
MOST_LOST_S = 2.0


def _live() -> Any:
    name = "web_live"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / "live.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


live = _live()


class Desk:
    """A doctor's machine: a browser whose profile lies on disk and outlives it."""

    def __init__(self, play: Playwright, server: Any, profile: Path, token: str) -> None:
        self.play, self.server, self.profile, self.token = play, server, profile, token
        self.context: BrowserContext | None = None

    async def open(self, paper: str) -> Page:
        self.context = await self.play.chromium.launch_persistent_context(
            str(self.profile), executable_path=live.chromium(), args=list(live.ARGS)
        )
        await self.context.add_cookies([{"name": COOKIE, "value": self.token, "url": self.server.url}])
        page = await self.context.new_page()
        await page.goto(f"{self.server.url}/giay/{paper}")
        return page

    def kill(self) -> None:
        """kill -9 of every process of this browser: they are known by this test's own profile folder."""
        for process in psutil.process_iter(["cmdline"]):
            if any(str(self.profile) in part for part in process.info["cmdline"] or []):
                process.kill()

    async def close(self) -> None:
        if self.context is not None:
            try:
                await self.context.close()
            except Exception:
                self.kill()


class Typist:
    """Types numbered words and remembers when each stood in the field."""

    def __init__(self, page: Page, name: str = FIELD) -> None:
        self.page, self.name = page, name
        self.at: list[float] = []

    async def type(self, seconds: float, first: int = 0) -> None:
        await self.page.locator(f'[name="{self.name}"]').focus()
        end = time.monotonic() + seconds
        number = first
        while time.monotonic() < end:
            await self.page.keyboard.type(f"w{number:04d} ")
            self.at.append(time.monotonic())
            number += 1
            await asyncio.sleep(0.05)

    def lost(self, text: str, killed: float) -> float:
        """Seconds of typing that are gone: from the first missing word to the kill."""
        missing = [at for n, at in enumerate(self.at) if f"w{n:04d}" not in text]
        return max(0.0, killed - missing[0]) if missing else 0.0


async def opened_record(house: Any) -> Any:
    """A record opened on 01/BV1, arranged below the pages; with the doctor who opened it."""
    repo = house.repo
    doctor = records.Staff(house.people["bacsi"].reference, "Nguyễn Văn Thử", "000001/QNG-CCHN", "K03")
    patient = await records.register_patient(
        repo, PersonInput(name="Phạm Văn Kiểm Thử", birth_date="1990", sex="male")
    )
    admitted = await records.admit(
        repo, records.Admission(patient.id, house.store.clock.now(), "K03", "Khoa Nội tổng hợp", doctor)
    )
    opened = await records.open_record(repo, admitted.encounter.id, "01/BV1", doctor, house.store.clock.now())
    return opened, admitted.encounter.id, doctor


@pytest.fixture
async def paper(house: Any) -> str:
    """A record opened on 01/BV1."""
    opened, _, _ = await opened_record(house)
    return str(opened.response.id)


@pytest.fixture
async def desk(house: Any, server: Any, tmp_path: Path) -> Any:
    """The doctor's machine, signed in."""
    person = house.people["bacsi"]
    token = await sign_in(
        house.store, "51Z01", "bacsi", PASSWORD, totp_code(person.secret, house.store.clock.now())
    )
    async with async_playwright() as play:
        one = Desk(play, server, tmp_path / "profile", token.token)
        yield one
        await one.close()


@pytest.fixture
async def server(house: Any) -> Any:
    """Granian over the house's database."""
    one = live.LiveServer(house.store.settings)
    await one.start()
    yield one
    one.stop()


async def text_of(page: Page, name: str = FIELD) -> str:
    await page.wait_for_timeout(1200)  # what this machine kept is read and laid over
    return await page.input_value(f'[name="{name}"]')


@pytest.mark.long
async def test_browser_killed_while_typing(desk: Desk, paper: str) -> None:
    """The reopened browser shows all but the last moment."""
    page = await desk.open(paper)
    typist = Typist(page)
    await typist.type(4)
    killed = time.monotonic()
    desk.kill()
    text = await text_of(await desk.open(paper))
    assert len(typist.at) > 20
    assert typist.lost(text, killed) <= MOST_LOST_S


@pytest.mark.long
async def test_server_killed_while_typing(desk: Desk, server: Any, paper: str) -> None:
    """The page says that text is kept here, and hands it over when the server is back; nothing is lost."""
    page = await desk.open(paper)
    typist = Typist(page)
    await typist.type(2)
    server.kill()
    await typist.type(2, first=len(typist.at))
    await page.wait_for_selector('[data-saving][data-state="away"]')
    assert await page.inner_text("[data-saving]") == "Mất mạng, đang giữ trên máy này"
    await server.start()
    await page.wait_for_selector('[data-saving][data-state="saved"]', timeout=20_000)
    await page.evaluate("indexedDB.deleteDatabase('benhan-drafts')")  # only what the server has counts now
    await page.reload()
    assert typist.lost(await text_of(page), time.monotonic()) == 0


async def test_both_killed_while_typing(desk: Desk, server: Any, paper: str) -> None:
    """Server and browser die together: both copies are enough to bring the text back."""
    page = await desk.open(paper)
    typist = Typist(page)
    await typist.type(4)
    killed = time.monotonic()
    server.kill()
    desk.kill()
    await server.start()
    text = await text_of(await desk.open(paper))
    assert typist.lost(text, killed) <= MOST_LOST_S


@pytest.mark.parametrize(
    ("form", "field"),
    [
        pytest.param("22/BV2", "bang#0.ket_qua", marks=pytest.mark.long),
        pytest.param("TT26/2025-DON", "thuoc_ke#0.lieu_moi_lan", marks=pytest.mark.long),
    ],
)
async def test_both_killed_over_rows(house: Any, desk: Desk, server: Any, form: str, field: str) -> None:
    """A cell of a sheet with rows and a line of a prescription come back as well, and the reopened page says so."""
    _, encounter, doctor = await opened_record(house)
    paper = str((await records.open_paper(house.repo, encounter, form, doctor, house.store.clock.now())).id)
    page = await desk.open(paper)
    typist = Typist(page, field)
    await typist.type(4)
    killed = time.monotonic()
    server.kill()
    desk.kill()
    await server.start()
    page = await desk.open(paper)
    text = await text_of(page, field)
    assert len(typist.at) > 10
    assert typist.lost(text, killed) <= MOST_LOST_S
    said = await page.inner_text("body")
    assert "Đang mở lại phần đã gõ" in said or "Đã lấy lại chữ" in said


async def test_text_outlives_the_session(house: Any, desk: Desk, paper: str) -> None:
    """When the session has ended the page says so and keeps the text; after signing in again it is there."""
    page = await desk.open(paper)
    await Typist(page).type(1)
    await page.wait_for_selector('[data-saving][data-state="saved"]')
    await sign_out(house.store, desk.token)
    late = Typist(page, "tien_su_ban_than")
    await late.type(1)
    await page.wait_for_selector('[data-saving][data-state="ended"]')
    assert "Phiên đã hết" in await page.inner_text("[data-saving]")
    person = house.people["bacsi"]
    from datetime import timedelta

    code = totp_code(person.secret, house.store.clock.now() + timedelta(seconds=30))
    token = await sign_in(house.store, "51Z01", "bacsi", PASSWORD, code)
    assert desk.context is not None
    await desk.context.add_cookies([{"name": COOKIE, "value": token.token, "url": desk.server.url}])
    await page.goto(f"{desk.server.url}/giay/{paper}")
    await page.wait_for_selector('[data-saving][data-state="saved"]')
    assert f"w{len(late.at) - 1:04d}" in await page.input_value('[name="tien_su_ban_than"]')
