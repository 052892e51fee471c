"""Bulk Data Access 2.0 (``$export`` of the system and of patients) and our own ``$import`` of NDJSON.

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
from benhan.jobs import BulkJob, bulk_file, bulk_job, delete_bulk_job, start_export, start_import

NDJSON = "application/fhir+ndjson"
_NDJSON_TYPES = frozenset({NDJSON, "application/ndjson", "ndjson"})
_KNOWN = frozenset({"_outputFormat", "_type", "_since"})
_RETRY_S = "2"


def bulk_lines(door: Door) -> list[Line]:
    """Routes of bulk data."""
    desk = Bulk(door)
    return [
        ("/{facility}/$export", "GET", desk.export),
        ("/{facility}/Patient/$export", "GET", desk.export),
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
        """Kick-off: ``_type``, ``_since``, ``_outputFormat``. Raises: ``InvalidInput`` (api.bad-query)."""
        repo = await self.door.repo(request)
        params = dict(asking.query_pairs(request))
        if strange := sorted(set(params) - _KNOWN):
            lenient = "handling=lenient" in request.headers.get("prefer", "")
            if not lenient:
                name = strange[0] if re.fullmatch(r"_?[A-Za-z]{1,40}", strange[0]) else "?"
                raise InvalidInput("api.bad-query", "Có tham số không hiểu.", expression=name)
        if params.get("_outputFormat", NDJSON).replace(" ", "+") not in _NDJSON_TYPES:
            raise InvalidInput("api.bad-query", "Chỉ xuất dạng NDJSON.", expression="_outputFormat")
        types = tuple(t.strip() for t in params.get("_type", "").split(",") if t.strip())
        if set(types) - asking.SERVED:
            raise InvalidInput("api.bad-query", "Tham số _type có loại không biết.", expression="_type")
        since = asking.instants(params, "_since")
        of_patients = request.url.path.endswith("/Patient/$export")
        address = f"{self.door.base(request)}/{'Patient/' if of_patients else ''}$export"
        job = await start_export(repo, types, since[0] if since else None, of_patients, address)
        return self._accepted(request, job)

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


def _job(request: Request) -> UUID:
    try:
        return UUID(str(request.path_params["job"]))
    except ValueError:
        raise NotFound("jobs.no-such-job", "Không có việc này.") from None


def _manifest(job: BulkJob, base: str) -> JsonObject:
    listed = [
        {"type": f.type, "url": f"{base}/$bulk/{job.id}/{f.number}", "count": f.rows}
        for f in job.files
        if f.type
    ]
    out: JsonObject = {
        "transactionTime": fhir_instant(job.started_at),
        "request": job.asked.get("request", f"{base}/$import"),
        "requiresAccessToken": True,
        "output": [one for one in listed if one["type"] != "OperationOutcome"],
        "error": [one for one in listed if one["type"] == "OperationOutcome"],
    }
    if job.kind == "import":
        out["extension"] = {"written": job.place.get("written", 0), "refused": job.place.get("refused", 0)}
    return out
