"""The claims desk in a real browser: a refused claim is mended at the field its link leads to, and accepted when sent again."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import uvicorn
from playwright.async_api import Page, async_playwright

from benhan import records
from benhan.access import new_totp_secret, onboard, sensitivity_guard, totp_code
from benhan.gateways.bhyt import (
    check,
    claim_row,
    create_simulator,
    ingest,
    register_card,
    register_jobs,
    slips,
    statement,
    write_package,
)
from benhan.gateways.bhyt.desk import put_claim
from benhan.gateways.bhyt.samples import package_of, stories
from benhan.jobs import run_once
from benhan.records import closed_record_guard
from benhan.signing import KeyStore
from benhan.store import Store, SystemPolicy

pytestmark = pytest.mark.browser
PASSWORD = "Mat-khau-kiem-thu-2026"
PIN = "246810"
SIZE = {"width": 1366, "height": 768}
RIGHT_NAME = "Nguyễn Văn Đúng Tên"


def _module(name: str, path: Path) -> ModuleType:
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


live: Any = _module("web_live", Path(__file__).parent / "live.py")
build: Any = _module("records_builders", Path(__file__).parents[1] / "records" / "builders.py")


class PlainInk:
    """Signs by writing behind the bytes: this walk is about claims, not about cryptography."""

    async def sign_pdf(self, pdf: bytes, signer: Any, **about: Any) -> bytes:
        return pdf + f"\n%{about['field']}|{about['name']}".encode()

    async def entry_signature(self, data: bytes, signer: Any, tsa: Any = None) -> bytes:
        return b"cms:" + data[-16:]

    async def seal(self, files: Any, signer: Any, tsa: Any) -> bytes:
        return b"asic:" + "\n".join(sorted(files)).encode()


@pytest.fixture
async def portal(tmp_path: Path) -> AsyncIterator[str]:
    """A running simulator that knows the patient of the refused claim under another name."""
    register_card(tmp_path / "portal", "GD4515100000001", name=RIGHT_NAME)
    app = create_simulator(tmp_path / "portal")
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    listener = socket.create_server(("127.0.0.1", 0))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@pytest.fixture
async def office(house: Any, portal: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    """The worker's view of the facility: portal set, claims of two patients in the queue."""
    monkeypatch.setattr("benhan.records.ink.signing", PlainInk())
    register_jobs()
    own = house.store.settings.model_copy(update={"bhyt_url": portal, "bhyt_username": "thu-nghiem"})
    store = await Store.open(own, guards=[closed_record_guard, sensitivity_guard])
    try:
        yield store
    finally:
        await store.close()


async def earlier_months(house: Any) -> None:
    """Sample claims of the months before: received, faulty, waiting."""
    now = house.store.clock.now()
    for number in range(18):
        package = package_of(stories()[number % 8], number + 1)
        raw = write_package(package)
        await house.store.blobs.put(raw)
        state = ("received", "received", "received", "waiting", "faulty")[number % 5]
        await put_claim(
            house.repo, package, encounter="mau", claim="mau", sha256=sha256(raw).hexdigest(),
            left_at=now - timedelta(days=11 * number), state=state, sent=state == "received", answer="",
            findings=check(package), before=None,
        )  # fmt: skip


async def test_a_refused_claim_is_mended_by_its_link_and_accepted(house: Any, office: Store) -> None:
    repo = office.repo(build.ctx(house.tenant), SystemPolicy())
    refused = await build.a_whole_record(repo, None)
    await run_once(office)
    await earlier_months(house)
    ma_lk = refused.admitted.ma_lk
    row = await claim_row(repo, ma_lk)
    assert (row.state, [f["place"] for f in row.faults if f["severity"] == "error"]) == (
        "refused",
        ["XML1/dòng 1/HO_TEN"],
    )
    server = live.LiveServer(house.store.settings)
    await server.start()
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path=live.chromium(), args=list(live.ARGS))
        try:
            page = await (await browser.new_context(viewport=SIZE, locale="vi-VN")).new_page()
            await walk(page, house, server, office, ma_lk)
        finally:
            await browser.close()
            server.stop()
    assert (await claim_row(repo, ma_lk)).state == "received"


