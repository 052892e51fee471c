"""OCSP and CRL go away and come back: as the settings say, nothing is called what it is not, and the queue catches up.

The authority stands for an outside one (it is asked by network): a real server on this machine, switched off and on;
`openssl`, `pdfsig` and `benhan-verify` judge from outside.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.signing.services import Service

import benhan_verify
from benhan import records, signing
from benhan.base.clock import SYSTEM_CLOCK, FrozenClock
from benhan.base.errors import NeighbourFailed, NotAllowed
from benhan.records import Entry, SignWith, closed_record_guard, everything_allowed
from benhan.signing import asking, pki, pki_folder
from benhan.store import Repository, Store, SystemPolicy

SHEET, ROLE = "36/BV2", "bac_si_lam_benh_an"


class Ward:
    """A facility whose settings name the responder and the lists of a closed network; both are off."""

    def __init__(self, settings: Any, build: Any, away: str, clock: Any = SYSTEM_CLOCK) -> None:
        self.folder, self.build, self.clock = pki_folder(settings), build, clock
        pki.create(self.folder, clock)
        self.responder, self.lists = (Service(signing.pki_app(self.folder, clock)) for _ in range(2))
        lists = (self.lists.url + "root.crl", self.lists.url + "ca.crl")
        told = {"ocsp_url": self.responder.url + "ocsp/", "crl_urls": lists, "revocation_away": away}
        self.settings = settings.model_copy(update=told)
        self.sheets: dict[str, str] = {}
        self.store: Store
        self.repo: Repository

    async def open(self, tenant: Any = None) -> None:
        self.store = await Store.open(self.settings, clock=self.clock, guards=[closed_record_guard])
        known = tenant or await self.store.create_tenant(
            "facility", "51Z01", "Bệnh viện Đa khoa tỉnh Quảng Ngãi"
        )
        self.repo = self.store.repo(self.build.ctx(known), SystemPolicy())
        signing.forget_answers()

    async def restart(self) -> None:
        tenant = self.repo.ctx.tenant
        await self.store.close()
        await self.open(tenant)

    async def on(self) -> None:
        await asyncio.gather(self.responder.on(), self.lists.on())

    async def off(self) -> None:
        await asyncio.gather(self.responder.off(), self.lists.off())

    async def as_doctor(self, role: str = "", staff: Any = None) -> SignWith:
        keys, who = signing.KeyStore(self.repo), staff or self.build.DOCTOR
        if not await keys.certificates_of(who.reference):
            await keys.enrol(who.reference, who.name, who.licence, "246813")
        signer = await keys.signer_for(who.reference, "246813")
        return SignWith(signer, who, role, self.tsa())

    def tsa(self) -> Any:
        return signing.LocalTimeStamper(self.folder, self.clock)

    async def line(self, record: Any = None) -> str:
        """A line of a sheet, signed."""
        record = record or await self.build.an_inpatient_record(self.repo)
        sheet = await records.open_sheet(
            self.repo, record.id, SHEET, self.build.DOCTOR, self.repo.clock.now()
        )
        line = await records.add_entry(
            self.repo, sheet.id, Entry(self.repo.clock.now(), self.build.DOCTOR, "Đỡ sốt")
        )
        await records.sign_entry(self.repo, line.id, await self.as_doctor(), authorize=everything_allowed)
        self.sheets[line.id] = sheet.id
        return str(line.id)

    async def complete(self) -> int:
        """The worker's run, everything due."""
        async with self.repo.transaction() as tx:
            await tx.open_connection.execute(
                "update record_waiting set next_at = %s where tenant = %s",
                (self.repo.clock.now() - timedelta(seconds=1), self.repo.ctx.tenant),
            )
        return await records.complete_waiting(self.repo, self.tsa())

    async def serial(self) -> int:
        keys = await signing.KeyStore(self.repo).certificates_of(self.build.DOCTOR.reference)
        return int(keys[0].certificate.serial_number)


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The authority of the keys is not this installation's own."""
    monkeypatch.setattr(asking, "is_own", lambda settings, chain: False)


