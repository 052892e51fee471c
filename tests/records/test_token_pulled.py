"""The token is pulled out while a doctor signs many papers: nothing is signed that is not, and the batch goes on with it."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.signing.tokens import LABEL, MODULE, PIN, soft_token

from benhan import records, signing
from benhan.base.clock import SYSTEM_CLOCK
from benhan.base.errors import NotAllowed
from benhan.records import Chosen, SignWith, closed_record_guard, everything_allowed
from benhan.signing import Prepared, TokenPlace, TokenSigner, pki, pki_folder
from benhan.store import Repository, Store, SystemPolicy

ROLE = "bac_si_lam_benh_an"


@pytest.fixture
async def ward(settings: Any, build: Any) -> AsyncIterator[Repository]:
    """A facility where real ink is used."""
    store = await Store.open(settings, clock=SYSTEM_CLOCK, guards=[closed_record_guard])
    tenant = await store.create_tenant("facility", "51Z01", "Bệnh viện Đa khoa tỉnh Quảng Ngãi")
    yield store.repo(build.ctx(tenant), SystemPolicy())
    await store.close()


class Plugged:
    """The doctor's key in the token, which somebody pulls out just before the ``nth`` signature."""

    def __init__(self, signer: TokenSigner, token: Any, nth: int) -> None:
        self.certificate, self.chain, self.revocation = signer.certificate, signer.chain, signer.revocation
        self._signer, self._token, self._left = signer, token, nth

    async def sign_digest(self, prepared: Prepared) -> bytes:
        self._left -= 1
        if self._left == 0:
            self._token.pull()
        return await self._signer.sign_digest(prepared)


async def test_pulled_out_in_mid_batch(ward: Repository, build: Any, tmp_path: Path) -> None:
    """One of three is signed; the second and the rest wait, none is refused or half done; plugged in, all are."""
    settings = ward.store.settings
    folder = pki_folder(settings)
    pki.create(folder)
    made = await build.some_papers(ward, 3)
    with soft_token(tmp_path, folder) as token:
        held = await TokenSigner.open(TokenPlace(MODULE, LABEL, "ky-rsa"), PIN, pki.chain(folder))
        tsa = signing.time_stamper(settings)

        def with_token(nth: int) -> Any:
            signer = Plugged(held, token, nth)
            return lambda role: SignWith(signer, build.DOCTOR, role, tsa)

        chosen = [
            Chosen(r.response_id, (await records.show_paper(ward, r.response_id)).sha256, ROLE) for r in made
        ]
        batch = await records.begin_batch(ward, chosen)
        before = [(await ward.read("QuestionnaireResponse", r.response_id)).version for r in made]
        stopped = await records.run_batch(ward, batch.id, with_token(2), authorize=everything_allowed)
        assert [i.stage for i in stopped.items] == ["signed", "waiting", "waiting"]
        assert stopped.note.startswith("Thiết bị ký báo lỗi")
        for number, record in enumerate(made):
            paper = await records.paper(ward, record.response_id)
            assert len(paper.signatures) == (1 if number < 1 else 0)
            if number >= 1:
                assert paper.response.version == before[number]
                assert b"/ByteRange" not in await records.print_paper(ward, record.response_id)
        again = await records.run_batch(ward, batch.id, with_token(9), authorize=everything_allowed)
        assert again.waiting == 2, "still out"
        token.plug()
        assert [b.id for b in await records.stopped_batches(ward)] == [batch.id]
        await records.claim_batch(ward, batch.id)
        done = await records.run_batch(ward, batch.id, with_token(9), authorize=everything_allowed)
    assert {i.stage for i in done.items} == {"signed"}
    for record, item in zip(made, done.items, strict=True):
        (signature,) = (await records.paper(ward, record.response_id)).signatures
        assert signature.provenance_id == item.provenance_id
        paper = await records.print_paper(ward, record.response_id)
        assert (await signing.verify_pdf(paper, signing.root_certificate(settings))).ok
        (tmp_path / "paper.pdf").write_bytes(paper)
        said = subprocess.run(
            ["pdfsig", tmp_path / "paper.pdf"], capture_output=True, text=True, check=False
        ).stdout
        assert said.count("Signature is Valid.") == 1


async def test_a_fault_of_the_signer_stops_at_the_first(ward: Repository, build: Any) -> None:
    """A wrong PIN is not tried on every paper (that would lock the token), and no paper is called refused for it."""
    made = await build.some_papers(ward, 2)
    keys = signing.KeyStore(ward)
    await keys.enrol(build.DOCTOR.reference, build.DOCTOR.name, build.DOCTOR.licence, "246813")
    known = (await keys.signer_for(build.DOCTOR.reference, "246813")).certificate
    asked = 0

    class Failing:
        certificate = known
        chain = ()

        async def sign_digest(self, prepared: Prepared) -> bytes:
            nonlocal asked
            asked += 1
            raise NotAllowed("signing.wrong-pin", "PIN ký không đúng.")

    chosen = [
        Chosen(r.response_id, (await records.show_paper(ward, r.response_id)).sha256, ROLE) for r in made
    ]
    batch = await records.begin_batch(ward, chosen)
    stopped = await records.run_batch(
        ward,
        batch.id,
        lambda role: SignWith(Failing(), build.DOCTOR, role, None),
        authorize=everything_allowed,
    )
    assert ({i.stage for i in stopped.items}, asked) == ({"waiting"}, 1)
