"""The story beyond the ward, steps 3–6 of the design: claim, hub, province history by right, foreign software, figures."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any
from uuid import UUID

from benhan.base.errors import NeighbourTimeout, NotAllowed, RuleViolation
from benhan.cli.common import operator_repo
from benhan.cli.demo.cast import Player
from benhan.cli.demo.stack import Stack
from benhan.cli.demo.ward import Ward
from benhan.exchange import Requester, ask_right, counts, province_document, province_history, synchronise
from benhan.gateways.bhyt import ingest
from benhan.identity import find_or_register, parse_qr, person_from_scan
from benhan.store import Store, TenantInfo

PATIENCE_S = 40.0


@dataclass(slots=True)
class Province:
    """The three stores, the processes, and the doctor of facility B."""

    stack: Stack
    hub: Store
    a: Store
    b: Store
    hub_tenant: TenantInfo
    facility_a: TenantInfo
    facility_b: TenantInfo
    ward: Ward
    doctor_b: Player
    patient_b: str = ""

    def requester(self) -> Requester:
        """The doctor of facility B as shown in every audit."""
        return Requester(
            self.doctor_b.staff.reference, f"{self.doctor_b.staff.name} ({self.facility_b.code})"
        )


async def until(what: str, ready: Callable[[], Awaitable[Any]]) -> Any:
    """Wait for another process; raises ``NeighbourTimeout`` (cli.demo-waited) with what was waited for."""
    waited = 0.0
    while waited < PATIENCE_S:
        found = await ready()
        if found:
            return found
        await asyncio.sleep(0.25)
        waited += 0.25
    raise NeighbourTimeout("cli.demo-waited", f"Chờ {what} quá {PATIENCE_S:.0f} giây.")


async def claim(p: Province) -> str:
    """Step: the claim left by the outbox, the portal answered, the answer stands on the record."""
    repo = operator_repo(p.a, p.facility_a.id)

    async def answered() -> Any:
        page = await repo.search("ClaimResponse", [("patient", p.ward.patient_id), ("_count", "5")])
        return page.entries[0] if page.entries else None

    answer = await until("cổng BHYT trả lời", answered)
    if answer.data["outcome"] not in ("complete", "queued"):
        notes = " ".join(n.get("text", "") for n in answer.data.get("processNote") or [])
        raise RuleViolation("cli.demo-step", f"Cổng từ chối: {answer.data.get('disposition')} {notes}")
    return f"{answer.data['outcome']}: {answer.data.get('disposition', '')}"


async def hub_away(p: Province) -> str:
    """Step: the hub is cut off before the record closes."""
    await asyncio.to_thread(p.stack.stop, p.stack.hub)
    return "trục liên thông tắt; cơ sở vẫn làm việc"


async def hub_back(p: Province) -> str:
    """Step: the hub comes back; nothing lost, nothing twice."""
    await asyncio.to_thread(p.stack.start, p.stack.hub)
    repo = operator_repo(p.hub, p.hub_tenant.id)

    async def arrived() -> Any:
        page = await repo.search(
            "DocumentReference", [("type", "urn:benhan:paper|ho-so-niem-phong"), ("_count", "20")]
        )
        return page.entries

    found = await until("trục nhận hồ sơ", arrived)
    everything = await repo.search("DocumentReference", [("_count", "500")])
    ids = [e.data["masterIdentifier"]["value"] for e in everything.entries]
    if len(ids) != len(set(ids)):
        raise RuleViolation("cli.demo-step", "Có tài liệu đến trục hai lần.")
    return f"{len(found)} hộp niêm phong, {len(ids)} tài liệu, không trùng"


async def refused(p: Province) -> str:
    """Step: a doctor elsewhere asks without a right."""
    scan = parse_qr(p.ward.patient.cccd_qr(_issued()))
    found = await find_or_register(operator_repo(p.b, p.facility_b.id), person_from_scan(scan))
    p.patient_b = found.patient.id
    try:
        await province_history(p.doctor_b.repo, p.patient_b, p.requester())
    except NotAllowed as no:
        return f"{no.code}: {no.text}"
    raise RuleViolation("cli.demo-step", "Không có quyền mà vẫn xem được.")


def _issued() -> Any:
    from datetime import date

    return date(2023, 5, 4)


async def _look(p: Province) -> tuple[int, int]:
    items = await province_history(p.doctor_b.repo, p.patient_b, p.requester())
    box = next(i for i in items if i.kind == "ho-so-niem-phong")
    data = await province_document(p.doctor_b.repo, p.patient_b, box.sha256, p.requester())
    return len(items), len(data)


async def _revoke_all(p: Province) -> None:
    """Take back the rights of facility B, so that the next right is shown alone."""
    from benhan.access import active_grants, revoke_grant

    repo = operator_repo(p.hub, p.hub_tenant.id)
    for grant in await active_grants(repo, grantee=p.facility_b.id):
        await revoke_grant(repo, grant.id, "Minh họa: thu hồi để cho thấy quyền kế tiếp")


async def by_break_glass(p: Province) -> str:
    """Step: break-glass with a reason; it goes on the review list."""
    await ask_right(
        p.doctor_b.repo,
        p.patient_b,
        "break-glass",
        "Cấp cứu, người bệnh hôn mê, cần tiền sử dị ứng",
        p.requester(),
    )
    count, size = await _look(p)
    return f"mở khẩn cấp 4 giờ: {count} tài liệu, hộp niêm phong {size:,} byte đúng mã băm"


async def by_consent(p: Province) -> str:
    """Step: consent with its evidence."""
    await _revoke_all(p)
    evidence = sha256(b"giay dong y da ky (thu nghiem)").hexdigest()
    await ask_right(
        p.doctor_b.repo,
        p.patient_b,
        "consent",
        "Người bệnh đồng ý cho xem để điều trị",
        p.requester(),
        evidence_sha256=evidence,
    )
    count, _ = await _look(p)
    return f"người bệnh đồng ý (có bằng chứng): {count} tài liệu"


async def by_referral(p: Province) -> str:
    """Step: facility A refers the patient; B reads while the referral is active."""
    await _revoke_all(p)
    doctor = p.ward.players["bacsi"]
    await ask_right(
        doctor.repo,
        p.ward.patient_id,
        "referral",
        "Chuyển đến khám chuyên khoa, giấy chuyển còn hiệu lực",
        Requester(doctor.staff.reference, doctor.staff.name),
        to_facility=p.facility_b.code,
    )
    count, _ = await _look(p)
    await _revoke_all(p)
    return f"giấy chuyển còn hiệu lực: {count} tài liệu"


async def audits(p: Province) -> str:
    """Step: every look stands at the hub, at facility A, and on the patient's page."""
    await synchronise(p.a, p.facility_a.id)
    at_hub = await _audit_rows(p.hub, p.hub_tenant.id, None)
    at_a = await _audit_rows(p.a, p.facility_a.id, p.ward.patient_id)
    looks = [r for r in at_a if r.action.startswith("disclosure-")]
    if len(looks) < 6:
        raise RuleViolation("cli.demo-step", f"Nhật ký ở cơ sở A thiếu lượt xem: chỉ {len(looks)}.")
    return f"trục: {len(at_hub)} dòng; cơ sở A: {len(looks)} lượt xem từ nơi khác, hiện trên trang của người bệnh"