@pytest.fixture
async def ward(settings: Any, build: Any) -> AsyncIterator[Ward]:
    """Signing may wait for the state of certificates."""
    found = Ward(settings, build, "later", FrozenClock(SYSTEM_CLOCK.now()))
    await found.open()
    yield found
    await found.off()
    await found.store.close()


async def test_by_default_nothing_is_signed_while_both_are_away(settings: Any, build: Any) -> None:
    """Refused with a sentence; paper and line stay unsigned; with one of the two back they are signed whole."""
    ward = Ward(settings, build, "refuse")
    await ward.open()
    record = await build.an_inpatient_record(ward.repo)
    sign = await ward.as_doctor(ROLE)
    with pytest.raises(NeighbourFailed) as away:
        await records.sign_paper(ward.repo, record.response_id, sign, authorize=everything_allowed)
    assert away.value.code == "signing.revocation-away"
    assert (await records.paper(ward.repo, record.response_id)).signatures == ()
    assert await records.waiting_signatures(ward.repo) == []
    await ward.lists.on()
    await records.sign_paper(ward.repo, record.response_id, sign, authorize=everything_allowed)
    (signature,) = (await records.paper(ward.repo, record.response_id)).signatures
    assert (signature.standing, signature.unasked) == (True, False)
    await ward.off()
    await ward.store.close()


async def test_a_paper_that_waits_is_said_to_wait_and_is_made_good(ward: Ward, tmp_path: Path) -> None:
    """Valid for outside judges, called waiting, not closed; the answer comes into the PDF, which stays whole."""
    record = await ward.build.an_inpatient_record(ward.repo)
    sign = await ward.as_doctor(ROLE)
    await records.sign_paper(ward.repo, record.response_id, sign, authorize=everything_allowed)
    (signature,) = (await records.paper(ward.repo, record.response_id)).signatures
    assert (signature.standing, signature.waiting, signature.unasked) == (True, False, True)
    before = await records.print_paper(ward.repo, record.response_id)
    assert not proved(before, ward)
    assert "stamp-pending" in {g.code for g in await records.completeness(ward.repo, record.id)}
    assert await ward.complete() == 0
    (waits,) = await records.waiting_signatures(ward.repo)
    assert waits.said == "signing.revocation-away"
    assert (await ward.repo.read("Provenance", waits.provenance_id)).version == 1, "nothing new to keep"
    await ward.restart()
    await ward.on()
    assert await ward.complete() == 1
    (signature,) = (await records.paper(ward.repo, record.response_id)).signatures
    assert (signature.standing, signature.waiting, signature.unasked) == (True, False, False)
    after = await records.print_paper(ward.repo, record.response_id)
    assert after.startswith(before.rstrip(b"\n"))
    report = await signing.verify_pdf(after, signing.root_certificate(ward.settings))
    assert report.ok, report
    assert proved(after, ward)
    (tmp_path / "paper.pdf").write_bytes(after)
    said = subprocess.run(["pdfsig", tmp_path / "paper.pdf"], capture_output=True, text=True, check=False)
    assert "Signature is Valid." in said.stdout
    assert "stamp-pending" not in {g.code for g in await records.completeness(ward.repo, record.id)}
    assert await ward.complete() == 0


