"""Whatever the line, the clocks and the processes do, I1-I9 of the reliability reference hold once the faults stop."""

from __future__ import annotations

from collections import Counter

import pytest

from .simulation import World

SEEDS = 200


def judge(world: World) -> None:
    """The invariants, each with the seed that broke it."""
    seed = world.seed
    hub = world.hub.disk
    for facility in world.facilities:
        here = world.hub.manifest(facility.name)
        assert facility.acknowledged <= set(facility.disk.documents), (
            f"I1: seed {seed} lost what a user was told"
        )
        assert all(s.state == "received" for s in facility.disk.out.values()), f"I7: seed {seed} still waits"
        assert here.items() >= facility.manifest().items(), f"I7: seed {seed} differs"
        assert set(here) == set(facility.disk.documents), f"I7: seed {seed} has strange documents"
        assert {m for name, m in world.told if name == facility.name} <= set(here), (
            f"I9: seed {seed} false sent"
        )
        for message_id, (_, _, body) in facility.disk.documents.items():
            assert here[message_id] == body, f"I5: seed {seed} other bytes"
        for subject, version in facility.versions.items():
            assert hub.current[subject] == version, f"I4: seed {seed} older version is current"
    assert len(hub.applied) == len(set(hub.applied)), f"I3: seed {seed} applied twice"
    lanes: dict[tuple[str, str, int], list[int]] = {}
    for sender, lane, epoch, sequence in hub.taken:
        lanes.setdefault((sender, lane, epoch), []).append(sequence)
    for (sender, lane, epoch), numbers in lanes.items():
        assert sorted(numbers) == list(range(1, len(numbers) + 1)), f"I6: seed {seed} gap in {sender} {lane}"
        chain = [hub.taken[sender, lane, epoch, n] for n in sorted(numbers)]
        assert [previous for _, previous in chain[1:]] == [digest for digest, _ in chain[:-1]], (
            f"I6: seed {seed}"
        )


def run(seed: int) -> Counter[str]:
    """One seed to its end; what happened in it."""
    world = World(seed)
    world.run()
    judge(world)
    return world.seen


@pytest.mark.parametrize("block", range(4))
def test_invariants_hold_for_every_seed(block: int) -> None:
    """Loss, doubling, reordering, replay, forgery, crashes, wrong clocks, a restored hub: 200 seeds."""
    seen: Counter[str] = Counter()
    for seed in range(block * SEEDS // 4, (block + 1) * SEEDS // 4):
        seen += run(seed)
    assert all(seen[kind] for kind in ("Receipt", "Gap", "Refusal", "hub restored", "facility restored")), (
        seen
    )


@pytest.mark.long
def test_invariants_hold_for_many_seeds() -> None:
    """10,000 seeds."""
    for seed in range(10_000):
        run(seed)


def test_the_judge_sees_a_loss() -> None:
    """The check can fail: a document taken away from the hub, and one applied twice, are seen."""
    world = World(1)
    world.run()
    judge(world)
    world.hub.disk.messages.popitem()
    with pytest.raises(AssertionError, match="I7"):
        judge(world)
    world = World(1)
    world.run()
    world.hub.disk.applied.append(world.hub.disk.applied[0])
    with pytest.raises(AssertionError, match="I3"):
        judge(world)
