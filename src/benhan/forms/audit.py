"""Are the four views of a form the same? Page, paper, data and the reference, each read by itself.

The page is read from its HTML, the paper from the text of its PDF (by ``pdftotext``, else by pypdf), the data
from the Questionnaire, the reference from its Markdown. ``links.json`` holds which items stand for which entry of
the reference; an entry that is gone, an item that is new or gone, a label that differs is a difference.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import lru_cache
from typing import Any, Literal

import orjson
from lxml import etree

from benhan.base.errors import BenhanError
from benhan.base.text import fold, nfc
from benhan.forms import reference
from benhan.forms.catalogue_index import catalogue
from benhan.forms.model import Form, Item, walk
from benhan.forms.page import render_fields
from benhan.forms.paper import PrintContext, pdf
from benhan.forms.reference import Entry, Row
from benhan.forms.yaml_file import read_yaml

State = Literal["ok", "differs", "missing", "no-source", "superseded"]


@dataclass(frozen=True, slots=True)
class Views:
    """What each view shows: HTML of the page, text of the paper, the Questionnaire, entries of the reference."""

    page: str
    paper: str
    questionnaire: Mapping[str, Any]
    reference: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class Checked:
    """State of one row of the list of forms, with the differences found."""

    code: str
    title: str
    state: State
    differences: tuple[str, ...] = ()
    items: int = 0
    unconfirmed: int = 0

    @property
    def bad(self) -> bool:
        """Whether the check fails for this row."""
        return self.state in ("differs", "missing")


def check_all(codes: Sequence[str] = ()) -> list[Checked]:
    """Every row of the list of forms, or those named."""
    return [check_row(row) for row in reference.rows() if not codes or row.code in codes]


def check_row(row: Row) -> Checked:
    """State of one row. A form in the catalogue is compared; without a source it is listed only."""
    if row.superseded:
        return Checked(row.code, row.title, "superseded")
    if row.code not in reference.sources():
        return Checked(row.code, row.title, "no-source")
    editions = catalogue().editions(row.code)
    if not editions:
        return Checked(row.code, row.title, "missing", ("chưa có tệp biểu mẫu",))
    form = editions[-1]
    try:
        found = tuple(compare(form, views(form)))
    except BenhanError as error:
        found = (str(error),)
    items = list(form.items())
    unsure = sum(i.unconfirmed is not None for i in items)
    return Checked(row.code, row.title, "differs" if found else "ok", found, len(items), unsure)


def views(form: Form) -> Views:
    """The four views of a form, made anew."""
    return Views(
        str(render_fields(form, {})),
        pdf_text(pdf(form, PrintContext(blank=True))),
        orjson.loads(orjson.dumps(form.questionnaire(), default=str)),
        reference.entries(form.code) if form.code in reference.sources() else (),
    )


def pdf_text(document: bytes) -> str:
    """Text of a PDF by ``pdftotext``; by pypdf where that is not installed."""
    if shutil.which("pdftotext"):
        run = subprocess.run(["pdftotext", "-raw", "-", "-"], input=document, capture_output=True, check=True)  # noqa: S607
        return run.stdout.decode()
    from pypdf import PdfReader

    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(document)).pages)


def compare(form: Form, seen: Views) -> Iterator[str]:
    """Every difference between the views, in words."""
    data = list(_questionnaire_items(seen.questionnaire.get("item", [])))
    page = _page_items(seen.page)
    yield from _same_items(data, page)
    yield from _on_paper(form, data, seen.paper)
    if seen.reference or form.code in links():
        yield from _as_referenced(form, dict(data), seen.reference)


def _questionnaire_items(items: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for item in items:
        if not str(item["linkId"]).startswith("s-"):
            yield item["linkId"], item["text"]
        yield from _questionnaire_items(item.get("item", []))


def _page_items(text: str) -> dict[str, str]:
    """linkId → text of its label (and of what lies in it) as the page shows it."""
    out: dict[str, str] = {}
    root: Any = etree.HTML(f"<div>{text}</div>")
    for node in root.xpath("//*[@data-link-id]"):
        labels = node.xpath("(.//*[contains(@class, 'bf-label') or contains(@class, 'bf-group-label')])[1]")
        own = "".join((labels[0] if labels else node).itertext())
        out[node.get("data-link-id")] = " ".join(own.split())
    return out


def _same_items(data: list[tuple[str, str]], page: dict[str, str]) -> Iterator[str]:
    for link_id, label in data:
        if link_id not in page:
            yield f"trang không có mục {link_id} ({label})"
        elif " ".join(label.split()) not in page[link_id]:
            yield f"trang ghi {link_id} là “{page[link_id]}”, dữ liệu ghi “{label}”"
    known = {link_id for link_id, _ in data}
    yield from (f"dữ liệu không có mục {link_id} mà trang có" for link_id in page if link_id not in known)


def _on_paper(form: Form, data: list[tuple[str, str]], text: str) -> Iterator[str]:
    """Each label stands on the paper at least as often as items bear it (alone or within a longer label)."""
    printed = _squeeze(text)
    wanted = [_squeeze(i.label) for i in printed_items(form)]
    known = {link_id for link_id, _ in data}
    for item in form.items():
        if item.link_id not in known:
            yield f"dữ liệu không có mục {item.link_id} ({item.label})"
    beside = [_squeeze(text) for text in printed_texts(form)]
    more = links().get(form.code, {}).get("printed", {})
    for label in dict.fromkeys(wanted):
        number = more.get(label) or sum(other.count(label) for other in (*wanted, *beside))
        if printed.count(label) < number:
            yield f"giấy in “{label}” {printed.count(label)} lần, cần {number}"


def printed_texts(form: Form) -> Iterator[str]:
    """What the empty paper prints besides labels: title, section titles, hints, choices, fixed rows."""
    yield from (form.title, form.title)  # above, and at the foot of the page
    for section in form.sections:
        if section.area != "header" and not section.hidden_title:
            yield section.title
    for item in printed_items(form):
        if item.type == "longtext" and item.hint:
            yield item.hint
        if item.type == "choice" and not item.layout.inline and "." not in item.link_id:
            yield from (c.label for c in item.choices)
        yield from (text for row in item.rows for text in row.values())


def printed_items(form: Form) -> Iterator[Item]:
    """Items whose label the paper prints."""
    for section in form.sections:
        yield from _printed(section.items, sheet=form.layout.kind == "sheet")


def _printed(items: Sequence[Item], *, sheet: bool) -> Iterator[Item]:
    for item in items:
        if not item.layout.print:
            continue
        if item.type == "table":
            if not sheet:
                yield item
            yield from (c for c in item.children if sheet or c.type != "signature")
        elif item.type == "group":
            yield from _printed_group(item, sheet=sheet)
        else:
            yield item


def _printed_group(item: Item, *, sheet: bool) -> Iterator[Item]:
    from benhan.forms.print_tree import is_measures, is_pair

    if is_pair(item):
        yield item
        return
    signers = any(c.type == "signature" for c in item.children)
    if not signers and not is_measures(item) and item.label != item.children[0].label:
        yield item
    yield from _printed([c for c in item.children if not signers or c.type == "signature"], sheet=sheet)


def _squeeze(text: str) -> str:
    return re.sub(r"[\s\u00ad]+", "", nfc(text)).casefold()


@lru_cache(maxsize=1)
def links() -> Mapping[str, Any]:
    """Which items stand for which entry of the reference, form by form."""
    path = reference.FOLDER / "links.json"
    return dict(orjson.loads(path.read_bytes())) if path.is_file() else {}


@lru_cache(maxsize=1)
def deviations() -> Sequence[Mapping[str, str]]:
    """Entries of the reference that are deliberately no item of their own, each with the reason."""
    path = reference.FOLDER / "deviations.yaml"
    return list(read_yaml(path).data["absent"]) if path.is_file() else []


def excused(form: Form, uid: str) -> str | None:
    """Why an entry need not be an item of the form, when it need not."""
    name = uid.partition(":")[2]
    for rule in deviations():
        if fnmatch(form.code, rule.get("form", "*")) and fnmatch(name, rule["entry"]):
            return rule["why"]
    return None


def _as_referenced(form: Form, data: Mapping[str, str], found: Sequence[Entry]) -> Iterator[str]:
    lock = links().get(form.code, {"entries": {}, "own": []})
    uids = {entry.uid: entry for entry in found}
    for uid, link_ids in lock["entries"].items():
        if uid not in uids:
            yield f"bản quy định không còn mục {uid}"
        yield from (f"mục {i} của {uid} không còn trong dữ liệu" for i in link_ids if _gone(i, data))
    for uid, entry in uids.items():
        if not lock["entries"].get(uid) and excused(form, uid) is None:
            yield f"mục “{entry.label or entry.key}” của {entry.source}:{entry.line} chưa có trong biểu mẫu"
    known = {i for link_ids in lock["entries"].values() for i in link_ids} | set(lock["own"])
    yield from (f"mục {i} chưa đối chiếu với bản quy định" for i in data if i not in known)


def _gone(link_id: str, data: Mapping[str, str]) -> bool:
    return not link_id.startswith("s-") and link_id not in data


def link(form: Form) -> dict[str, Any]:
    """A proposal for the form's part of ``links.json``: by key, else by the words of the label."""
    entries: dict[str, list[str]] = {}
    for entry in reference.entries(form.code):
        entries[entry.uid] = _match(form, entry)
    used = {i for found in entries.values() for i in found}
    return {"entries": entries, "own": [i.link_id for i in form.items() if i.link_id not in used]}