async def test_revoked_before_the_signature_leaves_it_void(ward: Ward) -> None:
    """It comes out later: shown without value, with since when; the line is to be signed anew, and the answer is kept."""
    await ward.as_doctor()
    pki.revoke(ward.folder, await ward.serial(), ward.clock)
    ward.clock.move(minutes=5)
    record = await ward.build.an_inpatient_record(ward.repo)
    line_id = await ward.line(record)
    await records.sign_paper(
        ward.repo, record.response_id, await ward.as_doctor(ROLE), authorize=everything_allowed
    )
    await ward.on()
    assert await ward.complete() == 2
    entry = await shown(ward, line_id)
    assert entry.signed_by is None
    assert entry.void_since is not None
    (signature,) = (await records.paper(ward.repo, record.response_id)).signatures
    assert (signature.standing, signature.unasked) == (False, False)
    assert signature.void_since is not None
    assert "signature" in {g.code for g in await records.completeness(ward.repo, record.id)}
    assert len(await records.void_signatures(ward.repo)) == 2
    assert await records.waiting_signatures(ward.repo) == []
    report = await signing.verify_pdf(
        await records.print_paper(ward.repo, record.response_id),
        signing.root_certificate(ward.settings),
        ward.clock.now(),
    )
    assert (report.indication, report.sub) == ("TOTAL-FAILED", "REVOKED")
    keys = signing.KeyStore(ward.repo)
    await keys.set_status(ward.build.DOCTOR.reference, "revoked", "mất khóa")
    await keys.enrol(ward.build.DOCTOR.reference, "Bác sĩ mới", "1", "246813")
    again = await ward.as_doctor(ROLE)
    await records.sign_paper(ward.repo, record.response_id, again, authorize=everything_allowed)
    await records.sign_entry(ward.repo, line_id, again, authorize=everything_allowed)
    assert (await shown(ward, line_id)).signed_by is not None
    signatures = (await records.paper(ward.repo, record.response_id)).signatures
    assert [s.standing for s in signatures] == [False, True]
    renewed = await records.print_paper(ward.repo, record.response_id)
    assert (await signing.verify_pdf(renewed, signing.root_certificate(ward.settings), ward.clock.now())).ok


async def test_revoked_after_the_proved_time_leaves_it_good(ward: Ward) -> None:
    """The time stamp proves that the signature is older than the revocation."""
    line_id = await ward.line()
    ward.clock.move(minutes=5)
    pki.revoke(ward.folder, await ward.serial(), ward.clock)
    ward.clock.move(minutes=5)
    await ward.on()
    assert await ward.complete() == 1
    entry = await shown(ward, line_id)
    assert (entry.signed_by is not None, entry.unasked, entry.void_since) == (True, False, None)
    data, cms = await records.entry_proof(ward.repo, line_id)
    roots = signing.root_certificate(ward.settings)
    assert (await signing.verify_entry(data, cms, roots, ward.clock.now())).ok


@pytest.mark.long
async def test_two_signers_of_a_paper_that_both_wait(ward: Ward) -> None:
    """The second signs on top of the first; each is settled by itself, the file stays whole for both verifiers."""
    record = await ward.build.an_inpatient_record(ward.repo)
    await ward.build.write(record, ward.build.summary_answers())
    for role in (ROLE, "bac_si_dieu_tri"):
        sign = await ward.as_doctor(role)
        await records.sign_paper(ward.repo, record.response_id, sign, authorize=everything_allowed)
    assert len(await records.waiting_signatures(ward.repo)) == 2
    await ward.on()
    assert await ward.complete() == 2
    signatures = (await records.paper(ward.repo, record.response_id)).signatures
    assert [(s.standing, s.unasked) for s in signatures] == [(True, False)] * 2
    pdf = await records.print_paper(ward.repo, record.response_id)
    report = await signing.verify_pdf(pdf, signing.root_certificate(ward.settings), ward.clock.now())
    assert (report.ok, len(report.parts)) == (True, 2), report
    assert proved(pdf, ward)


@pytest.mark.long
@pytest.mark.parametrize("revoked", [False, True])
async def test_a_paper_printed_anew_since_is_asked_by_its_old_print(ward: Ward, revoked: bool) -> None:
    """The summary was written after the first signature, and signed in a new print: the first is judged all the same."""
    record = await ward.build.an_inpatient_record(ward.repo)
    await ward.as_doctor()
    if revoked:
        pki.hold(ward.folder, await ward.serial(), ward.clock)
        ward.clock.move(minutes=1)
    sign = await ward.as_doctor(ROLE)
    first = await records.sign_paper(ward.repo, record.response_id, sign, authorize=everything_allowed)
    await ward.build.write(record, ward.build.summary_answers())
    await records.sign_paper(
        ward.repo, record.response_id, await ward.as_doctor("bac_si_dieu_tri"), authorize=everything_allowed
    )
    if revoked:
        pki.revoke(ward.folder, await ward.serial(), ward.clock)
    await ward.on()
    assert await ward.complete() == 2
    signatures = (await records.paper(ward.repo, record.response_id)).signatures
    assert [(s.standing, s.unasked, s.void_since is not None) for s in signatures] == [
        (not revoked, False, revoked)
    ] * 2
    report = await print_with(ward, first)
    assert report.sub == ("REVOKED" if revoked else ""), report


