"""Bundles: transaction (all or nothing, in FHIR's order) and batch (each entry for itself).

Order of a transaction (R4 3.1.0.11.2): DELETE, POST, PUT and PATCH, GET and HEAD. Entries may point to each other by
``fullUrl`` (``urn:uuid:…``) and by conditional references (``Patient?identifier=…``); both are resolved before anything
is written. A PATCH brings its patch as a Binary (``application/json-patch+json``) or a Parameters resource
(FHIRPath Patch).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from uuid import UUID

from benhan.base.errors import BenhanError, InvalidInput, NotFound
from benhan.base.ids import new_id, new_uuid, placement_of_patient
from benhan.base.json_door import JsonObject, loads
from benhan.fhir import (
    RESOURCE_TYPES,
    addresses,
    fhirpath_patch,
    json_patch,
    operation_outcome,
    references,
    validate,
)
from benhan.store.model import Stored, instant
from benhan.store.preparing import Prepared, prepare, text_of_rest

if TYPE_CHECKING:
    from psycopg.rows import TupleRow

    from benhan.store.repository import Locked, Repository

_ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2, "GET": 3, "HEAD": 3}
_ETAG = re.compile(r'(?:W/)?"(\d+)"')
_LINK = re.compile(r"""(\b(?:href|src)\s*=\s*["'])(urn:[^"']+)(["'])""")
_MAX_ENTRIES = 5000


@dataclass
class _Entry:
    """One entry: its place, what it asks, and where its resource goes."""

    index: int
    method: str
    type: str
    id: str | None
    query: str
    version: int | None
    resource: JsonObject | None
    full_url: str
    if_none_exist: str | None
    if_match: int | None
    rest: bytes | None
    found: Stored | None = None


async def apply_bundle(repo: Repository, bundle: JsonObject, custodian: UUID | None = None) -> JsonObject:
    """Carry out a Bundle of type transaction or batch; gives the response Bundle, entries in the order given.

    ``custodian``: in whose custody a transaction of plain PUTs is written.
    Raises: ``InvalidInput`` (store.bundle-*) and, for a transaction, whatever the first failing entry raises.
    """
    kind = bundle.get("type")
    if bundle.get("resourceType") != "Bundle" or kind not in ("transaction", "batch"):
        raise InvalidInput(
            "store.bundle-type", "Bundle phải có kiểu transaction hoặc batch.", expression="Bundle.type"
        )
    given = bundle.get("entry") or []
    if len(given) > _MAX_ENTRIES:
        raise InvalidInput(
            "store.bundle-too-many", f"Bundle có hơn {_MAX_ENTRIES} mục.", expression="Bundle.entry"
        )
    if kind == "batch":
        answers = [await _alone(repo, n, entry) for n, entry in enumerate(given)]
    else:
        entries = [_read(n, entry) for n, entry in enumerate(given)]
        if custodian is not None and any(e.method != "PUT" or e.id is None or e.if_match for e in entries):
            raise InvalidInput(
                "store.bundle-custody", "Bundle lưu hộ chỉ được gồm PUT theo mã.", expression="Bundle"
            )
        answers = await _transaction(repo, entries, custodian)
    return {"resourceType": "Bundle", "type": f"{kind}-response", "entry": answers}


async def _alone(repo: Repository, index: int, given: JsonObject) -> JsonObject:
    """A batch entry: its failure is its own."""
    try:
        entry = _read(index, given)
        async with repo.transaction() as tx:
            return await _one(tx, entry)
    except BenhanError as error:
        return {"response": {"status": str(error.status), "outcome": operation_outcome(error)}}


async def _transaction(repo: Repository, entries: list[_Entry], custodian: UUID | None) -> list[JsonObject]:
    """Conditions are looked up in the transaction that writes; where there are none, all that needs no database is done
    before it is open."""
    if any(_asks(entry) for entry in entries):
        async with repo.transaction() as tx:
            await _resolve(tx, entries)
            ready = _ready(tx, entries)
            locked = await tx.lock_currents(_places(entries, ready))
            return await _carry_out(tx, entries, ready, locked, custodian)
    await _resolve(repo, entries)
    ready = _ready(repo, entries)
    async with repo.locking(_places(entries, ready), {one.scope for one in ready.values()}) as opened:
        tx, locked, keys = opened
        return await _carry_out(tx, entries, ready, locked, custodian, keys)


def _places(entries: list[_Entry], ready: dict[int, Prepared]) -> set[tuple[str, str]]:
    """Where something may stand that a write replaces; a POST has an id of its own."""
    return {(e.type, str(e.id)) for e in entries if e.method == "PUT" and e.index in ready}


_CONDITION = re.compile(rb'"reference":"[A-Z][A-Za-z]*\?')
_OTHER_NAME = re.compile(rb'"reference":"(?:urn:|https?:|[A-Z][A-Za-z]*\?)')


def _asks(entry: _Entry) -> bool:
    """True when something has to be looked for before the entry can be written."""
    if entry.if_none_exist is not None or (entry.method == "PUT" and entry.id is None):
        return True
    return entry.rest is not None and _CONDITION.search(entry.rest) is not None


def _ready(repo: Repository, entries: list[_Entry]) -> dict[int, Prepared]:
    """What is to be written, checked, by the place of its entry; careful writes are prepared when their turn comes."""
    at = repo.clock.now()
    out: dict[int, Prepared] = {}
    for entry in entries:
        if entry.method in ("POST", "PUT") and entry.found is None and entry.if_match is None:
            out[entry.index] = prepare(None, entry.resource or {}, at, entry.rest)
            out[entry.index].fresh = entry.method == "POST"
    return out


async def _carry_out(
    tx: Repository,
    entries: list[_Entry],
    ready: dict[int, Prepared],
    locked: Locked,
    custodian: UUID | None,
    keys: list[TupleRow] | None = None,
) -> list[JsonObject]:
    answers: dict[int, JsonObject] = {}
    ordered = sorted(entries, key=lambda e: _ORDER[e.method])
    for entry in (e for e in ordered if e.method == "DELETE"):
        answers[entry.index] = await _one(tx, entry)
    writes = [e for e in ordered if e.index in ready]
    later = [e for e in ordered if e.method != "DELETE" and e.index not in ready]
    changes = []
    for entry in writes:
        one = ready[entry.index]
        if entry.method == "POST":
            changes.append(await tx.prepare_create(one, custodian))
        else:
            changes.append(await tx.prepare_update(one, None, custodian, locked))
    last = keys is not None and not later
    made = await tx.write(changes, last=last, keys_found=keys) if changes else []
    for entry, stored in zip(writes, made, strict=True):
        answers[entry.index] = _written(stored)
    for entry in later:  # in the order of methods: careful writes, PATCH, GET and HEAD
        answers[entry.index] = await _one(tx, entry)
    return [answers[e.index] for e in entries]


async def _resolve(tx: Repository, entries: list[_Entry]) -> None:
    """Give every new resource its id, then put ids in place of ``urn:uuid:`` and conditional references."""
    known: dict[str, str] = {}
    targets: set[str] = set()
    patient = await _patient_hint(tx, entries)
    for entry in entries:
        if entry.method not in ("POST", "PUT"):
            continue
        if entry.if_none_exist is not None or (entry.method == "PUT" and entry.id is None):
            entry.found = await tx.only_match(entry.type, entry.if_none_exist or entry.query)
        resource = entry.resource or {}
        if entry.method == "POST":
            own = new_id(None if entry.type == "Patient" else patient, tx.clock)
            entry.id = entry.found.id if entry.found else own
        elif entry.id is None:
            entry.id = entry.found.id if entry.found else resource.get("id") or new_id(patient, tx.clock)
        if entry.type == "Patient" and patient is None:
            patient = entry.id
        target = f"{entry.type}/{entry.id}"
        if target in targets:
            raise InvalidInput(
                "store.bundle-twice", "Một tài liệu xuất hiện hai lần trong Bundle.", expression=_at(entry)
            )
        targets.add(target)
        if entry.full_url:
            known[entry.full_url] = target
        entry.resource = {**resource, "id": entry.id}
    urns = {k: v for k, v in known.items() if k.startswith("urn:")}
    for entry in entries:
        if entry.resource is None or entry.method == "PATCH":
            continue
        text = entry.rest or b""
        if (_OTHER_NAME.search(text) and _leads_on(entry.resource, known)) or (
            urns and b"urn:" in text and _mentions(entry.resource, urns)
        ):
            entry.resource, entry.rest = _copy(entry.resource), None
            await _point(tx, entry, known, urns)


def _leads_on(resource: JsonObject, known: dict[str, str]) -> bool:
    """True when a reference has to be looked at: most resources name what is stored already, and stay as they are."""
    texts = (found.element.get("reference") for found in references(resource))
    return any(isinstance(t, str) and (t in known or "?" in t or t[:4] == "urn:") for t in texts)


def _copy(value: Any) -> Any:
    """A copy of JSON that shares no object or array with it; several times faster than ``copy.deepcopy``."""
    if isinstance(value, dict):
        return {k: _copy(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_copy(v) for v in value]
    return value


async def _patient_hint(tx: Repository, entries: list[_Entry]) -> str | None:
    """Placement of new resources: that of the bundle's own new patient when it brings exactly one."""
    new = [e for e in entries if e.method == "POST" and e.type == "Patient" and e.if_none_exist is None]
    if len(new) != 1 or entries[0] is new[0]:
        return None
    hint = str(new_uuid(None, tx.clock))
    return hint if placement_of_patient(hint) >= 0 else None