def surplus(form: Form) -> dict[str, int]:
    """Labels that the paper prints oftener than the form's texts tell (words of the layout), and how often."""
    printed = _squeeze(pdf_text(pdf(form, PrintContext(blank=True))))
    wanted = [_squeeze(i.label) for i in printed_items(form)]
    beside = [_squeeze(text) for text in printed_texts(form)]
    counts = ((label, sum(o.count(label) for o in (*wanted, *beside))) for label in dict.fromkeys(wanted))
    return {label: printed.count(label) for label, known in counts if printed.count(label) > known}


def _match(form: Form, entry: Entry) -> list[str]:
    if entry.key is not None:
        ends = [
            i.link_id for i in form.items() if i.link_id == entry.key or i.link_id.endswith("." + entry.key)
        ]
        if ends:
            return ends[:1]
        if not entry.label:
            entry = replace(entry, label=entry.key.replace("_", " "))
    wanted = [w for w in fold(entry.label).split() if not w.isdigit()]
    best, at = 0.0, ""
    for link_id, text in _texts(form):
        score = _likeness(wanted, fold(text).split())
        if score > best:
            best, at = score, link_id
    return [at] if best >= 0.66 else []


def _texts(form: Form) -> Iterator[tuple[str, str]]:
    """Every text by which an item may be known: labels, then hints, choices, fixed rows and section titles."""
    items = [i for s in form.sections for i in walk(s.items)]
    yield from ((i.link_id, i.label) for i in items)
    for i in items:
        yield from ((i.link_id, c.label) for c in i.choices)
        yield from ((i.link_id, o) for o in i.options)
        yield from ((i.link_id, text) for row in i.rows for text in row.values())
        if i.name:
            yield i.link_id, i.name
        for part in re.split(r"[;,]", f"{i.label}, {i.hint or ''}, {i.unconfirmed or ''}"):
            yield i.link_id, part
    for section in form.sections:
        yield f"s-{section.key}", section.title
    for place in form.signatures:
        signer = next((i.link_id for i in items if i.role == place.role), "")
        yield signer, place.title


def _likeness(wanted: list[str], words: list[str]) -> float:
    """Share of words that two texts have in common, the shorter one counted fully."""
    if not wanted or not words:
        return 0.0
    common = sum(w in words for w in wanted)
    return (common / len(wanted) * 2 + common / max(len(words), len(wanted))) / 3
