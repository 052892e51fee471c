"""Defaults of a form: facts that have another home, and what earlier papers of the đợt already say, each with its origin.

Nothing flows back: a proposal is an answer of the new paper once its writer saves it.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from benhan.base.clock import local, local_date
from benhan.forms import FACTS, Default, Fact, Form, Known, answers, empty
from benhan.forms import defaults as form_defaults
from benhan.forms import get as get_form
from benhan.records.facts import facts, form_of
from benhan.records.shapes import must, of_encounter
from benhan.records.types import JsonObject
from benhan.store import Repository


async def proposals(repo: Repository, encounter_id: str, form: Form) -> dict[str, Default]:
    """Proposed answers of a form (linkId → value and where it comes from)."""
    known = {**await _earlier(repo, encounter_id, form), **await facts(repo, encounter_id)}
    return form_defaults(form, known)


async def defaults(
    repo: Repository, encounter_id: str, form_code: str, form: Form | None = None
) -> dict[str, Any]:
    """The values of the proposals alone (linkId → value); of the edition ``form`` when given."""
    form = form or get_form(form_code, local_date(repo.clock.now()))
    return {link_id: d.value for link_id, d in (await proposals(repo, encounter_id, form)).items()}


async def _earlier(repo: Repository, encounter_id: str, form: Form) -> dict[str, Known]:
    """Facts that the form asks of earlier papers of other forms, the newest paper first."""
    wanted = [FACTS[i.populate] for i in form.answerable() if i.populate and FACTS[i.populate].papers]
    if not wanted:
        return {}
    found = await of_encounter(repo, "QuestionnaireResponse", encounter_id)
    held = [s.data for s in found if s.data["status"] != "entered-in-error"]
    papers = [(form_of(r), r) for r in sorted(held, key=lambda r: str(r["authored"]), reverse=True)]
    others = [(f, r) for f, r in papers if f.code != form.code]
    return {fact.name: said for fact in wanted if (said := _said(fact, others)) is not None}


def _said(fact: Fact, papers: Sequence[tuple[Form, JsonObject]]) -> Known | None:
    for form, response in papers:
        if not fnmatchcase(form.code, fact.papers):
            continue
        given = answers(form, response)
        value = next((given[i] for i in fact.items if not empty(given.get(i))), None)
        if value is not None:
            return Known(value, _origin(form, response))
    return None


def _origin(form: Form, response: JsonObject) -> str:
    who = response.get("author", {}).get("display", "")
    at = local(must(str(response["authored"]))).strftime("%d/%m/%Y %H:%M")
    return ", ".join(part for part in (f"giấy {form.code}", who, at) if part)