async def walk(page: Page, house: Any, server: Any, office: Store, ma_lk: str) -> None:
    """The officer's morning: list, refused claim, its field, mended, sent again, accepted."""
    shots = live.shots_folder(house.store.settings)
    faults: list[str] = []
    page.on("pageerror", lambda e: faults.append(str(e)))
    page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
    code = totp_code((await house.person("khth")).secret, house.store.clock.now())
    await live.sign_in(page, server, "khth", PASSWORD, code)
    await page.goto(f"{server.url}/bhyt")
    await page.screenshot(path=shots / "bhyt-01-ban-giam-dinh.png")
    await page.get_by_role("link", name="Cổng từ chối", exact=True).click()
    await page.locator(f"a[href='/bhyt/ho-so/{ma_lk}']").click()
    assert "khác họ tên trên thẻ" in await page.inner_text("main")
    await page.screenshot(path=shots / "bhyt-02-ho-so-bi-tu-choi.png")
    await page.get_by_role("link", name="Họ và tên").first.click()
    await page.wait_for_url("**/sua#f-name")
    assert await page.locator("#f-name").get_attribute("aria-invalid") == "true"
    assert await page.evaluate("document.activeElement.id") == "f-name"
    await page.screenshot(path=shots / "bhyt-03-sua-du-kien.png")
    await page.fill("#f-name", RIGHT_NAME)
    await page.fill("#f-reason", "Sửa họ tên theo thẻ BHYT")
    await page.get_by_role("button", name="Sửa, lập lại và gửi").click()
    await page.wait_for_url("**xong=da-sua-gui")
    await run_once(office)
    await page.goto(f"{server.url}/bhyt/ho-so/{ma_lk}")
    text = await page.inner_text("main")
    assert "Cổng đã tiếp nhận" in text
    assert "XML1/dòng 1/HO_TEN" in text  # under what changed since the last sending
    await page.screenshot(path=shots / "bhyt-04-da-tiep-nhan.png", full_page=True)
    await page.goto(f"{server.url}/bhyt")
    await page.wait_for_selector("[data-plot] canvas")
    await page.screenshot(path=shots / "bhyt-05-ban-giam-dinh.png", full_page=True)
    assert faults == []


@pytest.mark.long
async def test_slips_bill_and_queue_at_the_screen(house: Any, office: Store) -> None:
    """A doctor confirms a leave slip after a mistake is pointed out; the cashier takes an advance, reverses a line, settles."""
    repo = office.repo(build.ctx(house.tenant), SystemPolicy())
    record = await build.a_discharged_record(repo, None)
    secret, roles = new_totp_secret(), [("bac_si", "K01")]
    made = await onboard(
        house.repo, "bacsi-noi", PASSWORD, "BS. Trần Thị Nội", roles, licence="000777/QNG-CCHN", totp_secret=secret,
        must_change=False,
    )  # fmt: skip
    await KeyStore(house.repo).enrol(made.person, "BS. Trần Thị Nội", "000777/QNG-CCHN", PIN)
    people = {"bacsi-noi": secret}
    for username in ("tiepdon", "khth"):
        people[username] = (await house.person(username)).secret
    await run_once(office)
    await ingest(house.repo, b"<KHAC/>", "goi-la.xml")
    server = live.LiveServer(house.store.settings)
    await server.start()
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path=live.chromium(), args=list(live.ARGS))
        faults: list[str] = []
        try:
            for username, work in (("bacsi-noi", slips_walk), ("tiepdon", bill_walk), ("khth", queue_walk)):
                page = await (await browser.new_context(viewport=SIZE, locale="vi-VN")).new_page()
                page.on("pageerror", lambda e: faults.append(str(e)))
                code = totp_code(people[username], house.store.clock.now())
                await live.sign_in(page, server, username, PASSWORD, code)
                await work(page, server.url, record.id, live.shots_folder(house.store.settings))
        finally:
            await browser.close()
            server.stop()
    assert faults == []
    (slip,) = await slips(house.repo, record.id)
    assert (slip.table, slip.by, slip.values["SO_NGAY_NGHI"]) == ("XML11", "BS. Trần Thị Nội", "1")
    paper = await statement(house.repo, record.id)
    paid = sum(p.amount for p in await records.payments(house.repo, record.id))
    assert paid == paper.sums["shared"] + paper.sums["own"]


