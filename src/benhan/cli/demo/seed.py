"""Fill the demo province: tenants, machines, staff, and invented patients with open and discharged records."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal

from benhan import records
from benhan.access import certs as node_certs
from benhan.access import register_client
from benhan.base.clock import SYSTEM_CLOCK, local_date
from benhan.catalogue import lab_items, price, systems
from benhan.cli.common import operator_repo
from benhan.cli.demo.cast import CAST_A, CAST_B, CAST_HUB, enrol
from benhan.cli.demo.people import Invented, invent
from benhan.cli.demo.stack import FACILITY_A, FACILITY_B, HUB, Stack
from benhan.exchange import keep_client
from benhan.identity import find_or_register, parse_qr, person_from_scan
from benhan.records import Staff
from benhan.store import Repository, Store, TenantInfo

NAMES = {
    HUB: "Trục liên thông tỉnh Quảng Ngãi (tập huấn)",
    FACILITY_A: "Bệnh viện Thử Nghiệm A",
    FACILITY_B: "Bệnh viện Thử Nghiệm B",
}
COMPLAINTS = ("Sốt", "Đau bụng", "Khó thở", "Đau đầu", "Chóng mặt", "Đau ngực", "Mệt mỏi", "Ho kéo dài")
DIAGNOSES = (
    ("J18.9", "Viêm phổi"),
    ("I10", "Tăng huyết áp"),
    ("E11", "Đái tháo đường không phụ thuộc insuline"),
)


async def found(store: Store, code: str) -> TenantInfo:
    """The tenant of a code, created when it is new."""
    info = await store.tenant_by_code(code)
    if info is None:
        await store.create_tenant("hub" if code == HUB else "facility", code, NAMES[code])
        info = await store.tenant_by_code(code)
    if info is None:
        raise RuntimeError("tenant vanished")
    return info


async def connect(stack: Stack, hub: Store, hub_tenant: TenantInfo) -> None:
    """Onboard both facilities at the hub: a key each, bound to the certificate of its node."""
    for node, code in ((stack.a, FACILITY_A), (stack.b, FACILITY_B)):
        at_hub = await found(hub, code)
        if node.settings.tls_cert is None:
            raise RuntimeError("demo node without certificate")
        key = node_certs.create_client_key(node.settings.home / "secrets" / f"hub-key-{code}.pem")
        client = await register_client(
            operator_repo(hub, hub_tenant.id),
            f"facility-{code}",
            key_pem=key,
            thumbprints=[node_certs.thumbprint(node.settings.tls_cert.read_bytes())],
            scopes="system/*.cruds",
            facility=at_hub.id,
            title=NAMES[code],
        )
        keep_client(node.settings, code, client.client_id, key)


async def staff_all(hub: Store, a: Store, b: Store) -> tuple[TenantInfo, TenantInfo, TenantInfo]:
    """Tenants and staff of the three nodes."""
    hub_tenant, at_a, at_b = await found(hub, HUB), await found(a, FACILITY_A), await found(b, FACILITY_B)
    await enrol(hub, hub_tenant, CAST_HUB)
    await enrol(a, at_a, CAST_A)
    await enrol(b, at_b, CAST_B)
    return hub_tenant, at_a, at_b


async def populate(
    a: tuple[Store, TenantInfo], b: tuple[Store, TenantInfo], count: int, seed: int, tick: Callable[[], None]
) -> list[Invented]:
    """Register ``count`` invented patients, three in four at A, and give each a record; gives the people."""
    rng = random.Random(seed)
    people = list(invent(count, seed, local_date(SYSTEM_CLOCK.now())))
    doctors = {info.id: await _doctor(operator_repo(store, info.id)) for store, info in (a, b)}
    for number, person in enumerate(people):
        store, info = b if number % 4 == 3 else a
        await _one(operator_repo(store, info.id), person, doctors[info.id], rng)
        tick()
    return people


async def _doctor(repo: Repository) -> Staff:
    page = await repo.search(
        "Practitioner", [("identifier", f"{systems.CCHN}|"), ("_sort", "_id"), ("_count", "1")]
    )
    entry = page.entries[0]
    return Staff(f"Practitioner/{entry.id}", entry.data["name"][0]["text"], None, "K04")


def priced_labs() -> list[str]:
    """Codes of numeric laboratory items that have a price today."""
    today = local_date(SYSTEM_CLOCK.now())
    return [i.code for i in lab_items() if i.low is not None and price(i.code, today) is not None]


async def _one(repo: Repository, person: Invented, doctor: Staff, rng: random.Random) -> None:
    async with repo.transaction() as tx:
        found_person = await find_or_register(
            tx, person_from_scan(parse_qr(person.cccd_qr(date(2023, 5, 4))))
        )
        at = SYSTEM_CLOCK.now() - timedelta(minutes=rng.randint(120, 330))
        admitted = await records.admit(
            tx,
            records.Admission(
                patient_id=found_person.patient.id,
                happened=at,
                khoa="K04",
                khoa_name="Khoa Nội tổng hợp",
                doctor=doctor,
                bed=records.Bed(str(rng.randint(201, 220)), f"H{rng.randint(1, 60):03d}"),
                reason=rng.choice(COMPLAINTS),
            ),
        )
        encounter = admitted.encounter.id
        await records.add_coverage(
            tx,
            encounter,
            records.CoverageInput(
                card=person.card,
                valid_from=person.card_from,
                valid_to=person.card_to,
                percent=80,
                ma_doituong="1.1",
                registered_at=FACILITY_A,
            ),
        )
        await records.record_vitals(
            tx,
            encounter,
            records.VitalSigns(
                at + timedelta(minutes=20),
                doctor,
                pulse=Decimal(rng.randint(66, 112)),
                temperature=Decimal(rng.randint(365, 395)) / 10,
                systolic=Decimal(rng.randint(100, 160)),
                diastolic=Decimal(rng.randint(60, 95)),
                breathing=Decimal(rng.randint(16, 28)),
                spo2=Decimal(rng.randint(92, 99)),
            ),
        )
        await records.open_record(tx, encounter, "01/BV1", doctor, at + timedelta(minutes=30))
        items = priced_labs()
        orders = await records.order_lab(
            tx, encounter, records.LabOrder(tuple(rng.sample(items, 2)), at + timedelta(minutes=40), doctor)
        )
        await records.enter_result(
            tx,
            orders[0].id,
            records.ResultInput(Decimal(rng.randint(30, 160)) / 10, at + timedelta(minutes=90), doctor),
        )
