"""Learning the weights of the matcher from a population, without labels: splink's expectation maximisation in DuckDB.

Used by ``benhan identity learn`` and by the bench ``matching``; needs ``benhan[matching]``. The comparisons are those of
:mod:`benhan.identity.matching`, written once more as SQL because splink compares inside the database; a test holds the two
against each other on random pairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from math import log2
from typing import Any

import pyarrow as pa
from splink import DuckDBAPI, Linker, SettingsCreator, block_on
from splink.comparison_level_library import CustomLevel, ElseLevel, NullLevel
from splink.comparison_library import CustomComparison

from benhan.identity.faces import Face

_BOTH_DAYS = "len(birth_l) = 10 and len(birth_r) = 10"
#: field → (column that both must have, levels in the order in which they are tried with their SQL). The rest is ``different``.
LEVELS: dict[str, tuple[str, dict[str, str]]] = {
    "identifier": (
        "cccd",
        {"same": "cccd_l = cccd_r", "near": "damerau_levenshtein(cccd_l, cccd_r) = 1"},
    ),
    "bhxh": ("bhxh", {"same": "bhxh_l = bhxh_r", "near": "damerau_levenshtein(bhxh_l, bhxh_r) = 1"}),
    "name": (
        "plain",
        {
            "exact": "name_l = name_r",
            "same_folded": "plain_l = plain_r",
            "same_words": "words_l = words_r",
            "near": "damerau_levenshtein(plain_l, plain_r) <= 1",
            "no_middle": "first_l = first_r and last_l = last_r and len(parts_l) <> len(parts_r)"
            " and (list_has_all(parts_l, parts_r) or list_has_all(parts_r, parts_l))",
            "same_ends": "first_l = first_r and last_l = last_r",
        },
    ),
    "birth_date": (
        "birth",
        {
            "exact": "birth_l = birth_r and len(birth_l) = 10",
            "swapped": f"{_BOTH_DAYS} and birth_l = swapped_r",
            "near": f"{_BOTH_DAYS} and damerau_levenshtein(birth_l, birth_r) = 1",
            "same_year": f"year_l = year_r and (not ({_BOTH_DAYS}) or birth_l[6:] = '01-01' or birth_r[6:] = '01-01')",
        },
    ),
    "sex": ("sex", {"same": "sex_l = sex_r"}),
    "phone": ("phone", {"same": "phone_l = phone_r"}),
    "place": (
        "commune",
        {
            "address": "commune_l = commune_r and house_l <> '' and house_l = house_r",
            "commune": "commune_l = commune_r",
        },
    ),
}
REST = "different"
_RAREST_U = {"near": 1e-6}  # nobody has seen enough pairs to say that something is rarer; else 1e-8
_RAREST_M = 1e-4
#: A name rarer than this is not believed to be rarer: name and birth alone never link two people.
RAREST_NAME = 1e-4
Weights = dict[str, dict[str, tuple[float, float]]]


def table_of(faces: Iterable[Face]) -> pa.Table:
    """The columns that the levels ask for; ``unique_id`` is the place in the order."""
    return pa.Table.from_pylist([{"unique_id": n, **_row(face)} for n, face in enumerate(faces)])


def _row(face: Face) -> dict[str, Any]:
    born = face.birth
    return {
        "name": face.name,
        "plain": face.plain or None,
        "words": face.words,
        "first": face.first,
        "last": face.last,
        "parts": face.plain.split(),
        "birth": born or None,
        "year": born[:4],
        "swapped": f"{born[:4]}-{born[8:]}-{born[5:7]}" if len(born) == 10 else "",
        "sex": face.sex or None,
        "phone": face.phone or None,
        "cccd": face.cccd or None,
        "bhxh": face.bhxh or None,
        "commune": face.commune or None,
        "house": face.house,
    }


def linker_of(table: pa.Table) -> Linker:
    """splink over the table, untrained; common names are adjusted for by their frequency."""
    settings = SettingsCreator(
        link_type="dedupe_only",
        comparisons=[_comparison(field) for field in LEVELS],
        blocking_rules_to_generate_predictions=[
            block_on("cccd"),
            block_on("bhxh"),
            block_on("phone", "sex"),
            block_on("birth", "last"),
            block_on("words", "year"),
            block_on("birth", "first", "sex"),
        ],
        retain_matching_columns=False,
        retain_intermediate_calculation_columns=False,
    )
    api = DuckDBAPI()
    return Linker(api.register(table), settings, log_level="ERROR")


def _comparison(field: str) -> CustomComparison:
    column, found = LEVELS[field]
    steps: list[Any] = [NullLevel(column)]
    for level, sql in found.items():
        step: Any = CustomLevel(sql, label_for_charts=level)
        if field == "name" and level == "exact":
            step = step.configure(tf_adjustment_column="plain")
        steps.append(step)
    return CustomComparison([*steps, ElseLevel()], output_column_name=field)


def train(linker: Linker, *, pairs: float = 2e6, seed: int = 1) -> Weights:
    """Field → level → (m, u), after expectation maximisation over three ways of blocking."""
    training = linker.training
    training.estimate_probability_two_random_records_match([block_on("cccd"), block_on("bhxh")], recall=0.98)
    training.estimate_u_using_random_sampling(max_pairs=pairs, seed=seed)
    for rule in (block_on("cccd"), block_on("bhxh"), block_on("plain", "birth")):
        training.estimate_parameters_using_expectation_maximisation(rule, record_sample_proportion=1.0)
    return dict(_learned(linker))


def _learned(linker: Linker) -> Iterator[tuple[str, dict[str, tuple[float, float]]]]:
    for comparison in linker.misc.save_model_to_json()["comparisons"]:
        field = comparison["output_column_name"]
        found = [step for step in comparison["comparison_levels"] if not step.get("is_null_level")]
        yield (
            field,
            {
                level: (
                    round(max(float(step.get("m_probability") or 0), _RAREST_M), 6),
                    float(f"{max(float(step.get('u_probability') or 0), _RAREST_U.get(level, 1e-8)):.3g}"),
                )
                for level, step in zip([*LEVELS[field][1], REST], found, strict=True)
            },
        )


def shares_of(faces: Iterable[Face]) -> dict[str, float]:
    """Folded full name → share of the people who bear it, the commonest first; rare ones are left out."""
    counts = Counter(face.plain for face in faces if face.plain)
    total = sum(counts.values())
    return {name: count / total for name, count in counts.most_common() if count / total >= RAREST_NAME}


def thresholds_of(people: int) -> dict[str, float]:
    """Bits at which, in a register of so many people, a pair is one human with 0.999, 0.5, 0.1 and 0.001 probability."""
    prior = log2(people)
    chances = {"link": 0.999, "duplicate": 0.5, "review": 0.1, "possible": 0.001}
    return {name: round(prior + log2(p / (1 - p)), 1) for name, p in chances.items()}
