"""The pages in a real browser over a real server: the ward's day by keyboard, budgets, screenshots, nothing lost."""

from __future__ import annotations

import importlib.util
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from benhan import records
from benhan.access import totp_code
from benhan.catalogue import communes, lab_items
from benhan.identity import PersonInput

pytestmark = pytest.mark.browser


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
PASSWORD, PIN = "Mat-khau-kiem-thu-2026", "246810"
CCCD_QR = "051090001234|212345678|Phạm Văn Kiểm Thử|14031990|Nam|Thôn 2, Xã Thử Nghiệm, Quảng Ngãi|04052023"
SIZE = {"width": 1366, "height": 768}


class Walk:
    """Browser windows of several people, faults of their pages collected, screenshots numbered."""

    def __init__(self, house: Any, server: Any, chromium: Browser) -> None:
        self.house, self.server, self.chromium = house, server, chromium
        self.faults: list[str] = []
        self.outside: list[str] = []
        self.count = 0
        self.folder = live.shots_folder(house.store.settings)
        self.pages: dict[str, Page] = {}

    async def enter(self, username: str, **options: Any) -> Page:
        if username in self.pages:  # a one-time code serves once
            return self.pages[username]
        context = await self.chromium.new_context(
            viewport=SIZE, locale="vi-VN", timezone_id="Asia/Ho_Chi_Minh", **options
        )
        page = await context.new_page()
        page.on(
            "console", lambda m: self.faults.append(f"{username}: {m.text}") if m.type == "error" else None
        )
        page.on("pageerror", lambda e: self.faults.append(f"{username}: {e}"))
        page.on(
            "request", lambda r: None if r.url.startswith(self.server.url) else self.outside.append(r.url)
        )
        code = totp_code((await self.house.person(username)).secret, self.house.store.clock.now())
        await live.sign_in(page, self.server, username, PASSWORD, code)
        self.pages[username] = page
        return page

    async def shot(self, page: Page, name: str, full: bool = False) -> None:
        self.count += 1
        await page.wait_for_timeout(80)
        await page.screenshot(path=self.folder / f"{self.count:02d}-{name}.png", full_page=full)


@pytest.fixture
def walk(house: Any, server: Any, chromium: Browser) -> Walk:
    """Several people at their screens."""
    return Walk(house, server, chromium)


async def admit(walk: Walk) -> tuple[str, str]:
    """Scan, register and admit by the desk's pages."""
    gate = await walk.chromium.new_page(viewport=SIZE)
    await gate.goto(f"{walk.server.url}/dang-nhap")
    await walk.shot(gate, "dang-nhap")
    desk = await walk.enter("tiepdon")
    await walk.shot(desk, "tiep-don")
    await desk.keyboard.type(CCCD_QR)
    await desk.keyboard.press("Enter")
    await desk.wait_for_selector("#f-name")
    await walk.shot(desk, "tiep-don-quet-the")
    await desk.fill("#f-address", "Thôn 2")
    await desk.fill("#f-commune_code", next(c.code for c in communes("51")))
    await desk.fill("#f-phone", "0905000111")
    await desk.get_by_role("button", name="Đăng ký và nhập viện").click()
    await desk.wait_for_url("**/tiep-don/nhap-vien/*")
    patient = desk.url.split("?")[0].rsplit("/", 1)[-1]
    await desk.select_option("#f-khoa", "K03")
    await desk.select_option("#f-doctor", walk.house.people["bacsi"].reference)
    for name, text in (
        ("room", "201"), ("bed", "H001"), ("reason", "Sốt cao, ho đờm, khó thở"), ("card", "DN4512345678901"),
        ("valid_from", "01/01/2026"), ("valid_to", "31/12/2026"),
    ):  # fmt: skip
        await desk.fill(f"#f-{name}", text)
    await walk.shot(desk, "nhap-vien")
    await desk.get_by_role("button", name="Nhập viện", exact=True).click()
    await desk.wait_for_url("**/dot/*")
    encounter = desk.url.split("?")[0].rsplit("/", 1)[-1]
    await desk.goto(f"{walk.server.url}/tiep-don")
    await desk.fill("#f-quet", CCCD_QR)
    await desk.keyboard.press("Enter")
    await desk.wait_for_selector("text=Đã có trong hệ thống")
    await walk.shot(desk, "tiep-don-da-co")
    return patient, encounter


