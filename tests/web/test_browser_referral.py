"""A referral walked in two browsers at once, from the signed slip to the read reply; the hub takes and hands on between."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from playwright.async_api import Browser, Page, expect
from tests.store.waiting import all_settled

from benhan import records
from benhan.access import new_totp_secret, onboard, totp_code
from benhan.base.clock import fhir_instant
from benhan.exchange import HUB, Reply, drain, fetch_referrals, open_envelope, referral_feed, referrals, take
from benhan.exchange.engine import Envelope
from benhan.exchange.incoming import answer_json, read_answer
from benhan.identity import PersonInput
from benhan.records import Staff
from benhan.signing import KeyStore, time_stamper
from benhan.store import Repository, TenantInfo

pytestmark = pytest.mark.browser
FOLDER = Path(__file__).parent
PASSWORD, PIN = "Mat-khau-kiem-thu-2026", "246810"


def _load(path: Path, name: str) -> Any:
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


live = _load(FOLDER / "live.py", "web_live")


@dataclass
class Province:
    """Both facilities and the hub on one database; ``slip`` waits for its signatures at A."""

    house: Any
    a: TenantInfo
    b: TenantInfo
    hub: Repository
    secret_b: str
    encounter: str
    slip: str
    seal: dict[str, Any]

    def at(self, place: TenantInfo) -> Repository:
        """A facility's own side."""
        repo = self.house.repo
        return repo.store.repo(replace(repo.ctx, tenant=place.id), repo.policy)

    async def carry(self) -> None:
        """What the workers do every few seconds: send, take, fetch."""
        for place in (self.a, self.b):
            await drain(self.at(place), self._sender(place))
        for place in (self.a, self.b):
            await fetch_referrals(self.at(place), place.code, self._feed(place))

    def _sender(self, place: TenantInfo) -> Callable[[Envelope], Any]:
        async def send(envelope: Envelope) -> Reply:
            raw = await self.house.store.blobs.get(envelope.body_sha256)
            opened = open_envelope(envelope.as_json(), place, HUB, raw)
            body = answer_json(await take(self.hub, place, opened, "jws", raw, **self.seal))
            return Reply(read_answer(body), body.get("receipt"))

        return send

    def _feed(self, place: TenantInfo) -> Callable[[str], Any]:
        async def ask(cursor: str) -> Any:
            await all_settled(self.hub)
            return await referral_feed(self.hub, place, cursor)

        return ask


async def _slip(house: Any) -> tuple[str, str]:
    """A patient in bed with a transfer slip to 51Z02 that waits for its signatures; ids of đợt and paper."""
    doctor = Staff((await house.person("bacsi")).reference, "Nguyễn Văn Thử", "000001/QNG-CCHN", "K03")
    now = house.store.clock.now()
    person = PersonInput(
        name="Phạm Văn Kiểm Thử", birth_date="1990-03-14", sex="male", cccd="051090001234", phone="0905000111",
        address="Thôn 2", commune_code="21028", ethnicity="01", status="verified",
    )  # fmt: skip
    patient = await records.register_patient(house.repo, person)
    came = records.Admission(
        patient.id, now - timedelta(hours=2), "K03", "Khoa Nội tổng hợp", doctor, bed=records.Bed("201", "H001"),
        reason="Đau bụng",
    )  # fmt: skip
    encounter = (await records.admit(house.repo, came)).encounter.id
    await records.open_record(house.repo, encounter, "01/BV1", doctor, now - timedelta(hours=1))
    answers = {
        "ma_noi_den": {"code": "51Z02", "text": "Bệnh viện Sản - Nhi tỉnh"},
        "dia_chi": "Thôn 2, Phường Nghĩa Lộ",
        "dau_hieu_ls": "Đau hố chậu phải, sốt 38,5 °C, phản ứng thành bụng",
        "tomtat_kq": "Bạch cầu 15,2 G/L; siêu âm: ruột thừa 9 mm",
        "chan_doan_rv": {"code": "K35.8", "text": "Viêm ruột thừa cấp"},
        "pp_dieutri": "Truyền dịch, kháng sinh, giảm đau",
        "tinh_trang_luc_chuyen": "Tỉnh, huyết áp 120/70, mạch 92",
        "ma_lydo_ct": "1",
        "chuyen_luc": fhir_instant(now),
        "phuongtien_vc": "Xe cứu thương",
    }
    made = await records.open_paper(house.repo, encounter, "TT01/2025-PL6", doctor, now, answers)
    return encounter, made.id


@pytest.fixture
async def province(house: Any) -> Province:
    """Facilities 51Z01 and 51Z02 and the hub; a doctor at each."""
    store = house.store
    await house.person("lanhdao")
    other = await store.create_tenant("facility", "51Z02", "Bệnh viện Sản - Nhi tỉnh")
    hub = await store.create_tenant("hub", "QNG-HUB", "Trục thử")
    repo_b = store.repo(replace(house.repo.ctx, tenant=other), house.repo.policy)
    secret = new_totp_secret()
    await onboard(
        repo_b, "bacsib", PASSWORD, "Lê Thị Nhận", [("bac_si", "K03")], licence="000009/QNG-CCHN",
        totp_secret=secret, must_change=False,
    )  # fmt: skip
    at_hub = store.repo(replace(house.repo.ctx, tenant=hub), house.repo.policy)
    seal = {"signer": await KeyStore(at_hub).seal_signer(hub), "tsa": time_stamper(store.settings)}
    places = {t.code: t for t in await store.tenants()}
    encounter, slip = await _slip(house)
    return Province(house, places["51Z01"], places["51Z02"], at_hub, secret, encounter, slip, seal)


