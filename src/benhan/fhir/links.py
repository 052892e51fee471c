"""Where a resource points: references, and the patient compartment it belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from benhan.fhir.model import ReferenceAt
from benhan.fhir.path import Closure, Scope, compile_path, resolve, split_reference
from benhan.fhir.path_values import resource_node
from benhan.fhir.plain_path import Finder, plain_path
from benhan.fhir.tables import CHOICE_OF, ELEMENTS, load

JsonObject = dict[str, Any]
_ADDRESSES = frozenset({"uri", "url", "oid", "uuid", "xhtml"})
_FIRST = ("patient", "subject", "beneficiary")


def references(resource: JsonObject) -> list[ReferenceAt]:
    """Every Reference element with its FHIRPath location, of contained and bundled resources too."""
    kind = str(resource.get("resourceType", ""))
    out: list[ReferenceAt] = []
    _collect(resource, kind, kind, out)
    return out


def _collect(value: Any, kind: str, where: str, out: list[ReferenceAt]) -> None:
    for key, (child, many, step) in _leading(kind).items():
        found = value.get(key)
        if found is None:
            continue
        listed = many and found.__class__ is list  # what is malformed is refused later, by validation
        for place, one in enumerate(found) if listed else ((None, found),):
            if one.__class__ is not dict:
                continue
            here = where + step if place is None else f"{where}{step}[{place}]"
            if child == "Reference":
                out.append(_reference(one, here))
            at = str(one.get("resourceType", "")) if child == "Resource" else child
            _collect(one, at, here, out)


def addresses(resource: JsonObject) -> Iterator[tuple[Any, Any, str]]:
    """Every element that holds an address and is no Reference: (holder, key, its type uri, url, oid, uuid or xhtml)."""
    yield from _addresses(resource, str(resource.get("resourceType", "")))


def _addresses(value: Any, kind: str) -> Iterator[tuple[Any, Any, str]]:
    known = ELEMENTS.get(kind, {})
    for key, found in value.items():
        child = known[key][0] if key in known else ""
        listed = found if isinstance(found, list) else None
        for place, one in ((None, found),) if listed is None else enumerate(listed):
            if isinstance(one, str) and child in _ADDRESSES:
                yield (value, key, child) if listed is None else (listed, place, child)
            elif isinstance(one, dict) and child:
                at = str(one.get("resourceType", "")) if child == "Resource" else child
                yield from _addresses(one, at)


def _reference(element: JsonObject, where: str) -> ReferenceAt:
    text = element.get("reference")
    target = split_reference(text) if isinstance(text, str) else None
    return ReferenceAt(
        where,
        element,
        text if isinstance(text, str) else None,
        target[0] if target else None,
        target[1] if target else None,
        text[1:] if isinstance(text, str) and text.startswith("#") else None,
        element.get("identifier"),
    )


@lru_cache(maxsize=2048)
def _leading(kind: str) -> dict[str, tuple[str, bool, str]]:
    """JSON key → (type, many, FHIRPath step) of the elements below which a Reference may stand."""
    out: dict[str, tuple[str, bool, str]] = {}
    for key, (child, many) in ELEMENTS.get(kind, {}).items():
        if child == "Resource" or _leads(child):
            choice = CHOICE_OF.get(kind, {}).get(key)
            out[key] = (child, many, f".{choice}.ofType({child})" if choice else f".{key}")
    return out


@lru_cache(maxsize=2048)
def _leads(kind: str) -> bool:
    seen: set[str] = set()
    waiting = [kind]
    while waiting:
        at = waiting.pop()
        if at == "Reference":
            return True
        if at not in seen:
            seen.add(at)
            waiting += [child for child, _ in ELEMENTS.get(at, {}).values() if not child[0].islower()]
    return False


@lru_cache(maxsize=256)
def _compartment(resource_type: str) -> tuple[tuple[Finder | None, Closure], ...]:
    """The paths that may lead to a patient, the subject first: the short way where there is one, and the long."""
    tables = load("search")
    if resource_type == "Binary":
        paths = ["Binary.securityContext"]
    else:
        params = tables["compartment"].get(resource_type, [])
        ordered = sorted(params, key=lambda p: _FIRST.index(p) if p in _FIRST else len(_FIRST))
        known = tables["params"].get(resource_type, {})
        paths = [known[p]["expression"] for p in ordered if known.get(p, {}).get("expression")]
    return tuple((plain_path(path, resource_type), compile_path(path)) for path in paths)


def _patients(resource: JsonObject) -> list[str]:
    node = resource_node(resource)
    if node[0] == "Patient" and isinstance(resource.get("id"), str):
        return [resource["id"]]
    scope = Scope(resource, resource, node, node)
    out: list[str] = []
    for find, closure in _compartment(node[0]):
        for found in closure(scope, [node]) if find is None else find(resource):
            if _elsewhere(found[1]):
                continue
            for target in resolve(scope, found):
                identity = target[1].get("id")
                if (
                    target[0] == "Patient"
                    and isinstance(identity, str)
                    and not _contained(resource, target[1])
                ):
                    out.append(identity)
    return out


def _elsewhere(reference: Any) -> bool:
    """True of a plain reference whose text names no patient and nothing contained."""
    text = reference.get("reference") if reference.__class__ is dict else None
    return text.__class__ is str and "Patient" not in text and not text.startswith("#")


def _contained(resource: JsonObject, target: JsonObject) -> bool:
    return any(one is target for one in resource.get("contained", ()))


def patient_of(resource: JsonObject) -> str | None:
    """Id of the patient in whose compartment the resource lies (its subject first); None: in none.

    A Patient lies in its own. Beside the official compartment, a Binary follows its ``securityContext``.
    """
    found = _patients(resource)
    return found[0] if found else None


def patients_of(resource: JsonObject) -> frozenset[str]:
    """Ids of all patients in whose compartments the resource lies."""
    return frozenset(_patients(resource))
