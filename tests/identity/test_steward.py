"""The steward's list: pairs that leave a doubt wait, are decided once, and every merge can be undone."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from benhan.base.errors import Conflict, InvalidInput, NotFound
from benhan.identity import (
    PersonInput,
    crossref,
    decide_review,
    link_patient,
    merges,
    open_review,
    open_reviews,
    patient_resource,
    unmerge,
)
from benhan.store import Repository

KNOWN = PersonInput(
    name="Nguyễn Thị Hồng Hạnh", birth_date="1988-04-08", sex="female", cccd="051188000020", phone="0905123456",
    commune_code="21028",
)  # fmt: skip
DOUBTFUL = replace(KNOWN, cccd="", birth_date="1988-04-09")


async def _pair(repo: Repository) -> tuple[str, str]:
    first = await link_patient(repo, uuid4(), patient_resource(KNOWN, patient_id="p-a"))
    second = await link_patient(repo, uuid4(), patient_resource(DOUBTFUL, patient_id="p-b"))
    return first.patient_id, second.patient_id


async def test_doubtful_pair_waits_side_by_side(repo: Repository) -> None:
    """The list shows both people, the score and what speaks for and against."""
    first, second = await _pair(repo)
    (pair,), total = await open_reviews(repo)
    assert total == 1
    assert (pair.other.id, pair.one.id) == (first, second)
    assert {r["field"] for r in pair.reasons} >= {"name", "birth_date", "phone"}
    assert (await open_review(repo, pair.id)).score == pair.score


async def test_same_merges_into_the_first_and_can_be_undone(repo: Repository) -> None:
    """One human: the newer id leads to the older one; undone, each is again himself."""
    source = uuid4()
    first = await link_patient(repo, uuid4(), patient_resource(KNOWN, patient_id="p-a"))
    second = await link_patient(repo, source, patient_resource(DOUBTFUL, patient_id="p-b"))
    (pair,), _ = await open_reviews(repo)
    merge_id = await decide_review(repo, pair.id, "same", "Đã gọi người bệnh")
    assert merge_id is not None
    assert await crossref(repo, source, "p-b") == first.patient_id
    assert (await open_reviews(repo)) == ([], 0)
    (made,) = await merges(repo)
    assert (made.kept.id, made.gone.id, made.reason) == (
        first.patient_id,
        second.patient_id,
        "Đã gọi người bệnh",
    )
    await unmerge(repo, merge_id, "Nhầm")
    assert await crossref(repo, source, "p-b") == second.patient_id
    (undone,) = await merges(repo)
    assert undone.undo_reason == "Nhầm"


async def test_different_is_kept_and_not_asked_again(repo: Repository) -> None:
    """Two humans: nothing is merged, the pair leaves the list, a second decision is refused."""
    first, second = await _pair(repo)
    (pair,), _ = await open_reviews(repo)
    assert await decide_review(repo, pair.id, "different", "") is None
    assert (await open_reviews(repo)) == ([], 0)
    assert first != second
    with pytest.raises(Conflict):
        await decide_review(repo, pair.id, "same", "Đổi ý")
    with pytest.raises(NotFound):
        await open_review(repo, pair.id)


async def test_merge_needs_a_reason(repo: Repository) -> None:
    """Nobody is merged without a word of why."""
    await _pair(repo)
    (pair,), _ = await open_reviews(repo)
    with pytest.raises(InvalidInput):
        await decide_review(repo, pair.id, "same", "  ")
    assert (await open_reviews(repo))[1] == 1