async def slips_walk(page: Page, url: str, encounter: str, shots: Path) -> None:
    """The doctor's slip: chosen, refused with the field named, mended, confirmed."""
    await page.goto(f"{url}/dot/{encounter}/giay-bhyt")
    await page.screenshot(path=shots / "giay-01-trong.png")
    for table in ("XML6", "XML10", "XML15"):
        await page.goto(f"{url}/dot/{encounter}/giay-bhyt?bang={table}")
        await page.screenshot(path=shots / f"giay-02-{table}.png", full_page=True)
    await page.get_by_role("link", name="Giấy nghỉ việc hưởng BHXH").click()
    await page.fill("#f-DEN_NGAY", "31/02/2027")
    await page.fill("#f-pin", PIN)
    await page.get_by_role("button", name="Ký, đưa vào").click()
    await page.wait_for_selector("#loi")
    await page.screenshot(path=shots / "giay-03-loi.png")
    assert await page.locator("#f-DEN_NGAY").get_attribute("aria-invalid") == "true"
    today = await page.input_value("#f-NGAY_CT")
    wanted = {"SO_CT": "00001", "SO_SERI": "C65-01", "SO_KCB": "01", "SO_NGAY_NGHI": "1", "TU_NGAY": today,
              "DEN_NGAY": today, "DON_VI": "Trường Tiểu học Mẫu", "MA_BHXH": "5100000001", "PP_DIEUTRI": "Nội khoa",
              "MA_TTDV": "000001/QNG-CCHN"}  # fmt: skip
    for name, value in wanted.items():
        await page.fill(f"#f-{name}", value)
    await page.fill("#f-pin", PIN)
    await page.get_by_role("button", name="Ký, đưa vào").click()
    await page.wait_for_url("**xong=da-ky")
    await page.screenshot(path=shots / "giay-04-da-ky.png", full_page=True)
    text = await page.inner_text("main")
    assert "BS. Trần Thị Nội" in text
    assert "chưa ký" not in text


async def bill_walk(page: Page, url: str, encounter: str, shots: Path) -> None:
    """The cashier: advance, reversal with its reason, statement, settlement."""
    await page.goto(f"{url}/dot/{encounter}/vien-phi")
    await page.fill("#f-so_tien", "500.000")
    await page.fill("#f-ghi_chu", "Tạm ứng lần 1")
    await page.get_by_role("button", name="Thu tạm ứng").click()
    await page.wait_for_url("**xong=da-luu")
    await page.screenshot(path=shots / "vien-phi-01.png")
    await page.locator("summary", has_text="Đổi").first.click()
    await page.screenshot(path=shots / "vien-phi-02-doi.png")
    await page.fill("#d-1", "Ghi nhầm")
    await page.get_by_role("button", name="Đảo dòng").first.click()
    await page.wait_for_load_state()
    assert "đã đảo" in await page.inner_text("main")
    await page.locator("summary", has_text="Đổi").first.click()
    await page.locator("select[name=nguon]:visible").select_option("nguon-khac:nsnn")
    await page.locator("input[name=ly_do]:visible").first.fill("Chương trình chi trả")
    await page.get_by_role("button", name="Đổi nguồn chi").first.click()
    await page.wait_for_load_state()
    await page.screenshot(path=shots / "vien-phi-02b-da-doi.png", full_page=True)
    assert "Nguồn khác: ngân sách nhà nước" in await page.locator("table").first.inner_text()
    await page.goto(f"{url}/dot/{encounter}/bang-ke")
    await page.screenshot(path=shots / "vien-phi-03-bang-ke.png", full_page=True)
    await page.goto(f"{url}/dot/{encounter}/vien-phi")
    await page.get_by_role("button", name="Quyết toán").click()
    await page.wait_for_load_state()
    await page.screenshot(path=shots / "vien-phi-04-quyet-toan.png", full_page=True)
    assert "Đã quyết toán" in await page.inner_text("main")


