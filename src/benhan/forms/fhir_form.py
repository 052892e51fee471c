"""Form ↔ FHIR R4: Questionnaire (SDC style), and answer set ↔ QuestionnaireResponse.

linkIds are the official keys; sections are groups with linkId ``s-<key>``; a table is a repeating group
whose items
are ``<table>.<column>``. A coded answer with a code is a ``valueCoding``, without one a ``valueString``
(open-choice).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, time
from decimal import Decimal
from typing import Any

from benhan.base.clock import fhir_instant
from benhan.base.errors import Issue, RuleViolation
from benhan.base.json_door import JsonObject
from benhan.catalogue import systems
from benhan.forms import drawing
from benhan.forms.model import Answers, Condition, Form, Item, Section
from benhan.forms.values import empty, normal
from benhan.forms.vocabulary import CODE_LISTS, FACTS

FORM_SYSTEM = systems.FORM
#: what ``now`` is on an item that holds a day
_TODAY = "today()"
_SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
_EXT = "http://hl7.org/fhir/StructureDefinition/"
_UCUM = systems.UCUM
_CONTROLS = "http://hl7.org/fhir/questionnaire-item-control"
EXT_DRAWING = "urn:benhan:ext:hinh-ve"
EXT_CHART = "urn:benhan:ext:bieu-do"

_TYPES = {
    "text": "string",
    "longtext": "text",
    "integer": "integer",
    "decimal": "decimal",
    "quantity": "quantity",
    "boolean": "boolean",
    "date": "date",
    "datetime": "dateTime",
    "time": "time",
    "choice": "choice",
    "code": "open-choice",
    "table": "group",
    "group": "group",
    "display": "display",
    "signature": "display",
    "drawing": "text",
    "chart": "display",
}


def section_link_id(section: Section) -> str:
    """linkId and page anchor of a section."""
    return f"s-{section.key}"


def canonical(form: Form) -> str:
    """Canonical reference with version."""
    return f"{form.url}|{form.edition}"


def questionnaire(form: Form) -> JsonObject:
    """FHIR R4 Questionnaire of the form."""
    period = {"start": form.valid_from.isoformat()}
    if form.valid_to:
        period["end"] = form.valid_to.isoformat()
    return {
        "resourceType": "Questionnaire",
        "id": form.slug.lower(),
        "language": "vi",
        "url": form.url,
        "identifier": [{"system": FORM_SYSTEM, "value": form.code}],
        "version": form.edition,
        "name": "BieuMau" + "".join(c for c in form.code if c.isalnum()),
        "title": form.title,
        **({"derivedFrom": [form.extends]} if form.extends else {}),
        "status": "active",
        "subjectType": ["Patient"],
        "purpose": form.source,
        "effectivePeriod": period,
        "code": [{"system": FORM_SYSTEM, "code": form.code, "display": form.title}],
        "extension": [
            _launch(name, kind) for name, kind in (("patient", "Patient"), ("encounter", "Encounter"))
        ],
        "item": list(_nested(form, _section_item)),
    }


def _launch(name: str, kind: str) -> JsonObject:
    """What a filler hands over when the form is opened (SDC launchContext)."""
    coding = {"system": "http://hl7.org/fhir/uv/sdc/CodeSystem/launchContext", "code": name}
    return {
        "url": f"{_SDC}launchContext",
        "extension": [{"url": "name", "valueCoding": coding}, {"url": "type", "valueCode": kind}],
    }


def _nested(form: Form, build: Callable[[Form, Section], JsonObject]) -> Iterator[JsonObject]:
    """Sections as items; a section of level 2 lies in the section of level 1 before it."""
    outer: JsonObject | None = None
    for section in form.sections:
        item = build(form, section)
        if section.level == 1 or outer is None:
            if outer is not None:
                yield outer
            outer = item
        else:
            outer.setdefault("item", []).append(item)
    if outer is not None:
        yield outer


def _section_item(form: Form, section: Section) -> JsonObject:
    item: JsonObject = {"linkId": section_link_id(section), "text": section.title, "type": "group"}
    if section.number:
        item["prefix"] = section.number
    if section.items:
        item["item"] = [_item(form, child) for child in section.items]
    return item


def _item(form: Form, item: Item) -> JsonObject:
    out: JsonObject = {"linkId": item.link_id}
    extensions = list(_extensions(form, item))
    if extensions:
        out["extension"] = extensions
    if item.extract and item.extract.code and item.extract.system:
        out["code"] = [
            _clean(system=item.extract.system, code=str(item.extract.code), display=item.extract.display)
        ]
    if item.number:
        out["prefix"] = item.number
    out["text"] = item.label
    if item.label_en:
        out["_text"] = {"extension": [_translation(item.label_en)]}
    out["type"] = "open-choice" if item.options else _TYPES[item.type]
    if item.enabled_when:
        out["enableWhen"] = list(_enable_when(form, item.enabled_when))
        if len(out["enableWhen"]) > 1:
            out["enableBehavior"] = "any"
    if item.type not in ("display", "signature", "chart"):
        if item.required_at in ("save", "sign"):
            out["required"] = True
        if item.repeats or item.type == "table":
            out["repeats"] = True
        if item.readonly and item.type not in ("group", "table"):
            out["readOnly"] = True
    if item.max_length and item.type in ("text", "longtext") and not item.options:
        out["maxLength"] = item.max_length
    if item.choices:
        out["answerOption"] = [{"valueCoding": _choice(form, item, c.code)} for c in item.choices]
    if item.options:
        out["answerOption"] = [{"valueString": option} for option in item.options]
    if item.children:
        out["item"] = [_item(form, child) for child in item.children]
    return out


def _extensions(form: Form, item: Item) -> Iterator[JsonObject]:
    if item.figure:
        yield {"url": EXT_DRAWING, "valueCode": item.figure}
    if item.chart:
        yield {"url": EXT_CHART, "valueCode": item.chart}
    if item.hint:
        yield {"url": f"{_EXT}entryFormat", "valueString": item.hint}
    if item.unit and item.type == "quantity":
        coding = _clean(system=_UCUM if item.ucum else None, code=item.ucum, display=item.unit)
        yield {"url": f"{_EXT}questionnaire-unitOption", "valueCoding": coding}
    if item.range and item.type in ("integer", "decimal"):
        value = "valueInteger" if item.type == "integer" else "valueDecimal"
        for name, limit in (("minValue", item.range.min), ("maxValue", item.range.max)):
            if limit is not None:
                yield {"url": f"{_EXT}{name}", value: int(limit) if item.type == "integer" else limit}
    if item.populate and not _in_table(form, item):
        path = _TODAY if item.populate == "now" and item.type == "date" else FACTS[item.populate].path
        expression = {"language": "text/fhirpath", "expression": path}
        yield {"url": f"{_SDC}initialExpression", "valueExpression": expression}
    if item.code_list:
        yield {"url": f"{FORM_SYSTEM}:danh-muc", "valueUri": CODE_LISTS[item.code_list].system}
    control = _control(item)
    if control:
        coding = {"system": _CONTROLS, "code": control}
        yield {"url": f"{_EXT}questionnaire-itemControl", "valueCodeableConcept": {"coding": [coding]}}
    formula = calculation(form, item)
    if formula:
        expression = {"language": "text/fhirpath", "expression": formula}
        yield {"url": f"{_SDC}calculatedExpression", "valueExpression": expression}
    if item.computed:
        yield {
            "url": f"{FORM_SYSTEM}:cong-thuc",
            "valueString": f"{item.computed.function}({', '.join(item.computed.of)})",
        }
    if item.role:
        yield {"url": f"{FORM_SYSTEM}:chu-ky", "valueCode": item.role}
    if item.confidence != "high":
        yield {"url": f"{FORM_SYSTEM}:do-tin-cay", "valueCode": item.confidence}


def _in_table(form: Form, item: Item) -> bool:
    """Whether the item is a column; a value for each new row would be asked for again and again."""
    table = item.link_id.rpartition(".")[0]
    return table in form and form.item(table).type == "table"


def _control(item: Item) -> str | None:
    """How SDC says the item is shown: a table as a grid, a picked code as autocomplete, boxes as check boxes."""
    if item.type == "table" and all(c.holds_answer and not c.repeats for c in item.children):
        return "gtable"
    if item.type == "code":
        return "autocomplete"
    if item.type == "choice":
        return "check-box" if item.repeats else "radio-button"
    return None


def calculation(form: Form, item: Item) -> str | None:
    """FHIRPath of a computed item, where the function can be said in FHIRPath; columns of tables are not."""
    if item.computed is None or any(name not in form for name in item.computed.of):
        return None
    of = [form.item(name) for name in item.computed.of]
    if any("." in i.link_id and i.type == "table" for i in of) or any(i.type == "table" for i in of):
        return None
    named = " | ".join(f"'{i.link_id}'" for i in of)
    values = f"%resource.repeat(item).where(linkId in ({named})).answer.value"
    if item.computed.function == "points":
        return f"{values}.code.select(toInteger()).sum()"
    if item.computed.function == "total":
        return f"{values}.value.sum()" if all(i.type == "quantity" for i in of) else f"{values}.sum()"
    if item.computed.function == "bmi":
        weight, height = (
            f"%resource.repeat(item).where(linkId = '{i.link_id}').answer.value.value" for i in of
        )
        return f"({weight} / ({height} / 100).power(2)).round(1)"
    return None


def _translation(text: str) -> JsonObject:
    return {
        "url": f"{_EXT}translation",
        "extension": [{"url": "lang", "valueCode": "en"}, {"url": "content", "valueString": text}],
    }


def _enable_when(form: Form, condition: Condition) -> Iterator[JsonObject]:
    if condition.exists is not None:
        yield {"question": condition.item, "operator": "exists", "answerBoolean": condition.exists}
    target = form.item(condition.item)
    for code in condition.equals:
        answer: JsonObject = {"question": condition.item, "operator": "="}
        if target.type == "boolean":
            answer["answerBoolean"] = code == "1"
        elif target.type == "choice":
            answer["answerCoding"] = _choice(form, target, code)
        else:
            answer["answerString"] = code
        yield answer


def _choice(form: Form, item: Item, code: str) -> JsonObject:
    choice = item.choice(code)
    return _clean(system=f"{form.url}:{item.link_id}", code=code, display=choice.label if choice else None)


def _clean(**parts: Any) -> JsonObject:
    return {k: v for k, v in parts.items() if v is not None}


def blank_response(form: Form) -> JsonObject:
    """An empty QuestionnaireResponse, in progress."""
    return {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": canonical(form),
        "status": "in-progress",
    }


def response(
    form: Form,
    answers: Mapping[str, Any],
    subject: str,
    encounter: str | None,
    author: str,
    authored: datetime,
    id: str | None = None,
    *,
    status: str = "completed",
) -> JsonObject:
    """QuestionnaireResponse of an answer set; references as ``Patient/…``.

    Raises: ``RuleViolation`` forms.unreadable-answer naming every answer whose value has not the item's type.
    """
    out = blank_response(form)
    if id is not None:
        out["id"] = id
    out["status"] = status
    out["subject"] = {"reference": subject}
    if encounter is not None:
        out["encounter"] = {"reference": encounter}
    out["authored"] = fhir_instant(authored)
    out["author"] = {"reference": author}
    items = _Writer(form, normal(form, answers)).sections()
    if items:
        out["item"] = items
    return out


class _Writer:
    """Builds response items and gathers the answers that cannot be written."""

    def __init__(self, form: Form, answers: Answers) -> None:
        self.form, self.answers = form, answers
        self.faults: list[Issue] = []

    def sections(self) -> list[JsonObject]:
        sections = [s for s in _nested(self.form, self._section) if "item" in s]
        for section in sections:
            section["item"] = [i for i in section["item"] if "item" in i or "answer" in i]
        if self.faults:
            text = "Có mục chưa đọc được: " + "; ".join(f.text for f in self.faults) + "."
            raise RuleViolation("forms.unreadable-answer", text, issues=self.faults)
        return [s for s in sections if s["item"]]

    def _section(self, _: Form, section: Section) -> JsonObject:
        out: JsonObject = {"linkId": section_link_id(section), "text": section.title}
        items = [i for item in section.items for i in self._item(item, self.answers)]
        if items:
            out["item"] = items
        return out

    def _item(self, item: Item, values: Mapping[str, Any], key: str | None = None) -> Iterator[JsonObject]:
        if item.type == "group":
            children = [i for child in item.children for i in self._item(child, values)]
            if children:
                yield {"linkId": item.link_id, "text": item.label, "item": children}
            return
        value: Any = values.get(key or item.link_id) if item.holds_answer else None
        if empty(value):
            return
        if item.type == "table":
            for row in value:
                cells = [i for c in item.children for i in self._item(c, row, c.column)]
                yield {"linkId": item.link_id, "text": item.label, "item": cells}
            return
        written = [self._answer(item, v) for v in (value if item.repeats else [value])]
        yield {"linkId": item.link_id, "text": item.label, "answer": written}

    def _answer(self, item: Item, value: Any) -> JsonObject:
        answer = to_fhir(self.form, item, value)
        if answer is None:
            text = f"{item.label}: “{str(value)[:60]}” không đúng kiểu"
            self.faults.append(Issue("forms.unreadable-answer", text, expression=item.link_id))
            return {}
        return answer


def to_fhir(form: Form, item: Item, value: Any) -> JsonObject | None:
    """One answer element, or None when the value has not the item's type."""
    kind = item.type
    if kind in ("text", "longtext") and isinstance(value, str):
        return {"valueString": value}
    if kind == "boolean" and isinstance(value, bool):
        return {"valueBoolean": value}
    if kind == "integer" and isinstance(value, int) and not isinstance(value, bool):
        return {"valueInteger": value}
    if kind == "decimal" and isinstance(value, Decimal):
        return {"valueDecimal": value}
    if kind == "quantity" and isinstance(value, Decimal):
        code = {"system": _UCUM, "code": item.ucum} if item.ucum else {}
        return {"valueQuantity": {"value": value, "unit": item.unit, **code}}
    if kind == "date" and is_date(value):
        return {"valueDate": value}
    if kind == "datetime" and is_datetime(value):
        return {"valueDateTime": value}
    if kind == "time" and is_time(value):
        return {"valueTime": value}
    if kind == "drawing" and drawing.fault(value) is None:
        return {"valueString": drawing.dump(value)}
    if kind == "choice" and item.choice(str(value)):
        return {"valueCoding": _choice(form, item, str(value))}
    if kind == "code" and isinstance(value, dict):
        if "code" not in value:
            return {"valueString": value["text"]} if value.get("text") else None
        system = CODE_LISTS[item.code_list].system if item.code_list else None
        return {"valueCoding": _clean(system=system, code=value["code"], display=value.get("text"))}
    return None


