"""JSON Patch (RFC 6902) and FHIRPath Patch (FHIR R4, "FHIRPath Patch"). Pure: a new resource comes back.

Numbers stay the objects the JSON door made, so what is not touched keeps its digits (72.50). The result is not
validated here; whoever writes it does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from benhan.base.errors import InvalidInput, RuleViolation
from benhan.fhir.path import evaluate
from benhan.fhir.tables import CHOICES, ELEMENTS

JsonObject = dict[str, Any]
_MAX_OPERATIONS = 1000
_INDEX = re.compile(r"0|[1-9]\d{0,5}")
_MEMBERS = {
    "add": {"value"}, "remove": set(), "replace": {"value"}, "test": {"value"}, "move": {"from"}, "copy": {"from"},
}  # fmt: skip
_FUNCTIONS = frozenset({"where", "ofType", "first", "last", "single", "exists", "empty", "not", "as", "is"})
_CALL = re.compile(r"([A-Za-z]\w*)\s*\(")
_LAST_STEP = re.compile(r"([A-Za-z]\w*)(?:\[(\d{1,6})\]|\.(first|last|single)\(\))?$")
_MAX_PATH = 500


def copied(value: Any) -> Any:
    """A copy of JSON that shares no object or array with it."""
    if isinstance(value, dict):
        return {k: copied(v) for k, v in value.items()}
    if isinstance(value, list):
        return [copied(v) for v in value]
    return value


# -- JSON Patch -----------------------------------------------------------------------------------------


def json_patch(resource: JsonObject, operations: object) -> JsonObject:
    """Apply the operations one after the other; all or none.

    Raises: ``InvalidInput`` (fhir.patch-operation, fhir.patch-path) for what is no patch or points nowhere;
            ``RuleViolation`` (fhir.patch-test) when a ``test`` does not hold.
    """
    if not isinstance(operations, list) or len(operations) > _MAX_OPERATIONS:
        raise _bad_operation("", f"not an array of at most {_MAX_OPERATIONS} operations")
    box: JsonObject = {"": copied(resource)}
    for number, operation in enumerate(operations):
        _json_step(box, operation, f"[{number}]")
    result = box.get("")
    if not isinstance(result, dict):
        raise _bad_path("", "the resource itself is gone")
    return result


def _json_step(box: JsonObject, operation: Any, where: str) -> None:
    kind = operation.get("op") if isinstance(operation, dict) else None
    if not isinstance(kind, str) or kind not in _MEMBERS:
        raise _bad_operation(where, "unknown op")
    if not (_MEMBERS[kind] | {"path"}) <= operation.keys():
        raise _bad_operation(where, "member missing")
    path = _tokens(operation["path"], where)
    if kind == "test":
        if not _same(_get(box, path, where), operation["value"]):
            raise RuleViolation(
                "fhir.patch-test",
                "Điều kiện test của bản vá không đúng.",
                expression=where,
                issue_type="value",
            )
        return
    if kind in ("move", "copy"):
        source = _tokens(operation["from"], where)
        if kind == "move" and path[: len(source)] == source and path != source:
            raise _bad_path(where, "cannot move into itself")
        value = copied(_get(box, source, where))
        if kind == "move":
            _remove(box, source, where)
        _add(box, path, value, where)
    elif kind == "remove":
        _remove(box, path, where)
    elif kind == "add":
        _add(box, path, copied(operation["value"]), where)
    else:
        _replace(box, path, copied(operation["value"]), where)


def _tokens(pointer: Any, where: str) -> list[str]:
    if not isinstance(pointer, str) or (pointer and pointer[0] != "/") or re.search(r"~(?![01])", pointer):
        raise _bad_path(where, "not a JSON Pointer")
    return [t.replace("~1", "/").replace("~0", "~") for t in pointer.split("/")]


def _get(box: Any, path: list[str], where: str) -> Any:
    for token in path:
        if isinstance(box, dict) and token in box:
            box = box[token]
        elif isinstance(box, list) and _INDEX.fullmatch(token) and int(token) < len(box):
            box = box[int(token)]
        else:
            raise _bad_path(where, "nothing there")
    return box


def _remove(box: JsonObject, path: list[str], where: str) -> None:
    _get(box, path, where)
    holder = _get(box, path[:-1], where)
    del holder[int(path[-1]) if isinstance(holder, list) else path[-1]]


def _replace(box: JsonObject, path: list[str], value: Any, where: str) -> None:
    _get(box, path, where)
    holder = _get(box, path[:-1], where)
    holder[int(path[-1]) if isinstance(holder, list) else path[-1]] = value


def _add(box: JsonObject, path: list[str], value: Any, where: str) -> None:
    holder, token = _get(box, path[:-1], where), path[-1]
    if isinstance(holder, dict):
        holder[token] = value
    elif isinstance(holder, list) and path[-1] == "-":
        holder.append(value)
    elif isinstance(holder, list) and _INDEX.fullmatch(token) and int(token) <= len(holder):
        holder.insert(int(token), value)
    else:
        raise _bad_path(where, "nothing there")


def _same(a: Any, b: Any) -> bool:
    """Equality of JSON: numbers by value, truth values are no numbers."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


