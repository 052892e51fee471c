"""What the elements of a resource say under a search parameter, told to a sink. Pure.

A sink decides what is made of a value: :func:`benhan.fhir.search.extract` makes :class:`~benhan.fhir.model.IndexValue`, the
store makes index rows at once. So there is one reading of tokens, strings, references, dates and amounts.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from benhan.base.text import nfc
from benhan.fhir.dates import date_range
from benhan.fhir.model import IndexValue
from benhan.fhir.path import split_reference
from benhan.fhir.path_values import Node
from benhan.fhir.tables import RESOURCE_TYPES

JsonObject = dict[str, Any]
_CURRENCY = "urn:iso:std:iso:4217"
_HALF = Decimal("0.5")


class Sink(Protocol):
    """Takes the values of one parameter; ``out`` is what the caller of the walk gave. Texts come as written, in NFC."""

    def token(
        self,
        out: Any,
        system: str | None,
        code: str | None,
        text: str | None,
        type_system: str | None = None,
        type_code: str | None = None,
    ) -> None:
        """A code; ``text`` is its display, or the text of its concept or type, not folded."""

    def string(self, out: Any, text: str) -> None:
        """A string."""

    def uri(self, out: Any, text: str) -> None:
        """An address that is looked for as a whole."""

    def reference(
        self,
        out: Any,
        system: str | None,
        code: str | None,
        target: tuple[str, str] | None,
        url: str | None,
    ) -> None:
        """A literal reference (``target``: type and id, ``url`` as written), a logical one (``system``, ``code``), or both."""

    def date(self, out: Any, low: datetime | None, high: datetime | None) -> None:
        """A half-open range of instants; None is an open end."""

    def amount(
        self,
        out: Any,
        unit: JsonObject,
        exact: Decimal | None,
        low: Decimal | None,
        high: Decimal | None,
    ) -> None:
        """A number or quantity with its implicit range; ``unit`` has ``system``, ``code`` and ``unit`` (empty: a number)."""

    def group(self, out: Any, values: list[IndexValue]) -> None:
        """The values of one group of a composite, with ``group`` set."""


Maker = Callable[[Sink, Any, Node], None]


def nothing(sink: Sink, out: Any, node: Node) -> None:
    """The maker of parameters that have no values."""


# -- token ----------------------------------------------------------------------------------------------


def _token(sink: Sink, out: Any, node: Node) -> None:
    kind, value, _ = node
    if isinstance(value, dict):
        _token_of(sink, out, kind, value)
    elif isinstance(value, bool):
        sink.token(out, None, "true" if value else "false", None)
    elif isinstance(value, str):
        sink.token(out, None, nfc(value), None)
    elif isinstance(value, int | Decimal):
        sink.token(out, None, str(value), None)


def _token_of(sink: Sink, out: Any, kind: str, value: JsonObject) -> None:
    if kind == "CodeableConcept":
        for coding in value.get("coding", ()):
            _coding(sink, out, coding)
        if value.get("text"):
            sink.token(out, None, None, value["text"])
    elif kind == "Coding":
        _coding(sink, out, value)
    elif kind == "Identifier":
        _identifier(sink, out, value)
    elif kind == "ContactPoint":
        if "value" in value:
            sink.token(out, None, nfc(value["value"]), None)
    elif kind in ("Quantity", "SimpleQuantity", "Money"):
        code = value.get("code") or value.get("currency")
        if code:
            sink.token(out, value.get("system"), code, None)


def _coding(sink: Sink, out: Any, coding: JsonObject) -> None:
    display = coding.get("display")
    if "code" in coding or display:
        sink.token(out, coding.get("system"), coding.get("code"), display)


def _identifier(sink: Sink, out: Any, value: JsonObject) -> None:
    if "value" not in value and "system" not in value:
        return
    code = nfc(value["value"]) if "value" in value else None
    concept = value.get("type")
    if concept is None:
        sink.token(out, value.get("system"), code, None)
        return
    for kind in concept.get("coding") or [{}]:
        sink.token(
            out, value.get("system"), code, concept.get("text") or None, kind.get("system"), kind.get("code")
        )


# -- string and uri -------------------------------------------------------------------------------------

_NAME_PARTS = ("text", "family", "given", "prefix", "suffix")
_ADDRESS_PARTS = ("text", "line", "city", "district", "state", "postalCode", "country")


def _string(sink: Sink, out: Any, node: Node) -> None:
    kind, value, _ = node
    if isinstance(value, str):
        sink.string(out, nfc(value))
    elif isinstance(value, dict):
        for part in _parts(kind, value):
            sink.string(out, nfc(part))


def _parts(kind: str, value: JsonObject) -> list[str]:
    """Strings inside a name, an address or a concept; a name also whole, family name first."""
    if kind == "HumanName":
        found = _texts(value, _NAME_PARTS)
        whole = " ".join(_texts(value, ("family", "given")))
        return [*found, whole] if " " in whole else found
    if kind == "Address":
        return _texts(value, _ADDRESS_PARTS)
    if kind == "CodeableConcept":
        codings = value.get("coding", ())
        return [*_texts(value, ("text",)), *(t for c in codings for t in _texts(c, ("display",)))]
    return _texts(value, ("text", "display", "value"))


def _texts(value: JsonObject, names: tuple[str, ...]) -> list[str]:
    out: list[str] = []
    for name in names:
        found = value.get(name)
        if isinstance(found, str):
            out.append(found)
        elif isinstance(found, list):
            out += [one for one in found if isinstance(one, str)]
    return out


def _uri(sink: Sink, out: Any, node: Node) -> None:
    if isinstance(node[1], str):
        sink.uri(out, node[1])


# -- reference ------------------------------------------------------------------------------------------


def _reference(sink: Sink, out: Any, node: Node) -> None:
    kind, value, _ = node
    if isinstance(value, str):
        _literal(sink, out, value, None, None)
    elif not isinstance(value, dict):
        return
    elif kind in RESOURCE_TYPES:
        if "id" in value:
            sink.reference(out, None, None, (kind, value["id"]), f"{kind}/{value['id']}")
    else:
        identifier = value.get("identifier")
        if identifier is None:
            _literal(sink, out, value.get("reference"), None, None)
        else:
            _literal(sink, out, value.get("reference"), identifier.get("system"), identifier.get("value"))


def _literal(sink: Sink, out: Any, text: str | None, system: str | None, code: str | None) -> None:
    if text and text.startswith("#"):
        text = None
    if text is None and code is None:
        return
    sink.reference(out, system, code, split_reference(text) if text else None, text)


# -- date, number, quantity -----------------------------------------------------------------------------


def _date(sink: Sink, out: Any, node: Node) -> None:
    kind, value, _ = node
    if isinstance(value, str):
        found = date_range(value)
    elif kind == "Period":
        found = _period(value)
    elif kind == "Timing":
        found = _timing(value)
    else:
        return
    if found is not None:
        sink.date(out, *found)


Range = tuple[datetime | None, datetime | None]


def _timing(value: JsonObject) -> Range | None:
    """The outer limits; what is scheduled between them does not matter (FHIR R4 3.1.1.4.7)."""
    ranges = [found for event in value.get("event", ()) if event and (found := date_range(event))]
    bounds = _period(value.get("repeat", {}).get("boundsPeriod", {}))
    ranges += [bounds] if bounds else []
    if not ranges:
        return None
    lows, highs = [low for low, _ in ranges if low], [high for _, high in ranges if high]
    return (
        min(lows) if len(lows) == len(ranges) else None,
        max(highs) if len(highs) == len(ranges) else None,
    )


def _period(value: JsonObject) -> Range | None:
    start = date_range(value["start"]) if "start" in value else None
    end = date_range(value["end"]) if "end" in value else None
    if start is None and end is None:
        return None
    return start[0] if start else None, end[1] if end else None


def number_range(value: int | Decimal) -> tuple[Decimal, Decimal]:
    """Implicit range ``[low, high)`` of a number by its digits (72.50 → 72.495 … 72.505)."""
    number = Decimal(value)
    exponent = number.as_tuple().exponent
    half = _HALF.scaleb(exponent) if isinstance(exponent, int) and exponent else _HALF
    return number - half, number + half


def _number(sink: Sink, out: Any, node: Node) -> None:
    value = node[1]
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        sink.amount(out, {}, Decimal(value), *number_range(value))


def _quantity(sink: Sink, out: Any, node: Node) -> None:
    kind, value, _ = node
    if not isinstance(value, dict):
        return
    if kind == "Range":
        _range(sink, out, value)
    elif "value" not in value:
        return
    elif kind == "Money":
        unit = {"system": _CURRENCY, "code": value.get("currency")}
        sink.amount(out, unit, Decimal(value["value"]), *number_range(value["value"]))
    else:
        _compared(sink, out, value)


def _compared(sink: Sink, out: Any, value: JsonObject) -> None:
    exact = Decimal(value["value"])
    low: Decimal | None
    high: Decimal | None
    low, high = number_range(value["value"])
    comparator = value.get("comparator", "")
    if comparator.startswith("<"):
        low, high = None, exact
    elif comparator.startswith(">"):
        low, high = exact, None
    sink.amount(out, value, exact, low, high)


def _range(sink: Sink, out: Any, value: JsonObject) -> None:
    low, high = value.get("low", {}), value.get("high", {})
    if "value" in low or "value" in high:
        sink.amount(
            out,
            low if "value" in low else high,
            None,
            Decimal(low["value"]) if "value" in low else None,
            Decimal(high["value"]) if "value" in high else None,
        )


MAKERS: dict[str, Maker] = {
    "token": _token,
    "string": _string,
    "uri": _uri,
    "reference": _reference,
    "date": _date,
    "number": _number,
    "quantity": _quantity,
}
