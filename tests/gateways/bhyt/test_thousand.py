"""A thousand packages of twenty stories, and what real software does to them: read with a note, or refused with a reason."""

from __future__ import annotations

import base64
import random
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from benhan.base.errors import BenhanError
from benhan.gateways.bhyt import (
    check,
    from_fhir,
    make_row,
    read_package,
    read_packages,
    to_fhir,
    write_package,
)
from benhan.gateways.bhyt.package import Package
from benhan.gateways.bhyt.samples import package_of, stories

READ_AT = datetime(2026, 8, 5, tzinfo=UTC)
_INNER = re.compile(rb"<NOIDUNGFILE>([^<]+)</NOIDUNGFILE>")


def _varied(number: int) -> Package:
    """Package ``number`` of a thousand: a story, with quantities of its own and totals that follow."""
    rng = random.Random(number)
    all_stories = stories()
    package = package_of(all_stories[number % len(all_stories)], number)
    rows = dict(package.rows)
    drugs = []
    for row in package.table("XML5"):
        drugs.append(
            make_row("XML5", row.line, {**row.values, "DIEN_BIEN_LS": f"Ổn định, lần {rng.randrange(10**6)}"})
        )
    if drugs:
        rows["XML5"] = tuple(drugs)
    return replace(package, rows=rows)


def _inner(raw: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The first inner file changed by ``change``."""
    found = _INNER.search(raw)
    assert found
    inner = change(base64.b64decode(found[1]))
    return raw[: found.start(1)] + base64.b64encode(inner) + raw[found.end(1) :]


def _nested(raw: bytes) -> bytes:
    found = _INNER.search(raw)
    assert found
    inner = re.sub(rb"^<\?xml[^>]*\?>\s*", b"", base64.b64decode(found[1]))
    return raw[: found.start(1)] + inner + raw[found.end(1) :]


def _twice(raw: bytes) -> bytes:
    found = _INNER.search(raw)
    assert found
    return raw[: found.start(1)] + base64.b64encode(found[1]) + raw[found.end(1) :]


#: how software spells a package otherwise → the note it is read with
LENIENT: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "bom": (lambda raw: b"\xef\xbb\xbf" + raw, "bom"),
    "whole in base64": (base64.b64encode, "base64-whole"),
    "nested": (_nested, "nested"),
    "base64 twice": (_twice, "base64-twice"),
    "inner bom": (lambda raw: _inner(raw, lambda x: b"\xef\xbb\xbf" + x), "bom"),
    "tag missing": (
        lambda raw: _inner(raw, lambda x: re.sub(rb"<DU_PHONG\s*/>|<DU_PHONG></DU_PHONG>", b"", x, count=1)),
        "missing",
    ),
    "tag unknown": (lambda raw: _inner(raw, lambda x: x.replace(b"</MA_LK>", b"</MA_LK><RIENG>1</RIENG>", 1)), "extra"),
    "tag in lower case": (
        lambda raw: _inner(raw, lambda x: x.replace(b"<STT>", b"<stt>", 1).replace(b"</STT>", b"</stt>", 1)),
        "case",
    ),
}  # fmt: skip

#: what cannot be read → what the refusal must name
REFUSED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut off": (lambda raw: raw[: len(raw) // 2], ""),
    "inner cut off": (lambda raw: _inner(raw, lambda x: x[: len(x) // 2]), "XML1"),
    "doctype": (lambda raw: raw.replace(b"<GIAMDINHHS", b'<!DOCTYPE a [<!ENTITY b "c">]><GIAMDINHHS', 1), ""),
    "not base64": (lambda raw: _INNER.sub(b"<NOIDUNGFILE>@@@@</NOIDUNGFILE>", raw, count=1), "XML1"),
    "tag twice": (lambda raw: _inner(raw, lambda x: re.sub(rb"(<MA_LK>[^<]*</MA_LK>)", rb"\1\1", x, count=1)), "MA_LK"),
    "other encoding": (lambda raw: raw.decode().encode("utf-16"), ""),
    "another root": (lambda raw: raw.replace(b"GIAMDINHHS", b"KHAC"), ""),
    "no link": (lambda raw: _inner(raw, lambda x: re.sub(rb"<MA_LK>[^<]*</MA_LK>", b"<MA_LK></MA_LK>", x)), "MA_LK"),
}  # fmt: skip


def _told(error: BenhanError) -> str:
    return " ".join((error.text, *(f"{i.expression} {i.text} {i.diagnostics}" for i in error.issues)))


def _refusal(raw: bytes) -> str:
    """What the door says of a package that cannot become FHIR; empty when it can."""
    try:
        to_fhir(read_package(raw), "hỏng.xml", READ_AT)
    except BenhanError as error:
        return _told(error)
    return ""


def _one(number: int) -> None:
    package = _varied(number)
    raw = write_package(package)
    assert read_package(raw).rows == package.rows
    assert [f.sentence() for f in check(package) if f.severity == "error"] == []
    name = list(LENIENT)[number % len(LENIENT)]
    spell, note = LENIENT[name]
    spelled = spell(raw)
    if spelled != raw:
        read = read_package(spelled)
        assert note in {n.code for n in read.leniencies}, (name, number)
        assert read.ma_lk == package.ma_lk
    name = list(REFUSED)[number % len(REFUSED)]
    spoil, names = REFUSED[name]
    told = _refusal(spoil(raw))
    assert told, f"{name} {number} was taken"
    assert names in told, (name, told)


@pytest.mark.parametrize("start", range(0, 80, 20))
def test_packages_are_read_or_refused_with_the_place(start: int) -> None:
    for number in range(start, start + 20):
        _one(number)


@pytest.mark.long
def test_a_thousand_packages_are_read_or_refused_with_the_place() -> None:
    for number in range(1000):
        _one(number)


def test_two_cases_in_one_package_are_both_read() -> None:
    """HOSO stands twice in one envelope: two packages, with a note."""
    first, second = (write_package(package_of(stories()[n], n + 1)) for n in (0, 1))
    case = re.search(rb"(?s)<HOSO>.*</HOSO>", second)
    assert case
    both = read_packages(first.replace(b"</DANHSACHHOSO>", case[0] + b"</DANHSACHHOSO>"))
    assert [p.ma_lk for p in both] == ["MAU-2026-000001", "MAU-2026-000002"]
    assert all("several" in {n.code for n in p.leniencies} for p in both)


@pytest.mark.parametrize("number", range(20))
def test_what_came_back_from_fhir_is_a_fixed_point(number: int) -> None:
    """FHIR → XML → FHIR → XML changes nothing more, and the sums of the lines are those of XML1 to the đồng."""
    package = _varied(number)
    once = from_fhir(to_fhir(package, "mau.xml", READ_AT))
    twice = from_fhir(to_fhir(once, "mau.xml", READ_AT))
    assert write_package(once) == write_package(twice)
    head = once.table("XML1")[0]
    lines = (*once.table("XML2"), *once.table("XML3"))
    assert Decimal(head.get("T_TONGCHI_BV")) == sum(
        (Decimal(r.get("THANH_TIEN_BV")) for r in lines), Decimal(0)
    )