# -- FHIRPath Patch -------------------------------------------------------------------------------------


def fhirpath_patch(resource: JsonObject, parameters: JsonObject) -> JsonObject:
    """Apply the ``operation`` parameters of a Parameters resource one after the other; all or none.

    Paths may use elements, indexes, ``where``, ``ofType``, ``first``, ``last``, ``single`` and tests of existence.

    Raises: ``InvalidInput`` (fhir.patch-operation, fhir.patch-path).
    """
    given = parameters.get("parameter")
    if parameters.get("resourceType") != "Parameters" or not isinstance(given, list) or not given:
        raise _bad_operation("Parameters", "no operation")
    if len(given) > _MAX_OPERATIONS:
        raise _bad_operation("Parameters", f"more than {_MAX_OPERATIONS} operations")
    out: JsonObject = copied(resource)
    for number, operation in enumerate(given):
        _path_step(out, operation, f"Parameters.parameter[{number}]")
    return out


def _path_step(resource: JsonObject, operation: Any, where: str) -> None:
    listed = operation.get("part") if isinstance(operation, dict) else None
    if not isinstance(listed, list) or operation.get("name") != "operation":
        raise _bad_operation(where, "not an operation")
    parts = {p["name"]: p for p in listed if isinstance(p, dict) and isinstance(p.get("name"), str)}
    kind, path = _plain(parts, "type", where), _plain(parts, "path", where)
    steps: dict[str, Callable[[], None]] = {
        "add": lambda: _path_add(resource, path, parts, where),
        "insert": lambda: _path_insert(resource, path, parts, where),
        "delete": lambda: _path_delete(resource, path, where),
        "replace": lambda: _path_replace(resource, path, parts, where),
        "move": lambda: _path_move(resource, path, parts, where),
    }
    if kind not in steps:
        raise _bad_operation(where, "unknown type")
    steps[kind]()


def _path_add(resource: JsonObject, path: str, parts: JsonObject, where: str) -> None:
    nodes = _nodes(resource, path, where)
    if len(nodes) != 1 or not isinstance(nodes[0][1], dict):
        raise _bad_path(where, "not exactly one element")
    kind, holder = nodes[0][0], nodes[0][1]
    key, many, value = _named_value(kind, _plain(parts, "name", where), parts, where)
    if many:
        holder.setdefault(key, []).append(value)
    elif any(k in holder for k in _rivals(kind, key)):
        raise _bad_path(where, "there is one already")
    else:
        holder[key] = value


def _path_insert(resource: JsonObject, path: str, parts: JsonObject, where: str) -> None:
    kind, holder, key = _list_at(resource, path, where)
    place = _number(parts, "index", where)
    if place > len(holder[key]):
        raise _bad_path(where, "index beyond the end")
    holder[key].insert(place, _value(ELEMENTS[kind][key][0], parts.get("value"), where))
    _pad(holder, key, lambda beside: beside.insert(place, None))


def _path_move(resource: JsonObject, path: str, parts: JsonObject, where: str) -> None:
    _, holder, key = _list_at(resource, path, where)
    source, goal = _number(parts, "source", where), _number(parts, "destination", where)
    if source >= len(holder[key]) or goal >= len(holder[key]):
        raise _bad_path(where, "index beyond the end")
    holder[key].insert(goal, holder[key].pop(source))
    _pad(holder, key, lambda beside: beside.insert(goal, beside.pop(source)))


def _path_delete(resource: JsonObject, path: str, where: str) -> None:
    if not _nodes(resource, path, where):
        return
    _, holder, key, place = _slot(resource, path, where)
    if place is None:
        holder.pop(key, None)
        holder.pop("_" + key, None)
        return
    del holder[key][place]
    _pad(holder, key, lambda beside: beside.__delitem__(place))
    if not holder[key]:
        holder.pop(key)
        holder.pop("_" + key, None)


def _path_replace(resource: JsonObject, path: str, parts: JsonObject, where: str) -> None:
    kind, holder, key, place = _slot(resource, path, where)
    if place is not None:
        holder[key][place] = _value(ELEMENTS[kind][key][0], parts.get("value"), where)
        return
    name = next((n for n, keys in CHOICES.get(kind, {}).items() if key in keys), key)
    new, _, value = _named_value(kind, name, parts, where)
    holder.pop("_" + key, None)
    if new == key:
        holder[key] = value
    else:
        del holder[key]
        holder[new] = value


def _pad(holder: JsonObject, key: str, change: Callable[[list[Any]], object]) -> None:
    """Do to the list of extensions beside a list of primitives what was done to the list."""
    beside = holder.get("_" + key)
    if isinstance(beside, list):
        change(beside)


def _rivals(kind: str, key: str) -> list[str]:
    return next((keys for keys in CHOICES.get(kind, {}).values() if key in keys), [key])


def _nodes(resource: JsonObject, path: str, where: str) -> list[tuple[str, Any, Any]]:
    if len(path) > _MAX_PATH or not set(_CALL.findall(path)) <= _FUNCTIONS:
        raise _bad_path(where, "path too long or with a function that is not allowed here")
    try:
        return evaluate(path, resource)
    except (ValueError, TypeError, AttributeError, ArithmeticError, LookupError, RecursionError):
        raise _bad_path(where, "path cannot be read") from None


