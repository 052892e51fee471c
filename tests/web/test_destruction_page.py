"""The page of destruction: one proposes, another destroys with his PIN, the certificate is a valid signed PDF."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from benhan import records
from benhan.base.errors import Deleted, NotFound
from benhan.identity import PersonInput
from benhan.records import Admission, Staff
from benhan.signing import root_certificate, verify_pdf

PAGE = "/luu-tru/tieu-huy"


async def old_record(house: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """A record that lies in the archive since 2014; only its row is old, the rule of ten years is given."""

    async def ten_years(*_: Any) -> tuple[str, int]:
        return "inpatient", 10

    monkeypatch.setattr("benhan.records.disposal.retention_rule", ten_years)
    monkeypatch.setattr("benhan.records.steps.retention_rule", ten_years)
    repo = house.repo
    patient = await records.register_patient(
        repo,
        PersonInput(
            name="Đặng Văn Thử", birth_date="1960-05-01", sex="male", cccd="051060000077", status="verified"
        ),
    )
    doctor = Staff((await house.person("bacsi")).reference, "Nguyễn Văn Thử", "000001/QNG-CCHN", "K03")
    admitted = await records.admit(
        repo,
        Admission(
            patient_id=patient.id,
            happened=repo.clock.now(),
            khoa="K03",
            khoa_name="Khoa Nội",
            doctor=doctor,
            reason="Đau ngực trái dữ dội",
        ),
    )
    with psycopg.connect(house.store.database.admin) as admin:
        admin.execute("set session_replication_role = replica")
        admin.execute(
            "update record_case set state = 'archived', closed_at = %s, so_luu_tru = '14/000123' where encounter_id = %s",
            (datetime(2014, 3, 1, tzinfo=UTC), admitted.encounter.id),
        )
    return str(admitted.encounter.id)


async def test_two_people_destroy_a_record(
    house: Any, as_person: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clerk proposes and cannot decide; a held record has no box; the director ends it; the certificate is kept."""
    encounter = await old_record(house, monkeypatch)
    office, director = await as_person("khth"), await as_person("lanhdao")
    assert "14/000123" in await office.see(PAGE)
    assert PAGE in await office.see("/luu-tru/suc-khoe")
    await office.press(f"{PAGE}/de-nghi", 422, dot=encounter, reason="")
    await director.see(PAGE)
    await director.press(f"{PAGE}/giu", dot=encounter, held="1", reason="CV 12 của tòa án")
    assert f'name="dot" value="{encounter}" aria-label' not in await office.see(PAGE)
    await office.press(f"{PAGE}/de-nghi", 409, dot=encounter, reason="Hết hạn")
    await director.see(PAGE)
    await director.press(f"{PAGE}/giu", dot=encounter, held="0", reason="Xong vụ án")
    await office.see(PAGE)
    await office.press(f"{PAGE}/de-nghi", dot=encounter, reason="QĐ 05 của hội đồng")
    (asked,) = await records.requests(house.repo, kind="destroy")
    await office.press(f"{PAGE}/quyet", 403, request=str(asked.id), decision="approve")
    await director.see(PAGE)
    await director.press(f"{PAGE}/quyet", 400, request=str(asked.id), decision="approve")
    assert (await records.case(house.repo, encounter)).state == "due"
    await director.see(PAGE)
    await director.press(f"{PAGE}/quyet", request=str(asked.id), decision="approve", pin="246810")
    html = await director.see(PAGE)
    (link,) = re.findall(r'href="([^"]+/chung-nhan)"', html)
    paper = (await office.get(link)).content
    assert (await verify_pdf(paper, root_certificate(house.store.settings))).ok
    with pytest.raises((NotFound, Deleted)):
        await house.repo.read("Encounter", encounter)


async def test_a_fault_of_the_cold_place_is_listed(house: Any, as_person: Any) -> None:
    """What could not be moved stands on the page of the archive's health, with a way to the record."""
    with psycopg.connect(house.store.database.admin) as admin:
        admin.execute(
            "insert into record_cold (tenant, document_id, sha256, encounter_id, moved_at, fault, looked_at) values"
            " (%(t)s, 'd1', repeat('0', 64), 'dot-1', null, 'store.cold-away', now()),"
            " (%(t)s, 'd2', repeat('1', 64), 'dot-2', now(), '', now())",
            {"t": house.tenant},
        )
    html = await (await as_person("khth")).see("/luu-tru/suc-khoe")
    assert "store.cold-away" in html
    assert 'href="/dot/dot-1"' in html
    assert 'href="/dot/dot-2"' not in html
