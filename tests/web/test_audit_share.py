"""What the audit costs: its share of what an inpatient's story leaves on the disk, and of the time of its pages."""

from __future__ import annotations

import sys
import time
from typing import Any

import psycopg
import pytest
from tests.web.test_story import admitted
from tests.web.test_story import test_record_is_written_signed_and_closed as the_story

from benhan.store.audit import AuditWriter

_BYTES = (  # pages of rows and of index entries; not the maps of free space, which do not grow with a story
    "select coalesce(sum(pg_relation_size(c.oid)), 0) from pg_class c join pg_namespace n on n.oid = c.relnamespace "
    "left join pg_index i on i.indexrelid = c.oid left join pg_class t on t.oid = i.indrelid "
    "where n.nspname in ('public', 'pg_toast') and c.relkind in ('r', 'i', 't') and {which}"
)
_AUDIT = "coalesce(t.relname, c.relname) = 'audit'"
_OTHERS = "coalesce(t.relname, c.relname) <> 'audit'"


def sizes(house: Any) -> tuple[int, int]:
    """Bytes of the audit, and of everything else: rows, indexes, files."""
    with psycopg.connect(house.store.database.admin) as connection:
        audit, others = (
            int(connection.execute(_BYTES.format(which=which)).fetchall()[0][0])
            for which in (_AUDIT, _OTHERS)
        )
    files = sum(f.stat().st_size for f in (house.store.settings.home / "blobs").rglob("*") if f.is_file())
    return audit, others + files


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that answers waited for the audit of what was looked at."""
    waits: list[float] = []
    put = AuditWriter.put

    async def timed(self: AuditWriter, *given: Any) -> None:
        began = time.perf_counter()
        await put(self, *given)
        waits.append(time.perf_counter() - began)

    monkeypatch.setattr(AuditWriter, "put", timed)
    return waits


@pytest.mark.long
async def test_share_of_storage(as_person: Any, house: Any) -> None:
    """One inpatient from the desk to the sealed record. The figure is printed; out of all proportion fails."""
    before = sizes(house)
    await the_story(as_person, house)
    audit, others = (now - then for now, then in zip(sizes(house), before, strict=True))
    share = audit / (audit + others)
    sys.stderr.write(
        f"audit: {audit / 1000:.0f} kB of {(audit + others) / 1000:.0f} kB, {share:.3f} of storage\n"
    )
    assert share < 0.1


@pytest.mark.long
async def test_share_of_a_page(as_person: Any, house: Any, waiting: list[float]) -> None:
    """The pages of an inpatient, each opened again and again."""
    patient, encounter = await admitted(as_person, house)
    doctor = await as_person("bacsi")
    pages = [
        f"/nguoi-benh/{patient}",
        *(f"/dot/{encounter}/{part}" for part in ("benh-an", "xet-nghiem", "thuoc")),
    ]
    for page in pages:
        await doctor.see(page)
    waiting.clear()
    began = time.perf_counter()
    for page in pages * 20:
        await doctor.see(page)
    share = sum(waiting) / (time.perf_counter() - began)
    sys.stderr.write(
        f"audit: {1000 * sum(waiting) / len(pages) / 20:.1f} ms a page, {share:.3f} of its time\n"
    )
    assert len(waiting) >= 20 * len(pages)
    assert share < 0.25