async def _point(tx: Repository, entry: _Entry, known: dict[str, str], urns: dict[str, str]) -> None:
    for reference in references(entry.resource or {}):
        text = reference.element.get("reference")
        if not isinstance(text, str):
            continue
        if text in known:
            reference.element["reference"] = known[text]
        elif text.startswith(("urn:uuid:", "urn:oid:")):
            raise InvalidInput(
                "store.bundle-reference", "Tham chiếu không có trong Bundle.", expression=reference.path
            )
        elif "?" in text and text.partition("?")[0] in RESOURCE_TYPES:
            kind, _, query = text.partition("?")
            found = await tx.only_match(kind, query)
            if found is None:
                raise InvalidInput(
                    "store.bundle-reference",
                    "Tham chiếu có điều kiện không tìm thấy gì.",
                    expression=reference.path,
                )
            reference.element["reference"] = found.reference
    if urns and _mentions(entry.resource, urns):
        _point_addresses(entry.resource or {}, urns)


def _mentions(value: Any, urns: dict[str, str]) -> bool:
    """True when a text of a resource is the name of an entry, or a narrative that may lead to one."""
    if value.__class__ is str:
        return value in urns or (value[:4] == "<div" and "urn:" in value)
    if value.__class__ is dict:
        return any(_mentions(one, urns) for one in value.values())
    return value.__class__ is list and any(_mentions(one, urns) for one in value)


