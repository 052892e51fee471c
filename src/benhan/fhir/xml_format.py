"""``application/fhir+xml`` both ways (FHIR R4, "XML Representation of Resources"), through the one XML door.

A resource read from XML is the same mapping that the JSON door gives: decimals keep their digits, extensions of
primitives stand beside them under ``_name``, lists of primitives are padded with null, the narrative is text. What
the form of XML can say wrongly is refused here, all at once with FHIRPath locations (unknown elements and attributes,
loose text, wrong order, repeats of what stands once); what a value says is left to validation: ``value="abc"`` of an
integer stays text there, so that it is refused at its place. Comments and processing instructions are dropped.

JSON → XML → JSON gives an equal resource. The narrative is equal as XML: quotes and entities may be written otherwise.
"""

from __future__ import annotations

import re
from contextlib import suppress
from copy import copy
from functools import lru_cache
from itertools import zip_longest
from typing import Any

from lxml import etree

from benhan.base import json_door, xml_door
from benhan.base.errors import InvalidInput, Issue
from benhan.fhir.narrative import XHTML, with_characters
from benhan.fhir.tables import CHOICE_OF, ELEMENTS, RESOURCE_TYPES, layout

JsonObject = dict[str, Any]

NAMESPACE = "http://hl7.org/fhir"
_NS = f"{{{NAMESPACE}}}"
_DIV = f"{{{XHTML}}}div"
_XSI = "{http://www.w3.org/2001/XMLSchema-instance}"
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_NUMBERS = frozenset({"decimal", "integer", "unsignedInt", "positiveInt"})
_BOOLEANS = {"true": True, "false": False}
_MAX_ISSUES = 100


@lru_cache(maxsize=4096)
def _places(kind: str) -> dict[str, int]:
    """JSON key of a type → its place among its siblings; the types of one choice share the place of the first."""
    choice = CHOICE_OF.get(kind, {})
    first: dict[str, int] = {}
    return {key: first.setdefault(choice.get(key, key), n) for n, key in enumerate(layout().get(kind, ()))}


# -- writing --------------------------------------------------------------------------------------------


def to_xml(resource: JsonObject) -> bytes:
    """A valid resource as an XML document in UTF-8.

    Raises: ``InvalidInput``: ``fhir.xml-unwritable`` for what has no place in the definition or no sign in XML,
            with its FHIRPath location; ``xml.*`` for a narrative that is no XML.
    """
    kind = resource.get("resourceType")
    return xml_door.serialize(_write_resource(resource, str(kind)))


def _write_resource(resource: Any, where: str) -> etree._Element:
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    if not isinstance(kind, str) or kind not in RESOURCE_TYPES:
        raise _unwritable(where, "not a resource")
    element = etree.Element(_NS + kind, nsmap={None: NAMESPACE})
    _write(element, {k: v for k, v in resource.items() if k != "resourceType"}, kind, where)
    return element


def _write(element: etree._Element, value: Any, kind: str, where: str) -> None:
    if not isinstance(value, dict):
        raise _unwritable(where, f"not a {kind}")
    places, flags, table = _places(kind), layout().get(kind, {}), ELEMENTS.get(kind, {})
    names = {key.removeprefix("_") for key in value}
    for name in names - table.keys():
        raise _unwritable(f"{where}.{name}", "unknown element")
    for name in sorted(names, key=places.__getitem__):
        here = f"{where}.{name}"
        child, many = table[name]
        found, beside = value.get(name), value.get("_" + name)
        if "a" in flags[name]:
            _set(element, name, found, here)
            continue
        if not many:
            _write_one(element, name, child, found, beside, here)
            continue
        if not isinstance(found, list | None) or not isinstance(beside, list | None):
            raise _unwritable(here, "not a list")
        for place, (one, extra) in enumerate(zip_longest(found or (), beside or ())):
            _write_one(element, name, child, one, extra, f"{here}[{place}]")


def _write_one(parent: etree._Element, name: str, child: str, value: Any, extra: Any, where: str) -> None:
    if child == "xhtml":
        parent.append(xml_door.parse(with_characters(str(value)).encode("utf-8", "surrogatepass")))
        return
    element = etree.SubElement(parent, _NS + name)
    if child == "Resource":
        element.append(_write_resource(value, where))
    elif child[0].islower():
        if value is not None:
            _set(element, "value", value, where)
        if extra is not None:
            _write(element, extra, "Element", where)
    else:
        _write(element, value, child, where)


