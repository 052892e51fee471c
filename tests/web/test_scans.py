"""Paper records through the pages: registered, a batch uploaded, indexed, checked by another, signed, sealed."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

from pypdf import PdfWriter

from benhan import records
from benhan.catalogue import systems
from benhan.identity import PersonInput
from benhan.records.shapes import identifier_of
from benhan.signing import root_certificate, verify_pdf

PIN = "246810"


def a_scan(pages: int) -> bytes:
    """A PDF of empty pages."""
    writer = PdfWriter()
    for _ in range(pages):
        writer.add_blank_page(595, 842)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


async def a_patient(house: Any) -> str:
    """The mã người bệnh of somebody registered."""
    made = await records.register_patient(
        house.repo,
        PersonInput(name="Phạm Văn Kiểm Thử", birth_date="1950-03-14", sex="male", cccd="051050001234"),
    )
    return identifier_of(made.data, systems.MA_BN)


async def test_a_paper_record_goes_through_the_pages(house: Any, as_person: Callable[[str], Any]) -> None:
    """Registration, batch upload by file name, index, second person, signature that verifies, seal."""
    clerk, head = await as_person("khth"), await as_person("lanhdao")
    given = {
        "so_luu_tru": "2019/K03/00123", "khoa": "K03", "admitted": "01/03/2019", "discharged": "09/03/2019", "pages": "3",
        "decision": "12/QĐ-BV ngày 01/10/2026", "ma_bn": await a_patient(house), "icd10": "J18.9", "result": "1",
    }  # fmt: skip
    await clerk.see("/luu-tru/so-hoa")
    html = await clerk.press("/luu-tru/so-hoa", 422, **{**given, "pages": "", "decision": ""})
    assert "Ghi số trang đã đếm trên giấy." in html
    await clerk.press("/luu-tru/so-hoa", **given)
    here = clerk.where()
    await clerk.see("/luu-tru/so-hoa")
    files = [
        ("tep", ("2019-K03-00123_1.pdf", a_scan(3), "application/pdf")),
        ("tep", ("2020-K03-00001.pdf", a_scan(1), "application/pdf")),
    ]
    answer = await clerk.post("/luu-tru/so-hoa/tep", data={"csrf": clerk.csrf()}, files=files)
    assert "2020-K03-00001.pdf" in answer.text
    assert "không bắt đầu bằng số lưu trữ" in answer.text
    html = await clerk.see(here)
    assert "3 trang chưa có trong mục lục" in " ".join(re.sub(r"<[^>]+>", " ", html).split())
    (document,) = re.findall(r"/so-hoa/tep/([0-9a-f-]+)", html)
    line = {"title": "Bệnh án", "file": document, "first": "1", "last": "3", "step": "index"}
    assert "không có trong tệp" in await clerk.press(here, 422, **{**line, "last": "4"})
    await clerk.press(here, **line)
    assert "Bạn đã quét hồ sơ này" in await clerk.see(here)
    await head.see(here)
    assert "Đánh dấu đã đối chiếu" in await head.press(here, 422, step="check")
    await head.press(here, step="check", compared="1")
    await head.press(here, step="sign", pin=PIN)
    assert (await clerk.see(here)).count("đã ký") == 1
    closing = here.replace("so-hoa", "kiem-tra")
    page = await clerk.see(closing)
    confirm = {"confirm": "1"} if 'name="confirm"' in page else {"pin": PIN}
    await clerk.press(closing, event="close", **confirm)
    await clerk.press(closing, event="archive")
    encounter = here.split("/")[2]
    case = await records.case(house.repo, encounter)
    assert (case.state, case.so_luu_tru) == ("archived", "2019/K03/00123")
    stored = await house.repo.read("DocumentReference", document)
    report = await verify_pdf(
        await records.content_of(house.repo, stored.data),
        root_certificate(house.store.settings),
    )  # fmt: skip
    assert report.ok
    assert "2019/K03/00123" not in await clerk.see("/luu-tru/so-hoa")


async def test_who_may_not_scan_sees_nothing(house: Any, as_person: Callable[[str], Any]) -> None:
    """Pages and files are for those who scan or check; a doctor of the ward gets a refusal in words."""
    doctor = await as_person("bacsi")
    await doctor.see("/luu-tru/so-hoa", 403)
