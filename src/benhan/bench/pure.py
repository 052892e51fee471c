"""Validation: our door and our rules against the bare parse and the bare schema run of the same resource."""

from __future__ import annotations

import orjson

from benhan.base.json_door import dumps, loads
from benhan.bench.material import observation
from benhan.bench.measure import Result, Sizes, cost, seconds
from benhan.fhir import validate, validator
from benhan.store import Store


async def validate_bench(_: Store, sizes: Sizes) -> Result:
    """µs to read and validate one 2 kB Observation; limit: `orjson.loads` of the same bytes and the schema alone."""
    raw = dumps(observation("bench", 7))
    schema = validator("Observation")

    def ours() -> None:
        for _ in range(sizes.validations):
            value = loads(raw)
            if isinstance(value, dict):
                validate(value)

    def bare() -> None:
        for _ in range(sizes.validations):
            schema.is_valid(orjson.loads(raw))

    ours()
    times = [(seconds(ours), seconds(bare)) for _ in range(sizes.runs)]
    per = 1e6 / sizes.validations
    return cost("validate", "µs/resource", [t[0] * per for t in times], [t[1] * per for t in times])
