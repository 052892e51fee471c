"""Keys under which look-alike people are found (search parameter ``match-key`` of ``Patient``). Pure.

Two registrations of one human nearly always share a key although a desk leaves out tones, a middle name or the day, changes
day and month, or mistypes the year or one word. A key holds a part of the name with a part of the date of birth, so few
others share it. It is an index only: what is found is then compared field by field (:mod:`benhan.identity`).
"""

from __future__ import annotations

from typing import Any

from benhan.base.text import fold

JsonObject = dict[str, Any]


def match_keys(name: str, birth: str, sex: str) -> list[str]:
    """Keys of a person. ``birth``: ``YYYY[-MM[-DD]]`` or empty; ``sex``: FHIR code. Without name or birth there are none."""
    words = fold(name).split()
    if not words or len(birth) < 4:
        return []
    whole = ".".join(sorted(words))
    keys = [f"n:{birth[:4]}:{whole}"]
    if len(birth) == 10:
        day = "".join(sorted((birth[5:7], birth[8:])))
        keys += [
            f"g:{birth[:4]}{day}:{words[-1]}",
            f"f:{birth[:4]}{day}:{words[0]}:{sex[:1]}",
            f"m:{day}:{whole}",
        ]
    return keys


def patient_match_keys(patient: JsonObject) -> list[str]:
    """Keys of every name of a ``Patient``, without repeats."""
    keys: dict[str, None] = {}
    for name in patient.get("name", []):
        parts = [name.get("family", ""), *name.get("given", [])]
        text = name.get("text") or " ".join(p for p in parts if p)
        keys.update(dict.fromkeys(match_keys(text, patient.get("birthDate", ""), patient.get("gender", ""))))
    return list(keys)
