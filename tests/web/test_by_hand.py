"""A patient signs by hand on a tablet: what is shown, what is kept, who witnesses, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import struct
import zlib
from typing import Any

import psycopg
import pytest
from pyhanko.pdf_utils.reader import PdfFileReader

from benhan import records
from benhan.base.clock import local_date
from benhan.base.errors import InvalidInput, RuleViolation
from benhan.forms import get, sample
from benhan.identity import PersonInput
from benhan.signing import KeyStore, clean_png, root_certificate, time_stamper, verify_pdf

PIN, FORM, ROLE = "246810", "46/BV2", "nguoi_benh"


def picture(ink: bool = True, extra: bytes = b"") -> bytes:
    """A PNG of 300 by 120 with a line across it, and perhaps a chunk of text."""
    clear, dark = b"\xff\xff\xff\xff", b"\x0b\x1f\x66\xff"
    empty = b"\0" * 4
    rows = b"".join(
        b"\0" + b"".join((dark if abs(x // 3 - y) < 2 else clear) if ink else empty for x in range(300))
        for y in range(120)
    )

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + zlib.crc32(kind + body).to_bytes(4)

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 300, 120, 8, 6, 0, 0, 0))
    said = chunk(b"tEXt", extra) if extra else b""
    return b"\x89PNG\r\n\x1a\n" + head + said + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def url_of(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


@pytest.fixture
async def consent(house: Any) -> str:
    """A paper on leaving against advice, filled, waiting for the patient."""
    repo, now = house.repo, house.store.clock.now().replace(microsecond=0)
    doctor = records.Staff(house.people["bacsi"].reference, "Nguyễn Văn Thử", "000001/QNG-CCHN", "K03")
    patient = await records.register_patient(
        repo, PersonInput(name="Phạm Thị Mẫu", birth_date="1960-03-14", sex="female", cccd="051160001239")
    )
    came = records.Admission(patient.id, now, "K03", "Khoa Nội tổng hợp", doctor)
    encounter = (await records.admit(repo, came)).encounter.id
    form = get(FORM, local_date(now))
    paper = await records.open_paper(repo, encounter, FORM, doctor, now, sample(form, 4))
    return str(paper.id)


async def opened(doctor: Any, paper: str) -> tuple[str, str]:
    """Address of staff's page and of the tablet's."""
    page = await doctor.see(f"/giay/{paper}/ky")
    assert "Mở trang cho người bệnh ký" in page
    (shown,) = set(re.findall(r'name="shown" value="([0-9a-f]{64})"', page))
    await doctor.press(f"/giay/{paper}/ky-tay", role=ROLE, shown=shown)
    link = re.search(r'href="(/ky-tay/[0-9a-f]{32}\.[\w-]+)"', doctor.last.text)
    assert link is not None
    return doctor.where(), link[1]


async def test_from_link_to_the_witnessed_paper(
    house: Any, as_person: Any, browser: Any, consent: str
) -> None:
    """The tablet knows nobody and opens one paper once; the drawing stands in the paper under the witness's signature."""
    doctor, tablet = await as_person("bacsi"), browser()
    staffs, link = await opened(doctor, consent)
    page = await tablet.see(link)
    assert "PHẠM THỊ MẪU" in page
    pdf = (await tablet.get(f"{link}/ban-in")).content
    assert hashlib.sha256(pdf).hexdigest() in (await doctor.see(f"/giay/{consent}/ky"))
    await tablet.see(link)
    about = {"name": "Trần Văn Con", "relation": "con", "number": "051090000001"}
    assert "Chưa có chữ ký" in await tablet.press(link, 400, drawing=url_of(picture(ink=False)), **about)
    await tablet.press(link, 400, drawing="data:image/png;base64,AAAA", **about)
    await tablet.press(link, 422, drawing=url_of(picture()), **{**about, "name": " "})
    await tablet.press(link, drawing=url_of(picture(extra=b"toc-do\x003.2")), **about)
    assert "Đã nhận chữ ký" in tablet.last.text
    await tablet.see(link, 404)
    assert (await tablet.get(f"{link}/ban-in")).status_code == 404
    page = await doctor.see(staffs)
    assert "Trần Văn Con (con)" in page
    kept = base64.b64decode(re.search(r'data:image/png;base64,([^"]+)"', page)[1])  # type: ignore[index]
    assert kept == clean_png(picture())
    assert b"toc-do" not in kept
    await doctor.press(staffs, 403, viec="ky", pin="000000")
    nurse = await as_person("dieuduong")
    assert "Chỉ người mở trang ký" in await nurse.see(staffs)
    await nurse.press(staffs, 409, viec="ky", pin=PIN)
    await doctor.see(staffs)
    await doctor.press(staffs, viec="ky", pin=PIN)
    held = await records.paper(house.repo, consent)
    (signed,) = held.signatures
    assert (signed.role, signed.name, signed.standing) == (ROLE, "Trần Văn Con (con)", True)
    act = (await house.repo.read("Provenance", signed.provenance_id)).data
    assert act["agent"][1]["who"]["reference"] == house.people["bacsi"].reference
    assert act["signature"][0]["who"]["reference"] == house.people["bacsi"].reference
    printed = await records.print_paper(house.repo, consent)
    assert printed.startswith(pdf)
    assert (await verify_pdf(printed, root_certificate(house.store.settings))).ok
    (embedded,) = PdfFileReader(io.BytesIO(printed)).embedded_signatures
    assert hashlib.sha256(kept).hexdigest() in str(embedded.sig_object["/Reason"])
    assert "Ký với tư cách" in await doctor.see(f"/giay/{consent}/ky")  # now the doctor's turn