TYPED = (
    ("ly_do", "Sốt cao, ho đờm, khó thở"),
    ("vao_ngay_thu", "3"),
    ("qua_trinh_benh_ly", "Bệnh khởi phát ba ngày nay: sốt 39 °C, ho đờm vàng, đau ngực phải khi hít sâu; ở nhà đã "
     "uống hạ sốt, không đỡ."),
    ("tien_su_ban_than", "Tăng huyết áp 5 năm, điều trị thường xuyên."),
    ("tien_su_gia_dinh", "Chưa ghi nhận bệnh liên quan."),
    ("toan_than", "Tỉnh, tiếp xúc tốt; da niêm mạc hồng; hạch ngoại biên không to."),
    ("mach", "98"), ("nhiet_do", "39,1"), ("huyet_ap.tam_thu", "135"), ("huyet_ap.tam_truong", "85"),
    ("nhip_tho", "24"),
    ("ho_hap", "Rì rào phế nang giảm đáy phổi phải, có ran nổ."),
    ("tom_tat_benh_an", "Nam 36 tuổi, sốt, ho đờm, khó thở ngày thứ ba; hội chứng đông đặc đáy phổi phải."),
    ("huong_dieu_tri", "Kháng sinh, hạ sốt, bù dịch, theo dõi hô hấp."),
)  # fmt: skip


async def test_day_of_the_ward(walk: Walk) -> None:
    """Reception, doctor, nurse, laboratory and head do their work in the browser; pages stay calm and within budget."""
    patient, encounter = await admit(walk)
    base = f"{walk.server.url}/dot/{encounter}"
    doctor = await walk.enter("bacsi")
    await walk.shot(doctor, "nguoi-benh-cua-toi")
    await keyboard_is_enough(doctor)
    await doctor.goto(base)
    await walk.shot(doctor, "dot-tong-quan")
    await doctor.goto(f"{base}/benh-an")
    await doctor.get_by_role("button", name="Mở bệnh án").click()
    await doctor.wait_for_url("**/giay/*")
    await walk.shot(doctor, "benh-an-moi")
    await doctor.focus('[name="ly_do"]')
    await doctor.keyboard.press("Enter")  # goes on to the next field, sends nothing
    assert await doctor.evaluate("document.activeElement.name") == "vao_ngay_thu"
    for name, text in TYPED:
        await doctor.fill(f'[name="{name}"]', text)
    await doctor.fill('[name="cd_benh_chinh"]', "")
    await doctor.locator('[name="cd_benh_chinh"]').press_sequentially("viem phoi")
    await doctor.wait_for_selector(".ba-picks")
    await walk.shot(doctor, "benh-an-goi-y-icd")
    await doctor.keyboard.press("Enter")
    assert (await doctor.input_value('[name="cd_benh_chinh~code"]')).startswith("J")
    await doctor.fill('[name="cd_vao_khoa"]', "Viêm phổi")
    await doctor.fill('[name="cd_vao_khoa~code"]', "J18.9")
    await doctor.wait_for_selector('[data-saving][data-state="saved"]')
    assert "Đã lưu" in await doctor.inner_text("[data-saving]")
    await doctor.keyboard.press("Alt+3")
    await walk.shot(doctor, "benh-an-dang-ghi")
    await doctor.keyboard.press("Control+s")
    await doctor.wait_for_url("**xong=da-luu")
    assert await doctor.input_value('[name="ho_hap"]') == TYPED[11][1]
    await walk.shot(doctor, "benh-an-da-luu")
    await doctor.keyboard.press("Control+Enter")
    await doctor.wait_for_url("**/ky")
    await walk.shot(doctor, "ky-benh-an")
    await doctor.fill("#f-pin", PIN)
    await doctor.keyboard.press("Enter")
    await doctor.wait_for_url("**xong=da-ky")

    await orders_and_results(walk, doctor, base, patient)
    await vital_signs(walk, base)
    await drugs_and_sheet(walk, doctor, base)
    await discharge_and_check(walk, doctor, base)
    await close_the_record(walk, doctor, base)
    await walk_others(walk, doctor, base, patient)
    assert walk.outside == []
    assert walk.faults == []


async def keyboard_is_enough(page: Page) -> None:
    """The first Tab shows the way to the content; every stop of the way is visible and marked."""
    await page.reload()
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.className") == "skip"
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "noi-dung"
    await page.keyboard.press("/")
    assert await page.evaluate("document.activeElement.id") == "tim"
    await page.keyboard.press("Escape")
    for _ in range(8):
        await page.keyboard.press("Tab")
        marked = await page.evaluate(
            "(() => { const s = getComputedStyle(document.activeElement), b = document.activeElement.getBoundingClientRect();"
            " return b.width > 0 && b.height > 0 && (s.outlineStyle !== 'none' || s.boxShadow !== 'none'); })()"
        )
        assert marked


