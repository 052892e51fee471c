"""XML Schemas of the tables and of the envelope, made from the rows of the tables as they hold on a day.

They say what a schema can: tags in their order, need, type, length, closed code lists. Tags that the decision does not know
are refused here and kept by the reader; a claim is checked by :mod:`.check`, the schemas are for other programs.
"""

from __future__ import annotations

from datetime import date

from lxml import etree

from benhan.base import xml_door
from benhan.gateways.bhyt.structure import closed_list
from benhan.gateways.bhyt.tables import Field, Table, tables

_XS = "http://www.w3.org/2001/XMLSchema"
_PATTERNS = {
    "number": r"-?\d+(\.\d+)?",
    "date": r"\d{8}(;\d{8})*",
    "datetime": r"\d{8}(\d{4})?",
}


def schema(name: str, on: date | None = None) -> bytes:
    """XSD of one table. Raises: ``KeyError`` for a table without file."""
    table = tables(on)[name]
    root = etree.Element(_tag("schema"), nsmap={"xs": _XS}, elementFormDefault="qualified")
    parent: etree._Element = etree.SubElement(root, _tag("element"), name=table.path[0])
    for step in table.path[1:]:
        parent = _element(_sequence(parent), step)
    if table.repeating:
        lines = _sequence(parent)
        _fields(_element(lines, table.item, minOccurs="0", maxOccurs="unbounded"), table, on)
    else:
        _fields(parent, table, on)
    return xml_door.serialize(root)


def _fields(parent: etree._Element, table: Table, on: date | None) -> None:
    inside = _sequence(parent)
    for field in table.fields:
        element = etree.SubElement(inside, _tag("element"), name=field.name, minOccurs="1")
        note = etree.SubElement(etree.SubElement(element, _tag("annotation")), _tag("documentation"))
        note.text = field.title
        _restrict(element, field, on)


def _restrict(element: etree._Element, field: Field, on: date | None) -> None:
    kind = etree.SubElement(element, _tag("simpleType"))
    base = etree.SubElement(kind, _tag("restriction"), base="xs:string")
    codes = closed_list(field, on or date.max)
    needed = field.required == "always"
    if codes:
        for code in sorted(codes) + ([] if needed else [""]):
            etree.SubElement(base, _tag("enumeration"), value=code)
        return
    pattern = _PATTERNS.get(field.type)
    if pattern is not None:
        etree.SubElement(base, _tag("pattern"), value=pattern if needed else f"({pattern})?")
    if needed:
        etree.SubElement(base, _tag("minLength"), value="1")
    if field.max_length is not None and field.certain:
        etree.SubElement(base, _tag("maxLength"), value=str(field.max_length))


def _element(
    parent: etree._Element,
    name: str,
    minOccurs: str = "1",
    maxOccurs: str = "1",
) -> etree._Element:
    child: etree._Element = etree.SubElement(
        parent, _tag("element"), name=name, minOccurs=minOccurs, maxOccurs=maxOccurs
    )
    return child


def _sequence(element: etree._Element) -> etree._Element:
    kind: etree._Element = etree.SubElement(element, _tag("complexType"))
    inside: etree._Element = etree.SubElement(kind, _tag("sequence"))
    return inside


def _tag(name: str) -> str:
    return f"{{{_XS}}}{name}"
