"""The claims desk on screen: month, claim, way to the field, letting through, lines, reconciling, own rules."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest

from benhan.gateways.bhyt import check, make_row, write_package
from benhan.gateways.bhyt.desk import put_claim
from benhan.gateways.bhyt.samples import package_of, stories

LEFT = datetime(2026, 8, 5, 3, 0, tzinfo=UTC)


async def at_the_desk(house: Any, number: int, state: str, **head: str) -> str:
    """A sample claim as the job writes it; its MA_LK."""
    package = package_of(stories()[number], number + 1)
    first = package.table("XML1")[0]
    if head:
        package = replace(
            package, rows={**package.rows, "XML1": (make_row("XML1", 1, {**first.values, **head}),)}
        )
    raw = write_package(package)
    await house.store.blobs.put(raw)
    await put_claim(
        house.repo, package, encounter="dot-mau", claim="don-mau", sha256=sha256(raw).hexdigest(), left_at=LEFT,
        state=state, sent=state == "received", answer="", findings=check(package), before=None,
    )  # fmt: skip
    return package.ma_lk


@pytest.fixture
async def claims(house: Any) -> tuple[str, str]:
    """One received claim, one with a fault."""
    good = await at_the_desk(house, 1, "received")
    bad = await at_the_desk(house, 0, "faulty", MA_BENH_CHINH="J18.9;I10")
    return good, bad


async def test_month_shows_sums_khoa_and_faults(as_person: Any, claims: tuple[str, str]) -> None:
    officer = await as_person("khth")
    text = await officer.see("/bhyt?thang=202608")
    assert claims[0] in text
    assert claims[1] in text
    only = await officer.see("/bhyt?thang=202608&trang_thai=faulty")
    assert claims[1] in only
    assert claims[0] not in only
    assert "Không có hồ sơ nào." in await officer.see("/bhyt?thang=202601")


async def test_a_fault_leads_to_its_field_and_is_let_through_with_a_reason(
    as_person: Any, claims: tuple[str, str]
) -> None:
    officer = await as_person("khth")
    text = await officer.see(f"/bhyt/ho-so/{claims[1]}")
    assert f'href="/bhyt/ho-so/{claims[1]}/sua#f-ma_chinh"' in text
    assert "phải có đúng một mã" in text
    assert "Mã bệnh chính" in text
    fault = {"rule": "X1-BENH-CHINH-1", "place": "XML1/dòng 1/MA_BENH_CHINH"}
    text = await officer.press(f"/bhyt/ho-so/{claims[1]}/cho-qua", 422, **fault, ly_do="ngắn")
    assert "ít nhất 10 ký tự" in text
    text = await officer.press(f"/bhyt/ho-so/{claims[1]}/cho-qua", **fault, ly_do="Hội chẩn đồng ý hai mã")
    assert "Hội chẩn đồng ý hai mã" in text


async def test_lines_download_and_reconciliation(as_person: Any, house: Any, claims: tuple[str, str]) -> None:
    officer = await as_person("khth")
    await officer.see(f"/bhyt/ho-so/{claims[0]}")
    text = await officer.press(
        f"/bhyt/ho-so/{claims[0]}/dong",
        dong="xml3/1",
        state="xuat-toan",
        so_tien="12.000",
        reason="Thiếu chỉ định",
    )
    assert "Xuất toán" in text
    assert "12.000" in text
    answer = await officer.get(f"/bhyt/ho-so/{claims[0]}/xml")
    assert answer.headers["content-type"] == "application/xml"
    assert answer.content.startswith(b"<?xml")
    await officer.see("/bhyt?thang=202608")
    text = await officer.press("/bhyt/doi-soat", thang="202608", danh_sach="MA_LK,T_BHTT\nKHAC,10")
    assert "KHAC" in text
    assert claims[0] in text
    await officer.see("/bhyt?thang=202608")
    text = await officer.press("/bhyt/doi-soat", 400, thang="202608", danh_sach="sai")
    assert "MA_LK và T_BHTT" in text


async def test_a_rule_is_written_tried_and_published(as_person: Any, claims: tuple[str, str]) -> None:
    officer = await as_person("khth")
    assert "X2-NHOM" in await officer.see("/bhyt/luat?q=X2-NHOM")
    html = await officer.see("/bhyt/luat/soan")
    from html import unescape

    yaml = unescape(html.split("<textarea", 1)[1].split(">", 1)[1].split("</textarea>")[0]).strip()
    text = await officer.press("/bhyt/luat/soan", yaml=yaml, viec="thu", thang="202608")
    assert "Thử trên 2 hồ sơ" in " ".join(text.split())
    text = await officer.press("/bhyt/luat/soan", yaml=yaml, viec="dung", thang="202608")
    assert "Đang dùng" in text
    text = await officer.press(
        "/bhyt/luat/soan", 400, yaml=yaml.replace("filled", "exec"), viec="luu", thang=""
    )
    assert "exec" in text
    assert "CS-01" in await officer.see("/bhyt/luat")


async def test_who_has_no_right_sees_nothing(as_person: Any, claims: tuple[str, str]) -> None:
    nurse = await as_person("dieuduong")
    await nurse.see("/bhyt", 403)
    await nurse.see(f"/bhyt/ho-so/{claims[0]}", 403)


async def test_the_queue_shows_attempts_and_a_given_up_job_is_tried_again(
    as_person: Any, house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A portal that fails: the job waits with its next time; given up, it is sent again by a button; a bad package is held."""
    from benhan import jobs
    from benhan.base.errors import InvalidInput, NeighbourFailed
    from benhan.gateways.bhyt import ingest

    said: list[Exception] = [
        NeighbourFailed("bhyt.portal-failed", "Cổng BHYT báo lỗi máy chủ."),
        InvalidInput("bhyt.final", "Không gửi được."),
    ]

    async def fail(*_: Any) -> None:
        raise said[0]

    jobs.register("bhyt.submit", fail)
    officer = await as_person("khth")
    await house.repo.outbox("bhyt.submit", "MA-LK-01:1", {"encounter": "mau"})
    assert "MA-LK-01" in await officer.see("/bhyt/hang-doi")
    await jobs.run_once(house.store)
    text = await officer.see("/bhyt/hang-doi")
    assert "Cổng BHYT báo lỗi máy chủ." in text
    said.pop(0)
    await house.repo.outbox("bhyt.submit", "MA-LK-02:1", {"encounter": "mau"})
    await jobs.run_once(house.store)
    (given_up,) = await jobs.dead(house.store, house.tenant)
    text = await officer.see("/bhyt/hang-doi")
    assert "Không gửi được." in text
    await officer.press("/bhyt/hang-doi", viec=str(given_up.job_id))
    assert await jobs.dead(house.store, house.tenant) == []
    await officer.press("/bhyt/hang-doi", 404, viec=str(given_up.job_id))
    await ingest(house.repo, b"<KHAC/>", "la.xml")
    text = await officer.see("/bhyt/hang-doi")
    assert "la.xml" in text
    from benhan.gateways.bhyt import quarantined

    (held,) = await quarantined(house.repo)
    await officer.press("/bhyt/hang-doi", goi=held.sha256)