async def orders_and_results(walk: Walk, doctor: Page, base: str, patient: str) -> None:
    """Three rounds of results, so that there is a trend."""
    lab = await walk.enter("kythuat")
    for values in (("102", "3,4"), ("110", "3,7"), ("124", "4,1")):
        await doctor.goto(f"{base}/xet-nghiem")
        summary = doctor.locator("details summary").first
        if not await doctor.locator('input[value="LAB010"]').is_visible():
            await summary.click()
        for code in ("LAB001", "LAB002"):
            await doctor.check(f'input[value="{code}"]')
        await doctor.get_by_role("button", name="Ra chỉ định").click()
        await doctor.wait_for_url("**xong=da-chi-dinh")
        for value in values:
            await lab.goto(f"{base}/xet-nghiem")
            await lab.locator('input[name="value"]').first.fill(value)
            await lab.get_by_role("button", name="Nhập").first.click()
            await lab.wait_for_url("**xong=da-co-ket-qua")
    await walk.shot(lab, "xet-nghiem-ket-qua")
    await doctor.goto(f"{base}/xet-nghiem")
    await doctor.locator("details summary").first.click()
    await walk.shot(doctor, "xet-nghiem-chi-dinh")
    await doctor.goto(f"{walk.server.url}/nguoi-benh/{patient}/xet-nghiem/LAB002")
    await doctor.wait_for_selector("[data-plot] canvas")
    await walk.shot(doctor, "xu-huong")


async def vital_signs(walk: Walk, base: str) -> None:
    """A few rounds at the bed."""
    from datetime import timedelta

    from benhan.web.show import moment

    nurse = await walk.enter("dieuduong")
    start = walk.house.store.clock.now()
    for n, row in enumerate((("98", "39,1", "135", "85", "26", "93"), ("92", "38,4", "130", "80", "24", "95"),
                             ("84", "37,6", "125", "80", "20", "97"), ("78", "36,9", "120", "75", "18", "98"))):  # fmt: skip
        await nurse.goto(f"{base}/sinh-hieu")
        await nurse.fill("#f-happened", moment(start - timedelta(minutes=270 - 80 * n)))
        for name, value in zip(
            ("pulse", "temperature", "systolic", "diastolic", "breathing", "spo2"), row, strict=True
        ):
            await nurse.fill(f"#f-{name}", value)
        await nurse.get_by_role("button", name="Ghi một lượt").click()
        await nurse.wait_for_url("**xong=da-ghi")
    await nurse.wait_for_selector("[data-plot] canvas")
    await walk.shot(nurse, "sinh-hieu")
    await nurse.fill("#f-pulse", "900")
    await nurse.get_by_role("button", name="Ghi một lượt").click()
    await nurse.wait_for_selector("#loi")
    await walk.shot(nurse, "sinh-hieu-loi")
    await nurse.goto(f"{base}/ra-vien")
    await walk.shot(nurse, "khong-co-quyen")


async def drugs_and_sheet(walk: Walk, doctor: Page, base: str) -> None:
    """A drug by pick list, a dose, a signed line of the treatment sheet."""
    await doctor.goto(f"{base}/thuoc")
    await doctor.locator("#f-drug").press_sequentially("paracet")
    await doctor.wait_for_selector(".ba-picks")
    await doctor.keyboard.press("Enter")
    await doctor.get_by_role("button", name="Ra y lệnh").click()
    await doctor.wait_for_url("**xong=da-chi-dinh")
    nurse = await walk.enter("dieuduong")
    await nurse.goto(f"{base}/thuoc")
    await nurse.get_by_role("button", name="Đã dùng").click()
    await nurse.wait_for_url("**xong=da-dung")
    await walk.shot(nurse, "thuoc")
    await doctor.goto(f"{base}/to-dieu-tri")
    await doctor.get_by_role("button", name="Mở tờ mới").click()
    await doctor.wait_for_url("**/to/*")
    await doctor.fill("#f-progress", "Sốt 39,1 °C, ho đờm vàng, khó thở nhẹ; ran nổ đáy phổi phải.")
    await doctor.fill("#f-orders", "Kháng sinh theo y lệnh; hạ sốt; thở oxy kính 2 lít/phút khi SpO₂ < 94%.")
    assert not await doctor.locator("#f-pin").count()  # the PIN given for the record still serves for entries
    await doctor.keyboard.press("Control+Enter")
    await doctor.wait_for_url("**xong=da-ky*")
    await doctor.fill("#f-progress", "Giảm sốt, đỡ khó thở.")
    await doctor.fill("#f-orders", "Tiếp tục y lệnh.")
    await doctor.get_by_role("button", name="Ghi, ký sau").click()
    await doctor.wait_for_url("**xong=da-ghi*")
    await walk.shot(doctor, "to-dieu-tri")
    await doctor.goto(f"{walk.server.url}/viec/ky")
    await walk.shot(doctor, "cho-toi-ky")


