"""`benhan demo`: build the province, run or offer the story, leave its outputs, say what each step did and took."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from benhan import records
from benhan.base.clock import SYSTEM_CLOCK, local_date
from benhan.base.errors import BenhanError
from benhan.base.json_door import dumps
from benhan.cli import node
from benhan.cli.common import console, open_store, operator_repo, progress
from benhan.cli.demo import sharing, ward
from benhan.cli.demo.cast import CAST_A, CAST_B, CAST_HUB, PASSWORD, PIN, enter, totp_seed
from benhan.cli.demo.claims import send_claims
from benhan.cli.demo.people import Invented, invent
from benhan.cli.demo.seed import connect, populate, staff_all
from benhan.cli.demo.stack import Stack, lay_out
from benhan.gateways.bhyt import register_card
from benhan.signing import root_certificate, time_stamper
from benhan.store import Store

PEOPLE, SEED = 200, 20261123


@dataclass(frozen=True, slots=True)
class StepDone:
    """One step of the story with what it said and how long it took, milliseconds."""

    title: str
    text: str
    ms: float
    failed: bool


async def build(stack: Stack, stores: AsyncExitStack, people: int) -> sharing.Province:
    """Databases, tenants, staff, machines and people; gives the province ready for the story."""
    for each in stack.nodes:
        await node.migrate(each.settings)
    hub, a, b = [await stores.enter_async_context(open_store(n.settings)) for n in stack.nodes]
    hub_tenant, at_a, at_b = await staff_all(hub, a, b)
    await connect(stack, hub, hub_tenant)
    with progress() as bar:
        task = bar.add_task("Người bệnh tập huấn", total=people)
        crowd = await populate((a, at_a), (b, at_b), people, SEED, lambda: bar.advance(task))
    star = next(iter(_new_person(crowd)))
    tsa = time_stamper(a.settings)
    the_ward = ward.Ward({r.username: await enter(a, at_a, r) for r in CAST_A}, star, tsa)
    ends = await send_claims(stack, a, at_a, the_ward.players["bacsi"].staff, SEED + 2)
    console.print(
        "Hồ sơ BHYT ở bàn giám định: " + ", ".join(f"{n} {end}" for end, n in ends.items()), markup=False
    )
    doctor_b = await enter(b, at_b, CAST_B[0])
    return sharing.Province(stack, hub, a, b, hub_tenant, at_a, at_b, the_ward, doctor_b)


def _new_person(crowd: Iterable[object]) -> Iterable[Invented]:
    """A grown-up who is not in the crowd: the next of another seed."""
    today = local_date(SYSTEM_CLOCK.now())
    return (
        p
        for p in invent(60, SEED + 1, today)
        if 30 < today.year - p.birth_date.year < 80 and p.ethnic_code == "01"
    )


def steps(p: sharing.Province) -> list[tuple[str, Callable[[], Awaitable[str]]]]:
    """The story, in order."""
    w = p.ward
    return [
        ("Tiếp đón bằng QR", lambda: ward.reception(w)),
        ("Vào viện, thẻ đổi giữa đợt", lambda: ward.admission(w)),
        ("Mở bệnh án 01/BV1", lambda: ward.open_record(w)),
        ("Chỉ định và kết quả", lambda: ward.orders(w)),
        ("Chăm sóc, thuốc, tờ điều trị", lambda: ward.care(w)),
        ("Ký, rút chữ ký, ký lại", lambda: ward.signatures(w)),
        ("Chuyển khoa", lambda: ward.transfer(w)),
        ("Ra viện", lambda: ward.discharge(w)),
        ("Hồ sơ BHYT qua cổng", lambda: sharing.claim(p)),
        ("Tổng kết và kiểm tra đầy đủ", lambda: ward.complete(w)),
        ("Nộp, trả, nhận ở KHTH", lambda: ward.handover(w)),
        ("Cắt đường tới trục", lambda: sharing.hub_away(p)),
        ("Đóng và niêm phong", lambda: ward.close(w)),
        ("Nối lại trục", lambda: sharing.hub_back(p)),
        ("Kết quả về muộn: bản bổ sung", lambda: ward.addendum(w)),
        ("Cơ sở B hỏi: từ chối", lambda: sharing.refused(p)),
        ("Cơ sở B: mở khẩn cấp", lambda: sharing.by_break_glass(p)),
        ("Cơ sở B: người bệnh đồng ý", lambda: sharing.by_consent(p)),
        ("Cơ sở B: giấy chuyển", lambda: sharing.by_referral(p)),
        ("Nhật ký xem hồ sơ", lambda: sharing.audits(p)),
        ("Phần mềm khác gửi XML", lambda: sharing.foreign(p)),
        ("Trang của Sở Y tế", lambda: sharing.oversight(p)),
    ]


async def run_story(p: sharing.Province, out: Path) -> list[StepDone]:
    """Run every step; the first failure ends the story, and what there is of outputs is left."""
    done: list[StepDone] = []
    for number, (title, act) in enumerate(steps(p), 1):
        began = time.perf_counter()
        try:
            text, failed = await act(), False
        except BenhanError as error:
            text, failed = f"{error.code}: {error.text}", True
        ms = (time.perf_counter() - began) * 1000
        done.append(StepDone(title, text, ms, failed))
        mark = "[red]✗[/]" if failed else "[green]✓[/]"
        console.print(f"{mark} {number:2d}. {title:32s} {ms:8.0f} ms  ", end="")
        console.print(text, markup=False)
        if failed:
            break
    else:
        done.append(await _verify(p, out))
    await leave_outputs(p, out)
    return done


async def leave_outputs(p: sharing.Province, out: Path) -> None:
    """PDFs, containers, claim XML and audit of the story, in plain files."""
    out.mkdir(parents=True, exist_ok=True)
    repo, w = operator_repo(p.a, p.facility_a.id), p.ward
    if not w.encounter:
        return
    view = await records.binder(repo, w.encounter)
    for number, part in enumerate(view.parts, 1):
        if part.sha256:
            name = part.form_code.replace("/", "-")
            (out / f"{number:02d}-{name}.pdf").write_bytes(await p.a.blobs.get(part.sha256))
    for number, box in enumerate(await records.containers(repo, w.encounter), 1):
        (out / f"ho-so-{number}.asice").write_bytes(await p.a.blobs.get(records.blob_of(box.data)))
    claims = await repo.search("DocumentReference", [("patient", w.patient_id), ("_count", "100")])
    for entry in claims.entries:
        attachment = entry.data["content"][0]["attachment"]
        if attachment.get("contentType") in ("application/xml", "text/xml"):
            (out / "ho-so-bhyt.xml").write_bytes(await p.a.blobs.get(records.blob_of(entry.data)))
    rows = await repo.audit_of_patient(w.patient_id, 1000)
    lines = [
        dumps({"at": r.at.isoformat(), "actor": r.actor, "action": r.action, "entity": r.entity})
        for r in rows
    ]
    (out / "nhat-ky.ndjson").write_bytes(b"\n".join(lines) + b"\n")
    (out / "goc-tin-cay.pem").write_bytes(root_certificate(p.a.settings))


async def _verify(p: sharing.Province, out: Path) -> StepDone:
    """The sealed record checked by the stand-alone verifier, in its own process; one flipped byte is refused."""
    began = time.perf_counter()
    await leave_outputs(p, out)
    box, root = out / "ho-so-1.asice", out / "goc-tin-cay.pem"
    good = _benhan_verify(box, root)
    data = bytearray(box.read_bytes())
    data[len(data) // 2] ^= 1
    bent = out / "ho-so-1-lat-mot-bit.asice"
    bent.write_bytes(bytes(data))
    bad = _benhan_verify(bent, root)
    bent.unlink()
    failed = good != 0 or bad == 0
    text = f"benhan-verify: hồ sơ nguyên vẹn → {good}, lật một bit → {bad}"
    console.print(f"{'✗' if failed else '✓'} 23. {'Kiểm bằng benhan-verify':32s}           {text}")
    return StepDone("Kiểm bằng benhan-verify", text, (time.perf_counter() - began) * 1000, failed)


def _benhan_verify(file: Path, root: Path) -> int:
    command = [sys.executable, "-m", "benhan_verify", str(file), "--root", str(root)]
    return subprocess.run(command, capture_output=True, check=False).returncode  # noqa: S603


async def demo(home: Path, out: Path, *, once: bool, people: int = PEOPLE) -> bool:
    """Build the province in ``home`` and run the story (``once``) or leave it running; True when nothing failed."""
    if home.exists():
        shutil.rmtree(home)
    if out.exists():
        shutil.rmtree(out)
    began = time.perf_counter()
    stack = lay_out(home)
    async with AsyncExitStack() as stores:
        stores.callback(stack.close)
        stack.start_portal()
        province = await build(stack, stores, people)
        register_card(home / "portal", province.ward.patient.card)
        for each in stack.nodes:
            stack.start(each)
        console.print(
            f"Tỉnh tập huấn sẵn sàng sau {time.perf_counter() - began:.1f} giây ({people} người bệnh bịa)."
        )
        if once:
            done = await run_story(province, out)
            ok = not any(step.failed for step in done)
            console.print(
                f"{'Xong' if ok else 'HỎNG'}: {time.perf_counter() - began:.1f} giây; kết quả ở {out}/."
            )
            return ok
        await offer(stack, province)
    return True


async def offer(stack: Stack, p: sharing.Province) -> None:
    """Print addresses and accounts and wait until interrupted."""
    for each, info, cast in (
        (stack.hub, p.hub_tenant, CAST_HUB),
        (stack.a, p.facility_a, CAST_A),
        (stack.b, p.facility_b, CAST_B),
    ):
        console.print(f"\n[bold]{info.name}[/] (mã {info.code}): {each.url}/")
        for role in cast:
            titles = ", ".join(code for code, _ in role.roles)
            console.print(
                f"  {role.username:12s} {role.name:20s} {titles:24s} TOTP {totp_seed(info.code, role.username)}",
                markup=False,
            )
    console.print(
        f"\nMật khẩu: {PASSWORD}   PIN ký: {PIN}   (chỉ để tập huấn; `benhan totp SEED` cho mã một lần)"
    )
    console.print("Ctrl+C để dừng.")
    try:
        await asyncio.Event().wait()
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("Đang dừng…")


__all__ = ["StepDone", "Store", "demo"]
