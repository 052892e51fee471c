"""``validate``: structure, nested resources, narrative, invariants, rules of safety, then the local profiles that
``meta.profile`` names; all faults at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from benhan.base.errors import InvalidInput, Issue
from benhan.fhir import guards, invariants, profiling, structure
from benhan.fhir.path import Scope
from benhan.fhir.path_values import resource_node
from benhan.fhir.tables import ELEMENTS, RESOURCE_TYPES

JsonObject = dict[str, Any]
MAX_ISSUES = 100


def validate(resource: JsonObject) -> None:
    """Check one resource against FHIR R4.

    Shape:   the JSON mapping as ``json_door.loads`` gives it (Decimal for fractions).
    Raises:  ``InvalidInput`` (``fhir.invalid``) with one issue per fault, at most 100: ``expression`` is the
             FHIRPath location, ``text`` Vietnamese, ``diagnostics`` English without data.
    """
    found = faults(resource)
    if found:
        text = found[0].text if len(found) == 1 else f"Tài nguyên có {len(found)} lỗi."
        raise InvalidInput("fhir.invalid", text, issues=found[:MAX_ISSUES])


def faults(resource: object) -> list[Issue]:
    """All issues of a resource; empty when it is valid."""
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    if not isinstance(resource, dict) or not isinstance(kind, str) or kind not in RESOURCE_TYPES:
        text = "Thiếu hoặc sai loại tài nguyên (resourceType)."
        return [
            Issue("fhir.type-unknown", text, "resourceType", "unknown resourceType", issue_type="structure")
        ]
    return _faults(resource, kind, kind, resource)


def _faults(resource: JsonObject, kind: str, where: str, root: JsonObject) -> list[Issue]:
    plain = guards.is_plain(kind, resource)
    found = [] if plain else structure.issues(kind, resource, where)
    inner = list(_nested(resource, kind, where, root))
    if not found and not inner:
        return _rules(resource, kind, where, root, guards.PROVED if plain else frozenset())
    if all(issue.code in _LEAVES_SHAPE for issue in (*found, *inner)):
        with suppress(
            *_FALLS
        ):  # a rule may fall over a value that is wrong already; the resource is refused anyway
            said = {(issue.code, issue.expression) for issue in (*found, *inner)}
            more = _rules(resource, kind, where, root)
            found = [*found, *(i for i in more if (i.code, i.expression) not in said)]
    return found + inner


_LEAVES_SHAPE = frozenset({"fhir.element-unknown", "fhir.value-wrong", "fhir.code-unknown"})
"""Faults after which the rules can still be asked, so that all faults are told at once."""
_FALLS = (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError)


def _rules(
    resource: JsonObject, kind: str, where: str, root: JsonObject, proved: frozenset[str] = frozenset()
) -> list[Issue]:
    """Broken rules of a resource whose elements have the right shape."""
    inside = root.get("contained")
    inside = inside if isinstance(inside, list) else []
    local = frozenset(str(one.get("id")) for one in inside if isinstance(one, dict))
    scope = Scope(resource, root, resource_node(resource), resource_node(resource), local_ids=local)
    found = list(invariants.narrative(resource, where))
    found += invariants.walk(resource, kind, where, scope, proved)
    if resource is root or "contained" in resource:
        found += invariants.contained_unused(resource, where)
    found += _safety(resource, kind, where)
    if "meta" in resource:
        for url in profiling.claimed(resource):
            found += profiling.issues(resource, url, where)
    return found


def _nested(resource: JsonObject, kind: str, where: str, root: JsonObject) -> Iterator[Issue]:
    """Faults of resources inside: contained ones (their root is this one) and those of Bundle, Parameters."""
    if "contained" in resource and isinstance(resource["contained"], list):
        for place, one in enumerate(resource["contained"]):
            yield from _inside(one, f"{where}.contained[{place}]", root if root is not resource else resource)
    if kind == "Bundle" or kind == "Parameters":
        yield from _below(resource, kind, where)


def _inside(one: Any, where: str, root: JsonObject) -> Iterator[Issue]:
    if invariants.is_resource(one):
        yield from _faults(one, one["resourceType"], where, root)


def _below(value: Any, kind: str, where: str) -> Iterator[Issue]:
    if not isinstance(value, dict):
        return
    for key, (child, many) in ELEMENTS.get(kind, {}).items():
        found = value.get(key)
        if found is None or (child != "Resource" and "." not in child) or key == "contained":
            continue
        for place, one in enumerate(found) if many and isinstance(found, list) else ((None, found),):
            here = f"{where}.{key}" if place is None else f"{where}.{key}[{place}]"
            if child == "Resource":
                if invariants.is_resource(one):
                    yield from _inside(one, here, one)
            else:
                yield from _below(one, child, here)


# -- rules of safety ------------------------------------------------------------------------------------

_REQUEST_PATH = re.compile(r"^/?[A-Za-z$_][A-Za-z0-9$_./-]*(?:\?[^\s#\\]*)?$|^\?[^\s#\\]*$")


def _safety(resource: JsonObject, kind: str, where: str) -> Iterator[Issue]:
    if kind == "Bundle" and resource.get("type") in ("transaction", "batch"):
        for place, entry in enumerate(resource.get("entry", ())):
            url = entry.get("request", {}).get("url", "")
            if not local_request(url):
                text = "Địa chỉ yêu cầu trong gói phải là đường dẫn tương đối của kho này."
                here = f"{where}.entry[{place}].request.url"
                yield Issue("fhir.request-url", text, here, "not a relative FHIR URL", issue_type="value")
    if kind == "Subscription":
        endpoint = resource.get("channel", {}).get("endpoint")
        if isinstance(endpoint, str) and not https_address(endpoint):
            text = "Địa chỉ nhận thông báo phải là https, không kèm tên và mật khẩu."
            here = f"{where}.channel.endpoint"
            yield Issue("fhir.endpoint", text, here, "not an https address", issue_type="value")


def local_request(url: str) -> bool:
    """A relative FHIR request (``Patient/1``, ``Patient?name=…``) that cannot leave the store."""
    path = url.split("?", 1)[0]
    return bool(_REQUEST_PATH.match(url)) and ".." not in path and "//" not in path


def https_address(url: str) -> bool:
    """An https address with a host and without credentials; which hosts may be called is for who calls to say."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" and bool(parts.hostname) and parts.username is None