@asynccontextmanager
async def desk(
    chromium: Browser, server: Any, code: str, username: str, secret: str, clock: Any
) -> AsyncIterator[Page]:
    """A browser of its own with somebody signed in at a facility."""
    context = await chromium.new_context(viewport={"width": 1366, "height": 768}, locale="vi-VN")
    page = await context.new_page()
    await page.goto(f"{server.url}/dang-nhap")
    if await page.locator("select[name=co_so]").count():
        await page.select_option("select[name=co_so]", code)
    await page.fill("[name=ten]", username)
    await page.fill("[name=mat_khau]", PASSWORD)
    await page.fill("[name=ma]", totp_code(secret, clock.now()))
    await page.keyboard.press("Enter")
    await page.wait_for_url(lambda url: "/dang-nhap" not in url)
    try:
        yield page
    finally:
        await context.close()


async def sign(page: Page, server: Any, slip: str, role: str) -> None:
    """Sign the slip by PIN."""
    await page.goto(f"{server.url}/giay/{slip}/ky")
    choice = page.locator("select[name=role]")
    if await choice.count():
        await choice.select_option(role)
    await page.fill("input[name=pin]", PIN)
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Đã ký.")).to_be_visible(timeout=20_000)


async def test_from_slip_to_reply_in_two_browsers(province: Province, server: Any, chromium: Browser) -> None:
    """Each side sees what the other did with name and clock; neither can do the other's step."""
    p, shots = province, live.shots_folder(province.house.store.settings)
    clock = p.house.store.clock
    people = p.house.people
    async with (
        desk(chromium, server, "51Z01", "bacsi", people["bacsi"].secret, clock) as a,
        desk(chromium, server, "51Z01", "lanhdao", people["lanhdao"].secret, clock) as head,
        desk(chromium, server, "51Z02", "bacsib", p.secret_b, clock) as b,
    ):
        await a.goto(f"{server.url}/dot/{p.encounter}/chuyen-di")
        await expect(a.get_by_text("Chưa có phiếu chuyển đủ chữ ký.")).to_be_visible()
        await sign(a, server, p.slip, "bac_si")
        await sign(head, server, p.slip, "nguoi_chuyen")
        await a.goto(f"{server.url}/dot/{p.encounter}/chuyen-di")
        await a.screenshot(path=shots / "chuyen-gui.png")
        await a.get_by_role("button", name="Gửi phiếu chuyển").click()
        await expect(a.get_by_text("đã gửi, nơi nhận chưa xem")).to_be_visible()
        assert await a.locator("button[data-event]").count() == 0, (
            "the sender cannot see or accept for the receiver"
        )
        number: UUID = (await referrals(p.at(p.a), sender="51Z01"))[0].id
        await b.goto(f"{server.url}/chuyen-den")
        await expect(b.get_by_text("Không có phiếu chuyển nào.")).to_be_visible()
        await p.carry()
        await b.reload()
        await b.screenshot(path=shots / "chuyen-den.png")
        await b.get_by_role("link", name="PHẠM VĂN KIỂM THỬ").click()
        await expect(b.get_by_text("Viêm ruột thừa cấp")).to_be_visible()
        for event, word in (
            ("see", "đã xem, chưa trả lời"),
            ("accept", "chờ người bệnh đến"),
            ("arrive", "đang điều trị"),
        ):
            if event == "accept":
                await b.screenshot(path=shots / "chuyen-quyet-dinh.png")
            await b.locator(f"button[data-event={event}]").click()
            await expect(b.locator(".ba-head").get_by_text(word)).to_be_visible()
            await p.carry()
            await a.goto(f"{server.url}/chuyen/{number}")
            await expect(a.locator(".ba-head").get_by_text(word)).to_be_visible()
            assert await a.locator("button[data-event]").count() == 0
        await b.locator("button[data-event=reply]").click()
        await expect(b.get_by_text("Bước này phải ghi rõ nội dung.").first).to_be_visible()
        await b.fill(
            "textarea[name=note]", "Đã mổ nội soi cắt ruột thừa, ổn định; cắt chỉ tại trạm y tế sau 7 ngày."
        )
        await b.screenshot(path=shots / "chuyen-phan-hoi.png")
        await b.locator("button[data-event=reply]").click()
        await expect(b.locator(".ba-head").get_by_text("nơi gửi chưa đọc")).to_be_visible()
        await p.carry()
        await a.reload()
        await expect(a.get_by_text("cắt chỉ tại trạm y tế")).to_be_visible()
        await a.locator("button[data-event=read]").click()
        await expect(a.locator(".ba-head").get_by_text("xong")).to_be_visible()
        await a.screenshot(path=shots / "chuyen-xong.png", full_page=True)
        await p.carry()
        await b.reload()
        await expect(b.locator(".ba-head").get_by_text("xong")).to_be_visible()
        await a.goto(f"{server.url}/dot/{p.encounter}/chuyen-di")
        await a.get_by_role("button", name="Gửi phiếu chuyển").click()
        await expect(a.get_by_text("Phiếu chuyển này đã được gửi.").first).to_be_visible()
        await a.goto(f"{server.url}/chuyen-di")
        await a.screenshot(path=shots / "chuyen-di.png")
    papers = await p.hub.search("DocumentReference", [("_count", "20")])
    assert [e.data["type"]["coding"][0]["code"] for e in papers.entries] == ["TT01/2025-PL6"]