def _point_addresses(resource: JsonObject, urns: dict[str, str]) -> None:
    """Names of entries in addresses and in links of the narrative (R4 3.1.0.11.2); identifiers keep theirs."""
    for holder, key, kind in list(addresses(resource)):
        if kind == "xhtml":
            holder[key] = _LINK.sub(lambda m: f"{m[1]}{urns.get(m[2], m[2])}{m[3]}", holder[key])
        elif holder[key] in urns:
            holder[key] = urns[holder[key]]


async def _one(tx: Repository, entry: _Entry) -> JsonObject:
    resource = entry.resource or {}
    if entry.method == "POST":
        if entry.found is not None:
            return _written(entry.found, "200")
        return _written(await tx.create(resource, if_none_exist=entry.if_none_exist))
    if entry.method == "PUT":
        if entry.id is None:
            return _written(
                await tx.conditional_update(entry.type, entry.query, resource, if_match=entry.if_match)
            )
        return _written(await tx.update({**resource, "id": entry.id}, if_match=entry.if_match))
    if entry.method == "PATCH":
        return await _patch(tx, entry)
    if entry.method == "DELETE":
        if entry.id is None:
            found = await tx.only_match(entry.type, entry.query)
            if found is not None:
                await tx.delete(entry.type, found.id)
        else:
            await tx.delete(entry.type, entry.id, if_match=entry.if_match)
        return {"response": {"status": "204"}}
    return await _get(tx, entry)


async def _patch(tx: Repository, entry: _Entry) -> JsonObject:
    wanted = entry.id
    if wanted is None:
        found = await tx.only_match(entry.type, entry.query)
        if found is None:
            raise NotFound("store.not-found", "Không có tài liệu này.", diagnostics=entry.type)
        wanted = found.id
    change = _change_of(entry.resource or {}, f"{_at(entry)}.resource")
    return _written(await tx.patch(entry.type, wanted, change, if_match=entry.if_match))


