"""FHIR R4 Questionnaire → YAML of a form: the inverse of ``fhir_form.questionnaire``, and a door for foreign ones.

What the form language cannot say is not guessed: the item comes as near as it can, and a sentence in ``unconfirmed``
tells the administrator what was left out. A Questionnaire of our own comes back as a form with the same Questionnaire.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from benhan.base.errors import InvalidInput
from benhan.base.json_door import JsonObject
from benhan.base.text import fold
from benhan.forms.fhir_form import EXT_CHART, EXT_DRAWING, FORM_SYSTEM
from benhan.forms.vocabulary import CODE_LISTS, FACTS

_EXT = "http://hl7.org/fhir/StructureDefinition/"
_SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
_TYPES = {
    "string": "text", "text": "longtext", "url": "text", "integer": "integer", "decimal": "decimal",
    "quantity": "quantity", "boolean": "boolean", "date": "date", "dateTime": "datetime", "time": "time",
}  # fmt: skip
_FACT_OF = {fact.path: name for name, fact in FACTS.items()} | {"today()": "now"}
_LIST_OF = {found.system: name for name, found in CODE_LISTS.items()}
_KEY = re.compile(r"[a-z][a-z0-9_]{0,40}")


def yaml_of(questionnaire: Mapping[str, Any], *, code: str = "") -> str:
    """The form file of a Questionnaire; ``code`` instead of its own (a facility's begins with ``CS<mã cơ sở>/``).

    Raises: ``InvalidInput`` forms.not-a-questionnaire. The text is to be read by ``load_form``, which tells its faults.
    """
    if questionnaire.get("resourceType") != "Questionnaire" or not questionnaire.get("item"):
        raise InvalidInput("forms.not-a-questionnaire", "Tệp không phải Questionnaire FHIR R4 có mục.")
    data = _Importer(questionnaire).form(code)
    text: str = yaml.safe_dump(data, allow_unicode=True, sort_keys=False, width=110)
    return text


class _Importer:
    def __init__(self, source: Mapping[str, Any]) -> None:
        self.source = source
        self.keys: dict[str, str] = {}
        self.taken: set[str] = set()
        self.roles: dict[str, str] = {}

    def form(self, code: str) -> JsonObject:
        q, period = self.source, self.source.get("effectivePeriod", {})
        own = next((i["value"] for i in q.get("identifier", ()) if i.get("system") == FORM_SYSTEM), "")
        title = q.get("title") or q.get("name") or own
        start = str(period.get("start") or q.get("date") or "2026-01-01")[:10]
        sections = list(self.sections(q["item"]))
        out = _given(
            form=code
            or own
            or "CS/" + (re.sub(r"[^A-Z0-9]+", "-", fold(title).upper()).strip("-") or "BIEU-MAU")[:30],
            kind="phieu",
            title=title,
            source=q.get("purpose") or q.get("publisher") or q.get("url") or "Questionnaire nhập vào",
            valid_from=start,
            valid_to=str(period["end"])[:10] if period.get("end") else None,
            edition=q.get("version"),
            sections=sections,
        )
        if self.roles:
            out["signatures"] = [
                {"role": role, "order": n, "title": label, "permission": "form.sign"}
                for n, (role, label) in enumerate(self.roles.items(), 1)
            ]
        return out

    def sections(self, items: Sequence[Mapping[str, Any]], level: int = 1) -> Iterator[JsonObject]:
        """Groups of the first level are sections; what stands outside of any goes into one of its own."""
        for run in _runs(items):
            if run[0].get("type") != "group":
                yield {"key": self.key("noi_dung", "s-"), "title": "Nội dung", "items": self.items(run)}
                continue
            for group in run:
                link_id, inner = str(group["linkId"]), group.get("item", ())
                below = [i for i in inner if str(i["linkId"]).startswith("s-")] if level == 1 else []
                own = [i for i in inner if i not in below]
                yield _given(
                    key=self.key(link_id.removeprefix("s-"), "s-"),
                    title=group.get("text") or link_id,
                    number=group.get("prefix"),
                    level=level if level > 1 else None,
                    items=self.items(own) or None,
                )
                yield from self.sections(below, 2)

    def items(self, items: Sequence[Mapping[str, Any]], prefix: str = "") -> list[JsonObject]:
        return [self.item(item, prefix) for item in items]

    def item(self, item: Mapping[str, Any], prefix: str) -> JsonObject:
        link_id = str(item["linkId"])
        out: JsonObject = {"key": self.key(link_id.removeprefix(prefix), prefix)}
        self.keys[link_id] = prefix + out["key"]
        kind, notes = self.kind(item)
        known = _extensions(item)
        out |= _given(number=item.get("prefix"), type=kind, label=item.get("text") or link_id)
        out |= self.details(item, kind, known, notes)
        if item.get("item"):
            name = "columns" if kind == "table" else "items"
            nested = all(str(i["linkId"]).startswith(f"{link_id}.") for i in item["item"])
            if kind == "group" and nested:
                out["nested"] = True
            below = f"{link_id}." if kind == "table" or nested else prefix
            out[name] = self.items(item["item"], below)
        if notes:
            out["unconfirmed"] = "; ".join(notes)
        return out

    def kind(self, item: Mapping[str, Any]) -> tuple[str, list[str]]:
        """Type in the form language, and what could not be kept."""
        given, known = str(item.get("type", "")), _extensions(item)
        if given == "group":
            return ("table" if item.get("repeats") else "group"), []
        if given == "display":
            role = known.get(f"{FORM_SYSTEM}:chu-ky")
            return ("signature" if role else "chart" if EXT_CHART in known else "display"), []
        if EXT_DRAWING in known:
            return "drawing", []
        if given in ("choice", "open-choice"):
            return self.choosing(item, known)
        if given == "quantity" and f"{_EXT}questionnaire-unitOption" not in known:
            return "decimal", ["Questionnaire không ghi đơn vị đo"]
        if given not in _TYPES:
            return "text", [f"Kiểu {given} không có trong biểu mẫu, nhập thành chữ"]
        return _TYPES[given], []

    def choosing(self, item: Mapping[str, Any], known: Mapping[str, Any]) -> tuple[str, list[str]]:
        options = item.get("answerOption", ())
        if known.get(f"{FORM_SYSTEM}:danh-muc") in _LIST_OF:
            return "code", []
        if item["type"] == "choice" and options and all("valueCoding" in o for o in options):
            return "choice", []
        if options:
            return "text", [] if item["type"] == "open-choice" else ["Lựa chọn không có mã, nhập thành gợi ý"]
        return "text", [f"Danh mục {item.get('answerValueSet', 'không ghi')} chưa có, nhập thành chữ"]

    def details(
        self, item: Mapping[str, Any], kind: str, known: Mapping[str, Any], notes: list[str]
    ) -> JsonObject:
        """Everything of an item but its key, type, label and children."""
        out = _given(
            label_en=_english(item), hint=known.get(f"{_EXT}entryFormat"), max_length=item.get("maxLength")
        )
        options = item.get("answerOption", ())
        if kind == "choice":
            codings = [o["valueCoding"] for o in options]
            out["choices"] = {c["code"]: c.get("display", c["code"]) for c in codings}
        elif options:
            out["options"] = [_words(o) for o in options]
        if kind == "code":
            out["list"] = _LIST_OF[known[f"{FORM_SYSTEM}:danh-muc"]]
        if kind == "quantity":
            unit = known[f"{_EXT}questionnaire-unitOption"]
            out |= _given(unit=unit.get("display") or unit.get("code"), ucum=unit.get("code"))
        if kind in ("integer", "decimal"):
            limits = _given(
                min=_number(known.get(f"{_EXT}minValue")), max=_number(known.get(f"{_EXT}maxValue"))
            )
            out |= {"range": limits} if limits else {}
        if kind not in ("group", "table", "display", "signature", "chart"):
            out |= _given(repeats=item.get("repeats") or None)
        if kind not in ("display", "signature", "chart"):
            out |= {"required_at": "sign"} if item.get("required") else {}
        if item.get("code") and kind not in ("group", "table"):
            coding = {k: item["code"][0].get(k) for k in ("system", "code", "display")}
            out["extract"] = {"resource": "Observation", **_given(**coding)}
        out |= self.linked(item, kind, known, notes)
        if kind not in ("group", "table") and item.get("readOnly") and "computed" not in out:
            out["readonly"] = True
        return out

    def linked(
        self, item: Mapping[str, Any], kind: str, known: Mapping[str, Any], notes: list[str]
    ) -> JsonObject:
        """What points to other items, to the record, or to signers."""
        out: JsonObject = {}
        start = known.get(f"{_SDC}initialExpression")
        if start is not None:
            fact = _FACT_OF.get(start.get("expression", ""))
            out |= {"populate": fact} if fact else {}
            notes += [] if fact else ["Giá trị ban đầu của Questionnaire không nhập được"]
        formula = re.fullmatch(r"(\w+)\((.*)\)", str(known.get(f"{FORM_SYSTEM}:cong-thuc", "")))
        if formula:
            out["computed"] = {"function": formula[1], "of": formula[2].split(", ")}
        elif f"{_SDC}calculatedExpression" in known:
            notes.append("Công thức của Questionnaire không nhập được")
        if item.get("enableWhen"):
            condition = self.condition(item["enableWhen"], item.get("enableBehavior", "any"))
            out |= {"enabled_when": condition} if condition else {}
            notes += [] if condition else ["Điều kiện hiện mục của Questionnaire không nhập được"]
        if kind == "signature":
            role = str(known[f"{FORM_SYSTEM}:chu-ky"])
            self.roles.setdefault(role, str(item.get("text") or role))
            out["role"] = role
        confidence = known.get(f"{FORM_SYSTEM}:do-tin-cay")
        out |= _given(figure=known.get(EXT_DRAWING), chart=known.get(EXT_CHART), confidence=confidence)
        if kind == "chart":
            out |= _given(of=next(self.tables(), None))
        return out

    def tables(self) -> Iterator[str]:
        """linkIds of the tables."""
        return (
            str(i["linkId"]) for i in _every(self.source["item"]) if i["type"] == "group" and i.get("repeats")
        )

    def condition(self, parts: Sequence[Mapping[str, Any]], behaviour: str) -> JsonObject | None:
        """``enabled_when``: one question, equal to one of some values, or answered at all; None for anything else."""
        asked = {str(p["question"]) for p in parts}
        if len(asked) != 1 or (len(parts) > 1 and behaviour != "any"):
            return None
        question = next(iter(asked))
        item = self.keys.get(question, question)
        if len(parts) == 1 and parts[0]["operator"] == "exists":
            return {"item": item, "exists": bool(parts[0]["answerBoolean"])}
        if any(p["operator"] != "=" for p in parts):
            return None
        values = [_condition_value(p) for p in parts]
        if None in values:
            return None
        return {"item": item, "equals": values[0] if len(values) == 1 else values}

    def key(self, wanted: str, prefix: str = "") -> str:
        """A key of the form language for a linkId, each once."""
        key = wanted
        if not _KEY.fullmatch(wanted):
            key = re.sub(r"[^a-z0-9]+", "_", fold(wanted).lower()).strip("_")[:36]
            key = key if key[:1].isalpha() else f"m_{key}".rstrip("_")
        base, n = key, 2
        while prefix + key in self.taken:
            key, n = f"{base}_{n}", n + 1
        self.taken.add(prefix + key)
        return key


def _runs(items: Sequence[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """The items cut where groups and single questions follow each other."""
    run: list[Mapping[str, Any]] = []
    for item in items:
        if run and (run[0].get("type") == "group") != (item.get("type") == "group"):
            yield run
            run = []
        run.append(item)
    if run:
        yield run


def _every(items: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for item in items:
        yield item
        yield from _every(item.get("item", ()))


def _extensions(item: Mapping[str, Any]) -> dict[str, Any]:
    """Extensions of an item: address → value."""
    return {
        e["url"]: next((v for k, v in e.items() if k.startswith("value")), None)
        for e in item.get("extension", ())
    }


def _english(item: Mapping[str, Any]) -> str | None:
    for extension in item.get("_text", {}).get("extension", ()):
        parts = {p["url"]: p for p in extension.get("extension", ())}
        if parts.get("lang", {}).get("valueString", parts.get("lang", {}).get("valueCode")) == "en":
            return str(parts["content"].get("valueString"))
    return None


def _condition_value(part: Mapping[str, Any]) -> str | None:
    if "answerBoolean" in part:
        return "1" if part["answerBoolean"] else "0"
    if "answerCoding" in part:
        return str(part["answerCoding"].get("code"))
    return str(part["answerString"]) if "answerString" in part else None


def _words(option: Mapping[str, Any]) -> str:
    """A suggested answer in words."""
    coding = option.get("valueCoding", {})
    value = option.get("valueString") or coding.get("display") or coding.get("code")
    return str(value or next((v for k, v in option.items() if k.startswith("value")), ""))


def _number(value: Any) -> int | float | None:
    """A limit as YAML writes it."""
    if value is None:
        return None
    return int(value) if value == int(value) else float(value)


def _given(**parts: Any) -> JsonObject:
    return {k: v for k, v in parts.items() if v is not None}
