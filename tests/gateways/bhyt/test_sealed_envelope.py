"""The organisation's seal in CHUKYDONVI, and the promise that a lost answer makes no second claim."""

from __future__ import annotations

import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from benhan.catalogue import systems
from benhan.gateways.bhyt import claim_row, read_package
from benhan.gateways.bhyt.jobs import submit
from benhan.signing import root_certificate, verify_xades
from benhan.store import Repository


def _xmlsec(folder: Path, root: bytes, raw: bytes, at: datetime) -> int:
    (folder / "root.pem").write_bytes(root)
    (folder / "goi.xml").write_bytes(raw)
    ids = ["--id-attr:Id", "http://uri.etsi.org/01903/v1.3.2#:SignedProperties"]
    ids += ["--verification-time", f"{at + timedelta(days=1):%Y-%m-%d %H:%M:%S}"]
    command = [
        "xmlsec1",
        "--verify",
        "--trusted-pem",
        "root.pem",
        *ids,
        "--enabled-key-data",
        "x509",
        "goi.xml",
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode


async def _claims(ward: Repository, ma_lk: str) -> int:
    page = await ward.search("Claim", [("identifier", f"{systems.MA_LK}|{ma_lk}"), ("_count", "10")])
    return len(page.entries)


async def test_a_sealed_claim_survives_a_lost_answer_as_one_claim(
    open_ward: Any, portal: tuple[str, Any], build: Any, clock: Any, tmp_path: Path
) -> None:
    """Accepted, the answer lost twice over, delivered again: one receipt, one Claim, one ClaimResponse, the same bytes."""
    ward = await open_ward(portal[0])
    ward.store.settings = ward.store.settings.model_copy(update={"bhyt_sign": True})
    record = await build.a_whole_record(ward, clock)
    payload = {"encounter": record.id, "ma_lk": record.admitted.ma_lk}
    portal[1].faults = {"lose_answer": 1}
    for _ in range(3):
        await submit(ward.store, ward.ctx.tenant, payload)
    row = await claim_row(ward, record.admitted.ma_lk)
    assert (row.state, row.sent) == ("received", 1)
    assert portal[1].deliveries == 1
    assert list(portal[1].received) == [f"hoso:{row.ma_lk}"]
    assert await _claims(ward, row.ma_lk) == 1
    found = await ward.search("ClaimResponse", [("identifier", f"{systems.MA_LK}|{row.ma_lk}")])
    assert len([f for f in found.entries if f.data["request"]["reference"] == f"Claim/{row.claim}"]) == 1

    raw = await ward.store.blobs.get(row.sha256)
    assert read_package(raw).ma_lk == row.ma_lk
    root = root_certificate(ward.store.settings)
    assert _xmlsec(tmp_path, root, raw, ward.clock.now()) == 0
    report = await verify_xades(raw, root, ward.clock.now())
    assert report.ok, report
    bent = raw.replace(b"<SOLUONGHOSO>1<", b"<SOLUONGHOSO>2<")
    assert bent != raw
    assert _xmlsec(tmp_path, root, bent, ward.clock.now()) != 0