@pytest.mark.long
async def test_the_other_signature_of_a_paper_that_was_signed_anew(ward: Ward) -> None:
    """One of two is void, the paper is printed and signed anew; the other, then held, is judged by the print it is in."""
    build = ward.build
    record = await build.an_inpatient_record(ward.repo)
    await build.write(record, build.summary_answers())
    first, second = await ward.as_doctor(ROLE), await ward.as_doctor("bac_si_dieu_tri", build.HEAD)
    pki.revoke(ward.folder, first.signer.certificate.serial_number, ward.clock)
    ward.clock.move(minutes=1)
    for sign in (first, second):
        await records.sign_paper(ward.repo, record.response_id, sign, authorize=everything_allowed)
    held = second.signer.certificate.serial_number
    ward.clock.move(minutes=1)
    pki.hold(ward.folder, held, ward.clock)
    await ward.on()
    assert await ward.complete() == 1
    keys = signing.KeyStore(ward.repo)
    await keys.set_status(build.DOCTOR.reference, "revoked", "mất khóa")
    await keys.enrol(build.DOCTOR.reference, "Bác sĩ mới", "1", "246813")
    again = await ward.as_doctor(ROLE)
    await records.sign_paper(ward.repo, record.response_id, again, authorize=everything_allowed)
    printed = await records.print_paper(ward.repo, record.response_id)
    pki.lift(ward.folder, held, ward.clock)
    ward.clock.move(minutes=6)
    assert await ward.complete() == 1
    signatures = (await records.paper(ward.repo, record.response_id)).signatures
    assert [(s.standing, s.unasked) for s in signatures] == [(False, False), (True, False), (True, False)]
    act = await ward.repo.read("Provenance", signatures[1].provenance_id)
    assert (await print_with(ward, act)).parts[1].ok, "kept whole beside the new print"
    assert await records.print_paper(ward.repo, record.response_id) == printed


async def test_suspended_waits_until_it_is_lifted(ward: Ward, tmp_path: Path) -> None:
    """Signed while nobody could be asked; a hold is no answer yet. Lifted, it is settled; `openssl` agrees."""
    line_id = await ward.line()
    ward.clock.move(minutes=1)
    reference = ward.build.DOCTOR.reference
    keys = signing.KeyStore(ward.repo)
    await keys.set_status(reference, "suspended", "đi vắng")
    await ward.on()
    assert await ward.complete() == 0
    (waits,) = await records.waiting_signatures(ward.repo)
    assert waits.said == "signing.certificate-held"
    assert (await shown(ward, line_id)).unasked
    ward.clock.move(minutes=1)
    await keys.set_status(reference, "active", "đã về")
    assert await ward.complete() == 1
    assert not (await shown(ward, line_id)).unasked
    data, cms = await records.entry_proof(ward.repo, line_id)
    for name, content in (
        ("data", data),
        ("cms", cms),
        ("root.pem", signing.root_certificate(ward.settings)),
    ):
        (tmp_path / name).write_bytes(content)
    command = [
        "openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", "cms", "-content", "data", "-CAfile", "root.pem",
        "-purpose", "any", "-out", "out",
    ]  # fmt: skip
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    report = await signing.verify_entry(data, cms, signing.root_certificate(ward.settings), ward.clock.now())
    assert report.ok, report


