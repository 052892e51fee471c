"""Bundles at the door: what is not served is refused, for a transaction as a whole, for a batch entry by entry."""

from __future__ import annotations

import re
from typing import Any

from benhan.api import asking
from benhan.base.errors import InvalidInput
from benhan.base.json_door import JsonObject
from benhan.fhir import operation_outcome
from benhan.store import Repository

_LOCAL_URL = re.compile(r"[A-Z][A-Za-z]+(/[A-Za-z0-9\-.]{1,64}(/_history/[1-9]\d{0,8})?)?(\?.*)?")
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"})
_TEXTS = ("ifMatch", "ifNoneMatch", "ifNoneExist", "ifModifiedSince")


async def answer_bundle(repo: Repository, bundle: JsonObject) -> JsonObject:
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
    if not faults:
        return await repo.bundle(bundle)
    if kind == "transaction":
        first = next(iter(faults.values()))
        raise InvalidInput(first.code, first.text, issues=[i for f in faults.values() for i in f.issues])
    good = [entry for n, entry in enumerate(entries) if n not in faults]
    answered = await repo.bundle({**bundle, "entry": good})
    rest = iter(answered.get("entry", []))
    return {
        **answered,
        "entry": [_refused(faults[n]) if n in faults else next(rest) for n in range(len(entries))],
    }


def _refused(fault: InvalidInput) -> JsonObject:
    return {"response": {"status": str(fault.status), "outcome": operation_outcome(fault)}}


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
            and _LOCAL_URL.fullmatch(url) is not None
            and re.split(r"[/?]", url, maxsplit=1)[0] in asking.SERVED
            and isinstance(resource, dict | None)
            and (resource is None or _type(resource) in asking.SERVED | carries)
            and isinstance(entry.get("fullUrl", ""), str)
            and all(isinstance(request.get(name, ""), str) for name in _TEXTS)
        ):
            return None
    return InvalidInput(
        "api.bad-bundle",
        "Mục của Bundle có phương thức hoặc địa chỉ không được nhận.",
        expression=f"Bundle.entry[{number}].request",
    )


def _type(resource: JsonObject) -> str:
    return str(resource.get("resourceType"))
