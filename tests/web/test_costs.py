"""The bill on screen: lines and their payer, an advance, a reversal with its reason, the statement, quyết toán."""

from __future__ import annotations

import importlib.util
import sys
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

from benhan import records
from benhan.catalogue import systems
from benhan.gateways.bhyt import build_claim, facts_from_record, statement
from benhan.store import SystemPolicy

_BUILDERS = Path(__file__).parents[1] / "records" / "builders.py"


def _builders() -> ModuleType:
    name = "records_builders"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, _BUILDERS)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


async def test_from_advance_to_settlement(as_person: Any, house: Any) -> None:
    """Paper, claim and account say the same amounts; after settling nothing changes until it is opened with a reason."""
    build: Any = _builders()
    repo = house.store.repo(build.ctx(house.tenant), SystemPolicy())
    admitted = await build.an_admission(repo)
    encounter, now = admitted.encounter.id, repo.clock.now()
    await build.a_card(repo, encounter)
    for number, code in enumerate(("GIUONG.HSCC", "KHAM.NOI")):
        item = records.ChargeInput(systems.SERVICE, code, f"Dịch vụ {code}", Decimal(1), now, f"Mau/{number}")
        await records.charge(repo, encounter, item)
    cashier = await as_person("tiepdon")
    base = f"/dot/{encounter}"
    text = await cashier.see(f"{base}/vien-phi")
    assert "Dịch vụ GIUONG.HSCC" in text
    text = await cashier.press(f"{base}/vien-phi", viec="tam-ung", so_tien="300.000", ghi_chu="Lần 1")
    assert "300.000" in text
    assert "lớn hơn 0" in await cashier.press(f"{base}/vien-phi", 400, viec="tam-ung", so_tien="-5")
    (line,) = [c for c in await records.charge_lines(repo, encounter) if c.code == "KHAM.NOI"]
    await cashier.see(f"{base}/vien-phi")
    await cashier.press(f"{base}/vien-phi", 422, viec="dao", dong=line.id, ly_do="")
    await cashier.see(f"{base}/vien-phi")
    text = await cashier.press(f"{base}/vien-phi", viec="dao", dong=line.id, ly_do="Ghi nhầm lượt khám")
    assert "đã đảo" in text

    (bed,) = [c for c in await records.charge_lines(repo, encounter) if c.code == "GIUONG.HSCC"]
    await cashier.see(f"{base}/vien-phi")
    change = {"viec": "doi-nguon", "dong": bed.id}
    await cashier.press(f"{base}/vien-phi", 422, **change, nguon="nguon-khac:nsnn", ly_do="")
    await cashier.see(f"{base}/vien-phi")
    text = await cashier.press(
        f"{base}/vien-phi", **change, nguon="nguon-khac:nsnn", ly_do="Chương trình chi trả"
    )
    assert "ngân sách nhà nước" in text
    assert "Chương trình chi trả · Võ Thị Mẫu" in text
    (bed,) = [c for c in await records.charge_lines(repo, encounter) if c.other == "nsnn"]
    await cashier.press(
        f"{base}/vien-phi", viec="doi-nguon", dong=bed.id, nguon="bhyt", ly_do="Ghi nhầm nguồn"
    )

    await records.discharge(
        repo, encounter, build.an_end(repo.clock.now()), authorize=records.everything_allowed
    )
    paper = await statement(repo, encounter)
    (head,) = build_claim(await facts_from_record(repo, encounter)).table("XML1")
    tags = {
        "bv": "T_TONGCHI_BV",
        "bh": "T_TONGCHI_BH",
        "fund": "T_BHTT",
        "shared": "T_BNCCT",
        "own": "T_BNTT",
    }
    assert {k: paper.sums[k] for k in tags} == {k: Decimal(head.get(t)) for k, t in tags.items()}
    assert head.get("NGAY_TTOAN") == ""
    text = await cashier.see(f"{base}/bang-ke")
    assert "Cùng chi trả" in text
    assert "chưa đối chiếu được" in text, "the layout is marked unconfirmed"

    await cashier.see(f"{base}/vien-phi")
    text = await cashier.press(f"{base}/vien-phi", viec="quyet-toan")
    assert "Đã quyết toán" in text
    paid = sum((p.amount for p in await records.payments(repo, encounter)), Decimal(0))
    assert paid == paper.sums["shared"] + paper.sums["own"]
    (head,) = build_claim(await facts_from_record(repo, encounter)).table("XML1")
    assert len(head.get("NGAY_TTOAN")) == 12
    await cashier.press(f"{base}/vien-phi", 409, viec="tam-ung", so_tien="1.000")
    await cashier.see(f"{base}/vien-phi")
    text = await cashier.press(f"{base}/vien-phi", viec="mo-lai", ly_do="Thẻ đến muộn")
    assert "Đã quyết toán" not in text
    assert await records.settled_at(repo, encounter) is None


async def test_who_may_not_see_money_does_not(as_person: Any, house: Any) -> None:
    build: Any = _builders()
    repo = house.store.repo(build.ctx(house.tenant), SystemPolicy())
    admitted = await build.an_admission(repo)
    nurse = await as_person("dieuduong")
    await nurse.see(f"/dot/{admitted.encounter.id}/vien-phi", 403)
