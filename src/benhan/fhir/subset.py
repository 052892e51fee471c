"""Parts of a resource: ``_elements`` and ``_summary`` (FHIR R4, search, 3.1.1.5.8–9). Pure; nothing is copied deeply.

Values are the same objects, so the digits of a number stay (72.50). A part carries the tag ``SUBSETTED``, so
that nobody takes it for the whole or writes it back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Literal

from benhan.base.errors import InvalidInput
from benhan.fhir.tables import CHOICES, ELEMENTS, RESOURCE_TYPES, layout

JsonObject = dict[str, Any]
SummaryMode = Literal["true", "text", "data", "false"]
SUMMARY_MODES = ("true", "text", "data", "false")

TAG = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
_ALWAYS = frozenset({"resourceType", "id", "meta"})


def elements(resource: JsonObject, names: Iterable[str]) -> JsonObject:
    """The named elements of the root, with what is mandatory, a modifier, ``id`` and ``meta``.

    Shape:   names as ``_elements`` gives them: ``birthDate``, ``value`` (any type of the choice), ``valueQuantity``;
             ``Patient.birthDate`` speaks of that type only, and a name that the type does not have of another
             (:func:`has_element` tells). A primitive brings its extensions along.
    """
    kind = str(resource.get("resourceType"))
    return _marked(_kept(resource, _keys(kind, names)))


def summary(resource: JsonObject, mode: str) -> JsonObject:
    """The part of a resource that ``_summary`` asks for.

    Shape:   ``true``: what the definition marks ``isSummary``, at every depth, and what is mandatory or a modifier;
             ``text``: narrative, ``id``, ``meta`` and mandatory elements of the root; ``data``: all but the
             narrative; ``false``: the resource itself. ``count`` gives no resource, so the caller answers it.
    Raises:  ``InvalidInput`` (``fhir.summary-mode``) for any other mode.
    """
    if mode == "false":
        return resource
    if mode == "data":
        return _marked({k: v for k, v in resource.items() if k != "text"})
    if mode == "text":
        return _marked(_kept(resource, {"text"}))
    if mode == "true":
        return _marked(_summarised(resource, str(resource.get("resourceType"))))
    text = "Giá trị của _summary phải là true, text, data, count hoặc false."
    raise InvalidInput("fhir.summary-mode", text, expression="_summary", issue_type="value")


def has_element(kind: str, name: str) -> bool:
    """Whether ``_elements`` may name this for a type; for callers that refuse unknown names."""
    return bool(_keys(kind, [name]))


def _keys(kind: str, names: Iterable[str]) -> set[str]:
    """JSON keys of the names; a name the type does not have gives none (another type of the page may)."""
    out: set[str] = set()
    for name in names:
        head, dot, rest = name.partition(".")
        if dot and head in RESOURCE_TYPES:
            if head != kind:
                continue
            name = rest
        choice = CHOICES.get(kind, {}).get(name.removesuffix("[x]"))
        if choice or name in ELEMENTS.get(kind, {}):
            out.update(choice or (name,))
    return out


def _kept(resource: JsonObject, names: Collection[str]) -> JsonObject:
    flags = layout().get(str(resource.get("resourceType")), {})
    return {
        key: value
        for key, value in resource.items()
        if (name := key.removeprefix("_")) in _ALWAYS or name in names or "m" in flags.get(name, "")
    }


def _summarised(value: JsonObject, kind: str) -> JsonObject:
    if kind == "Extension":
        return value
    flags, table = layout().get(kind, {}), ELEMENTS.get(kind, {})
    out: JsonObject = {}
    for key, found in value.items():
        name = key.removeprefix("_")
        if name not in _ALWAYS and not flags.get(name, "").strip("a"):
            continue
        child = table[name][0] if name in table else ""
        if child[:1].islower() or not child:
            out[key] = found
        elif isinstance(found, list):
            out[key] = [_inner(one, child) for one in found]
        else:
            out[key] = _inner(found, child)
    return out


def _inner(value: Any, kind: str) -> Any:
    if not isinstance(value, dict):
        return value
    return summary(value, "true") if kind == "Resource" else _summarised(value, kind) or value


def _marked(part: JsonObject) -> JsonObject:
    """With the tag, once; the order of keys stays, ``meta`` stands after ``id`` where it was absent."""
    meta = part.get("meta") or {}
    tags = [
        t for t in meta.get("tag", ()) if t.get("code") != "SUBSETTED" or t.get("system") != TAG["system"]
    ]
    tagged = {**meta, "tag": [*tags, dict(TAG)]}
    if "meta" in part:
        return {key: tagged if key == "meta" else value for key, value in part.items()}
    head: JsonObject = {key: part[key] for key in ("resourceType", "id") if key in part}
    return {**head, "meta": tagged, **{k: v for k, v in part.items() if k not in head}}
