"""Claims for the desk of facility A before the story begins: received, refused, waiting for the portal, and stopped by a fault.

Outpatient visits of the last three weeks, entered afterwards with that reason, sent by the very job that always sends.
"""

from __future__ import annotations

import contextlib
import random
from datetime import date, datetime, timedelta
from decimal import Decimal

import httpx

from benhan import records
from benhan.base.clock import SYSTEM_CLOCK, local_date
from benhan.base.errors import NeighbourFailed
from benhan.catalogue import price, systems
from benhan.cli.common import operator_repo
from benhan.cli.demo.people import Invented, invent
from benhan.cli.demo.stack import Stack
from benhan.gateways.bhyt import register_card
from benhan.gateways.bhyt.jobs import submit
from benhan.identity import find_or_register, parse_qr, person_from_scan
from benhan.records import Staff
from benhan.store import Repository, Store, TenantInfo

_BACK = "Nhập bù dữ liệu tập huấn"
_DIAGNOSES = (
    ("J20.9", "Viêm phế quản cấp"),
    ("I10", "Tăng huyết áp"),
    ("K29.7", "Viêm dạ dày"),
    ("M54.5", "Đau lưng"),
)
#: how each of the visits ends at the desk
_ENDS = ("received",) * 5 + ("refused", "received", "waiting", "faulty", "received", "refused", "waiting")


async def send_claims(
    stack: Stack, store: Store, facility: TenantInfo, doctor: Staff, seed: int
) -> dict[str, int]:
    """Twelve visits and their claims; how many ended how."""
    repo, rng = operator_repo(store, facility.id), random.Random(seed)
    now = SYSTEM_CLOCK.now()
    for number, (person, end) in enumerate(
        zip(invent(len(_ENDS), seed, local_date(now)), _ENDS, strict=True)
    ):
        at = now - timedelta(days=20 - number * 20 // len(_ENDS), hours=3)
        encounter, ma_lk = await _visit(repo, facility, person, doctor, at, rng, coded=end != "faulty")
        known = "Trần Văn Khác" if end == "refused" else person.name
        register_card(stack.home / "portal", person.card, name=known)
        await _portal_fails(stack, 1 if end == "waiting" else 0)
        with contextlib.suppress(NeighbourFailed):
            await submit(store, facility.id, {"encounter": encounter, "ma_lk": ma_lk})
    await _portal_fails(stack, 0)
    return {end: _ENDS.count(end) for end in dict.fromkeys(_ENDS)}


async def _portal_fails(stack: Stack, times: int) -> None:
    """Switch the simulator's server errors; without them the next claims pass."""
    async with httpx.AsyncClient(trust_env=False) as http:
        await http.post(f"http://127.0.0.1:{stack.portal_port}/_admin/faults", json={"fail": times})


async def _visit(
    repo: Repository,
    facility: TenantInfo,
    person: Invented,
    doctor: Staff,
    at: datetime,
    rng: random.Random,
    *,
    coded: bool,
) -> tuple[str, str]:
    """One visit from the desk to its end; ``coded`` False leaves the weight out, which the rules do not let pass."""
    async with repo.transaction() as tx:
        scanned = person_from_scan(parse_qr(person.cccd_qr(date(2023, 5, 4))))
        patient = (await find_or_register(tx, scanned)).patient
        admitted = await records.admit(
            tx,
            records.Admission(
                patient_id=patient.id, happened=at, khoa="K01", khoa_name="Khoa Khám bệnh", doctor=doctor,
                ma_loai_kcb="01", reason="Khám bệnh", late_reason=_BACK,
            ),
        )  # fmt: skip
        encounter = admitted.encounter.id
        card = records.CoverageInput(
            card=person.card, valid_from=person.card_from, valid_to=person.card_to, percent=80, ma_doituong="1.1",
            registered_at=facility.code,
        )  # fmt: skip
        await records.add_coverage(tx, encounter, card)
        if coded:
            weight = Decimal(rng.randint(45, 75))
            signs = records.VitalSigns(at + timedelta(minutes=10), doctor, weight=weight, late_reason=_BACK)
            await records.record_vitals(tx, encounter, signs)
        listed = price("KHAM.NOI", local_date(at))
        visit = records.ChargeInput(
            systems.SERVICE,
            "KHAM.NOI",
            listed.name if listed else "Khám",
            Decimal(1),
            at + timedelta(minutes=15),
        )
        await records.charge(tx, encounter, visit)
        code, text = rng.choice(_DIAGNOSES)
        end = records.Discharge(
            at + timedelta(hours=1), "ra-vien", doctor, text, code, result="2", treatment="Nội khoa",
            advice="Khám lại khi cần", late_reason=_BACK,
        )  # fmt: skip
        await records.discharge(tx, encounter, end, authorize=records.everything_allowed)
        return encounter, admitted.ma_lk
