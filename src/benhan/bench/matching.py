"""The matcher on a generated province: what it links by itself, what it hands to a steward, what it misses."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from benhan.base.ids import new_id
from benhan.base.json_door import JsonObject
from benhan.bench.material import bundle
from benhan.bench.measure import Result, Sizes, seconds_async
from benhan.bench.province import Registered, registrations
from benhan.bench.storing import new_repo
from benhan.bench.typos import typed_again
from benhan.fhir import match_keys
from benhan.identity import Face, Verdict, face_of, find_candidates, judge, patient_resource
from benhan.store import Store

Judge = Callable[[Face, Face], tuple[Verdict, float]]
SLICES = ("all", "twins", "no-number", "minority", "year-only")
SEED = 2
_MOST = 400  # a key shared by more people than this is no key
_STEWARDS, _DESK_MS = 0.005, 100.0  # what is asked for
_TOGETHER = 200


@dataclass
class Tally:
    """Counts of one slice. ``twice``: registrations of somebody who stood there already."""

    registrations: int = 0
    twice: int = 0
    linked: int = 0
    right: int = 0
    asked: int = 0

    @property
    def precision(self) -> float:
        """Right links of all links."""
        return self.right / self.linked if self.linked else 1.0

    @property
    def recall(self) -> float:
        """Second registrations that were linked by themselves."""
        return self.right / self.twice if self.twice else 1.0

    @property
    def steward_share(self) -> float:
        """Registrations that a human must look at."""
        return self.asked / max(1, self.registrations)


@dataclass
class Register:
    """People in the order of their registration, found again under their keys."""

    judge: Judge
    faces: list[Face] = field(default_factory=list)
    truths: list[int] = field(default_factory=list)
    under: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def add(self, face: Face, truth: int) -> tuple[Verdict, int]:
        """Decide on one registration against all before it; the truth of the one it is linked to, or -1."""
        keys = keys_of(face)
        best: tuple[Verdict, float, int] = ("different", 0.0, -1)
        for at in {n for key in keys for n in self.under[key][:_MOST]}:
            verdict, points = self.judge(face, self.faces[at])
            if (verdict == "link", verdict == "review", points) > (
                best[0] == "link",
                best[0] == "review",
                best[1],
            ):
                best = (verdict, points, self.truths[at])
        for key in keys:
            self.under[key].append(len(self.faces))
        self.faces.append(face)
        self.truths.append(truth)
        return best[0], best[2]


def keys_of(face: Face) -> list[str]:
    """Every key under which the hub looks for a person: numbers, phone, and those of name and birth."""
    numbers = [f"{kind}|{n}" for kind, n in (("c", face.cccd), ("b", face.bhxh), ("p", face.phone)) if n]
    return [*numbers, *face.other, *match_keys(face.plain, face.birth, face.sex)]


def same_number(one: Face, other: Face) -> tuple[Verdict, float]:
    """What a register does that knows numbers only."""
    same = (one.cccd and one.cccd == other.cccd) or (one.bhxh and one.bhxh == other.bhxh)
    return ("link", 1.0) if same else ("different", 0.0)


def evaluate(registrations: Iterable[Registered], judge: Judge) -> dict[str, Tally]:
    """Register everybody in order; slice → counts."""
    register = Register(judge)
    tallies = {name: Tally() for name in SLICES}
    seen: Counter[int] = Counter()
    for one in registrations:
        verdict, linked_to = register.add(face_of(one.person), one.truth)
        for name in ("all", *one.slices):
            tally = tallies[name]
            tally.registrations += 1
            tally.twice += seen[one.truth] > 0
            tally.linked += verdict == "link"
            tally.right += verdict == "link" and linked_to == one.truth
            tally.asked += verdict == "review"
        seen[one.truth] += 1
    return tallies


async def matching_bench(store: Store, sizes: Sizes) -> list[Result]:
    """``precision``, ``recall``, ``steward_share`` of the matcher on a generated province, whole and by slice; ``p95_ms`` of
    a desk query in the store. Limits, in the same run: splink alone for precision and recall of the whole, matching by
    number alone for the slices, 0.5 % for the stewards, 100 ms for the desk.
    """
    people = list(registrations(sizes.people, SEED))
    ours, numbers = evaluate(people, judge), evaluate(people, same_number)
    alone = splink_alone(people)
    rows = [
        _row("precision", ours["all"].precision, alone[0]),
        _row("recall", ours["all"].recall, alone[1]),
        Result("steward_share", round(ours["all"].steward_share, 5), "of registrations", _STEWARDS, 1.0, 1),
        await _desk(store, people[: sizes.registered], sizes),
    ]
    for name in SLICES[1:]:
        rows.append(_row(f"precision[{name}]", ours[name].precision, numbers[name].precision))
        rows.append(_row(f"recall[{name}]", ours[name].recall, numbers[name].recall))
    rows.append(_row("recall[by number alone]", numbers["all"].recall, ours["all"].recall))
    return rows


def _row(name: str, value: float, limit: float) -> Result:
    return Result(
        name, round(value, 5), "share", round(limit, 5), round(value / limit, 3) if limit else 0.0, 1
    )


def splink_alone(people: Sequence[Registered]) -> tuple[float, float]:
    """Precision and recall of the pairs that splink, trained on these very people, calls one human with 0.999."""
    from benhan.identity import learning

    linker = learning.linker_of(learning.table_of(face_of(one.person) for one in people))
    learning.train(linker, pairs=min(2e6, 30.0 * len(people)))
    predicted: Any = linker.inference.predict(threshold_match_probability=0.999)
    found = predicted.as_pyarrow_table()
    pairs = list(zip(found["unique_id_l"].to_pylist(), found["unique_id_r"].to_pylist(), strict=True))
    right = sum(people[one].truth == people[other].truth for one, other in pairs)
    times = Counter(one.truth for one in people)
    true_pairs = sum(n * (n - 1) // 2 for n in times.values())
    return right / max(1, len(pairs)), right / max(1, true_pairs)


async def _desk(store: Store, people: Sequence[Registered], sizes: Sizes) -> Result:
    """p95 of :func:`find_candidates` for people who stand in the register, typed as a second desk types them."""
    repo = await new_repo(store, "BM001")
    for start in range(0, len(people), _TOGETHER):
        await repo.bundle(bundle([_patient(one) for one in people[start : start + _TOGETHER]]))
    rng = Random(SEED)
    asked = [typed_again(rng, rng.choice(people).person) for _ in range(sizes.desk_queries)]
    taken = [1000 * await seconds_async(partial(find_candidates, repo, person)) for person in asked]
    p95 = sorted(taken)[int(0.95 * (len(taken) - 1))]
    return Result("p95_ms", round(p95, 1), "ms", _DESK_MS, round(_DESK_MS / p95, 2), len(taken))


def _patient(one: Registered) -> JsonObject:
    return {**patient_resource(one.person), "id": new_id()}
