"""The code systems and value sets that HL7 defines in FHIR R4 4.0.1, for searches by ``:in``, ``:above``, ``:below``.

Read from the shipped definitions the first time that one is asked for.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources

from benhan.fhir.expansion import Expander, NoExpansion, concept_parents


@lru_cache(maxsize=1)
def _definitions() -> Expander:
    raw = resources.files("benhan.fhir").joinpath("definitions", "valuesets.json.gz").read_bytes()
    return Expander(json.loads(gzip.decompress(raw)))


@lru_cache(maxsize=256)
def value_set_codes(canonical: str) -> tuple[tuple[str, str], ...] | None:
    """Pairs (system, code) of a value set of the specification; None: not one that can be enumerated."""
    try:
        return tuple(_definitions().codes(canonical))
    except NoExpansion:
        return None


@lru_cache(maxsize=256)
def code_system_parents(system: str) -> Mapping[str, tuple[str, ...]]:
    """Code → all its ancestors in a code system of the specification; empty: not shipped complete."""
    found = _definitions().system(system)
    return {} if found is None else dict(concept_parents(found))