def is_date(value: Any) -> bool:
    """ISO date of day, month or year precision that exists."""
    if not isinstance(value, str) or len(value) not in (4, 7, 10):
        return False
    try:
        datetime.fromisoformat(value + "-01-01"[len(value) - 10 :] if len(value) < 10 else value)
    except ValueError:
        return False
    return True


def is_time(value: Any) -> bool:
    """ISO time of day with seconds."""
    if not isinstance(value, str) or len(value) != 8:
        return False
    try:
        time.fromisoformat(value)
    except ValueError:
        return False
    return True


def is_datetime(value: Any) -> bool:
    """ISO instant with seconds and offset."""
    if not isinstance(value, str) or "T" not in value or len(value) < 20:
        return False
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def answers(form: Form, response: Mapping[str, Any]) -> Answers:
    """The answer set in a QuestionnaireResponse; linkIds the form does not know are passed over."""
    out: Answers = {}
    _read(form, response.get("item", ()), out)
    return normal(form, out)


def _read(form: Form, items: Any, out: Answers) -> None:
    for raw in items:
        link_id = raw.get("linkId", "")
        item = form.item(link_id) if link_id in form else None
        if item is None or item.type == "group":
            _read(form, raw.get("item", ()), out)
        elif item.type == "table":
            row: Answers = {}
            _read(form, raw.get("item", ()), row)
            cut = len(link_id) + 1
            out.setdefault(link_id, []).append({k[cut:]: v for k, v in row.items()})
        else:
            values = [_from_fhir(item, a) for a in raw.get("answer", ())]
            found = [v for v in values if v is not None]
            if found:
                out[link_id] = found if item.repeats else found[0]


def _from_fhir(item: Item, answer: Mapping[str, Any]) -> Any:
    if "valueCoding" in answer:
        coding = answer["valueCoding"]
        if item.type == "choice":
            return coding.get("code")
        return _clean(code=coding.get("code"), text=coding.get("display"))
    if item.type == "drawing":
        return drawing.load(answer.get("valueString", "")) or None
    if "valueString" in answer:
        return {"text": answer["valueString"]} if item.type == "code" else answer["valueString"]
    if "valueQuantity" in answer:
        return _decimal(answer["valueQuantity"].get("value"))
    if "valueDecimal" in answer:
        return _decimal(answer["valueDecimal"])
    for name in ("valueBoolean", "valueInteger", "valueDate", "valueDateTime", "valueTime"):
        if name in answer:
            return answer[name]
    return None


def _decimal(value: Any) -> Decimal | None:
    return None if value is None else value if isinstance(value, Decimal) else Decimal(str(value))