def _set(element: etree._Element, name: str, value: Any, where: str) -> None:
    if isinstance(value, dict | list | None):
        raise _unwritable(where, "not a primitive")
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    try:
        element.set(name, text)
    except ValueError:
        raise _unwritable(where, "a character that XML does not have") from None


def _unwritable(where: str, why: str) -> InvalidInput:
    text = "Tài nguyên không viết được thành XML."
    return InvalidInput(
        "fhir.xml-unwritable", text, expression=where, diagnostics=why, issue_type="structure"
    )


# -- reading --------------------------------------------------------------------------------------------


def from_xml(raw: bytes) -> JsonObject:
    """The resource of an XML document, as the JSON door would give it; not validated.

    Raises: ``InvalidInput``: ``xml.*`` and ``json.*`` of the two doors, ``fhir.xml-form`` with all issues of form
            (``fhir.element-unknown``, ``fhir.too-many``, ``fhir.xml-order``, ``fhir.xml-text``,
            ``fhir.type-unknown``); ``TooLarge`` of the doors.
    """
    root = xml_door.parse(raw, attributes_are_text=True)
    found = _Faults()
    resource: JsonObject = {}
    with suppress(_Enough):
        resource = _read_resource(root, etree.QName(root).localname, found)
    if found:
        text = found[0].text if len(found) == 1 else f"Tài liệu XML có {len(found)} lỗi về dạng."
        raise InvalidInput("fhir.xml-form", text, issues=found)
    return json_door.loads_object(json_door.dumps(resource))


class _Enough(Exception):
    """So many faults that no reader wants more."""


class _Faults(list[Issue]):
    """Faults found so far; reading stops at the hundredth, so that a hostile document costs no memory."""

    def append(self, issue: Issue) -> None:
        super().append(issue)
        if len(self) >= _MAX_ISSUES:
            raise _Enough


def _read_resource(element: etree._Element, where: str, found: _Faults) -> JsonObject:
    name = etree.QName(element)
    if name.namespace != NAMESPACE or name.localname not in RESOURCE_TYPES:
        text = "Thiếu hoặc sai loại tài nguyên (tên hay không gian tên của phần tử XML)."
        found.append(
            Issue(
                "fhir.type-unknown", text, _plain(where), "unknown resource element", issue_type="structure"
            )
        )
        return {}
    return {"resourceType": name.localname, **_read(element, name.localname, where, found)}


def _read(element: etree._Element, kind: str, where: str, found: _Faults) -> JsonObject:
    """The JSON members of an element of a type; ``Element`` for what stands beside a primitive's value."""
    out: JsonObject = {}
    _attributes(element, kind, where, found, out)
    _no_text(element.text, where, found)
    places, table, last = _places(kind), ELEMENTS.get(kind, {}), -1
    for child in element:
        _no_text(child.tail, where, found)
        if not isinstance(child.tag, str):
            continue
        name = _name(child, table)
        if name is None or "a" in layout()[kind][name]:
            found.append(_unknown(f"{where}.{etree.QName(child).localname}"))
            continue
        if places[name] < last:
            text = f"Phần tử “{name}” đứng sai thứ tự."
            found.append(
                Issue(
                    "fhir.xml-order", text, f"{where}.{name}", "element out of order", issue_type="structure"
                )
            )
        last = max(last, places[name])
        _read_child(child, name, table[name], where, found, out)
    _prune(out, table)
    return out


def _attributes(element: etree._Element, kind: str, where: str, found: _Faults, out: JsonObject) -> None:
    flags = layout().get(kind, {})
    for key, value in element.attrib.items():
        name = str(key)
        if "a" in flags.get(name, ""):
            out[name] = str(value)
        elif not name.startswith(_XSI) and not (name == "value" and kind == "Element"):
            found.append(_unknown(f"{where}.{name}"))


def _name(child: etree._Element, table: dict[str, tuple[str, bool]]) -> str | None:
    tag = str(child.tag)
    if tag == _DIV:
        return "div" if table.get("div", ("",))[0] == "xhtml" else None
    name = tag.removeprefix(_NS)
    return name if tag.startswith(_NS) and name in table and table[name][0] != "xhtml" else None


