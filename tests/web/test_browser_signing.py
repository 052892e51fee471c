"""The way of a signature in a real browser: twelve papers with one PIN, the head's and the leader's turn, closing,
archive, a summary for a representative; what comes out passes `pdfsig` and `benhan-verify`."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from benhan import records
from benhan.identity import PersonInput
from benhan.records import Staff
from benhan.signing import root_certificate

pytestmark = pytest.mark.browser
FOLDER = Path(__file__).parent
PIN = "246810"
NAMES = (
    "Phạm Văn Kiểm Thử", "Đinh Thị Mẫu", "Hồ Văn Ví Dụ", "Nguyễn Thị Thử Nghiệm", "Trần Văn Mẫu", "Lê Thị Kiểm Thử",
    "Võ Văn Ví Dụ", "Phạm Thị Thử", "Đinh Văn Mẫu", "Hồ Thị Kiểm Thử", "Nguyễn Văn Ví Dụ",
)  # fmt: skip
SCAN = {
    "chan_doan": {"code": "R10.4", "text": "Đau bụng"},
    "yeu_cau": "Siêu âm bụng tổng quát",
    "mo_ta": "Gan, mật, tụy, lách bình thường.",
    "ket_luan": "Chưa thấy bất thường.",
}


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
browser_tests = _load(FOLDER / "test_browser.py", "web_test_browser")
builders = _load(FOLDER.parent / "records" / "builders.py", "records_builders")


@dataclass
class Ward:
    """What the doctor has to sign: the record that goes the whole way with its papers, and a scan of each of nine others."""

    encounter: str
    main: str
    leaving: str
    sheet: str
    line: str
    others: list[str]


async def staff(house: Any, username: str, name: str, licence: str) -> Staff:
    """Somebody of the house as he stands under an entry."""
    return Staff((await house.person(username)).reference, name, licence, "K03")


async def a_patient(house: Any, doctor: Staff, number: int) -> tuple[str, str]:
    """A patient in bed in K03; ids of patient and đợt."""
    person = PersonInput(
        name=NAMES[number], birth_date=f"19{60 + number}-03-14", sex="male", cccd=f"0510900012{number:02}",
        phone=f"09050001{number:02}", address="Thôn 2", commune_code="21028", ethnicity="01", occupation="Làm nông",
        contact_name="Trần Thị Thử", contact_phone="0905000002", status="verified",
    )  # fmt: skip
    patient = await records.register_patient(house.repo, person)
    came = records.Admission(
        patient.id, house.store.clock.now() - timedelta(hours=2), "K03", "Khoa Nội tổng hợp", doctor,
        bed=records.Bed("201", f"H{number + 1:03}"), reason="Sốt, ho",
    )  # fmt: skip
    admitted = await records.admit(house.repo, came)
    return patient.id, admitted.encounter.id


async def a_ward(house: Any) -> Ward:
    """Twelve papers that wait for the doctor: record, line of treatment and discharge paper of one, scans of nine others."""
    repo, clock = house.repo, house.store.clock
    doctor = await staff(house, "bacsi", "Nguyễn Văn Thử", "000001/QNG-CCHN")
    _, encounter = await a_patient(house, doctor, 0)
    await builders.a_card(repo, encounter)
    await records.record_vitals(repo, encounter, builders.vitals(clock.now()))
    opened = await records.open_record(repo, encounter, "01/BV1", doctor, clock.now())
    main = opened.response.id
    await records.save_form(
        repo, main, {**await records.paper_answers(repo, main), **builders.history_answers()}, doctor
    )
    sheet = await records.open_sheet(repo, encounter, "36/BV2", doctor, clock.now())
    entry = records.Entry(clock.now(), doctor, progress="Đỡ sốt, ăn được.", orders="Tiếp tục kháng sinh.")
    line = await records.add_entry(repo, sheet.id, entry)
    end = builders.an_end(clock.now(), doctor=doctor)
    await records.discharge(repo, encounter, end, authorize=records.everything_allowed)
    known = await records.defaults(repo, encounter, "01/BV1")
    held = await records.paper_answers(repo, main)
    await records.save_form(repo, main, {**known, **builders.summary_answers(), **held}, doctor)
    leaving = await records.issue_discharge_paper(repo, encounter, author=doctor)
    others = []
    for number in range(1, 10):
        _, other = await a_patient(house, doctor, number)
        now = clock.now().replace(microsecond=0)
        answers = {**SCAN, "gio_yeu_cau": now.isoformat(), "gio_ket_qua": now.isoformat()}
        others.append((await records.open_paper(repo, other, "11/BV2", doctor, now, answers)).id)
    return Ward(encounter, main, leaving.id, sheet.id, line.id, others)


async def sign_all(walk: Any, page: Page, count: int, name: str) -> None:
    """Tick everything on the list, one PIN, wait for the end."""
    await page.goto(f"{walk.server.url}/viec/ky")
    assert await page.locator("tbody input[type=checkbox]").count() == count
    await page.check("[data-tick-all]")
    assert await page.inner_text("[data-tick-count]") == str(count)
    await walk.shot(page, f"{name}-danh-dau")
    await page.fill("#f-pin", PIN)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/viec/ky/lan/*")
    await walk.shot(page, f"{name}-dang-ky")
    await page.wait_for_selector(f"text=Đã ký cả {count} giấy.", timeout=60_000)
    await walk.shot(page, f"{name}-xong")


async def test_twelve_papers_one_pin_then_to_the_archive_and_out(
    house: Any, server: Any, chromium: Any
) -> None:
    """Doctor, head, leader, clerk and a stranger, each at his own screen."""
    walk = browser_tests.Walk(house, server, chromium)
    ward = await a_ward(house)
    base = f"{server.url}/dot/{ward.encounter}"
    doctor = await walk.enter("bacsi")
    shown = await what_is_shown(walk, doctor)
    await sign_all(walk, doctor, 12, "bac-si")
    await all_begin_with_what_was_shown(house, shown)
    await the_others_sign(walk, doctor, ward)
    await to_the_archive(walk, doctor, base)
    await release_the_summary(walk, base)
    await outside_judges(walk, ward)
    assert walk.outside == []
    assert [f for f in walk.faults if "status of 4" not in f] == []


async def what_is_shown(walk: Any, doctor: Page) -> dict[str, bytes]:
    """The list as it first stands, and the bytes behind each hash of it, by paper."""
    await doctor.goto(f"{walk.server.url}/viec/ky")
    await walk.shot(doctor, "cho-toi-ky")
    found = {}
    for value in await doctor.locator("tbody input[type=checkbox]").evaluate_all(
        "boxes => boxes.map((b) => b.value)"
    ):
        kind, paper, _, sha256 = value.split(":")
        if kind == "dong":
            stored = await walk.house.repo.read("QuestionnaireResponse", paper)
            assert hashlib.sha256(stored.raw).hexdigest() == sha256
            continue
        answer = await doctor.request.get(f"{walk.server.url}/giay/{paper}/ban-ky/{sha256}")
        assert answer.headers["content-type"] == "application/pdf"
        found[paper] = await answer.body()
    assert len(found) == 11
    return found


async def all_begin_with_what_was_shown(house: Any, shown: dict[str, bytes]) -> None:
    """The signed file of each paper begins with the bytes its signer could look at."""
    for paper, seen in shown.items():
        assert (await records.print_paper(house.repo, paper)).startswith(seen)


async def the_others_sign(walk: Any, doctor: Page, ward: Ward) -> None:
    """The doctor once more for the summary and the end of the sheet, the head, the leader; the discharge paper is issued."""
    await doctor.goto(f"{walk.server.url}/to/{ward.sheet}")
    await walk.shot(doctor, "to-dieu-tri-da-ky")
    await doctor.locator("summary", has_text="Kết thúc").click()
    await doctor.locator('form[action$="/ket-thuc"] input[name=pin]').fill(PIN)
    await doctor.locator('form[action$="/ket-thuc"] button').click()
    await doctor.wait_for_url("**xong=da-ket-thuc-to*")
    await sign_all(walk, doctor, 1, "tong-ket")
    head = await walk.enter("truongkhoa")
    await there_and_back(walk, head, doctor, ward)
    await head.goto(f"{walk.server.url}/viec/ky")
    await walk.shot(head, "truong-khoa")
    await head.check(f'input[value*="{ward.main}"]')
    await head.fill("#f-pin", PIN)
    await head.keyboard.press("Control+Enter")
    await head.wait_for_selector("text=Đã ký cả 1 giấy.", timeout=60_000)
    leader = await walk.enter("lanhdao")
    await sign_all(walk, leader, 1, "lanh-dao")
    await leader.goto(f"{walk.server.url}/giay/{ward.leaving}/ky")
    await walk.shot(leader, "cap-giay")
    await leader.get_by_role("button", name="Cấp giấy").click()
    await leader.wait_for_url("**xong=da-cap")


async def there_and_back(walk: Any, head: Page, doctor: Page, ward: Ward) -> None:
    """The head looks at who is late, sends the record back; the doctor answers; the head lets somebody sign for her."""
    await head.goto(f"{walk.server.url}/viec/ky-tre")
    await walk.shot(head, "ky-tre")
    await head.goto(f"{walk.server.url}/giay/{ward.main}/ky")
    await head.locator("summary", has_text="Trả lại người lập").click()
    await head.fill("#f-return_reason", "Ghi rõ liều kháng sinh đã dùng")
    await walk.shot(head, "tra-lai")
    await head.get_by_role("button", name="Trả lại", exact=True).click()
    await head.wait_for_url("**xong=da-tra-lai")
    await doctor.goto(f"{walk.server.url}/viec/ky")
    await walk.shot(doctor, "bi-tra-lai")
    await doctor.get_by_role("link", name="Gửi lại").click()
    await doctor.fill("#f-answer", "Liều ghi ở tờ điều trị số 1")
    await walk.shot(doctor, "gui-lai")
    await doctor.get_by_role("button", name="Gửi lại, không sửa").click()
    await doctor.wait_for_url("**xong=da-gui-lai")
    await head.goto(f"{walk.server.url}/viec/uy-quyen")
    await head.select_option("#f-taker", label="Nguyễn Văn Thử")
    await head.fill("#f-last", "31/12/2099")
    await head.check("input[name=forms][value=BV1]")
    await head.fill("#f-reason", "Đi công tác")
    await head.get_by_role("button", name="Ủy quyền", exact=True).click()
    await head.wait_for_url("**xong=da-uy-quyen")
    await walk.shot(head, "uy-quyen")


async def to_the_archive(walk: Any, doctor: Page, base: str) -> None:
    """Summed up and handed in by the doctor, received by the clerk, closed by the leader, archived by the clerk."""
    await doctor.goto(f"{base}/kiem-tra")
    await walk.shot(doctor, "du-de-tong-ket")
    for button, done in (("Tổng kết hồ sơ", "da-tong-ket"), ("Nộp KHTH", "da-nop")):
        await doctor.get_by_role("button", name=button).click()
        await doctor.wait_for_url(f"**xong={done}")
    clerk = await walk.enter("khth")
    await clerk.goto(f"{base}/kiem-tra")
    await walk.shot(clerk, "khth-kiem")
    await clerk.get_by_role("button", name="Nhận hồ sơ").click()
    await clerk.wait_for_url("**xong=da-nhan")
    leader = walk.pages["lanhdao"]
    encounter = base.rsplit("/", 1)[-1]
    await records.start_closing(walk.house.repo, encounter, authorize=records.everything_allowed)
    await leader.goto(f"{base}/kiem-tra")  # the seal was away for a moment: the closing stands half done
    await walk.shot(leader, "dang-niem-phong")
    await leader.locator("#f-pin").fill(PIN)
    await leader.get_by_role("button", name="Niêm phong").click()
    await leader.wait_for_url("**xong=da-dong")
    await walk.shot(leader, "da-dong")
    await clerk.goto(f"{base}/kiem-tra")
    await walk.shot(clerk, "luu-tru")
    await clerk.get_by_role("button", name="Đưa vào lưu trữ").click()
    await clerk.wait_for_url("**xong=da-luu")
    await walk.shot(clerk, "da-luu-tru")


async def release_the_summary(walk: Any, base: str) -> None:
    """The clerk asks for a representative, the leader approves, the clerk makes the copy; a stranger asks for its code."""
    clerk, leader = walk.pages["khth"], walk.pages["lanhdao"]
    await clerk.goto(f"{base}/trich-sao")
    await walk.shot(clerk, "trich-sao")
    await clerk.select_option("#f-requester", "dai-dien-khac")
    await clerk.fill("#f-name", "Lê Văn Cháu")
    await clerk.fill("#f-document", "CCCD 051075000055")
    await clerk.fill("#f-purpose", "Giải quyết chế độ bảo hiểm")
    await walk.shot(clerk, "trich-sao-phieu", full=True)
    await clerk.get_by_role("button", name="Gửi lãnh đạo duyệt").click()
    await clerk.wait_for_url("**xong=da-de-nghi")
    await walk.shot(clerk, "trich-sao-cho-duyet")
    await leader.goto(f"{base}/trich-sao")
    await walk.shot(leader, "trich-sao-duyet")
    await leader.get_by_role("button", name="Duyệt", exact=True).click()
    await leader.wait_for_url("**xong=da-duyet")
    await clerk.goto(f"{base}/trich-sao")
    await clerk.get_by_role("button", name="Lập bản có dấu chuyển đổi").click()
    await clerk.wait_for_url("**xong=da-lap-ban-sao")
    await walk.shot(clerk, "trich-sao-da-lap")
    code = (await clerk.inner_text("td.code")).strip()
    address = await clerk.get_by_role("link", name="In", exact=True).get_attribute("href")
    pdf = await clerk.request.get(f"{walk.server.url}{address}")
    assert pdf.headers["content-type"] == "application/pdf"
    (walk.folder / "ban-tom-tat.pdf").write_bytes(await pdf.body())
    text = subprocess.run(
        ["pdftotext", "-layout", str(walk.folder / "ban-tom-tat.pdf"), "-"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert code in text
    assert builders.summary_answers()["tk_qua_trinh"][:30] in text
    await stranger_asks(walk, code)


async def stranger_asks(walk: Any, code: str) -> None:
    """Whoever holds the paper learns that its code is true, and nothing of the patient."""
    context = await walk.chromium.new_context(viewport=browser_tests.SIZE, locale="vi-VN")
    stranger = await context.new_page()
    await stranger.goto(f"{walk.server.url}/tra-cuu")
    await walk.shot(stranger, "tra-cuu")
    await stranger.fill("#f-ma", code)
    await stranger.keyboard.press("Enter")
    await stranger.wait_for_url(f"**/tra-cuu/{code}")
    said = await stranger.inner_text("main")
    assert "Mã đúng" in said
    assert "Kiểm Thử" not in said
    await walk.shot(stranger, "tra-cuu-ma")
    await stranger.goto(f"{walk.server.url}/tra-cuu/SAI0000000")
    await walk.shot(stranger, "tra-cuu-sai")
    await context.close()


async def encounter_of(repo: Any, paper: str) -> str:
    """Id of the đợt of a paper."""
    stored = await repo.read("QuestionnaireResponse", paper)
    return str(stored.data["encounter"]["reference"]).partition("/")[2]


async def outside_judges(walk: Any, ward: Ward) -> None:
    """`pdfsig` finds every signature of every paper valid and trusted; `benhan-verify` proves papers and sealed record."""
    repo, folder = walk.house.repo, walk.folder / "judged"
    folder.mkdir(exist_ok=True)
    (folder / "root.pem").write_bytes(root_certificate(walk.house.store.settings))
    if not (folder / "cert9.db").exists():
        for arguments in (
            ["-N", "--empty-password"],
            ["-A", "-n", "root", "-t", "C,C,C", "-i", folder / "root.pem"],
        ):
            subprocess.run(["certutil", *arguments, "-d", folder], check=True)
    files = []
    for n, paper in enumerate([ward.main, ward.leaving, *ward.others]):
        files.append(folder / f"{n:02}.pdf")
        held = await records.document_of(repo, await encounter_of(repo, paper), paper)
        assert held is not None
        files[-1].write_bytes(await records.content_of(repo, held.data))
        said = subprocess.run(
            ["pdfsig", "-nssdir", folder, files[-1]], capture_output=True, text=True, check=False
        ).stdout
        signed = said.count("Signature #")
        assert signed == {0: 3, 1: 3}.get(n, 1), said
        assert said.count("Signature is Valid") == signed, said
        # NSS judges a certificate once in a run: of two signatures of one doctor only the first is called trusted
        people = {0: 2, 1: 3}.get(n, 1)
        assert said.count("Certificate is Trusted") == people, said
    data, cms = await records.entry_proof(repo, ward.line)
    assert cms
    assert data
    (sealed,) = await records.containers(repo, ward.encounter)
    files.append(folder / "ho-so.asice")
    files[-1].write_bytes(await records.content_of(repo, sealed.data))
    done = subprocess.run(
        [sys.executable, "-m", "benhan_verify", *files, "--root", folder / "root.pem"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
