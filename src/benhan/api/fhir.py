"""The FHIR R4 REST door (http://hl7.org/fhir/R4/http.html): each function is one interaction, thin over the
store.

The caller is known before anything of the body is read; what may be seen is asked by the store of the
caller's policy.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benhan.api import answering, asking
from benhan.api.auth import Authenticate, repository
from benhan.api.capability import statement
from benhan.api.guard import FHIR_JSON
from benhan.api.oauth import smart_configuration
from benhan.base.errors import BenhanError, InvalidInput, NotFound
from benhan.base.json_door import JsonObject, dumps
from benhan.base.settings import Settings
from benhan.fhir import search_params
from benhan.store import Action, Repository, SearchPage, Store, Stored

Endpoint = Callable[[Request], Awaitable[Response]]
_COUNT = re.compile(r"\d{1,6}")
_MAX_HISTORY = 200
_LOCAL_URL = re.compile(r"[A-Z][A-Za-z]+(/[A-Za-z0-9\-.]{1,64}(/_history/[1-9]\d{0,8})?)?(\?.*)?")


@dataclass(frozen=True, slots=True)
class FhirDoor:
    """The interactions of one node."""

    store: Store
    settings: Settings
    authenticate: Authenticate

    def routes(self) -> list[Route]:
        """Every route of the door; the permission table of the tests lists the same."""
        table: tuple[tuple[str, str, Endpoint], ...] = (
            ("/{facility}/metadata", "GET", self.metadata),
            ("/{facility}/.well-known/smart-configuration", "GET", self.well_known),
            ("/{facility}", "POST", self.bundle),
            ("/{facility}/", "POST", self.bundle),
            ("/{facility}/{type}", "GET", self.search),
            ("/{facility}/{type}", "POST", self.create),
            ("/{facility}/{type}", "PUT", self.conditional_update),
            ("/{facility}/{type}/_search", "POST", self.search_by_form),
            ("/{facility}/{type}/{id}", "GET", self.read),
            ("/{facility}/{type}/{id}", "PUT", self.update),
            ("/{facility}/{type}/{id}", "DELETE", self.delete),
            ("/{facility}/{type}/{id}/_history", "GET", self.history),
            ("/{facility}/{type}/{id}/_history/{vid}", "GET", self.vread),
        )
        by_path: dict[str, dict[str, Endpoint]] = {}
        for path, method, endpoint in table:
            by_path.setdefault(path, {})[method] = endpoint
        return [Route(path, _by_method(path, ends), methods=list(ends)) for path, ends in by_path.items()]

    async def _repo(self, request: Request) -> Repository:
        caller = await self.authenticate(request)
        return await repository(self.store, caller, str(request.path_params["facility"]))

    def _base(self, request: Request) -> str:
        return answering.base_url(request, self.settings.public_url)

    async def _facility(self, request: Request) -> None:
        if await self.store.tenant_by_code(str(request.path_params["facility"])) is None:
            raise NotFound("api.no-such-facility", "Không có cơ sở này.")

    async def metadata(self, request: Request) -> Response:
        """capabilities: open to all."""
        asking.accepts_json(request)
        await self._facility(request)
        return Response(dumps(statement(self._base(request))), media_type=FHIR_JSON)

    async def well_known(self, request: Request) -> Response:
        """SMART configuration: open to all."""
        await self._facility(request)
        return Response(dumps(dict(smart_configuration(self.settings))), media_type="application/json")

    async def read(self, request: Request) -> Response:
        """read; a Binary also as its own content."""
        repo = await self._repo(request)
        kind = asking.served_type(request)
        content = kind == "Binary" and answering.wants_content(request)
        if not content:
            asking.accepts_json(request)
        stored = await repo.read(kind, asking.resource_id(request))
        return answering.binary_content(stored) if content else answering.stored_response(request, stored)

    async def vread(self, request: Request) -> Response:
        """vread."""
        repo = await self._repo(request)
        asking.accepts_json(request)
        stored = await repo.vread(
            asking.served_type(request), asking.resource_id(request), asking.version(request)
        )
        return answering.stored_response(request, stored)

    async def create(self, request: Request) -> Response:
        """create, conditional with ``If-None-Exist``."""
        repo = await self._repo(request)
        asking.accepts_json(request)
        kind = asking.served_type(request)
        resource = asking.resource_of(await asking.json_body(request), kind)
        resource.pop("id", None)  # the server gives the id (http://hl7.org/fhir/R4/http.html#create)
        condition = request.headers.get("if-none-exist")
        if condition is None:
            stored, status = await repo.create(resource), 201
        else:
            stored, status = await self._create_unless(repo, kind, resource, condition)
        return answering.written_response(stored, status, self._base(request), asking.preference(request))

    async def _create_unless(
        self, repo: Repository, kind: str, resource: JsonObject, condition: str
    ) -> tuple[Stored, int]:
        """What the condition finds (200), else a new resource (201)."""
        query = condition.rpartition("?")[2]
        _check_condition(kind, asking.pairs(query))
        async with repo.transaction() as tx:  # two with the same condition wait for each other
            found = await tx.only_match(kind, query)
            return (found, 200) if found is not None else (await tx.create(resource), 201)

    async def update(self, request: Request) -> Response:
        """update, with ``If-Match`` against lost updates."""
        repo = await self._repo(request)
        asking.accepts_json(request)
        kind, given = asking.served_type(request), asking.resource_id(request)
        expected = asking.if_match(request)
        resource = asking.resource_of(await asking.json_body(request), kind, given)
        stored = await repo.update(resource, if_match=expected)
        status = 201 if stored.action == Action.CREATE else 200
        return answering.written_response(stored, status, self._base(request), asking.preference(request))

    async def conditional_update(self, request: Request) -> Response:
        """conditional update: ``PUT Type?…``."""
        repo = await self._repo(request)
        asking.accepts_json(request)
        kind = asking.served_type(request)
        condition = asking.query_pairs(request)
        _check_condition(kind, condition)
        resource = asking.resource_of(await asking.json_body(request), kind)
        stored = await repo.conditional_update(kind, condition, resource)
        status = 201 if stored.action == Action.CREATE else 200
        return answering.written_response(stored, status, self._base(request), asking.preference(request))

    async def delete(self, request: Request) -> Response:
        """delete: the history stays."""
        repo = await self._repo(request)
        await repo.delete(
            asking.served_type(request), asking.resource_id(request), if_match=asking.if_match(request)
        )
        return Response(status_code=204)

    async def history(self, request: Request) -> Response:
        """history of one resource, the newest first; ``_count``, and ``_before`` as next page."""
        repo = await self._repo(request)
        asking.accepts_json(request)
        kind, given = asking.served_type(request), asking.resource_id(request)
        params = dict(asking.query_pairs(request))
        limit = max(1, min(_number(params, "_count", 50), _MAX_HISTORY))
        before = _number(params, "_before", 0) or None
        versions = await repo.history(kind, given, limit=limit, before=before)
        if not versions and before is None:
            raise NotFound("api.no-such-resource", "Không có tài liệu này.")
        base = self._base(request)
        path = f"{kind}/{given}/_history"
        links = [("self", answering.link(base, path, list(params.items())))]
        if len(versions) == limit and versions[-1].version > 1:
            later = [("_count", str(limit)), ("_before", str(versions[-1].version))]
            links.append(("next", answering.link(base, path, later)))
        return answering.bundle_response(
            "history", [answering.history_entry(v, base) for v in versions], links, None
        )

    async def search(self, request: Request) -> Response:
        """search by address."""
        repo = await self._repo(request)
        return await self._search(request, repo, asking.query_pairs(request))

    async def search_by_form(self, request: Request) -> Response:
        """search by form: the way for personal identifiers, which do not belong in addresses."""
        repo = await self._repo(request)
        return await self._search(request, repo, await asking.form_pairs(request))

    async def _search(
        self, request: Request, repo: Repository, params: Sequence[tuple[str, str]]
    ) -> Response:
        asking.accepts_json(request)
        kind = asking.served_type(request)
        page = await repo.search(kind, params)
        if page.ignored and asking.preference(request).strict:
            raise InvalidInput(
                "api.unknown-parameter",
                "Có tham số tìm kiếm không hiểu: " + ", ".join(_names(page)) + ".",
                issue_type="not-supported",
            )
        base = self._base(request)
        understood = [(k, v) for k, v in params if k not in page.ignored and k != "_cursor"]
        here = [v for v in params if v[0] == "_cursor"]
        links = [("self", answering.link(base, kind, understood + here))]
        if page.next:
            links.append(("next", answering.link(base, kind, [*understood, ("_cursor", page.next)])))
        entries = [answering.search_entry(s, base, "match") for s in page.entries]
        entries += [answering.search_entry(s, base, "include") for s in page.included]
        if page.ignored:
            entries.append({"resource": _ignored(page), "search": {"mode": "outcome"}})
        return answering.bundle_response("searchset", entries, links, page.total)

    async def bundle(self, request: Request) -> Response:
        """transaction and batch."""
        repo = await self._repo(request)
        asking.accepts_json(request)
        body = asking.resource_of(await asking.json_body(request), "Bundle")
        _check_bundle(body)
        return Response(dumps(await repo.bundle(body)), media_type=FHIR_JSON)


def _by_method(path: str, ends: dict[str, Endpoint]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        request.scope.setdefault("state", {})["route"] = path
        return await ends["GET" if request.method == "HEAD" else request.method](request)

    return endpoint


def _check_condition(kind: str, condition: Sequence[tuple[str, str]]) -> None:
    """Refuse an empty condition and one with a parameter not known to search: it would match everybody.

    Raises: ``InvalidInput`` (api.no-condition).
    """
    known = search_params(kind)
    if not condition or not all(value and re.split("[:.]", name)[0] in known for name, value in condition):
        raise InvalidInput("api.no-condition", "Điều kiện trống hoặc có tham số tìm kiếm không hiểu.")


def _number(params: dict[str, str], name: str, default: int) -> int:
    given = params.get(name)
    if given is None:
        return default
    if not _COUNT.fullmatch(given):
        raise InvalidInput("api.bad-query", f"Tham số {name} phải là số nguyên.", expression=name)
    return int(given)


def _names(page: SearchPage) -> list[str]:
    """Names of ignored parameters, cut to what a name may look like: a name may carry anything."""
    return [re.sub(r"[^A-Za-z0-9_:.\-]", "?", name)[:60] for name in page.ignored]


def _ignored(page: SearchPage) -> JsonObject:
    return {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "warning",
                "code": "not-supported",
                "details": {"text": f"Bỏ qua tham số tìm kiếm: {name}."},
            }
            for name in _names(page)
        ],
    }


def _check_bundle(bundle: JsonObject) -> None:
    """Refuse what this door does not serve: other kinds of Bundle, methods, types, addresses elsewhere.

    Raises: ``InvalidInput`` (api.bad-bundle) with every entry at fault.
    """
    faults: list[BenhanError] = []
    if bundle.get("type") not in ("transaction", "batch"):
        raise InvalidInput(
            "api.bad-bundle", "Chỉ nhận Bundle loại transaction hoặc batch.", expression="Bundle.type"
        )
    entries = bundle.get("entry", [])
    for number, entry in enumerate(entries if isinstance(entries, list) else [None]):
        request = entry.get("request") if isinstance(entry, dict) else None
        good = isinstance(request, dict) and request.get("method") in ("GET", "POST", "PUT", "DELETE", "HEAD")
        url = request.get("url") if isinstance(request, dict) else None
        good = good and isinstance(url, str) and _LOCAL_URL.fullmatch(url) is not None
        good = good and re.split(r"[/?]", str(url), maxsplit=1)[0] in asking.SERVED
        resource = entry.get("resource") if isinstance(entry, dict) else None
        good = good and (not isinstance(resource, dict) or resource.get("resourceType") in asking.SERVED)
        if not good:
            faults.append(
                InvalidInput(
                    "api.bad-bundle",
                    "Mục của Bundle có phương thức hoặc địa chỉ không được nhận.",
                    expression=f"Bundle.entry[{number}].request",
                )
            )
    if faults:
        raise InvalidInput(faults[0].code, faults[0].text, issues=[i for f in faults for i in f.issues])
