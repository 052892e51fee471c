"""Giving records away: who may have what, the second person, the mark on every page, the code that anybody may ask."""

from __future__ import annotations

import io
import itertools
import re
from typing import Any

import httpx
import pytest
from pypdf import PdfReader

from benhan import records
from benhan.base.errors import Conflict, NotAllowed, RuleViolation
from benhan.records import ReleaseInput, everything_allowed, states
from benhan.store import Repository
from benhan.web import create_app
from benhan.web.verify_code import MOST

LAW = {
    "nguoi-benh": ((), ("read", "copy", "summary")),
    "dai-dien": ((), ("read", "copy", "summary")),
    "dai-dien-khac": ((), ("summary",)),
    "nguoi-hanh-nghe": (("read", "copy"), ("read", "copy")),
    "nguoi-hanh-nghe-khac": (("read",), ("read",)),
    "co-quan": ((), ("read", "copy")),
    "bhxh": ((), ("read", "copy")),
}


def test_the_table_is_the_article() -> None:
    """Every requester × state: Điều 69 k3 in treatment, k4 archived, nothing of what is destroyed or was cancelled."""
    assert [r.code for r in records.requesters()] == list(LAW)
    for (code, (treatment, archived)), state in itertools.product(LAW.items(), states()):
        wanted = (
            ()
            if state in ("destroyed", "cancelled")
            else archived
            if state in ("archived", "due")
            else treatment
        )
        assert records.may_have(code, state) == wanted, (code, state)


async def test_a_summary_for_another_representative(ward: Repository, build: Any, clock: Any) -> None:
    """Refused before archiving, as a copy, without paper, by one person alone; then made, marked, asked, withdrawn."""
    record = await build.a_closed_record(ward, clock)
    other = ward.store.repo(build.ctx(ward.ctx.tenant, build.DIRECTOR), ward.policy)

    def wish(**over: Any) -> ReleaseInput:
        given = {
            "requester": "dai-dien-khac", "name": "Lê Văn Cháu", "act": "summary", "purpose": "Giải quyết bảo hiểm",
            "document": "CCCD 051075000055",
        }  # fmt: skip
        return ReleaseInput(**{**given, **over})

    with pytest.raises(NotAllowed) as early:
        await records.ask_release(ward, record.id, wish(), authorize=everything_allowed)
    assert early.value.code == "records.release-not-entitled"
    await records.archive_record(ward, record.id, authorize=everything_allowed)
    refused = [
        (wish(act="copy"), NotAllowed),
        (wish(document=""), RuleViolation),
        (wish(purpose=" "), RuleViolation),
    ]
    for bad, error in refused:
        with pytest.raises(error):
            await records.ask_release(ward, record.id, bad, authorize=everything_allowed)
    asked = await records.ask_release(ward, record.id, wish(), authorize=everything_allowed)
    with pytest.raises(Conflict) as unapproved:
        await records.make_release(ward, asked.id, authorize=everything_allowed)
    assert unapproved.value.code == "records.not-approved"
    with pytest.raises(Conflict) as alone:
        await records.decide(ward, asked.id, True, authorize=everything_allowed)
    assert alone.value.code == "records.same-person"
    await records.decide(other, asked.id, True, authorize=everything_allowed)
    made = await records.make_release(ward, asked.id, authorize=everything_allowed)
    with pytest.raises(Conflict):
        await records.make_release(ward, asked.id, authorize=everything_allowed)

    pdf = await records.release_file(ward, made.id, authorize=everything_allowed)
    pages = [p.extract_text() for p in PdfReader(io.BytesIO(pdf)).pages]
    assert len(pages) == made.pages
    for text in pages:
        flat = re.sub(r"\s+", " ", text)
        for mark in (
            "BẢN SAO",
            "BẢN CHUYỂN ĐỔI TỪ HỒ SƠ ĐIỆN TỬ",
            made.code,
            f"Dùng đến hết {made.expires_on:%d/%m/%Y}",
            "Lê Văn Cháu",
            build.DOCTOR.name,
        ):
            assert mark in flat, mark
    assert re.search("(?i)tóm tắt", pages[0])

    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=create_app(ward.store)), base_url="https://testserver"
    )
    page = (await client.get(f"/tra-cuu/{made.code.lower()}")).text
    assert "Mã đúng" in page
    for secret in ("Nguyễn Văn Mẫu", "051075000031", "Lê Văn Cháu", "J18.9", "bảo hiểm", record.id):
        assert secret.lower() not in page.lower(), secret
    assert "Không có bản nào" in (await client.get("/tra-cuu/51Z01-AAAA-BBBB-CCCC")).text
    assert (await client.get("/tra-cuu", params={"ma": made.code})).status_code == 303
    clock.move(days=31)
    assert "hết thời hạn" in (await client.get(f"/tra-cuu/{made.code}")).text
    with pytest.raises(Conflict):
        await records.release_file(ward, made.id, authorize=everything_allowed)
    await records.withdraw_release(other, made.id, "Cấp nhầm", authorize=everything_allowed)
    assert "thu hồi" in (await client.get(f"/tra-cuu/{made.code}")).text
    answers = [(await client.get("/tra-cuu/51Z01-AAAA-BBBB-CCCC")).status_code for _ in range(MOST + 1)]
    assert answers[-1] == 429
    await client.aclose()
    looks = [a.action for a in await ward.audit_of_patient(record.patient.id)]
    assert {"release", "release-read"} <= set(looks)


async def test_exactly_the_papers_asked_for(ward: Repository, build: Any, clock: Any) -> None:
    """A copy of one paper for a court holds its cover and that paper, no other."""
    record = await build.a_closed_record(ward, clock)
    await records.archive_record(ward, record.id, authorize=everything_allowed)
    other = ward.store.repo(build.ctx(ward.ctx.tenant, build.DIRECTOR), ward.policy)
    wish = ReleaseInput(
        "co-quan", "Tòa án nhân dân", "copy", "Công văn 12", "CV 12/TA", (record.discharge_paper_id,), 10
    )
    asked = await records.ask_release(ward, record.id, wish, authorize=everything_allowed)
    await records.decide(other, asked.id, True, authorize=everything_allowed)
    made = await records.make_release(ward, asked.id, authorize=everything_allowed)
    text = " ".join(
        p.extract_text()
        for p in PdfReader(
            io.BytesIO(await records.release_file(ward, made.id, authorize=everything_allowed))
        ).pages
    )
    assert re.search("(?i)ra viện", text)
    assert "ran ẩm đáy phổi phải" not in text.lower()
