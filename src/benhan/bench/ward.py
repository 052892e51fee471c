"""Twelve papers with one PIN, as the ward signs them: prints shown, frozen, signed one by one, put away with their proofs."""

from __future__ import annotations

import math
import statistics
from datetime import timedelta
from functools import partial

from benhan import records
from benhan.bench.measure import Result, Sizes, seconds_async
from benhan.identity import PersonInput
from benhan.records import Admission, Chosen, SignWith, Staff, everything_allowed
from benhan.signing import KeyStore, Place, sign_pdf, time_stamper
from benhan.store import Actor, Ctx, Repository, Store, SystemPolicy

PAPERS = 12
PIN = "246810"
BOX = Place(0, (320, 60, 520, 110))
DOCTOR = Staff("Practitioner/bench", "Nguyễn Văn Thử", "000001/QNG-CCHN", "K03")


async def sign_many_bench(store: Store, sizes: Sizes) -> Result:
    """ms for each of 12 papers (11/BV2) signed with one PIN, p95; limit: the same bytes given to PAdES alone, median.

    Everything a paper needs is in the figure: reads, PAdES-B-LT by the authority of tests, blob, version, PDF, proof, audit.
    """
    tenant = await store.create_tenant("facility", "51B01", "Bệnh viện Thử nghiệm")
    repo = store.repo(Ctx(tenant, Actor(DOCTOR.reference, DOCTOR.name, "person")), SystemPolicy())
    await KeyStore(repo).enrol(DOCTOR.reference, DOCTOR.name, DOCTOR.licence or "", PIN)
    signer = await KeyStore(repo).signer_for(DOCTOR.reference, PIN)
    tsa = time_stamper(store.settings)
    ours, bare = [], []
    for run in range(max(1, sizes.runs // 2)):
        chosen = [await _waiting(repo, run * PAPERS + n) for n in range(PAPERS)]
        seen = [await records.shown_pdf(repo, c.response_id, c.shown) for c in chosen]
        for pdf in seen:
            bare.append(
                await seconds_async(
                    partial(sign_pdf, pdf, signer, field="BacSi", name=DOCTOR.name, tsa=tsa, place=BOX)
                )
            )
        batch = await records.begin_batch(repo, chosen)
        before = store.clock.now()
        done = await records.run_batch(
            repo, batch.id, lambda role: SignWith(signer, DOCTOR, role, tsa), authorize=everything_allowed
        )
        for item in done.items:
            assert item.stage == "signed"
            assert item.ended_at is not None
            ours.append((item.ended_at - before) / timedelta(milliseconds=1))
            before = item.ended_at
    value = sorted(ours)[math.ceil(0.95 * len(ours)) - 1]
    bound = statistics.median(bare) * 1000
    return Result("sign-many", round(value, 2), "ms", round(bound, 2), round(bound / value, 3), len(ours))


async def _waiting(repo: Repository, number: int) -> Chosen:
    """A paper of a patient of its own, shown to its doctor."""
    person = PersonInput(
        name=f"Nguyễn Văn Mẫu {number}", birth_date="1970-01-01", sex="male", cccd=f"0510700{number:05}"
    )
    patient = await records.register_patient(repo, person)
    now = repo.clock.now().replace(microsecond=0)
    admitted = await records.admit(repo, Admission(patient.id, now, "K03", "Khoa Nội tổng hợp", DOCTOR))
    answers = {
        "chan_doan": {"code": "R10.4", "text": "Đau bụng"}, "yeu_cau": "Siêu âm bụng tổng quát",
        "mo_ta": "Gan, mật, tụy, lách bình thường.", "ket_luan": "Chưa thấy bất thường.",
        "gio_yeu_cau": now.isoformat(), "gio_ket_qua": now.isoformat(),
    }  # fmt: skip
    paper = await records.open_paper(repo, admitted.encounter.id, "11/BV2", DOCTOR, now, answers)
    shown = await records.show_paper(repo, paper.id)
    return Chosen(paper.id, shown.sha256, "bac_si_dieu_tri")
