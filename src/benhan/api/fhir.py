"""The FHIR R4 REST door (http://hl7.org/fhir/R4/http.html): each function is one interaction, thin over the
store.

The caller is known before anything of the body is read; what may be seen is asked by the store of the
caller's policy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benhan.api import answering, asking
from benhan.api.auth import Authenticate, repository
from benhan.api.bulk import bulk_lines
from benhan.api.bundling import answer_bundle
from benhan.api.capability import statement
from benhan.api.histories import history_bundle
from benhan.api.oauth import smart_configuration
from benhan.api.operations import Endpoint, Line, operation_lines
from benhan.api.people import people_lines
from benhan.api.subscriptions import subscription_lines
from benhan.api.terminology import terminology_lines
from benhan.base.errors import InvalidInput, NotFound
from benhan.base.json_door import JsonObject, dumps
from benhan.base.settings import Settings
from benhan.fhir import fhirpath_patch, json_patch, search_params, validate
from benhan.store import Action, Repository, SearchPage, Store, Stored, refuse_existing


@dataclass(frozen=True, slots=True)
class FhirDoor:
    """The interactions of one node."""

    store: Store
    settings: Settings
    authenticate: Authenticate

    def routes(self) -> list[Route]:
        """Every route of the door; the permission table of the tests lists the same."""
        table: list[Line] = [
            ("/{facility}/metadata", "GET", self.metadata),
            ("/{facility}/.well-known/smart-configuration", "GET", self.well_known),
            ("/{facility}", "POST", self.bundle),
            ("/{facility}/", "POST", self.bundle),
            ("/{facility}/_history", "GET", self.history),
            *bulk_lines(self),
            *operation_lines(self),
            *people_lines(self),
            *terminology_lines(self),
            *subscription_lines(self),
            ("/{facility}/{type}", "GET", self.search),
            ("/{facility}/{type}", "POST", self.create),
            ("/{facility}/{type}", "PUT", self.conditional_update),
            ("/{facility}/{type}", "PATCH", self.conditional_patch),
            ("/{facility}/{type}", "DELETE", self.conditional_delete),
            ("/{facility}/{type}/_history", "GET", self.history),
            ("/{facility}/{type}/_search", "POST", self.search_by_form),
            ("/{facility}/{type}/{id}", "GET", self.read),
            ("/{facility}/{type}/{id}", "PUT", self.update),
            ("/{facility}/{type}/{id}", "PATCH", self.patch),
            ("/{facility}/{type}/{id}", "DELETE", self.delete),
            ("/{facility}/{type}/{id}/_history", "GET", self.history),
            ("/{facility}/{type}/{id}/_history/{vid}", "GET", self.vread),
            ("/{facility}/Patient/{id}/{type}", "GET", self.search),
            ("/{facility}/Patient/{id}/{type}/_search", "POST", self.search_by_form),
        ]
        by_path: dict[str, dict[str, Endpoint]] = {}
        for path, method, endpoint in table:
            by_path.setdefault(path, {})[method] = endpoint
        return [Route(path, _by_method(path, ends), methods=list(ends)) for path, ends in by_path.items()]

    async def repo(self, request: Request) -> Repository:
        caller = await self.authenticate(request)
        return await repository(self.store, caller, str(request.path_params["facility"]))

    def base(self, request: Request) -> str:
        return answering.base_url(request, self.settings.public_url)

    async def facility(self, request: Request) -> None:
        if await self.store.tenant_by_code(str(request.path_params["facility"])) is None:
            raise NotFound("api.no-such-facility", "Không có cơ sở này.")

    async def metadata(self, request: Request) -> Response:
        """capabilities: open to all."""
        asking.wanted(request)
        await self.facility(request)
        return answering.resource_response(request, statement(self.base(request)))

    async def well_known(self, request: Request) -> Response:
        """SMART configuration: open to all."""
        await self.facility(request)
        return Response(dumps(dict(smart_configuration(self.settings))), media_type="application/json")

    async def read(self, request: Request) -> Response:
        """read; a Binary also as its own content."""
        repo = await self.repo(request)
        kind = asking.served_type(request)
        content = kind == "Binary" and answering.wants_content(request)
        if not content:
            asking.wanted(request)
        stored = await repo.read(kind, asking.resource_id(request))
        return answering.binary_content(stored) if content else answering.stored_response(request, stored)

    async def vread(self, request: Request) -> Response:
        """vread."""
        repo = await self.repo(request)
        asking.wanted(request)
        stored = await repo.vread(
            asking.served_type(request), asking.resource_id(request), asking.version(request)
        )
        return answering.stored_response(request, stored)

    async def create(self, request: Request) -> Response:
        """create, conditional with ``If-None-Exist``."""
        repo = await self.repo(request)
        asking.wanted(request)
        kind = asking.served_type(request)
        resource = asking.resource_of(await asking.resource_body(request), kind)
        resource.pop("id", None)  # the server gives the id (http://hl7.org/fhir/R4/http.html#create)
        condition = request.headers.get("if-none-exist")
        if condition is None:
            stored, status = await repo.create(resource), 201
        else:
            stored, status = await self._create_unless(repo, kind, resource, condition)
        return answering.written_response(
            request, stored, status, self.base(request), asking.preference(request)
        )

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
        """update, with ``If-Match`` against lost updates, and ``If-None-Match: *`` for what must be new."""
        repo = await self.repo(request)
        asking.wanted(request)
        kind, given = asking.served_type(request), asking.resource_id(request)
        expected, only_new = asking.if_match(request), asking.only_new(request)
        resource = asking.resource_of(await asking.resource_body(request), kind, given)
        async with repo.transaction() as tx:
            if only_new:
                await refuse_existing(tx, kind, given)
            stored = await tx.update(resource, if_match=expected)
        status = 201 if stored.action == Action.CREATE else 200
        return answering.written_response(
            request, stored, status, self.base(request), asking.preference(request)
        )

    async def conditional_update(self, request: Request) -> Response:
        """conditional update: ``PUT Type?…``."""
        repo = await self.repo(request)
        asking.wanted(request)
        kind = asking.served_type(request)
        condition = asking.query_pairs(request)
        _check_condition(kind, condition)
        expected = asking.if_match(request)
        resource = asking.resource_of(await asking.resource_body(request), kind)
        stored = await repo.conditional_update(kind, condition, resource, if_match=expected)
        status = 201 if stored.action == Action.CREATE else 200
        return answering.written_response(
            request, stored, status, self.base(request), asking.preference(request)
        )

    async def patch(self, request: Request) -> Response:
        """patch: JSON Patch or FHIRPath Patch."""
        repo = await self.repo(request)
        asking.wanted(request)
        kind, given = asking.served_type(request), asking.resource_id(request)
        expected = asking.if_match(request)
        stored = await repo.patch(kind, given, await _change(request), if_match=expected)
        return answering.written_response(
            request, stored, 200, self.base(request), asking.preference(request)
        )

    async def conditional_patch(self, request: Request) -> Response:
        """conditional patch: ``PATCH Type?…``; nothing found is 404."""
        repo = await self.repo(request)
        asking.wanted(request)
        kind = asking.served_type(request)
        condition = asking.query_pairs(request)
        _check_condition(kind, condition)
        change, expected = await _change(request), asking.if_match(request)
        async with repo.transaction() as tx:
            found = await tx.only_match(kind, condition)
            if found is None:
                raise NotFound("api.no-such-resource", "Không có tài liệu này.")
            stored = await tx.patch(kind, found.id, change, if_match=expected)
        return answering.written_response(
            request, stored, 200, self.base(request), asking.preference(request)
        )

    async def conditional_delete(self, request: Request) -> Response:
        """conditional delete of one: nothing found is done already, several are refused (412)."""
        repo = await self.repo(request)
        kind = asking.served_type(request)
        condition = asking.query_pairs(request)
        _check_condition(kind, condition)
        expected = asking.if_match(request)
        async with repo.transaction() as tx:
            tx.policy.check(tx.ctx, Action.DELETE, kind, None)
            found = await tx.only_match(kind, condition)
            if found is not None:
                await tx.delete(kind, found.id, if_match=expected)
        return Response(status_code=204)

    async def delete(self, request: Request) -> Response:
        """delete: the history stays."""
        repo = await self.repo(request)
        await repo.delete(
            asking.served_type(request), asking.resource_id(request), if_match=asking.if_match(request)
        )
        return Response(status_code=204)

    async def history(self, request: Request) -> Response:
        """history of one resource, a type or all, the newest first: ``_since``, ``_at``, ``_count``, ``_cursor``."""
        repo = await self.repo(request)
        asking.wanted(request)
        kind = asking.served_type(request) if "type" in request.path_params else None
        given = asking.resource_id(request) if "id" in request.path_params else None
        params = dict(asking.query_pairs(request))
        bundle = await history_bundle(request, repo, self.base(request), kind, given, params)
        return answering.resource_response(request, bundle)

    async def search(self, request: Request) -> Response:
        """search by address."""
        repo = await self.repo(request)
        return await self._search(request, repo, asking.query_pairs(request))

    async def search_by_form(self, request: Request) -> Response:
        """search by form: the way for personal identifiers, which do not belong in addresses."""
        repo = await self.repo(request)
        return await self._search(request, repo, await asking.form_pairs(request))

    async def _search(
        self, request: Request, repo: Repository, params: Sequence[tuple[str, str]]
    ) -> Response:
        asking.wanted(request)
        kind = path = asking.served_type(request)
        narrowed = list(params)
        if "id" in request.path_params:  # in the compartment of a patient
            patient = asking.resource_id(request)
            path = f"Patient/{patient}/{kind}"
            narrowed.append(("_compartment", f"Patient/{patient}"))
        page = await repo.search(kind, narrowed)
        if page.ignored and asking.preference(request).strict:
            raise InvalidInput(
                "api.unknown-parameter",
                "Có tham số tìm kiếm không hiểu: " + ", ".join(_names(page)) + ".",
                issue_type="not-supported",
            )
        base = self.base(request)
        understood = [(k, v) for k, v in params if k not in page.ignored and k != "_cursor"]
        understood += asking.door_pairs(request)
        here = [v for v in params if v[0] == "_cursor"]
        links = [("self", answering.link(base, path, understood + here))]
        if page.next:
            links.append(("next", answering.link(base, path, [*understood, ("_cursor", page.next)])))
        entries = [answering.search_entry(request, s, base, "match") for s in page.entries]
        entries += [answering.search_entry(request, s, base, "include") for s in page.included]
        if page.ignored:
            entries.append({"resource": _ignored(page), "search": {"mode": "outcome"}})
        return answering.bundle_response(request, "searchset", entries, links, page.total)

    async def bundle(self, request: Request) -> Response:
        """transaction and batch."""
        repo = await self.repo(request)
        asking.wanted(request)
        body = asking.resource_of(await asking.resource_body(request), "Bundle")
        base = self.base(request)

        async def history(tx: Repository, kind: str | None, given: str | None, query: str) -> JsonObject:
            return await history_bundle(request, tx, base, kind, given, dict(asking.pairs(query)))

        return answering.resource_response(request, await answer_bundle(repo, body, base, history))


async def _change(request: Request) -> Callable[[JsonObject], JsonObject]:
    """The patch in the body as a function."""
    body = await asking.patch_body(request)
    if isinstance(body, list):
        return lambda current: json_patch(current, body)
    parameters = body if isinstance(body, dict) else {}
    validate(parameters)
    return lambda current: fhirpath_patch(current, parameters)


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