def _read_child(
    child: etree._Element,
    name: str,
    entry: tuple[str, bool],
    where: str,
    found: _Faults,
    out: JsonObject,
) -> None:
    kind, many = entry
    place = len(out.get(name, ())) if many else None
    here = f"{where}.{name}" if place is None else f"{where}.{name}[{place}]"
    if not many and (name in out or "_" + name in out):
        text = "Phần tử lặp quá số lần cho phép."
        found.append(
            Issue("fhir.too-many", text, here, "element stands more than once", issue_type="structure")
        )
        return
    if kind == "xhtml":
        out[name] = _narrative(child)
    elif kind == "Resource":
        _put(out, name, many, _holder(child, here, found))
    elif kind[0].islower():
        _primitive(child, name, kind, many, here, found, out)
    else:
        _put(out, name, many, _read(child, kind, here, found))


def _put(out: JsonObject, name: str, many: bool, value: Any) -> None:
    if many:
        out.setdefault(name, []).append(value)
    else:
        out[name] = value


def _primitive(
    child: etree._Element, name: str, kind: str, many: bool, where: str, found: _Faults, out: JsonObject
) -> None:
    text = child.get("value")
    value = None if text is None else _value(str(text), kind)
    beside = _read(child, "Element", where, found) or None
    if many:
        out.setdefault(name, []).append(value)
        out.setdefault("_" + name, []).append(beside)
    else:
        if value is not None or beside is None:
            out[name] = value
        if beside is not None:
            out["_" + name] = beside


def _prune(out: JsonObject, table: dict[str, tuple[str, bool]]) -> None:
    """Lists of primitives: without the side that says nothing anywhere."""
    for name in [key for key in out if "_" + key in out and table[key][1]]:
        if all(one is None for one in out["_" + name]):
            del out["_" + name]
        elif all(one is None for one in out[name]):
            del out[name]


def _value(text: str, kind: str) -> Any:
    if kind == "boolean":
        return _BOOLEANS.get(text, text)
    if kind in _NUMBERS and _NUMBER.fullmatch(text):
        return json_door.loads(text.encode())
    return text


def _holder(element: etree._Element, where: str, found: _Faults) -> JsonObject:
    """The one resource inside ``contained`` or ``resource``."""
    _no_text(element.text, where, found)
    for key in element.attrib:
        found.append(_unknown(f"{where}.{key}"))
    inside = [child for child in element if isinstance(child.tag, str)]
    for child in inside:
        _no_text(child.tail, where, found)
    if len(inside) != 1:
        text = "Phần này phải chứa đúng một tài nguyên."
        found.append(Issue("fhir.too-many", text, where, "not exactly one resource", issue_type="structure"))
        return {}
    return _read_resource(inside[0], where, found)


def _narrative(div: etree._Element) -> str:
    return etree.tostring(_bare(div), encoding="unicode", with_tail=False)


def _bare(element: etree._Element) -> etree._Element:
    """A copy that knows no namespace but its own, so that nothing of the resource around it leaks in."""
    out = etree.Element(element.tag, nsmap={None: XHTML})
    for key, value in element.attrib.items():
        out.set(key, value)
    out.text = element.text
    for child in element:
        other = _bare(child) if isinstance(child.tag, str) else copy(child)
        other.tail = child.tail
        out.append(other)
    return out


def _no_text(text: str | None, where: str, found: _Faults) -> None:
    if text and text.strip():
        said = "Có chữ đứng ngoài thuộc tính value."
        found.append(
            Issue("fhir.xml-text", said, where, "text outside of attributes", issue_type="structure")
        )


def _unknown(where: str) -> Issue:
    name = _plain(where.rsplit(".", 1)[-1])
    text = f"Phần tử hay thuộc tính “{name}” không có trong định nghĩa."
    return Issue(
        "fhir.element-unknown", text, _plain(where), "unknown element or attribute", issue_type="structure"
    )


def _plain(where: str) -> str:
    """A location without what a stranger may have put into a name."""
    return re.sub(r"[^\w.\[\]()-]", "?", where)[:300]