async def discharge_and_check(walk: Walk, doctor: Page, base: str) -> None:
    """Discharge with its paper, then what is missing."""
    await doctor.goto(f"{base}/ra-vien")
    await walk.shot(doctor, "ra-vien")
    await doctor.fill("#f-diagnosis", "Viêm phổi, không xác định tác nhân")
    await doctor.fill("#f-icd10", "J18.9")
    await doctor.fill("#f-treatment", "Kháng sinh, hạ sốt, bù dịch")
    await doctor.fill("#f-advice", "Uống thuốc theo đơn, khám lại sau 7 ngày")
    await doctor.get_by_role("button", name="Cho ra viện").click()
    await doctor.wait_for_url("**xong=da-ra-vien")
    await walk.shot(doctor, "da-ra-vien")
    await doctor.get_by_role("link", name="Giấy ra viện").click()
    await walk.shot(doctor, "giay-ra-vien")
    await doctor.goto(f"{base}/kiem-tra")
    await walk.shot(doctor, "kiem-tra")
    await doctor.goto(f"{base}/ho-so")
    await walk.shot(doctor, "ho-so")


async def close_the_record(walk: Walk, doctor: Page, base: str) -> None:
    """The rest of the way by hand of the rooms below, then the sealed binder as the pages show it."""
    from benhan import records
    from benhan.records import SignWith, Staff
    from benhan.signing import KeyStore, time_stamper

    house, encounter = walk.house, base.rsplit("/", 1)[-1]
    repo, tsa = house.repo, time_stamper(house.store.settings)

    async def sign(username: str, paper: str, role: str) -> None:
        person = await house.person(username)
        signer = await KeyStore(repo).signer_for(person.reference, PIN)
        staff = Staff(person.reference, username, "000009/QNG-CCHN", "K03")
        await records.sign_paper(
            repo, paper, SignWith(signer, staff, role, tsa), authorize=records.everything_allowed
        )

    seal = SignWith(
        await KeyStore(repo).seal_signer(house.tenant),
        Staff((await house.person("lanhdao")).reference, "Trần Văn Ví Dụ"),
        "co_so",
        tsa,
    )
    author = Staff(house.people["bacsi"].reference, "Nguyễn Văn Thử", "000001/QNG-CCHN", "K03")
    for sheet in await records.sheets(repo, encounter):
        signer = await KeyStore(repo).signer_for(author.reference, PIN)
        signing = SignWith(signer, author, "bac_si_ra_y_lenh", tsa)
        for line in await records.entries(repo, sheet.id):
            if line.signed_by is None:
                await records.sign_entry(repo, line.id, signing, authorize=records.everything_allowed)
        await records.end_sheet(repo, sheet.id, signing, authorize=records.everything_allowed)
    held = {p.form_code: p.response.id for p in await records.papers(repo, encounter)}
    leaving, main = held["TT25/2025-M02"], held["01/BV1"]
    await sign("bacsi", leaving, "nguoi_hanh_nghe")
    await sign("lanhdao", leaving, "dai_dien_don_vi")
    await records.issue_paper(repo, leaving, seal=seal, authorize=records.everything_allowed)
    answers = {**await records.paper_answers(repo, main), **await records.defaults(repo, encounter, "01/BV1")}
    for key in ("tk_qua_trinh", "tk_can_lam_sang", "tk_phuong_phap", "tk_tinh_trang_ra", "tk_huong_dieu_tri"):
        answers[key] = "Đáp ứng kháng sinh, hết sốt; ra viện theo hẹn."
    await records.save_form(repo, main, answers, author, reason="Tổng kết bệnh án")
    for username, role in (
        ("bacsi", "bac_si_lam_benh_an"),
        ("bacsi", "bac_si_dieu_tri"),
        ("truongkhoa", "truong_khoa"),
    ):
        if (await records.paper(repo, main)).next_role == role:
            await sign(username, main, role)
    for step in (records.complete_record, records.submit_record, records.receive_record):
        await step(repo, encounter, authorize=records.everything_allowed)
    leader = await walk.enter("lanhdao")
    await leader.goto(f"{base}/kiem-tra")
    await walk.shot(leader, "dong-ho-so")
    await leader.locator("#f-pin").fill(PIN)
    await leader.get_by_role("button", name="Đóng hồ sơ").click()
    await leader.wait_for_url("**xong=da-dong")
    await doctor.goto(f"{base}/ho-so")
    assert await doctor.get_by_text("Chưa niêm phong").count() == 0
    await walk.shot(doctor, "ho-so-da-dong")


