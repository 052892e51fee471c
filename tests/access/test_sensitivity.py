"""The list of sensitive groups is data; papers take the groups of the diagnoses they print."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from benhan.access import (
    SensitiveRule,
    relabel_sensitive,
    sensitive_groups_of,
    sensitive_rules,
    sensitivity_guard,
    set_sensitive_rule,
)
from benhan.base.errors import BenhanError, InvalidInput, NotFound
from benhan.base.ids import new_uuid
from benhan.store import Repository, Store, SystemPolicy

ICD = "http://hl7.org/fhir/sid/icd-10"
WHY = "Theo quyết định của hội đồng"


@pytest.fixture
async def guarded(store: Store, repo: Repository) -> Repository:
    """The facility, with the guard at work, and a person with an encounter."""
    store.guard_with(sensitivity_guard)
    await repo.update({"resourceType": "Patient", "id": "an"})
    encounter = {"resourceType": "Encounter", "id": "dot", "status": "in-progress", "class": {"code": "IMP"}}
    await repo.update({**encounter, "subject": {"reference": "Patient/an"}})
    return repo


def _condition(code: str) -> dict:
    return {
        "resourceType": "Condition",
        "subject": {"reference": "Patient/an"},
        "encounter": {"reference": "Encounter/dot"},
        "code": {"coding": [{"system": ICD, "code": code}]},
    }


def _paper() -> dict:
    return {
        "resourceType": "QuestionnaireResponse",
        "status": "completed",
        "subject": {"reference": "Patient/an"},
        "encounter": {"reference": "Encounter/dot"},
    }


def _stranger(repo: Repository) -> Repository:
    return repo.store.repo(replace(repo.ctx, sight=new_uuid(clock=repo.clock)), SystemPolicy())


async def test_papers_before_and_after_the_diagnosis_are_hidden_with_it(guarded: Repository) -> None:
    """A stranger counts neither the diagnosis nor the papers of that encounter."""
    before = await guarded.create(_paper())
    assert await _stranger(guarded).count("QuestionnaireResponse", []) == 1
    await guarded.create(_condition("B20.1"))
    after = await guarded.create(_paper())
    for paper in (before, after):
        assert await sensitive_groups_of(guarded, "QuestionnaireResponse", paper.id) == ("hiv",)
    assert await _stranger(guarded).count("QuestionnaireResponse", []) == 0
    assert await guarded.count("QuestionnaireResponse", []) == 2


async def test_an_older_sensitive_version_keeps_a_corrected_row_hidden(guarded: Repository) -> None:
    """The diagnosis is corrected, the version before it is still in the history."""
    made = await guarded.create(_condition("B20.1"))
    await guarded.update({**_condition("K35.8"), "id": made.id})
    with pytest.raises(NotFound):
        await _stranger(guarded).history("Condition", made.id)
    assert await relabel_sensitive(guarded) == 1
    with pytest.raises(NotFound):
        await _stranger(guarded).vread("Condition", made.id, 1)


async def test_an_administrator_adds_and_takes_away(guarded: Repository) -> None:
    """Tuberculosis is put on the list, mental health taken off; what was there already follows at `relabel`."""
    lung, mind = await guarded.create(_condition("A15.0")), await guarded.create(_condition("F32.0"))
    stranger = _stranger(guarded)
    assert await stranger.count("Condition", []) == 1
    await set_sensitive_rule(guarded, SensitiveRule("lao", ICD, "A15"), active=True, reason=WHY)
    await set_sensitive_rule(guarded, SensitiveRule("tam-than", ICD, "F"), active=False, reason=WHY)
    assert (await sensitive_rules(guarded)).groups_of(_condition("A15.9")) == {"lao"}
    await relabel_sensitive(guarded)
    assert [e.id for e in (await stranger.search("Condition", [])).entries] == [mind.id]
    assert await sensitive_groups_of(guarded, "Condition", lung.id) == ("lao",)
    with pytest.raises(InvalidInput):
        await set_sensitive_rule(guarded, SensitiveRule("lao", ICD, " "), active=True, reason=WHY)


async def test_a_stranger_can_not_write_over_what_it_does_not_see(guarded: Repository) -> None:
    """A hidden row is not replaced by who does not see it."""
    made = await guarded.create(_condition("B20.1"))
    with pytest.raises(BenhanError):
        await _stranger(guarded).update({**_condition("K35.8"), "id": made.id})
    assert (await guarded.read("Condition", made.id)).version == 1


async def test_another_tenant_has_a_list_of_its_own(guarded: Repository, other_tenant: UUID) -> None:
    """What one facility adds counts for it alone."""
    await set_sensitive_rule(guarded, SensitiveRule("lao", ICD, "A15"), active=True, reason=WHY)
    other = guarded.store.system_repo(other_tenant)
    assert (await sensitive_rules(other)).groups_of(_condition("A15.9")) == set()


async def test_what_was_kept_before_the_list_is_noted_by_relabel(repo: Repository) -> None:
    """After an upgrade: rows and stays from before; the khoa that treats sees them, another does not."""
    await repo.update({"resourceType": "Patient", "id": "an"})
    encounter = {"resourceType": "Encounter", "id": "dot", "status": "in-progress", "class": {"code": "IMP"}}
    stay = {
        **encounter,
        "subject": {"reference": "Patient/an"},
        "serviceType": {"coding": [{"system": "urn:benhan:ma-khoa", "code": "K01"}]},
        "period": {"start": "2026-01-01T08:00:00+07:00"},
    }
    await repo.update(stay)
    await repo.create(_condition("B20.1"))
    paper = await repo.create(_paper())
    assert await _stranger(repo).count("Condition", []) == 1
    assert await relabel_sensitive(repo) >= 1
    assert await sensitive_groups_of(repo, "QuestionnaireResponse", paper.id) == ("hiv",)
    for khoa, seen in (("K01", 1), ("K02", 0)):
        ctx = replace(_stranger(repo).ctx, khoa=frozenset({khoa}))
        looks = repo.store.repo(ctx, SystemPolicy())
        assert await looks.count("Condition", []) == await looks.count("QuestionnaireResponse", []) == seen
