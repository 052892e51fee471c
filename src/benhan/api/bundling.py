"""Bundles at the door: what is not served is refused, for a transaction as a whole, for a batch entry by entry.

The store carries out writes, reads and searches. Here are done what belongs to the address (R4 3.1.0.11): history as an
entry, reads that bring nothing when the caller has the version already (304), ``ifNoneMatch: *`` on a PUT, and the full
addresses inside searchsets.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from benhan.api import asking
from benhan.api.answering import same_copy
from benhan.base.errors import BenhanError, InvalidInput
from benhan.base.json_door import JsonObject
from benhan.fhir import operation_outcome
from benhan.store import Repository, refuse_existing

History: TypeAlias = Callable[[Repository, "str | None", "str | None", str], Awaitable[JsonObject]]

_LOCAL_URL = re.compile(r"[A-Z][A-Za-z]+(/[A-Za-z0-9\-.]{1,64}(/_history/[1-9]\d{0,8})?)?(\?.*)?")
_HISTORY_URL = re.compile(r"(?:([A-Z][A-Za-z]+)/(?:([A-Za-z0-9\-.]{1,64})/)?)?_history(?:\?(.*))?")
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"})
_TEXTS = ("ifMatch", "ifNoneMatch", "ifNoneExist", "ifModifiedSince")


async def answer_bundle(repo: Repository, bundle: JsonObject, base: str, history: History) -> JsonObject:
    """The response Bundle of a transaction or batch.

    Raises: ``InvalidInput`` (api.bad-bundle): another kind of Bundle; for a transaction, every entry at fault.
    """
    kind = bundle.get("type")
    if kind not in ("transaction", "batch"):
        raise InvalidInput(
            "api.bad-bundle", "Chỉ nhận Bundle loại transaction hoặc batch.", expression="Bundle.type"
        )
    entries = bundle.get("entry", [])
    if not isinstance(entries, list):
        raise InvalidInput("api.bad-bundle", "Bundle.entry phải là một danh sách.", expression="Bundle.entry")
    faults = {n: fault for n, entry in enumerate(entries) if (fault := _fault(n, entry)) is not None}
    if kind == "transaction":
        if faults:
            first = next(iter(faults.values()))
            raise InvalidInput(first.code, first.text, issues=[i for f in faults.values() for i in f.issues])
        answers = await _transaction(repo, bundle, entries, history)
    else:
        answers = await _batch(repo, bundle, entries, faults, history)
    out = [_finished(entry, answer, base) for entry, answer in zip(entries, answers, strict=True)]
    return {"resourceType": "Bundle", "type": f"{kind}-response", "entry": out}


async def _transaction(
    repo: Repository, bundle: JsonObject, entries: Sequence[JsonObject], history: History
) -> list[JsonObject]:
    """All in one transaction; history, a read, comes last as reads do."""
    async with repo.transaction() as tx:
        for entry in entries:
            await _check_new(tx, entry)
        plain = [e for e in entries if not _is_history(e)]
        done = iter((await tx.bundle({**bundle, "entry": plain}))["entry"] if plain else [])
        return [await _history(tx, e, history) if _is_history(e) else next(done) for e in entries]


async def _batch(
    repo: Repository,
    bundle: JsonObject,
    entries: Sequence[JsonObject],
    faults: dict[int, InvalidInput],
    history: History,
) -> list[JsonObject]:
    """Each for itself, in the order given."""
    out: list[JsonObject] = []
    waiting: list[JsonObject] = []

    async def flush() -> None:
        if waiting:
            out.extend((await repo.bundle({**bundle, "entry": list(waiting)}))["entry"])
            waiting.clear()

    for number, entry in enumerate(entries):
        if number not in faults and not _is_history(entry) and not _must_be_new(entry):
            waiting.append(entry)
            continue
        await flush()
        try:
            if number in faults:
                raise faults[number]
            if _is_history(entry):
                out.append(await _history(repo, entry, history))
                continue
            async with repo.transaction() as tx:
                await _check_new(tx, entry)
                alone = {**bundle, "type": "transaction", "entry": [entry]}
                out.append((await tx.bundle(alone))["entry"][0])
        except BenhanError as error:
            out.append({"response": {"status": str(error.status), "outcome": operation_outcome(error)}})
    await flush()
    return out


def _is_history(entry: JsonObject) -> bool:
    request = entry["request"]
    return request["method"] in ("GET", "HEAD") and _HISTORY_URL.fullmatch(request["url"]) is not None


async def _history(repo: Repository, entry: JsonObject, history: History) -> JsonObject:
    matched = _HISTORY_URL.fullmatch(entry["request"]["url"])
    kind, given, query = matched.groups() if matched else (None, None, None)
    return {"resource": await history(repo, kind, given, query or ""), "response": {"status": "200"}}


def _must_be_new(entry: JsonObject) -> bool:
    request = entry["request"]
    return request["method"] == "PUT" and "ifNoneMatch" in request


async def _check_new(tx: Repository, entry: JsonObject) -> None:
    if _must_be_new(entry):
        kind, _, given = entry["request"]["url"].partition("/")
        await refuse_existing(tx, kind, given)


def _finished(entry: JsonObject, answer: JsonObject, base: str) -> JsonObject:
    """The answer to an entry: nothing when the caller has it, no body for HEAD, full addresses in a searchset."""
    request = entry.get("request") if isinstance(entry, dict) else None
    response, resource = answer["response"], answer.get("resource")
    if not isinstance(request, dict) or request.get("method") not in ("GET", "HEAD") or resource is None:
        return answer
    at = response.get("lastModified")
    known = (request.get("ifNoneMatch"), request.get("ifModifiedSince"))
    if at is not None and same_copy(response["etag"], datetime.fromisoformat(at), *known):
        return {"response": {**response, "status": "304"}}
    if request["method"] == "HEAD":
        return {"response": response}
    if resource.get("resourceType") == "Bundle" and resource.get("type") == "searchset":
        listed = [
            {"fullUrl": f"{base}/{e['resource']['resourceType']}/{e['resource']['id']}", **e}
            for e in resource.get("entry", ())
        ]
        full = {k: v for k, v in resource.items() if k != "entry"} | ({"entry": listed} if listed else {})
        return {**answer, "resource": full}
    return answer


def _fault(number: int, entry: Any) -> InvalidInput | None:
    """What is wrong with an entry: its method, its address, its type, or the form of its conditions."""
    request = entry.get("request") if isinstance(entry, dict) else None
    if (
        isinstance(request, dict)
        and isinstance(request.get("method"), str)
        and isinstance(request.get("url"), str)
    ):
        method, url = request["method"], request["url"]
        resource = entry.get("resource")
        carries = {"Parameters"} if method == "PATCH" else set()
        if (
            method in _METHODS
            and _address_known(method, url)
            and isinstance(resource, dict | None)
            and (resource is None or _type(resource) in asking.SERVED | carries)
            and isinstance(entry.get("fullUrl", ""), str)
            and all(isinstance(request.get(name, ""), str) for name in _TEXTS)
            and (method != "PUT" or _new_by_id(request, url))
        ):
            return None
    return InvalidInput(
        "api.bad-bundle",
        "Mục của Bundle có phương thức hoặc địa chỉ không được nhận.",
        expression=f"Bundle.entry[{number}].request",
    )


def _address_known(method: str, url: str) -> bool:
    matched = _HISTORY_URL.fullmatch(url) if method in ("GET", "HEAD") else None
    if matched is not None:
        return matched[1] is None or matched[1] in asking.SERVED
    return _LOCAL_URL.fullmatch(url) is not None and re.split(r"[/?]", url, maxsplit=1)[0] in asking.SERVED


def _new_by_id(request: JsonObject, url: str) -> bool:
    """``ifNoneMatch`` of a PUT is ``*``, and its address names the id."""
    given = request.get("ifNoneMatch")
    return given is None or (
        given == "*" and re.fullmatch(r"[A-Za-z]+/[A-Za-z0-9\-.]{1,64}", url) is not None
    )


def _type(resource: JsonObject) -> str:
    return str(resource.get("resourceType"))
