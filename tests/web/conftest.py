"""A facility with its people, and browsers-without-a-browser: httpx over the ASGI app, signed in by password and code."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from playwright.async_api import Browser as Chromium
from playwright.async_api import Page, async_playwright
from starlette.applications import Starlette

from benhan.access import COOKIE, new_totp_secret, onboard, sensitivity_guard, sign_in, totp_code
from benhan.base.settings import Settings
from benhan.records import closed_record_guard
from benhan.signing import KeyStore
from benhan.store import Actor, Ctx, Repository, Store, SystemPolicy
from benhan.web import create_app

PASSWORD = "Mat-khau-kiem-thu-2026"
PIN = "246810"
PEOPLE = {
    "tiepdon": ("Võ Thị Mẫu", [("tiep_don", None), ("thu_ngan", None)], None),
    "bacsi": ("Nguyễn Văn Thử", [("bac_si", "K03"), ("bac_si", "K04")], "000001/QNG-CCHN"),
    "dieuduong": ("Đinh Thị Ví Dụ", [("dieu_duong", "K03"), ("dieu_duong", "K04")], "000002/QNG-CCHN"),
    "kythuat": ("Hồ Văn Mẫu", [("ky_thuat_vien", None)], "000003/QNG-CCHN"),
    "truongkhoa": ("Phạm Thị Thử", [("truong_khoa", "K03"), ("truong_khoa", "K04")], "000004/QNG-CCHN"),
    "lanhdao": ("Trần Văn Ví Dụ", [("lanh_dao", None)], "000005/QNG-CCHN"),
    "khth": ("Lê Thị Mẫu", [("phong_khth", None)], None),
    "cntt": ("Y Thử", [("cntt", None)], None),
}
CCCD_QR = "051090001234|212345678|Phạm Văn Kiểm Thử|14031990|Nam|Thôn 2, Xã Thử Nghiệm, Quảng Ngãi|04052023"


@dataclass
class Person:
    """How somebody signs in."""

    username: str
    secret: str
    reference: str


@dataclass
class House:
    """A facility: its store, its people."""

    store: Store
    tenant: UUID
    people: dict[str, Person] = field(default_factory=dict)

    @property
    def repo(self) -> Repository:
        """The facility with all rights, for arranging."""
        return self.store.repo(
            Ctx(tenant=self.tenant, actor=Actor("Device/test", "Kiểm thử", "system")), SystemPolicy()
        )

    async def person(self, username: str) -> Person:
        """Somebody who works here; account, roles and signing key are made at first need."""
        if username not in self.people:
            display, roles, licence = PEOPLE[username]
            secret = new_totp_secret()
            made = await onboard(
                self.repo,
                username,
                PASSWORD,
                display,
                roles,
                licence=licence,
                totp_secret=secret,
                must_change=False,
            )
            if licence:
                await KeyStore(self.repo).enrol(made.person, display, licence, PIN)
            self.people[username] = Person(username, secret, made.person)
        return self.people[username]


class Browser(httpx.AsyncClient):
    """Keeps cookies, knows the CSRF token of the last page, follows redirects."""

    last: httpx.Response

    async def see(self, address: str, status: int = 200) -> str:
        """The page at an address."""
        self.last = await self.get(address)
        assert self.last.status_code == status, (address, self.last.status_code, words(self.last.text)[:600])
        return self.last.text

    def csrf(self) -> str:
        """Token in the last page."""
        found = re.search(r'name="csrf" value="([^"]+)"', self.last.text)
        assert found, self.last.text[:500]
        return unescape(found[1])

    async def press(self, path: str, status: int = 200, /, **fields: Any) -> str:
        """Post fields with the CSRF token."""
        self.last = await self.post(path, data={"csrf": self.csrf(), **fields})
        if self.last.status_code != status:
            raise AssertionError(f"{path}: {self.last.status_code}: {notes(self.last.text)}")
        return self.last.text

    async def type(self, path: str, **fields: str) -> None:
        """Post fields as the page's autosave does, in the order they are given."""
        patches = [
            {"field": name, "value": value, "at": "2026-03-02T08:00:00+07:00", "seq": n}
            for n, (name, value) in enumerate(fields.items(), 1)
        ]
        answer = await self.post(path, json={"patches": patches}, headers={"X-CSRF-Token": self.csrf()})
        assert answer.status_code == 200, answer.text
        assert answer.json()["taken"] == len(patches)

    def where(self) -> str:
        """Path of the last page."""
        return self.last.url.path


def notes(html: str) -> str:
    """What a page says is wrong."""
    body = words(html)
    return body[body.find("Sửa những chỗ sau") :][:1500]


def words(html: str) -> str:
    """Text of a page without its head."""
    body = re.sub(r"(?s)<head>.*?</head>", " ", html)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body))).strip()


@pytest.fixture
async def house(settings: Settings) -> AsyncIterator[House]:
    """A facility with a doctor, on a fresh database with the guard of closed records."""
    store = await Store.open(settings, guards=[closed_record_guard, sensitivity_guard])
    try:
        tenant = await store.create_tenant("facility", "51Z01", "Bệnh viện Thử nghiệm")
        made = House(store, tenant)
        await made.person("bacsi")
        yield made
    finally:
        await store.close()


@pytest.fixture
def app(house: House) -> Starlette:
    """The pages of the facility."""
    return create_app(house.store, house.store.settings)


@pytest.fixture
async def browser(app: Starlette) -> AsyncIterator[Callable[[], Browser]]:
    """``browser()``: a new browser without a session."""
    made: list[Browser] = []

    def make() -> Browser:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        made.append(Browser(transport=transport, base_url="https://testserver", follow_redirects=True))
        return made[-1]

    yield make
    for one in made:
        await one.aclose()


SignedIn = Callable[[str], Awaitable[Browser]]


@pytest.fixture
async def as_person(house: House, browser: Callable[[], Browser]) -> SignedIn:
    """``await as_person("bacsi")``: a browser in which that person has signed in."""
    known: dict[str, Browser] = {}

    async def enter(username: str) -> Browser:
        if username not in known:
            one = browser()
            await one.see("/dang-nhap")
            code = totp_code((await house.person(username)).secret, house.store.clock.now())
            await one.press("/dang-nhap", co_so="51Z01", ten=username, mat_khau=PASSWORD, ma=code, tiep="/")
            assert one.where() != "/dang-nhap", words(one.last.text)[:500]
            known[username] = one
        return known[username]

    return enter


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


@pytest.fixture
async def server(house: Any) -> AsyncIterator[Any]:
    """Granian over the house's database."""
    one = live.LiveServer(house.store.settings)
    await one.start()
    try:
        yield one
    finally:
        one.stop()


@pytest.fixture
async def chromium() -> AsyncIterator[Chromium]:
    """The system's Chromium."""
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path=live.chromium(), args=list(live.ARGS))
        try:
            yield browser
        finally:
            await browser.close()


@pytest.fixture
async def page(house: Any) -> AsyncIterator[tuple[Page, Any]]:
    """A doctor signed in, in the system's Chromium, before a running server."""
    server = live.LiveServer(house.store.settings)
    await server.start()
    secret = house.people["bacsi"].secret
    token = await sign_in(house.store, "51Z01", "bacsi", PASSWORD, totp_code(secret, house.store.clock.now()))
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path=live.chromium(), args=list(live.ARGS))
        context = await browser.new_context(viewport={"width": 1366, "height": 768}, locale="vi-VN")
        await context.add_cookies([{"name": COOKIE, "value": token.token, "url": server.url}])
        try:
            yield await context.new_page(), server
        finally:
            await browser.close()
            server.stop()
