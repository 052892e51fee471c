"""The record as a folder: its papers in the paper's order, each with its PDF, signatures and state."""

from __future__ import annotations

from benhan.records.cases import case
from benhan.records.documents import blob_of
from benhan.records.facts import form_of
from benhan.records.papers import papers
from benhan.records.scans import scan_parts
from benhan.records.sealing import containers
from benhan.records.shapes import fact_of
from benhan.records.sheets import is_sheet
from benhan.records.types import Binder, BinderPart, Case, Paper
from benhan.store import Repository


async def binder(repo: Repository, encounter_id: str) -> Binder:
    """Binder of a đợt, also before a record has been opened."""
    here = await case(repo, encounter_id)
    composition = await repo.read("Composition", here.composition_id) if here.composition_id else None
    if here.scanned:
        return Binder(
            composition,
            here,
            tuple(await scan_parts(repo, encounter_id)),
            tuple(await containers(repo, encounter_id)),
        )
    parts = [await _part(repo, paper) for paper in await papers(repo, encounter_id)]
    parts.sort(key=lambda p: _rank(p, here))
    return Binder(composition, here, tuple(parts), tuple(await containers(repo, encounter_id)))


def _rank(part: BinderPart, here: Case) -> tuple[int, str]:
    if part.form_code == here.form_code:
        return 0, ""
    return {"sheet": 1}.get(part.state.split(":")[0], 3 if part.state == "addendum" else 2), part.form_code


async def _part(repo: Repository, paper: Paper) -> BinderPart:
    sha256 = None
    if paper.document_id:
        sha256 = blob_of((await repo.read("DocumentReference", paper.document_id)).data)
    return BinderPart(
        paper.title,
        paper.form_code,
        paper.response.id,
        paper.document_id,
        sha256,
        _state(paper),
        paper.signatures,
        f"QuestionnaireResponse/{paper.response.id}",
    )


def _state(paper: Paper) -> str:
    """draft | partly-signed | signed | issued | amended | addendum | sheet:open | sheet:ended."""
    if fact_of(paper.response.data, "bo-sung"):
        return "addendum"
    if is_sheet(form_of(paper.response.data)):
        return "sheet:ended" if any(s.standing for s in paper.signatures) else "sheet:open"
    if paper.issued:
        return "issued"
    if paper.complete:
        return "signed"
    if any(s.standing for s in paper.signatures):
        return "partly-signed"
    return "amended" if paper.response.data["status"] == "amended" else "draft"
