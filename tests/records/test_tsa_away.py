"""The time-stamp service goes away and comes back: as the settings say, nothing is called what it is not, all is made good.

The service is a real one on a socket, switched off and on; `pdfsig` and `openssl` judge from outside.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.signing.services import Service

from benhan import records, signing
from benhan.base.clock import SYSTEM_CLOCK, FrozenClock
from benhan.base.errors import NeighbourFailed
from benhan.records import Entry, SignWith, closed_record_guard, everything_allowed
from benhan.signing import pki_folder
from benhan.store import Repository, Store, SystemPolicy

SHEET = "36/BV2"


class Ward:
    """A facility whose settings name the service, and how it is opened again after a restart."""

    def __init__(self, settings: Any, build: Any, service: Service, clock: Any) -> None:
        self.settings, self.build, self.service, self.clock = settings, build, service, clock
        self.store: Store
        self.repo: Repository

    async def open(self, tenant: Any = None) -> None:
        self.store = await Store.open(self.settings, clock=self.clock, guards=[closed_record_guard])
        known = tenant or await self.store.create_tenant(
            "facility", "51Z01", "Bệnh viện Đa khoa tỉnh Quảng Ngãi"
        )
        self.repo = self.store.repo(self.build.ctx(known), SystemPolicy())

    async def restart(self) -> None:
        tenant = self.repo.ctx.tenant
        await self.store.close()
        await self.open(tenant)

    async def as_doctor(self, role: str) -> SignWith:
        keys = signing.KeyStore(self.repo)
        who = self.build.DOCTOR
        if not await keys.certificates_of(who.reference):
            await keys.enrol(who.reference, who.name, who.licence, "246813")
        signer = await keys.signer_for(who.reference, "246813")
        return SignWith(signer, who, role, signing.time_stamper(self.settings))

    async def complete(self) -> int:
        return await records.complete_waiting(self.repo, signing.time_stamper(self.settings, of_seal=True))


async def made(settings: Any, build: Any, away: str, clock: Any = SYSTEM_CLOCK) -> Ward:
    """A ward whose ``tsa_away`` is as said; the service is off."""
    service = Service(signing.tsa_app(pki_folder(settings)))
    told = settings.model_copy(update={"tsa_url": service.url, "tsa_away": away})
    ward = Ward(told, build, service, clock)
    await ward.open()
    return ward


@pytest.fixture
async def ward(settings: Any, build: Any) -> AsyncIterator[Ward]:
    """Signing may wait."""
    found = await made(settings, build, "later")
    yield found
    await found.service.off()
    await found.store.close()


async def test_by_default_nothing_is_signed_while_it_is_away(settings: Any, build: Any) -> None:
    """Refused with a sentence; the paper and the line stay unsigned; when it is back they are signed whole."""
    ward = await made(settings, build, "refuse")
    record = await build.an_inpatient_record(ward.repo)
    sign = await ward.as_doctor("bac_si_lam_benh_an")
    with pytest.raises(NeighbourFailed) as away:
        await records.sign_paper(ward.repo, record.response_id, sign, authorize=everything_allowed)
    assert away.value.code == "signing.tsa-away"
    assert (await records.paper(ward.repo, record.response_id)).signatures == ()
    assert await records.waiting_signatures(ward.repo) == []
    await ward.service.on()
    await records.sign_paper(ward.repo, record.response_id, sign, authorize=everything_allowed)
    (signature,) = (await records.paper(ward.repo, record.response_id)).signatures
    assert not signature.waiting
    await ward.service.off()
    await ward.store.close()


async def test_what_waits_is_said_to_wait_and_is_made_good(ward: Ward, build: Any, tmp_path: Path) -> None:
    """Signed without its stamp: valid for outside judges, called waiting, the record is not closed; then stamped."""
    record = await build.an_inpatient_record(ward.repo)
    sign = await ward.as_doctor("bac_si_lam_benh_an")
    await records.sign_paper(ward.repo, record.response_id, sign, authorize=everything_allowed)
    (signature,) = (await records.paper(ward.repo, record.response_id)).signatures
    assert (signature.standing, signature.waiting) == (True, True)
    paper = await records.print_paper(ward.repo, record.response_id)
    assert judged(paper, tmp_path) == 1
    assert "stamp-pending" in {g.code for g in await records.completeness(ward.repo, record.id)}

    assert await ward.complete() == 0  # still away: nothing is lost, it is tried again later
    (waits,) = await records.waiting_signatures(ward.repo)
    assert waits.tries == 0, "not due yet"
    await ward.restart()
    await ward.service.on()
    await due(ward)
    assert await ward.complete() == 1
    (signature,) = (await records.paper(ward.repo, record.response_id)).signatures
    assert (signature.standing, signature.waiting) == (True, False)
    stamped = await records.print_paper(ward.repo, record.response_id)
    assert stamped.startswith(paper.rstrip(b"\n"))
    assert judged(stamped, tmp_path) == 1
    report = await signing.verify_pdf(stamped, signing.root_certificate(ward.settings))
    assert report.ok, report
    assert not signing.pdf_waits(stamped)
    assert "stamp-pending" not in {g.code for g in await records.completeness(ward.repo, record.id)}
    assert await ward.complete() == 0


async def test_a_line_of_a_sheet_waits_too(ward: Ward, build: Any, tmp_path: Path) -> None:
    """Its CMS gets a token over the signature value; what was signed does not change; `openssl` agrees before and after."""
    record = await build.an_inpatient_record(ward.repo)
    sheet = await records.open_sheet(ward.repo, record.id, SHEET, build.DOCTOR, ward.repo.clock.now())
    line = await records.add_entry(
        ward.repo, sheet.id, Entry(ward.repo.clock.now(), build.DOCTOR, "Sốt 38,5 °C")
    )
    await records.sign_entry(ward.repo, line.id, await ward.as_doctor(""), authorize=everything_allowed)
    data, before = await records.entry_proof(ward.repo, line.id)
    assert signing.cms_waits(before)
    assert accepted(data, before, ward.settings, tmp_path)
    await ward.service.on()
    await due(ward)
    assert await ward.complete() == 1
    again, after = await records.entry_proof(ward.repo, line.id)
    assert again == data
    assert not signing.cms_waits(after)
    assert accepted(data, after, ward.settings, tmp_path)
    report = await signing.verify_entry(data, after, signing.root_certificate(ward.settings))
    assert report.ok, report


async def test_any_order_of_outages_ends_well(settings: Any, build: Any, tmp_path: Path) -> None:
    """Signing, completing, restarting while the service comes and goes: never called stamped when it is not."""
    clock = FrozenClock(SYSTEM_CLOCK.now())
    ward = await made(settings, build, "later", clock)
    record = await build.an_inpatient_record(ward.repo)
    sheet = await records.open_sheet(ward.repo, record.id, SHEET, build.DOCTOR, ward.repo.clock.now())
    await ward.as_doctor("")  # the certificate begins before the clock is moved
    source, lines = random.Random(5), []
    for number in range(12):
        act = source.choice(["sign", "sign", "complete", "on", "off", "restart"])
        if act == "sign":
            entry = Entry(ward.repo.clock.now(), build.DOCTOR, f"Diễn biến {number}")
            line = await records.add_entry(ward.repo, sheet.id, entry)
            await records.sign_entry(
                ward.repo, line.id, await ward.as_doctor(""), authorize=everything_allowed
            )
            lines.append(line.id)
        elif act == "complete":
            clock.move(seconds=source.choice([1, 20, 4000]))
            await ward.complete()
        else:
            await (
                ward.restart()
                if act == "restart"
                else ward.service.on()
                if act == "on"
                else ward.service.off()
            )
        waiting = 0
        for line_id in lines:
            _, cms = await records.entry_proof(ward.repo, line_id)
            waiting += signing.cms_waits(cms)
        assert (
            waiting
            == len(await records.waiting_signatures(ward.repo))
            == await records.waiting_of(ward.repo, record.id)
        )
    await ward.service.on()
    clock.move(seconds=2 * 3600)
    await ward.complete()
    assert await records.waiting_signatures(ward.repo) == []
    for line_id in lines:
        data, cms = await records.entry_proof(ward.repo, line_id)
        assert not signing.cms_waits(cms)
        assert accepted(data, cms, ward.settings, tmp_path)
    await ward.service.off()
    await ward.store.close()


class Pulled:
    """A key whose token is pulled out, or whose remote service is away, when it is asked."""

    def __init__(self, signer: signing.Signer) -> None:
        self.certificate, self.chain = signer.certificate, signer.chain

    async def sign_digest(self, prepared: signing.Prepared) -> bytes:
        raise NeighbourFailed("signing.csc-away", "Không nối được dịch vụ ký.")


async def test_without_the_key_nothing_is_signed(ward: Ward, build: Any) -> None:
    """Only a time stamp may come later, never the signature: the paper and the line stay as they were."""
    await ward.service.on()
    record = await build.an_inpatient_record(ward.repo)
    sheet = await records.open_sheet(ward.repo, record.id, SHEET, build.DOCTOR, ward.repo.clock.now())
    line = await records.add_entry(ward.repo, sheet.id, Entry(ward.repo.clock.now(), build.DOCTOR, "Hết sốt"))
    held = await ward.as_doctor("bac_si_lam_benh_an")
    gone = SignWith(Pulled(held.signer), held.staff, held.role, held.tsa)
    before = (await ward.repo.read("QuestionnaireResponse", record.response_id)).version
    with pytest.raises(NeighbourFailed):
        await records.sign_paper(ward.repo, record.response_id, gone, authorize=everything_allowed)
    with pytest.raises(NeighbourFailed):
        await records.sign_entry(ward.repo, line.id, gone, authorize=everything_allowed)
    paper = await records.paper(ward.repo, record.response_id)
    assert (paper.signatures, paper.response.version) == ((), before)
    (shown,) = await records.entries(ward.repo, sheet.id)
    assert shown.signed_by is None
    assert await records.waiting_signatures(ward.repo) == []


async def test_a_seal_never_goes_without_its_stamp(ward: Ward) -> None:
    """What closes a record is refused while the service is away, whatever the settings say."""
    seal = await signing.KeyStore(ward.repo).seal_signer(ward.repo.ctx.tenant)
    with pytest.raises(NeighbourFailed):
        await signing.seal({"a.txt": b"x"}, seal, signing.time_stamper(ward.settings, of_seal=True))


async def due(ward: Ward) -> None:
    """Every waiting signature may be tried now."""
    async with ward.repo.transaction() as tx:
        await tx.open_connection.execute(
            "update record_waiting set next_at = %s where tenant = %s",
            (ward.repo.clock.now() - timedelta(seconds=1), ward.repo.ctx.tenant),
        )


def judged(pdf: bytes, folder: Path) -> int:
    """How many signatures `pdfsig` finds valid."""
    (folder / "paper.pdf").write_bytes(pdf)
    said = subprocess.run(
        ["pdfsig", folder / "paper.pdf"], capture_output=True, text=True, check=False
    ).stdout
    return said.count("Signature is Valid.") - said.count("timestamp")


def accepted(data: bytes, cms: bytes, settings: Any, folder: Path) -> bool:
    """Whether `openssl cms` finds the detached signature good under the installation's root."""
    (folder / "data").write_bytes(data)
    (folder / "cms").write_bytes(cms)
    (folder / "root.pem").write_bytes(signing.root_certificate(settings))
    command = [
        "openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", "cms", "-content", "data", "-CAfile", "root.pem",
        "-purpose", "any", "-out", "out",
    ]  # fmt: skip
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0
