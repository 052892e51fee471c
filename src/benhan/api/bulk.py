"""Bulk Data Access 2.0 (``$export`` of the system, of patients and of a Group) and our own ``$import`` of NDJSON.

Kick-off answers 202 with ``Content-Location``; there the caller asks until the job is done, gets the manifest and the
files, and deletes it. A job is seen by its owner only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from benhan.api import asking
from benhan.api.guard import UnsupportedBody
from benhan.api.operations import Door, Line
from benhan.base.clock import fhir_instant
from benhan.base.errors import InvalidInput, NotFound, RuleViolation
from benhan.base.json_door import JsonObject, dumps
from benhan.fhir import date_range, operation_outcome, split_reference, validate
from benhan.jobs import (
    DELETED,
    BulkAsked,
    BulkJob,
    bulk_file,
    bulk_job,
    delete_bulk_job,
    start_export,
    start_import,
)
from benhan.store import Repository

NDJSON = "application/fhir+ndjson"
_NDJSON_TYPES = frozenset({NDJSON, "application/ndjson", "ndjson"})
_KNOWN = frozenset({"_outputFormat", "_type", "_since", "_typeFilter", "patient"})
_NEXT_FILTER = re.compile(r",(?=[A-Z][A-Za-z]+\?)")
_RETRY_S = "2"
#: Parameters that shape a page; a filter says only what fits.
_NOT_IN_FILTERS = frozenset(
    {"_count", "_sort", "_cursor", "_include", "_revinclude", "_total", "_summary", "_elements", "_id"}
)


def bulk_lines(door: Door) -> list[Line]:
    """Routes of bulk data."""
    desk = Bulk(door)
    return [
        ("/{facility}/$export", "GET", desk.export),
        ("/{facility}/$export", "POST", desk.export),
        ("/{facility}/Patient/$export", "GET", desk.export),
        ("/{facility}/Patient/$export", "POST", desk.export),
        ("/{facility}/Group/{id}/$export", "GET", desk.export),
        ("/{facility}/Group/{id}/$export", "POST", desk.export),
        ("/{facility}/$import", "POST", desk.take),
        ("/{facility}/$bulk/{job}", "GET", desk.status),
        ("/{facility}/$bulk/{job}", "DELETE", desk.delete),
        ("/{facility}/$bulk/{job}/{number}", "GET", desk.file),
    ]


@dataclass(frozen=True, slots=True)
class Bulk:
    """Each function is one step of the dialogue."""

    door: Door

    async def export(self, request: Request) -> Response:
        """Kick-off: ``_type``, ``_since``, ``_outputFormat``, ``_typeFilter``, and (POST, below patients) ``patient``.

        Raises: ``InvalidInput`` (api.bad-query), what reading the Group raises.
        """
        repo = await self.door.repo(request)
        asking.wanted(request)
        given = asking.query_pairs(request) if request.method == "GET" else await _sent(request)
        params = dict(given)
        below = (
            "Group" if "id" in request.path_params else "Patient" if "/Patient/" in request.url.path else ""
        )
        known = _KNOWN if below and request.method == "POST" else _KNOWN - {"patient"}
        if strange := sorted(set(params) - known):
            lenient = "handling=lenient" in request.headers.get("prefer", "")
            if not lenient:
                name = strange[0] if re.fullmatch(r"_?[A-Za-z]{1,40}", strange[0]) else "?"
                raise InvalidInput("api.bad-query", "Có tham số không hiểu.", expression=name)
        if params.get("_outputFormat", NDJSON).replace(" ", "+") not in _NDJSON_TYPES:
            raise InvalidInput("api.bad-query", "Chỉ xuất dạng NDJSON.", expression="_outputFormat")
        types = tuple(t.strip() for k, v in given if k == "_type" for t in v.split(",") if t.strip())
        if set(types) - asking.SERVED:
            raise InvalidInput("api.bad-query", "Tham số _type có loại không biết.", expression="_type")
        since = asking.instants(params, "_since")
        address = "/".join(p for p in (below, request.path_params.get("id", ""), "$export") if p)
        members, untold = (
            await _members(repo, str(request.path_params["id"])) if below == "Group" else (None, ())
        )
        if any(k == "patient" for k, _ in given) and "patient" in known:
            named = {v.rpartition("/")[2] for k, v in given if k == "patient"}
            members = tuple(sorted(named if members is None else named & set(members)))
        wanted = BulkAsked(
            f"{self.door.base(request)}/{address}",
            types,
            since[0] if since else None,
            bool(below),
            members,
            _filters(given, types),
            untold,
        )
        return self._accepted(request, await start_export(repo, wanted))

    async def take(self, request: Request) -> Response:
        """Kick-off of an import: one resource a line; large data come in several requests."""
        repo = await self.door.repo(request)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in _NDJSON_TYPES:
            raise UnsupportedBody("api.unsupported-body", "Chỉ nhận nội dung dạng NDJSON.")
        return self._accepted(request, await start_import(repo, await request.body()))

    def _accepted(self, request: Request, job: UUID) -> Response:
        return Response(
            status_code=202, headers={"Content-Location": f"{self.door.base(request)}/$bulk/{job}"}
        )

    async def status(self, request: Request) -> Response:
        """202 while it runs, then the manifest."""
        repo = await self.door.repo(request)
        job = await bulk_job(repo, _job(request))
        if job.state == "running":
            return Response(
                status_code=202,
                headers={"Retry-After": _RETRY_S, "X-Progress": str(job.place.get("type", "0"))},
            )
        if job.state == "failed":
            raise RuleViolation("jobs.bulk-failed", "Việc này đã dừng vì lỗi; hãy gửi lại yêu cầu mới.")
        return Response(dumps(_manifest(job, self.door.base(request))), media_type="application/json")

    async def delete(self, request: Request) -> Response:
        """Ends the job and destroys its files."""
        repo = await self.door.repo(request)
        await delete_bulk_job(repo, _job(request))
        return Response(status_code=202)

    async def file(self, request: Request) -> Response:
        """One file."""
        repo = await self.door.repo(request)
        number = str(request.path_params["number"])
        if not re.fullmatch(r"[1-9][0-9]{0,6}", number):
            raise NotFound("jobs.no-such-job", "Không có việc này.")
        content = await bulk_file(repo, _job(request), int(number))
        headers = {"Content-Disposition": f'attachment; filename="{number}.ndjson"'}
        answer = Response(content, headers=headers)
        answer.headers["Content-Type"] = NDJSON
        return answer


async def _sent(request: Request) -> list[tuple[str, str]]:
    """Parameters of a kick-off by POST. Raises: ``InvalidInput`` (api.bad-parameters, fhir.*)."""
    body = asking.resource_of(await asking.resource_body(request), "Parameters")
    validate(body)
    out: list[tuple[str, str]] = []
    for part in body.get("parameter", []):
        for key, value in part.items():
            if key == "valueReference":
                out.append((part["name"], str(value.get("reference", ""))))
            elif key.startswith("value") and isinstance(value, str):
                out.append((part["name"], value))
    return out


async def _members(repo: Repository, group: str) -> tuple[tuple[str, ...], tuple[JsonObject, ...]]:
    """Ids of the patients who are in a Group now, and an outcome for each member that is none.

    Raises: what reading the Group raises.
    """
    if not re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", group):
        raise NotFound("api.no-such-resource", "Không có tài liệu này.")
    stored = await repo.read("Group", group)
    now = repo.clock.now()
    ids: dict[str, None] = {}
    untold: list[JsonObject] = []
    for number, member in enumerate(stored.data.get("member", [])):
        end = date_range(str(member.get("period", {}).get("end", "")))
        if member.get("inactive") or (end is not None and end[1] is not None and end[1] <= now):
            continue
        target = split_reference(str(member.get("entity", {}).get("reference", "")))
        if target is not None and target[0] == "Patient":
            ids[target[1]] = None
            continue
        error = InvalidInput(
            "api.bulk-member",
            "Thành viên này của nhóm không phải người bệnh nên không xuất được.",
            expression=f"Group.member[{number}].entity",
        )
        untold.append(operation_outcome(error))
    return tuple(ids), tuple(untold)


def _filters(given: list[tuple[str, str]], types: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """``_typeFilter``: searches by type, of types that are exported. Raises: ``InvalidInput`` (api.bad-query)."""
    out: list[tuple[str, str]] = []
    for text in (one for k, v in given if k == "_typeFilter" for one in _NEXT_FILTER.split(v)):
        kind, mark, query = text.partition("?")
        plain = {name.partition(":")[0] for name, _ in asking.pairs(query)}
        if not mark or not plain or kind not in types or plain & _NOT_IN_FILTERS:
            raise InvalidInput(
                "api.bad-query",
                "_typeFilter phải có dạng Loại?tham-số=giá-trị, với loại có trong _type.",
                expression="_typeFilter",
            )
        out.append((kind, query))
    return tuple(out)


def _job(request: Request) -> UUID:
    try:
        return UUID(str(request.path_params["job"]))
    except ValueError:
        raise NotFound("jobs.no-such-job", "Không có việc này.") from None


def _manifest(job: BulkJob, base: str) -> JsonObject:
    listed = [
        {
            "type": "Bundle" if f.type == DELETED else f.type,
            "url": f"{base}/$bulk/{job.id}/{f.number}",
            "count": f.rows,
            "part": "error" if f.type == "OperationOutcome" else "deleted" if f.type == DELETED else "output",
        }
        for f in job.files
        if f.type
    ]

    def part(name: str) -> list[JsonObject]:
        return [{k: v for k, v in one.items() if k != "part"} for one in listed if one["part"] == name]

    out: JsonObject = {
        "transactionTime": fhir_instant(job.started_at),
        "request": job.asked.get("request", f"{base}/$import"),
        "requiresAccessToken": True,
        "output": part("output"),
        "deleted": part("deleted"),
        "error": part("error"),
    }
    if job.kind == "import":
        out["extension"] = {"written": job.place.get("written", 0), "refused": job.place.get("refused", 0)}
    return out