def _slot(resource: JsonObject, path: str, where: str) -> tuple[str, JsonObject, str, int | None]:
    """Type and object that hold the one element of the path, its key, and its place when it is in a list."""
    nodes = _nodes(resource, path, where)
    if len(nodes) != 1:
        raise _bad_path(where, "not exactly one element")
    if isinstance(nodes[0][1], dict):
        found = _find(resource, str(resource.get("resourceType")), nodes[0][1])
        if found is None:
            raise _bad_path(where, "the resource itself")
        return found
    step = _LAST_STEP.search(path.strip())
    above = path.strip()[: step.start()].removesuffix(".") if step else ""
    holders = _nodes(resource, above or "%resource", where)
    if step is None or len(holders) != 1 or not isinstance(holders[0][1], dict):
        raise _bad_path(where, "not exactly one element")
    kind, holder = holders[0][0], holders[0][1]
    key = next((k for k in CHOICES.get(kind, {}).get(step[1], [step[1]]) if k in holder), None)
    if key is None or key not in ELEMENTS.get(kind, {}):
        raise _bad_path(where, "not exactly one element")
    if not ELEMENTS[kind][key][1]:
        return kind, holder, key, None
    place = int(step[2]) if step[2] else len(holder[key]) - 1 if step[3] == "last" else 0
    return kind, holder, key, place


def _find(
    holder: JsonObject, kind: str, wanted: JsonObject
) -> tuple[str, JsonObject, str, int | None] | None:
    for key, value in holder.items():
        child = ELEMENTS.get(kind, {}).get(key)
        for place, one in enumerate(value if isinstance(value, list) else [value]):
            if one is wanted:
                return kind, holder, key, place if isinstance(value, list) else None
            if isinstance(one, dict) and child:
                inner = str(one.get("resourceType")) if child[0] == "Resource" else child[0]
                if (found := _find(one, inner, wanted)) is not None:
                    return found
    return None


def _list_at(resource: JsonObject, path: str, where: str) -> tuple[str, JsonObject, str]:
    """Type and object that hold the list the path names, and its key."""
    above, _, key = path.strip().rpartition(".")
    holders = _nodes(resource, above or "%resource", where)
    if len(holders) != 1 or not isinstance(holders[0][1], dict):
        raise _bad_path(where, "not exactly one element")
    kind, holder = holders[0][0], holders[0][1]
    entry = ELEMENTS.get(kind, {}).get(key)
    if entry is None or not entry[1] or not isinstance(holder.get(key), list):
        raise _bad_path(where, "not a list")
    return kind, holder, key


def _named_value(kind: str, name: str, parts: JsonObject, where: str) -> tuple[str, bool, Any]:
    """JSON key, whether it is a list, and value for an element of a type."""
    given = parts.get("value")
    table = ELEMENTS.get(kind, {})
    for key in CHOICES.get(kind, {}).get(name.removesuffix("[x]"), ()):
        said = next((k for k in given if k.startswith("value")), "") if isinstance(given, dict) else ""
        if said[5:].lower() == table[key][0].lower():
            return key, table[key][1], _value(table[key][0], given, where)
    if name not in table:
        raise _bad_path(where, "no such element, or not with this type")
    return name, table[name][1], _value(table[name][0], given, where)


def _value(kind: str, part: Any, where: str) -> Any:
    """What a ``value`` parameter says: ``value[x]``, a resource, or an element built of parts."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "resource" or (key.startswith("value") and key[5:6].isupper()):
                return copied(value)
        if isinstance(part.get("part"), list):
            return _built(kind, part["part"], where)
    raise _bad_operation(where, "no value")


def _built(kind: str, parts: list[Any], where: str) -> JsonObject:
    out: JsonObject = {}
    for part in parts:
        name = part.get("name") if isinstance(part, dict) else None
        if not isinstance(name, str):
            raise _bad_operation(where, "part without name")
        key, many, value = _named_value(kind, name, {"value": part}, where)
        if many:
            out.setdefault(key, []).append(value)
        else:
            out[key] = value
    return out


def _plain(parts: JsonObject, name: str, where: str) -> str:
    part = parts.get(name, {})
    value = next((v for k, v in part.items() if k in ("valueCode", "valueString")), None)
    if not isinstance(value, str):
        raise _bad_operation(where, f"{name} missing")
    return value


def _number(parts: JsonObject, name: str, where: str) -> int:
    value = parts.get(name, {}).get("valueInteger")
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _bad_operation(where, f"{name} missing")
    return value


def _bad_operation(where: str, why: str) -> InvalidInput:
    return InvalidInput(
        "fhir.patch-operation",
        "Bản vá có thao tác không đọc được.",
        expression=where or None,
        diagnostics=why,
    )


def _bad_path(where: str, why: str) -> InvalidInput:
    return InvalidInput(
        "fhir.patch-path",
        "Bản vá chỉ tới chỗ không có trong tài nguyên.",
        expression=where or None,
        diagnostics=why,
    )
