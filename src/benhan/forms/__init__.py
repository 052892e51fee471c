"""Forms: each paper template is one YAML file, seen as screen, paper and data (design.md §7).

Pure (no I/O but reading package data, and Typst for paper). The face::

    catalogue() -> FormIndex                      every form and edition that is shipped; .codes(), .all(), .editions(code)
    get(code, on: date) -> Form                   the edition valid on that day; NotFound forms.no-such-form
    load_form(path) -> Form                       a facility's own YAML file; InvalidInput lists every fault with its line
    Form.code .title .kind .slug .sections .signatures .rules .source .valid_from .items() .item(link_id)
    Form.questionnaire() / Form.blank_response()  FHIR R4 Questionnaire / QuestionnaireResponse
    response(form, answers, subject, encounter, author, authored, id=None, status="completed") -> QuestionnaireResponse
        subject, encounter, author: reference strings ("Patient/…"); authored: aware datetime
    answers(form, response) -> dict[linkId, value]      value shapes: see benhan.forms.model
    check(form, answers, at="save"|"sign"|"close", now=None) -> list[Finding(link_id, severity, text, rule)]
    compute(form, answers) -> answers              answers with the computed items filled in (age, BMI, days)
    defaults(form, facts) -> dict[linkId, Default(value, origin)]   facts: {"patient.name": …}, see FACTS
    FACTS: Mapping[str, Fact(name, origin, path)]  every name that ``populate`` may use
    extractions(form, answers) -> list[Extraction(link_id, resource, system, code, display, category, value, unit, ucum)]
    render_fields(form, answers, findings=(), defaults=None, readonly=False) -> Markup    HTML of the sections
    section_index(form, answers, findings=()) -> list[SectionState(key, anchor, title, filled, total, missing, errors)]
    form_fields(form, answers) -> dict[str, str]   HTML field name → text, as render_fields puts them in the page
    parse_form_post(form, multidict) -> answers    inverse; for autosave: parse_form_post(form, form_fields(form, old) | patch)
    describe(form, link_id, value) -> str          the answer as a person reads it ("Nam", "14/03/2026 08:05", "J18.9 …")
    pdf(form, context: PrintContext) -> bytes      PDF/A-2b, tagged; print_form(form, context) -> PrintResult(pdf,
        signature_boxes, pages); boxes in PDF points, origin at the lower left of the page
    STATIC_DIR                                     folder with forms.css, to be served by the web room
    FONT_DIR                                       folder with the print fonts

HTML field names: ``linkId``; coded answers have a second field ``linkId~code``; the n-th repetition is
``linkId#n``; a table cell is ``table#n.column``. Booleans post ``1`` or ``0``.
"""

from benhan.forms.values import Default, Extraction, defaults, describe, describe_value, empty, extractions, normal
from benhan.forms.catalogue_index import FormIndex, catalogue, get, load_folder
from benhan.forms.checking import Finding, check, required
from benhan.forms.computed import compute
from benhan.forms.loader import load_form
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
    PrintContext,
    PrintedEntry,
    PrintedSignature,
    PrintResult,
    SignatureBox,
    pdf,
    print_form,
)
from benhan.forms.posting import form_fields, parse_date, parse_datetime, parse_form_post, parse_value
from benhan.forms.fhir_form import FORM_SYSTEM, answers, blank_response, questionnaire, response
from benhan.forms.vocabulary import CODE_LISTS, FACTS, CodeList, Fact

__all__ = [
    "CODE_LISTS",
    "FACTS",
    "FONT_DIR",
    "FORM_SYSTEM",
    "STATIC_DIR",
    "Answers",
    "Choice",
    "CodeList",
    "Default",
    "Extraction",
    "Fact",
    "Finding",
    "Form",
    "FormIndex",
    "Item",
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
    "compute",
    "defaults",
    "describe",
    "describe_value",
    "empty",
    "extractions",
    "form_fields",
    "get",
    "load_folder",
    "load_form",
    "normal",
    "parse_date",
    "parse_datetime",
    "parse_form_post",
    "parse_value",
    "pdf",
    "print_form",
    "questionnaire",
    "render_fields",
    "required",
    "response",
    "section_index",
]
