"""The schema part of validation: compiled validators per type, and their complaints as issues.

The common case is one ``is_valid`` in Rust. Only a resource that fails is looked at again for all its faults.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

import jsonschema_rs

from benhan.base.errors import Issue
from benhan.fhir.tables import CHOICE_OF, CHOICES, ELEMENTS, load

_PREFIX = "#/definitions/"
MAX_ERRORS = 200


@lru_cache(maxsize=512)
def validator(kind: str) -> Any:
    """Compiled validator of a type; holds only the definitions that the type reaches."""
    return compiled(kind, needed_definitions(kind))


def needed_definitions(kind: str) -> dict[str, Any]:
    """The schema's definitions of a type and of all that it reaches."""
    every = load("schema")["definitions"]
    needed: dict[str, Any] = {}
    waiting = [kind]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed[name] = every[name]
            waiting += _references(every[name])
    return needed


def compiled(kind: str, definitions: dict[str, Any]) -> Any:
    """Validator of a type by definitions of its own."""
    schema = {"$ref": _PREFIX + kind, "definitions": definitions}
    return jsonschema_rs.Draft4Validator(
        schema,
        validate_formats=False,
        pattern_options=jsonschema_rs.RegexOptions(),
        mask="value",
        offline=True,
    )


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref":
                yield value.removeprefix(_PREFIX)
            else:
                yield from _references(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from _references(item)


def issues(kind: str, resource: dict[str, Any], base: str) -> list[Issue]:
    """All faults of structure; ``base`` is the FHIRPath location of the resource itself."""
    if validator(kind).is_valid(resource):
        return []
    errors = islice(validator(kind).iter_errors(resource), MAX_ERRORS)
    found = [i for e in errors for i in _issue(e, kind, base)]
    return list(dict.fromkeys(found))


def locate(kind: str, base: str, path: Sequence[str | int]) -> tuple[str, str]:
    """FHIRPath location and FHIR type of a JSON path below a type."""
    out = base
    for step in path:
        if isinstance(step, int):
            out += f"[{step}]"
            continue
        name = step.removeprefix("_")
        choice = CHOICE_OF.get(kind, {}).get(name)
        entry = ELEMENTS.get(kind, {}).get(name)
        if choice is not None and entry is not None:
            out += f".{choice}.ofType({entry[0]})"
        else:
            out += f".{name}"
        kind = "Element" if step.startswith("_") else entry[0] if entry else ""
    return out, kind


def _issue(error: Any, root: str, base: str) -> Iterator[Issue]:
    where, kind = locate(root, base, error.instance_path)
    name = error.kind.name
    detail = error.kind.as_dict()
    if name == "additionalProperties":
        for key in detail["unexpected"]:
            yield _unknown(where, key)
    elif name == "required":
        yield _missing(f"{where}.{detail['property']}", detail["property"])
    elif name == "anyOf":
        yield from _any_of(error, root, base, where)
    elif name in ("oneOfNotValid", "oneOfMultipleValid", "oneOf"):
        if isinstance(error.instance, dict):
            yield _choice(error, kind, where)
    else:
        yield _value(name, detail, kind, where, _definition(error))


def _unknown(where: str, key: str) -> Issue:
    shown = key if len(key) <= 40 and key.isprintable() else key[:40].encode("ascii", "replace").decode()
    return Issue(
        "fhir.element-unknown",
        f"Phần tử “{shown}” không có trong định nghĩa.",
        f"{where}.{shown}",
        "unknown element",
        issue_type="structure",
    )


def _missing(where: str, name: str) -> Issue:
    return Issue(
        "fhir.element-missing",
        f"Thiếu phần tử bắt buộc “{name}”.",
        where,
        "required element is absent",
        issue_type="required",
    )


def _any_of(error: Any, root: str, base: str, where: str) -> Iterator[Issue]:
    """Either a missing primitive, or a null out of place, or the real fault of one list item."""
    branches = list(error.kind.context)
    names = [
        e.kind.as_dict().get("property") for branch in branches for e in branch if e.kind.name == "required"
    ]
    if len(names) == len(branches) and names[0]:
        yield _missing(f"{where}.{names[0]}", names[0])
        return
    if names and names[0] and names[0].startswith("_"):
        for inner in branches[-1]:
            place, _ = locate(root, base, inner.instance_path)
            yield _null(place)
        return
    if any(e.kind.name == "not" for branch in branches for e in branch):
        yield _code(where, None)
        return
    for inner in branches[-1]:
        yield from _issue(inner, root, base)


def _null(where: str) -> Issue:
    return Issue(
        "fhir.null-alone",
        "Giá trị null chỉ được dùng để giữ chỗ cho phần mở rộng cùng vị trí.",
        where,
        "null without an extension at the same place",
        issue_type="structure",
    )


def _choice(error: Any, kind: str, where: str) -> Issue:
    branches = list(error.kind.context)
    instance = error.instance
    for name, keys in CHOICES.get(kind, {}).items():
        present = [k for k in keys if k in instance or "_" + k in instance]
        if kind == "Extension" and "extension" in instance:
            present.append("extension")
        if len(present) > 1:
            return Issue(
                "fhir.choice-many",
                f"Chỉ được có một trong các phần tử: {', '.join(present)}.",
                f"{where}.{name}",
                "more than one type of a choice element",
                issue_type="structure",
            )
    wanted = _wanted(branches)
    name = next((n for n, keys in CHOICES.get(kind, {}).items() if wanted in keys), "value")
    return _missing(f"{where}.{name}", f"{name}[x]")


def _wanted(branches: list[Any]) -> str:
    """First property that the branches of a choice ask for."""
    for branch in branches:
        for error in branch:
            if error.kind.name == "required":
                return str(error.kind.as_dict()["property"])
            if error.kind.name == "anyOf":
                return _wanted(list(error.kind.context))
    return ""


def _code(where: str, options: Sequence[str] | None) -> Issue:
    some = [str(o) for o in options or () if o is not None][:12]
    hint = f" (ví dụ: {', '.join(some)})" if some else ""
    return Issue(
        "fhir.code-unknown",
        f"Mã không có trong bộ mã bắt buộc{hint}.",
        where,
        "code is not in the value set of a required binding",
        issue_type="code-invalid",
    )


_SAID = {
    "string": "chuỗi ký tự",
    "integer": "số nguyên",
    "number": "số",
    "boolean": "true hoặc false",
    "object": "một đối tượng",
    "array": "một danh sách",
}


_FORMS = {
    "date": "Ngày không đúng dạng (2026, 2026-01 hay 2026-01-31) hoặc không có thật.",
    "dateTime": "Ngày giờ không đúng dạng (2026-01-31T08:00:00+07:00) hoặc không có thật.",
    "instant": "Thời điểm phải đủ ngày, giờ, giây và múi giờ, và có thật.",
    "time": "Giờ không đúng dạng (08:30:00).",
    "id": "Mã định danh chỉ gồm chữ không dấu, số, “-”, “.”, từ 1 đến 64 ký tự.",
    "code": "Mã không được rỗng, không có khoảng trắng ở đầu, cuối hay liền nhau.",
    "string": "Chuỗi phải có nội dung và không có ký tự điều khiển.",
    "markdown": "Đoạn văn phải có nội dung và không có ký tự điều khiển.",
    "uri": "Địa chỉ phải có nội dung và không có khoảng trắng.",
    "url": "Địa chỉ phải có nội dung và không có khoảng trắng.",
    "canonical": "Địa chỉ phải có nội dung và không có khoảng trắng.",
    "oid": "OID phải có dạng urn:oid:1.2.3.",
    "uuid": "UUID phải có dạng urn:uuid: và chữ thường.",
    "base64Binary": "Dữ liệu không phải base64.",
    "integer": "Số nguyên phải nằm trong 32 bit.",
    "unsignedInt": "Số phải từ 0 đến 2147483647.",
    "positiveInt": "Số phải từ 1 đến 2147483647.",
    "xhtml": "Bản tóm tắt rỗng.",
    "syntax:mime": "Kiểu nội dung phải có dạng loại/kiểu (ví dụ application/pdf).",
    "syntax:format": "Dạng dữ liệu phải là json, xml, ttl hoặc một kiểu nội dung.",
    "syntax:language": "Mã ngôn ngữ phải theo BCP 47 (ví dụ vi hay vi-VN).",
    "syntax:unit": "Mã đơn vị phải theo UCUM (ví dụ mg hay mmol/L).",
    "syntax:currency": "Mã tiền tệ gồm ba chữ hoa (ví dụ VND).",
}


def _definition(error: Any) -> str:
    """Name of the schema definition that the value breaks: a primitive type or a syntax."""
    path = list(error.schema_path)
    return str(path[-2]) if len(path) >= 3 and path[-3] == "definitions" else ""


def _value(name: str, detail: dict[str, Any], kind: str, where: str, definition: str) -> Issue:
    if name == "enum":
        return _code(where, detail.get("options"))
    if name == "type":
        said = " hoặc ".join(_SAID.get(t, t) for t in detail.get("types", []))
        return _fault("fhir.type-wrong", f"Sai kiểu dữ liệu, cần {said}.", where, f"not {kind}", "structure")
    if name in ("minItems", "minProperties"):
        text = "Phần tử rỗng: phải có nội dung hoặc bỏ hẳn."
        return _fault("fhir.empty", text, where, "empty element", "structure")
    if name == "maxItems":
        text = "Phần tử lặp quá số lần cho phép."
        return _fault("fhir.too-many", text, where, "too many repetitions", "structure")
    if name == "not":
        return _code(where, None)
    text = _FORMS.get(definition) or "Giá trị không hợp lệ."
    return _fault("fhir.value-wrong", text, where, f"not a valid {kind or 'value'} ({name})", "value")


def _fault(code: str, text: str, where: str, diagnostics: str, issue_type: str) -> Issue:
    return Issue(code, text, where, diagnostics, issue_type=issue_type)