async def test_staff_do_not_sign_for_the_patient(house: Any, consent: str) -> None:
    """Neither with their own key in the patient's place, nor by hand in their own place."""
    doctor = records.Staff(house.people["bacsi"].reference, "Nguyễn Văn Thử", "000001/QNG-CCHN", "K03")
    signer = await KeyStore(house.repo).signer_for(doctor.reference, PIN)
    sign = records.SignWith(signer, doctor, ROLE, time_stamper(house.store.settings))
    with pytest.raises(RuleViolation) as refused:
        await records.sign_paper(house.repo, consent, sign, authorize=records.everything_allowed)
    assert refused.value.code == "records.patients-place"
    shown = await records.show_paper(house.repo, consent)
    with pytest.raises(RuleViolation):
        await records.ask_hand(
            house.repo, consent, "bac_si", shown.sha256, doctor, authorize=records.everything_allowed
        )


async def test_a_paper_that_changed_is_not_signed(
    house: Any, as_person: Any, browser: Any, consent: str
) -> None:
    """Changed before the drawing: the tablet says so. Changed after it: the witness cannot sign; given up, it is destroyed."""
    doctor, tablet = await as_person("bacsi"), browser()
    author = records.Staff(house.people["bacsi"].reference, "Nguyễn Văn Thử", "000001/QNG-CCHN", "K03")
    about = {"name": "Phạm Thị Mẫu", "relation": "", "drawing": url_of(picture())}

    async def changed(text: str) -> None:
        held = await records.paper_answers(house.repo, consent)
        await records.save_form(house.repo, consent, {**held, "ly_do": text}, author)

    _, link = await opened(doctor, consent)
    await tablet.see(link)
    await changed("Khác")
    await tablet.press(link, 409, **about)
    staffs, link = await opened(doctor, consent)
    await tablet.see(link)
    await tablet.press(link, **about)
    await changed("Khác nữa")
    await doctor.see(staffs)
    await doctor.press(staffs, 409, viec="ky", pin=PIN)
    assert (await records.paper(house.repo, consent)).signatures == ()
    image = hashlib.sha256(clean_png(picture())).hexdigest()
    assert await house.store.blobs.exists(image)
    await doctor.press(staffs, viec="bo")
    assert not await house.store.blobs.exists(image)


def test_only_a_picture_is_taken() -> None:
    """Chunks beside the picture are dropped; anything bent is refused."""
    good = picture()
    assert clean_png(picture(extra=b"x\0y")) == clean_png(good)
    for place in range(8, len(good), 7):
        bent = bytearray(good)
        bent[place] ^= 0x41
        with pytest.raises(InvalidInput):
            clean_png(bytes(bent))


async def test_it_goes_with_the_record(house: Any, as_person: Any, browser: Any, consent: str) -> None:
    """When the record is destroyed, no name and no picture of who signed is left."""
    doctor, tablet = await as_person("bacsi"), browser()
    _, link = await opened(doctor, consent)
    await tablet.see(link)
    await tablet.press(link, name="Trần Văn Con", relation="con", drawing=url_of(picture()))
    encounter = (
        (await house.repo.read("QuestionnaireResponse", consent)).data["encounter"]["reference"].split("/")[1]
    )
    async with await psycopg.AsyncConnection.connect(house.store.database.admin, autocommit=True) as admin:
        await admin.execute("select set_config('benhan.tenant', %s, false)", (str(house.tenant),))
        await admin.execute("alter table record_case disable trigger user")  # the years of keeping, skipped
        await admin.execute("alter table record_case enable trigger record_hand_forget")
        await admin.execute(
            "update record_case set state = 'destroyed' where encounter_id = %s", (encounter,)
        )
        assert await (await admin.execute("select from record_hand")).fetchall() == []
        doomed = await (await admin.execute("select sha256 from record_doomed")).fetchall()
    assert (hashlib.sha256(clean_png(picture())).hexdigest(),) in doomed