async def walk_others(walk: Walk, doctor: Page, base: str, patient: str) -> None:
    """The remaining pages: person, audit, history, lists, help, error, dark and English."""
    url = walk.server.url
    for address, name in (
        (f"/nguoi-benh/{patient}", "nguoi-benh"), (f"/nguoi-benh/{patient}/benh-su-tinh", "benh-su-tinh"),
        ("/viec/no-ho-so", "ho-so-chua-nop"), ("/tro-giup", "phim-tat"), ("/tai-khoan", "tai-khoan"),
    ):  # fmt: skip
        await doctor.goto(url + address)
        await walk.shot(doctor, name)
    await doctor.goto(f"{url}/nguoi-benh/{patient}/benh-su-tinh")
    await doctor.get_by_role("button", name="Hỏi trục liên thông").click()
    await doctor.wait_for_selector("[role=alert]")
    await walk.shot(doctor, "benh-su-tinh-truc-vang")
    await doctor.get_by_role("button", name="English").click()
    await doctor.goto(f"{base}/kiem-tra")
    await walk.shot(doctor, "tieng-anh")
    await doctor.get_by_role("button", name="Tiếng Việt").click()
    leader = await walk.enter("lanhdao")
    await leader.goto(f"{url}/so-y-te")
    await walk.shot(leader, "so-y-te")
    await leader.goto(f"{url}/nguoi-benh/{patient}/ai-da-xem")
    await walk.shot(leader, "ai-da-xem")
    await doctor.goto(f"{url}/tai-khoan")
    await doctor.get_by_role("button", name="Nền tối").click()
    await doctor.goto(f"{base}/sinh-hieu")
    await walk.shot(doctor, "nen-toi")
    await doctor.set_viewport_size({"width": 820, "height": 1180})
    await doctor.goto(f"{base}/xet-nghiem")
    await walk.shot(doctor, "may-tinh-bang")
    walk.faults[:] = [f for f in walk.faults if "status of 4" not in f and "status of 5" not in f]


async def test_unseen_results_at_two_sizes(walk: Walk) -> None:
    """The inbox at the ward's screen and on a tablet; Enter in a note sends nothing by surprise."""
    house, now = walk.house, walk.house.store.clock.now().replace(microsecond=0)
    doctor = records.Staff(house.people["bacsi"].reference, "Nguyễn Văn Thử", "000001/QNG-CCHN", "K03")
    codes = tuple(
        i.code for i in lab_items() if i.low is not None and i.group not in ("Sinh hiệu", "Tài liệu")
    )[:6]
    for n in range(3):
        person = PersonInput(
            name=f"Phạm Thị Kiểm Thử {n}", birth_date=f"196{n}-03-14", sex="female", cccd=f"05116000123{n}"
        )
        patient = await records.register_patient(house.repo, person)
        came = records.Admission(patient.id, now, "K03", "Khoa Nội tổng hợp", doctor)
        encounter = (await records.admit(house.repo, came)).encounter.id
        for order in await records.order_lab(
            house.repo, encounter, records.LabOrder(codes[: 2 + n], now, doctor)
        ):
            value = records.ResultInput(Decimal("12.5"), now, doctor, critical=n == 1)
            await records.enter_result(house.repo, order.id, value)
    page = await walk.enter("bacsi")
    await page.goto(f"{walk.server.url}/viec/ket-qua")
    await walk.shot(page, "ket-qua-chua-xem")
    await page.set_viewport_size({"width": 820, "height": 1180})
    await walk.shot(page, "ket-qua-chua-xem-bang")
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    await page.set_viewport_size(SIZE)
    await page.locator("input[name^=note-]").nth(1).fill("Đã báo kíp trực")
    await page.keyboard.press("Enter")
    assert await page.locator("button[name=mot]").count() == 9
    await page.locator("button[name=mot]").nth(1).click()
    await page.wait_for_url("**/viec/ket-qua?xong=*")
    assert await page.locator("button[name=mot]").count() == 8
    await page.goto(f"{walk.server.url}/dot/{encounter}/xet-nghiem")
    await walk.shot(page, "xet-nghiem-da-xem")
    assert not walk.faults, walk.faults
