"""Registering and finding people at a node, and the hub's index, on a real database."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from benhan.base.errors import Conflict
from benhan.catalogue import systems
from benhan.identity import (
    PersonInput,
    crossref,
    current_id,
    find_candidates,
    find_or_register,
    find_patients,
    link_patient,
    merge,
    patient_resource,
    register_person,
    sources,
    unlink,
    unmerge,
    update_person,
)
from benhan.store import Repository

PERSON = PersonInput(
    name="Nguyễn Thị Hồng Hạnh", birth_date="1988-04-08", sex="female", cccd="051188000020", phone="0905123456",
    commune_code="21028", status="verified",
)  # fmt: skip


async def test_person_is_found_by_number_and_by_folded_name(repo: Repository) -> None:
    """A number finds exactly; name and birth date find with a score and reasons."""
    stored = await register_person(repo, PERSON)
    (exact,) = await find_candidates(repo, PersonInput(name="X", cccd="051188000020"))
    assert exact.exact
    assert exact.patient.id == stored.id
    (alike,) = await find_candidates(
        repo, PersonInput(name="nguyen thi hong hanh", birth_date="1988-04-08", sex="female")
    )
    assert not alike.exact
    assert alike.duplicate
    assert alike.reasons


async def test_same_scan_twice_gives_one_person(repo: Repository) -> None:
    """The second scan finds the first person."""
    first = await find_or_register(repo, PERSON)
    second = await find_or_register(repo, PERSON)
    assert (first.created, second.created) == (True, False)
    assert first.patient.id == second.patient.id


async def test_number_of_another_is_refused(repo: Repository) -> None:
    """A second person cannot be registered with the same citizen number."""
    await register_person(repo, PERSON)
    with pytest.raises(Conflict) as error:
        await register_person(repo, replace(PERSON, name="Người Khác"))
    assert error.value.code == "identity.number-taken"


async def test_look_alike_is_handed_back_not_chosen(repo: Repository) -> None:
    """Without a common number a new person is made and the look-alike shown."""
    await register_person(repo, PERSON)
    found = await find_or_register(repo, replace(PERSON, cccd="", phone=""))
    assert found.created
    assert found.candidates[0].duplicate


async def test_who_has_no_number_gets_a_visible_temporary_one(repo: Repository) -> None:
    """TMP-…, never twelve digits."""
    stored = await register_person(repo, PersonInput(status="unknown", sex="male"))
    (identifier,) = stored.data["identifier"]
    assert identifier["system"] == systems.TMP
    assert identifier["value"].startswith("TMP-")


async def test_old_number_stays_after_a_change(repo: Repository) -> None:
    """History of numbers is kept as use old."""
    stored = await register_person(repo, replace(PERSON, bhyt="GD4515100000001"), ma_bn="BN1")
    updated = await update_person(repo, stored.id, replace(PERSON, bhyt="DN4515100000001"))
    cards = {i["value"]: i.get("use") for i in updated.data["identifier"] if i["system"] == systems.BHYT}
    assert cards == {"DN4515100000001": None, "GD4515100000001": "old"}
    assert any(i["system"] == systems.MA_BN and i["value"] == "BN1" for i in updated.data["identifier"])


@pytest.mark.parametrize("typed", ["051188000020", "0905123456", "hong hanh", "Nguyễn Hạnh", "hanh 1988"])
async def test_person_is_found_as_typed(repo: Repository, typed: str) -> None:
    """Number, phone, words of the name with or without tones, with a year."""
    stored = await register_person(repo, PERSON)
    assert [s.id for s in await find_patients(repo, typed)] == [stored.id]


async def test_hub_links_by_national_number(repo: Repository) -> None:
    """Two facilities' people with one citizen number are one; the link is known the next time."""
    a, b = uuid4(), uuid4()
    first = await link_patient(repo, a, patient_resource(PERSON, ma_bn="A1", patient_id="p-a"))
    second = await link_patient(repo, b, patient_resource(PERSON, ma_bn="B1", patient_id="p-b"))
    again = await link_patient(repo, b, patient_resource(PERSON, patient_id="p-b"))
    assert (first.how, second.how, again.how) == ("created", "exact", "known")
    assert first.patient_id == second.patient_id == again.patient_id
    assert await crossref(repo, b, "p-b") == first.patient_id
    assert {s.source for s in await sources(repo, first.patient_id)} == {a, b}
    master = await repo.read("Patient", first.patient_id)
    assert all(i["system"] != systems.MA_BN for i in master.data["identifier"])


async def test_hub_queues_look_alikes_and_makes_a_new_person(repo: Repository) -> None:
    """Without a common number, and born a day apart: a steward must look."""
    first = await link_patient(repo, uuid4(), patient_resource(PERSON, patient_id="p-a"))
    other = replace(PERSON, cccd="", birth_date="1988-04-09")
    second = await link_patient(repo, uuid4(), patient_resource(other, patient_id="p-b"))
    assert second.how == "created-review"
    assert second.patient_id != first.patient_id
    assert second.explanation


async def test_hub_links_who_is_alike_beyond_doubt(repo: Repository) -> None:
    """Same name, birth, commune and phone, the number missing on one side: one person, with the reasons."""
    first = await link_patient(repo, uuid4(), patient_resource(PERSON, patient_id="p-a"))
    second = await link_patient(repo, uuid4(), patient_resource(replace(PERSON, cccd=""), patient_id="p-b"))
    assert (second.how, second.patient_id) == ("alike", first.patient_id)
    assert any("Ngày sinh" in text for text in second.explanation)


async def test_merge_then_unmerge_is_as_before(repo: Repository) -> None:
    """Both ids stay resolvable while merged; afterwards both people are what they were."""
    a, b = uuid4(), uuid4()
    kept = await link_patient(repo, a, patient_resource(PERSON, patient_id="p-a"))
    gone = await link_patient(
        repo, b, patient_resource(replace(PERSON, cccd="", name="Nguyễn T Hạnh"), patient_id="p-b")
    )
    before = [(await repo.read("Patient", i)).data for i in (kept.patient_id, gone.patient_id)]
    merge_id = await merge(repo, kept.patient_id, gone.patient_id, "Cùng một người")
    assert await crossref(repo, b, "p-b") == kept.patient_id
    assert await current_id(repo, gone.patient_id) == kept.patient_id
    assert len(await sources(repo, kept.patient_id)) == 2
    with pytest.raises(Conflict):
        await merge(repo, kept.patient_id, gone.patient_id, "Lần nữa")
    await unmerge(repo, merge_id, "Nhầm")
    after = [(await repo.read("Patient", i)).data for i in (kept.patient_id, gone.patient_id)]
    assert [{k: v for k, v in d.items() if k != "meta"} for d in after] == [
        {k: v for k, v in d.items() if k != "meta"} for d in before
    ]
    assert await crossref(repo, b, "p-b") == gone.patient_id
    with pytest.raises(Conflict):
        await unmerge(repo, merge_id, "Lần nữa")


async def test_wrong_link_is_ended_and_may_follow_anew(repo: Repository) -> None:
    """A link is never erased: it ends with a reason."""
    source = uuid4()
    await link_patient(repo, source, patient_resource(PERSON, patient_id="p-a"))
    await unlink(repo, source, "p-a", "Nhầm người")
    assert await crossref(repo, source, "p-a") is None
    again = await link_patient(repo, source, patient_resource(PERSON, patient_id="p-a"))
    assert again.how == "exact"