async def _audit_rows(store: Store, tenant: UUID, patient: str | None) -> list[Any]:
    repo = operator_repo(store, tenant)
    if patient is not None:
        return list(await repo.audit_of_patient(patient, 500))
    page = await repo.search("Patient", [("_count", "1")])
    return list(await repo.audit_of_patient(page.entries[0].id, 500)) if page.entries else []


async def foreign(p: Province) -> str:
    """Step: claim packages of other software become FHIR at the hub."""
    repo = operator_repo(p.hub, p.hub_tenant.id)
    read = kept = 0
    with as_file(files("benhan.gateways.bhyt").joinpath("data", "samples")) as folder:
        for path in sorted(Path(folder).glob("*.xml")):
            result = await ingest(repo, path.read_bytes(), path.name)
            if result.status == "quarantined":
                kept += 1
            else:
                read += 1
    if read < 20:
        raise RuleViolation("cli.demo-step", f"Chỉ đọc được {read} gói; giữ lại {kept}.")
    return f"{read} gói XML của phần mềm khác đã thành FHIR, {kept} gói giữ lại"


async def oversight(p: Province) -> str:
    """Step: the Department's figures, fresh."""
    await synchronise(p.a, p.facility_a.id)
    await synchronise(p.b, p.facility_b.id)
    figures = await counts(operator_repo(p.hub, p.hub_tenant.id))
    line = next(c for c in figures if c.facility == _hub_id_of(p, figures))
    return f"cơ sở A: mở {line.opened}, ký {line.signed}, đóng {line.closed}, gửi {line.sent}, từ chối {line.refused}"


def _hub_id_of(p: Province, figures: list[Any]) -> UUID:
    return max(figures, key=lambda c: c.opened).facility if figures else p.facility_a.id