async def queue_walk(page: Page, url: str, encounter: str, shots: Path) -> None:
    """The officer sees what waits and what was held."""
    await page.goto(f"{url}/bhyt/hang-doi")
    assert "goi-la.xml" in await page.inner_text("main")
    await page.screenshot(path=shots / "hang-doi.png")


async def test_a_card_is_scanned_and_looked_up_at_the_screen(
    house: Any, portal: str, office: Store, tmp_path: Path
) -> None:
    """Reception: scanned, registered, looked up from the admission form, admitted; the card page with treatments."""
    more = {
        "maDKBD": "51Z02",
        "maKV": "K2",
        "ngayDu5Nam": "01/01/2030",
        "cqBHXH": "BHXH tỉnh",
        "gioiTinh": "Nam",
    }
    register_card(tmp_path / "portal", "GD4515100000077", name="Phạm Văn Quét", birth="14/03/1990", **more)
    name, place = "Phạm Văn Quét".encode().hex(), "Thôn 2".encode().hex()
    dates = "01/01/2026|31/12/2026|20/12/2025"
    qr = f"GD4515100000077|{name}|14/03/1990|1|{place}|51 - Z02|{dates}|51000|-|4| 01/01/2030|ab-7|4|-$"
    server = live.LiveServer(office.settings)
    await server.start()
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path=live.chromium(), args=list(live.ARGS))
        try:
            page = await (await browser.new_context(viewport=SIZE, locale="vi-VN")).new_page()
            code = totp_code((await house.person("tiepdon")).secret, house.store.clock.now())
            await live.sign_in(page, server, "tiepdon", PASSWORD, code)
            await card_walk(
                page, server.url, qr, live.shots_folder(house.store.settings), house.people["bacsi"].reference
            )
        finally:
            await browser.close()
            server.stop()


async def card_walk(page: Page, url: str, qr: str, shots: Path, doctor: str) -> None:
    """From the scan field to the đợt."""
    await page.goto(f"{url}/tiep-don")
    await page.fill("#f-quet", qr)
    await page.keyboard.press("Enter")
    await page.wait_for_selector("text=Thẻ vừa quét")
    await page.screenshot(path=shots / "the-01-quet.png", full_page=True)
    await page.get_by_role("button", name="Đăng ký và nhập viện").click()
    await page.wait_for_url("**/nhap-vien/**")
    await page.get_by_role("button", name="Tra thẻ trên Cổng").click()
    await page.wait_for_selector("text=dùng được")
    await page.screenshot(path=shots / "the-02-nhap-vien.png", full_page=True)
    await page.get_by_role("link", name="Quyền lợi, lần khám đã qua").click()
    await page.fill("#f-quet", qr)
    await page.keyboard.press("Enter")
    await page.wait_for_selector("text=Thẻ vừa quét")
    await page.screenshot(path=shots / "the-03-the.png", full_page=True)
    await page.get_by_role("link", name="Nhập viện").click()
    await page.select_option("#f-khoa", "K03")
    await page.select_option("#f-doctor", doctor)
    await page.fill("#f-reason", "Sốt")
    await page.locator("button.btn-main", has_text="Nhập viện").click()
    await page.wait_for_url("**/dot/**")
    assert "dùng được" in await page.inner_text("main")
    await page.screenshot(path=shots / "the-04-dot.png", full_page=True)
    await page.goto(f"{url}/tiep-don")
    await page.fill("#f-quet", "Phạm Văn Quét")
    await page.screenshot(path=shots / "the-05-tiep-don.png", full_page=True)