def _change_of(resource: JsonObject, where: str) -> Callable[[JsonObject], JsonObject]:
    """The patch that an entry brings. Raises: ``InvalidInput`` (store.bundle-patch)."""
    if resource.get("resourceType") == "Parameters":
        validate(resource)
        return lambda current: fhirpath_patch(current, resource)
    kind = str(resource.get("contentType", "")).partition(";")[0].strip()
    if resource.get("resourceType") != "Binary" or kind != "application/json-patch+json":
        raise InvalidInput(
            "store.bundle-patch", "PATCH cần Binary dạng json-patch hoặc Parameters.", expression=where
        )
    try:
        operations = loads(base64.b64decode(str(resource.get("data", "")), validate=True))
    except binascii.Error:
        raise InvalidInput(
            "store.bundle-patch", "PATCH cần Binary dạng json-patch hoặc Parameters.", expression=where
        ) from None
    return lambda current: json_patch(current, operations)


async def _get(tx: Repository, entry: _Entry) -> JsonObject:
    if entry.id is None:
        page = await tx.search(entry.type, entry.query)
        found: list[JsonObject] = [{"resource": s.data, "search": {"mode": "match"}} for s in page.entries]
        found += [{"resource": s.data, "search": {"mode": "include"}} for s in page.included]
        result: JsonObject = {"resourceType": "Bundle", "type": "searchset", "entry": found}
        if page.total is not None:
            result["total"] = page.total
        return {"resource": result, "response": {"status": "200"}}
    if entry.version is not None:
        stored = await tx.vread(entry.type, entry.id, entry.version)
    else:
        stored = await tx.read(entry.type, entry.id)
    return {
        "resource": stored.data,
        "response": {"status": "200", "etag": stored.etag, "lastModified": instant(stored.at)},
    }


def _written(stored: Stored, status: str = "") -> JsonObject:
    return {
        "resource": stored.data,
        "response": {
            "status": status or ("201" if stored.action == "create" else "200"),
            "location": f"{stored.type}/{stored.id}/_history/{stored.version}",
            "etag": stored.etag,
            "lastModified": instant(stored.at),
        },
    }


def _read(index: int, given: Any) -> _Entry:
    request = given.get("request") if isinstance(given, dict) else None
    where = f"Bundle.entry[{index}]"
    if not isinstance(request, dict) or request.get("method") not in _ORDER:
        raise InvalidInput(
            "store.bundle-request", "Mục thiếu request hoặc phương thức không hỗ trợ.", expression=where
        )
    path, _, query = str(request.get("url") or "").partition("?")
    parts = [unquote(p) for p in path.strip("/").split("/")]
    method, resource = request["method"], given.get("resource")
    if not parts or parts[0] not in RESOURCE_TYPES or len(parts) not in (1, 2, 4):
        raise InvalidInput(
            "store.bundle-url", "Địa chỉ của mục không đọc được.", expression=f"{where}.request.url"
        )
    if method in ("POST", "PUT") and (
        not isinstance(resource, dict) or resource.get("resourceType") != parts[0]
    ):
        raise InvalidInput(
            "store.bundle-resource", "Tài liệu của mục không khớp địa chỉ.", expression=f"{where}.resource"
        )
    version = int(parts[3]) if len(parts) == 4 and parts[2] == "_history" and parts[3].isdigit() else None
    if len(parts) == 4 and version is None:
        raise InvalidInput(
            "store.bundle-url", "Địa chỉ của mục không đọc được.", expression=f"{where}.request.url"
        )
    if method == "PATCH" and not isinstance(resource, dict):
        raise InvalidInput(
            "store.bundle-resource", "Tài liệu của mục không khớp địa chỉ.", expression=f"{where}.resource"
        )
    matched = _ETAG.fullmatch(str(request.get("ifMatch") or ""))
    resource_id = parts[1] if len(parts) > 1 else None
    if method in ("PUT", "PATCH", "DELETE") and resource_id is None and not query:
        raise InvalidInput(
            "store.bundle-url",
            "PUT, PATCH và DELETE cần mã hoặc điều kiện.",
            expression=f"{where}.request.url",
        )
    if method == "PUT" and resource_id is not None and (resource or {}).get("id") not in (None, resource_id):
        raise InvalidInput(
            "store.id-mismatch", "Mã trong tài liệu không khớp địa chỉ.", expression=f"{where}.resource.id"
        )
    if method == "POST":
        resource = {k: v for k, v in (resource or {}).items() if k != "id"}
    return _Entry(
        index, method, parts[0], resource_id, query, version, resource if method in ("POST", "PUT", "PATCH") else None,
        str(given.get("fullUrl") or ""), request.get("ifNoneExist"), int(matched[1]) if matched else None,
        text_of_rest(resource) if resource is not None and method in ("POST", "PUT") else None,
    )  # fmt: skip


def _at(entry: _Entry) -> str:
    return f"Bundle.entry[{entry.index}]"
