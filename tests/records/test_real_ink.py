"""The record with real ink: PAdES papers, CMS lines, ASiC-E container, all verified, one flipped byte refused."""

from __future__ import annotations

import zipfile
from io import BytesIO
from typing import Any

import pytest

from benhan import records, signing
from benhan.base.clock import SYSTEM_CLOCK
from benhan.records import Entry, SignWith, closed_record_guard, everything_allowed
from benhan.store import Store, SystemPolicy


@pytest.fixture
async def inked(settings: Any, build: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A facility with the guard and one software key for everybody."""
    store = await Store.open(settings, clock=SYSTEM_CLOCK, guards=[closed_record_guard])
    tenant = await store.create_tenant("facility", "51Z01", "Bệnh viện Đa khoa tỉnh Quảng Ngãi")
    repo = store.repo(build.ctx(tenant), SystemPolicy())
    tsa = signing.time_stamper(settings)
    keys = signing.KeyStore(repo)
    await keys.enrol(build.DOCTOR.reference, build.DOCTOR.name, build.DOCTOR.licence, "246813")
    signer = await keys.signer_for(build.DOCTOR.reference, "246813")

    def sign_as(staff: Any, role: str) -> SignWith:
        return SignWith(signer, staff, role, tsa)

    monkeypatch.setattr(build, "sign_as", sign_as)
    yield repo, settings
    await store.close()


async def test_papers_lines_and_container_verify(inked: Any, build: Any) -> None:
    """What was signed verifies against the root of the installation; a changed byte does not."""
    repo, settings = inked
    root = signing.root_certificate(settings)
    record = await build.an_inpatient_record(repo, signed=True)
    await build.sign(record, build.DOCTOR, "bac_si_dieu_tri")
    pdf = await records.print_paper(repo, record.response_id)
    report = await signing.verify_pdf(pdf, root)
    assert report.indication == "TOTAL-PASSED", report
    assert len(report.parts or (report,)) in (1, 2)
    broken = pdf[:5000] + bytes([pdf[5000] ^ 1]) + pdf[5001:]
    assert (await signing.verify_pdf(broken, root)).indication != "TOTAL-PASSED"
    sheet = await records.open_sheet(repo, record.id, "36/BV2", build.DOCTOR, repo.clock.now())
    line = await records.add_entry(repo, sheet.id, Entry(repo.clock.now(), build.DOCTOR, "Sốt 38,5 °C"))
    await records.sign_entry(repo, line.id, build.sign_as(build.DOCTOR, ""), authorize=everything_allowed)
    data, cms = await records.entry_proof(repo, line.id)
    assert (await signing.verify_entry(data, cms, root)).indication == "TOTAL-PASSED"
    assert (await signing.verify_entry(data[:-1] + b" ", cms, root)).indication == "TOTAL-FAILED"


async def test_sealed_record_proves_itself(inked: Any, build: Any) -> None:
    """Closing gives a container that verifies; a changed byte in a paper is found."""
    repo, settings = inked
    root = signing.root_certificate(settings)
    record = await build.a_closed_record(repo, None)
    (container,) = await records.containers(repo, record.id)
    data = await records.content_of(repo, container.data)
    report = await signing.verify_container(data, root)
    assert report.indication == "TOTAL-PASSED", report
    with zipfile.ZipFile(BytesIO(data)) as archive:
        names = archive.namelist()
    assert {"ho-so.json", "muc-luc.json"} <= set(names)
    place = data.index(b"%PDF") + 2000
    broken = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
    assert (await signing.verify_container(broken, root)).indication != "TOTAL-PASSED"
