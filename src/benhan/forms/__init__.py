"""Forms: each paper template is one YAML file, seen as screen, paper and data (design.md §7).

Pure (no I/O but reading package data, and Typst for paper), except ``presence`` and ``shelf``, which keep
their tables in the store. The face, in the order it is used:

``catalogue() -> FormIndex``
    Every form and edition that is shipped; ``.codes()``, ``.all()``, ``.editions(code)``, ``.get(code, on)``.
``get(code, on: date) -> Form``
    The edition valid on that day (code, alias or slug); ``NotFound`` forms.no-such-form.
``load_form(path) -> Form``
    A facility's own YAML file; ``InvalidInput`` forms.bad-file lists every fault with file and line.
``Form``
    ``.code .title .kind .slug .sections .signatures .rules .source .valid_from .items() .answerable()
    .item(link_id)``, ``.questionnaire()``, ``.blank_response()``.
``response(form, answers, subject, encounter, author, authored, id=None, status="completed")``
    QuestionnaireResponse; subject, encounter, author are references (``Patient/…``), authored is aware.
``answers(form, response) -> dict[linkId, value]``
    The inverse. Value shapes: ``benhan.forms.model``.
``check(form, answers, at="save" | "sign" | "close", now=None) -> list[Finding]``
    ``Finding(link_id, severity, text, rule, related)``; errors block that moment, warnings do not.
``compute(form, answers) -> answers``
    With the computed items filled in (age, BMI, days); call it before ``response``.
``defaults(form, facts) -> dict[linkId, Default(value, origin)]``
    ``facts`` maps names of ``FACTS`` (``patient.name`` …) to values in answer shape, or ``Known`` with their origin.
``extractions(form, answers) -> list[Extraction]``
    Answers that become clinical resources: link_id, resource, system, code, display, category, value,
    unit, ucum.
``render_fields(form, answers, findings=(), defaults=None, readonly=False) -> Markup``
    HTML of the sections; ``section_index(form, answers, findings=(), at="close") -> list[SectionState]``.
``form_fields(form, answers) -> dict[str, str]`` and ``parse_form_post(form, multidict) -> answers``
    HTML field name → text and back. Autosave: ``parse_form_post(form, form_fields(form, saved) | patch)``.
``describe(form, link_id, value) -> str``
    The answer as a person reads it.
``print_form(form, PrintContext) -> PrintResult(pdf, signature_boxes, pages)``; ``pdf(…)`` gives its bytes
    PDF/A-2b, tagged; boxes in PDF points, origin lower left. CPU-bound: ``asyncio.to_thread``.
``yaml_of(questionnaire, code="") -> str``
    The form file of a FHIR R4 Questionnaire, ours or a foreign one; what is not kept stands in ``unconfirmed``.
``merge(form, base, theirs, mine) -> Merged(answers, clashes)``
    Two people's changes put together field by field.
``shelf.load|publish|retire|templates|differences``, ``shelf.refresh(repo)``
    A facility's own forms: drafts, published and retired editions, kept in the store; refresh puts them into
    ``catalogue()`` of this process; ``foreign(form, tenant)`` tells another facility's.
``presence.touch(repo, response_id) -> list[Present]``, ``presence.leave``
    Who else writes on a paper at this moment.
``sample(form, seed=0) -> Answers``
    A complete invented answer set without errors, the same for the same seed.
``check_all(codes=()) -> list[Checked]``
    Every row of the list of forms with its state: page, paper, data and reference compared.
``print_cover(Cover, printed_at)``, ``print_certificate(...)``, ``joined(pdfs)``,
``marked(pdf, watermark, text, code, address)``, ``page_count(pdf)``, ``pages(pdf, first, last)``, ``scan_pdf(data, name)``
    Cover with contents, and PDFs one after another, for printing a set of papers or a whole record.
``STATIC_DIR``, ``FONT_DIR``
    Folders of ``forms.css`` (served by the web room) and of the print fonts.

HTML field names: ``linkId``; a coded answer has a second field ``linkId~code``; the n-th repetition is
``linkId#n``; a table cell is ``table#n.column``. Booleans post ``1`` or ``0``.
"""

from benhan.forms import presence, shelf
from benhan.forms.audit import Checked, check_all
from benhan.forms.catalogue_index import FormIndex, catalogue, foreign, get, load_folder
from benhan.forms.checking import Finding, check, required
from benhan.forms.computed import compute
from benhan.forms.fhir_form import FORM_SYSTEM, answers, blank_response, questionnaire, response
from benhan.forms.importing import yaml_of
from benhan.forms.loader import load_form
from benhan.forms.merging import Clash, Merged, merge
from benhan.forms.model import (
    Answers,
    Choice,
    Form,
    Item,
    Moment,
    PrintLayout,
    Range,
    Rule,
    Section,
    SignaturePlace,
)
from benhan.forms.page import STATIC_DIR, Missing, SectionState, render_fields, section_index
from benhan.forms.paper import (
    FONT_DIR,
    Cover,
    PrintContext,
    PrintedEntry,
    PrintedSignature,
    PrintResult,
    SignatureBox,
    joined,
    marked,
    page_count,
    page_images,
    pages,
    pdf,
    print_certificate,
    print_cover,
    print_form,
)
from benhan.forms.posting import form_fields, parse_date, parse_datetime, parse_form_post, parse_value
from benhan.forms.sample import sample
from benhan.forms.scanned import scan_pdf
from benhan.forms.values import (
    Default,
    Extraction,
    Known,
    defaults,
    describe,
    describe_value,
    empty,
    extractions,
    normal,
)
from benhan.forms.vocabulary import CODE_LISTS, FACTS, CodeList, Fact

__all__ = [
    "CODE_LISTS",
    "FACTS",
    "FONT_DIR",
    "FORM_SYSTEM",
    "STATIC_DIR",
    "Answers",
    "Checked",
    "Choice",
    "Clash",
    "CodeList",
    "Cover",
    "Default",
    "Extraction",
    "Fact",
    "Finding",
    "Form",
    "FormIndex",
    "Item",
    "Known",
    "Merged",
    "Missing",
    "Moment",
    "PrintContext",
    "PrintLayout",
    "PrintResult",
    "PrintedEntry",
    "PrintedSignature",
    "Range",
    "Rule",
    "Section",
    "SectionState",
    "SignatureBox",
    "SignaturePlace",
    "answers",
    "blank_response",
    "catalogue",
    "check",
    "check_all",
    "compute",
    "defaults",
    "describe",
    "describe_value",
    "empty",
    "extractions",
    "foreign",
    "form_fields",
    "get",
    "joined",
    "load_folder",
    "load_form",
    "marked",
    "merge",
    "normal",
    "page_count",
    "page_images",
    "pages",
    "parse_date",
    "parse_datetime",
    "parse_form_post",
    "parse_value",
    "pdf",
    "presence",
    "print_certificate",
    "print_cover",
    "print_form",
    "questionnaire",
    "render_fields",
    "required",
    "response",
    "sample",
    "scan_pdf",
    "section_index",
    "shelf",
    "yaml_of",
]