@pytest.mark.long
async def test_any_order_of_outages_ends_well(ward: Ward) -> None:
    """Both services come and go, restarts between: as many wait as have no answer inside, and in the end none."""
    record = await ward.build.an_inpatient_record(ward.repo)
    sheet = await records.open_sheet(ward.repo, record.id, SHEET, ward.build.DOCTOR, ward.repo.clock.now())
    await ward.as_doctor()
    source, lines = random.Random(7), []
    for number in range(80):
        act = source.choice(["sign", "sign", "complete", "responder", "lists", "restart"])
        if act == "sign":
            entry = Entry(ward.repo.clock.now(), ward.build.DOCTOR, f"Diễn biến {number}")
            line = await records.add_entry(ward.repo, sheet.id, entry)
            await records.sign_entry(ward.repo, line.id, await ward.as_doctor(), authorize=everything_allowed)
            lines.append(line.id)
        elif act == "complete":
            ward.clock.move(seconds=source.choice([1, 20, 4000]))
            await ward.complete()
        elif act == "restart":
            await ward.restart()
        else:
            service = getattr(ward, act)
            await (service.off() if service.server else service.on())
        without = [line_id for line_id in lines if not await answered(ward, line_id)]
        waiting = {e.id for e in await records.entries(ward.repo, sheet.id) if e.unasked}
        assert waiting == set(without)
        assert len(waiting) == len(await records.waiting_signatures(ward.repo))
    await ward.on()
    ward.clock.move(seconds=7200)
    await ward.complete()
    assert await records.waiting_signatures(ward.repo) == []
    for line_id in lines:
        assert await answered(ward, line_id)


async def test_the_seal_and_a_revoked_key_never_wait(ward: Ward) -> None:
    """What closes a record is refused while nobody answers; a revoked certificate as soon as somebody does."""
    seal = await signing.KeyStore(ward.repo).seal_signer(ward.repo.ctx.tenant)
    with pytest.raises(NeighbourFailed):
        await signing.seal({"a.txt": b"x"}, seal, ward.tsa())
    await ward.as_doctor()
    await ward.responder.on()
    pki.revoke(ward.folder, await ward.serial(), ward.clock)
    with pytest.raises(NotAllowed) as refused:
        await ward.line()
    assert refused.value.code == "signing.certificate-revoked"
    assert await records.waiting_signatures(ward.repo) == []


async def print_with(ward: Ward, act: Any) -> signing.Report:
    """The print that a signature of a paper is in, as it is kept, judged."""
    target = next(t["reference"] for t in act.data["target"] if "DocumentReference" in t["reference"])
    document = await ward.repo.read("DocumentReference", target.partition("/")[2])
    pdf = await ward.store.blobs.get(document.data["content"][0]["attachment"]["url"].rpartition(":")[2])
    return await signing.verify_pdf(pdf, signing.root_certificate(ward.settings), ward.clock.now())


async def shown(ward: Ward, line_id: str) -> Any:
    """A line as the pages get it."""
    return next(e for e in await records.entries(ward.repo, ward.sheets[line_id]) if e.id == line_id)


async def answered(ward: Ward, line_id: str) -> bool:
    """Whether `benhan-verify` finds enough evidence inside the signature of a line."""
    data, cms = await records.entry_proof(ward.repo, line_id)
    roots = benhan_verify.roots_of_pem(signing.root_certificate(ward.settings))
    verdict = benhan_verify.verify_detached(data, cms, roots, ward.clock.now())
    assert verdict.exit_code == 0, verdict.as_text()
    return f"“{name(ward)}” không bị thu hồi" in verdict.as_text()


def proved(pdf: bytes, ward: Ward) -> bool:
    """The same of a paper."""
    roots = benhan_verify.roots_of_pem(signing.root_certificate(ward.settings))
    verdict = benhan_verify.verify_pdf(pdf, roots, ward.clock.now())
    assert verdict.exit_code == 0, verdict.as_text()
    return f"“{name(ward)}” không bị thu hồi" in verdict.as_text()


def name(ward: Ward) -> str:
    return f"{ward.build.DOCTOR.name} (thử nghiệm)"
