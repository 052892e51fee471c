"""Every bench runs and gives a figure beside its limit. No speed is asserted."""

from __future__ import annotations

import pytest

from benhan.base.errors import NotFound
from benhan.bench import BENCHES, TINY, run
from benhan.store import Store


@pytest.mark.parametrize("name", sorted(BENCHES))
async def test_bench_gives_a_figure_and_its_limit(store: Store, name: str) -> None:
    """A tiny run: name, unit, a positive value and limit, one run counted."""
    made = await BENCHES[name](store, TINY)
    for result in made if isinstance(made, list) else [made]:
        assert isinstance(made, list) or result.name == name
        assert result.value > 0 or result.name == "steward_share"
        assert result.limit > 0
        assert result.unit
        assert result.runs >= 1
        assert set(result.as_json()) == {"name", "value", "unit", "limit", "ratio", "runs"}


async def test_unknown_bench_is_refused_before_anything_starts() -> None:
    """The names that exist are told."""
    with pytest.raises(NotFound) as refused:
        async for _ in run(["không-có"]):
            pass
    assert refused.value.code == "bench.no-such-bench"
