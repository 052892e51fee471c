"""Thousands of packages in one stream: each with its own result, however the bytes are cut, in bounded memory."""

from __future__ import annotations

import base64
import random
import textwrap
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benhan.gateways.bhyt import ingest_stream, write_package
from benhan.gateways.bhyt.samples import package_of, stories
from benhan.gateways.bhyt.stream import pieces

RAWS = [write_package(package_of(stories()[n % 3], n + 1)) for n in range(6)]


async def _cut(data: bytes, at: list[int]) -> AsyncIterator[bytes]:
    marks = [0, *sorted(at), len(data)]
    for first, last in pairwise(marks):
        yield data[first:last]


def _wrapped(raw: bytes) -> bytes:
    return "\n".join(textwrap.wrap(base64.b64encode(raw).decode(), 76)).encode()


SPELLED = {
    "one after another": b"".join(RAWS),
    "line ends and marks between": b"\n\xef\xbb\xbf".join(RAWS),
    "a line of base64 each": b"\n".join(base64.b64encode(r) for r in RAWS),
    "wrapped base64": b"\n\n".join(_wrapped(r) for r in RAWS),
}


@pytest.mark.parametrize("name", SPELLED)
@given(seed=st.integers(0, 2**32))
async def test_cuts_of_the_stream_do_not_matter(name: str, seed: int) -> None:
    data, rng = SPELLED[name], random.Random(seed)
    at = [rng.randrange(len(data)) for _ in range(rng.randrange(12))]
    found = [p async for p in pieces(_cut(data, at))]
    plain = [p if p is None or p.startswith(b"<") else base64.b64decode(b"".join(p.split())) for p in found]
    assert plain == RAWS


async def test_a_piece_too_large_is_given_up_and_the_next_one_read() -> None:
    large = b"<GIAMDINHHS>" + b"x" * 5_000_000 + b"</GIAMDINHHS>"
    data = RAWS[0] + large + RAWS[1]
    found = [p async for p in pieces(_cut(data, list(range(0, len(data), 65536))), most=1_000_000)]
    assert found == [RAWS[0], None, RAWS[1]]


async def test_each_package_has_its_result_and_the_stream_goes_on(open_ward: Any) -> None:
    """Created, unchanged, corrected under the same MA_LK, quarantined with reason: in the order in which they came."""
    ward = await open_ward(None)
    hostile = b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]><GIAMDINHHS>&b;</GIAMDINHHS>'
    corrected = RAWS[0].replace(b"<NGAYLAP>2026", b"<NGAYLAP>2027")
    stream = b"\n".join([RAWS[0], RAWS[0], hostile, corrected, RAWS[1], RAWS[2][: len(RAWS[2]) // 2]])
    told = [r async for r in ingest_stream(ward, _cut(stream, []), "thang-8")]
    assert [r.number for r in told] == [1, 2, 3, 4, 5, 6]
    assert [r.result.status for r in told] == [
        "created", "unchanged", "quarantined", "updated", "created", "quarantined",
    ]  # fmt: skip
    assert all(r.result.reason for r in told if r.result.status == "quarantined")
    (empty,) = [r async for r in ingest_stream(ward, _cut(b" \n", []), "rong")]
    assert empty.result.status == "quarantined"
