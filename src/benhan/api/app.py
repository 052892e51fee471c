"""The apps: FHIR alone (mounted at ``/fhir`` by the pages), and all that machines reach (mutual TLS)."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from benhan.api.auth import Authenticate, authenticator
from benhan.api.fhir import FhirDoor
from benhan.api.guard import Guard, on_benhan_error, on_http_error
from benhan.api.oauth import oauth_routes
from benhan.api.subscriptions import subscription_guard
from benhan.base.errors import BenhanError
from benhan.base.settings import Settings
from benhan.store import Store


def guarded(routes: Sequence[BaseRoute], settings: Settings) -> Starlette:
    """An app of routes inside the guard: every error an OperationOutcome, no slash redirects."""
    app = Starlette(
        routes=list(routes),
        middleware=[Middleware(Guard, max_body=settings.max_body_bytes)],
        exception_handlers={HTTPException: on_http_error, BenhanError: on_benhan_error},
    )
    app.router.redirect_slashes = False
    return app


def create_app(
    store: Store, settings: Settings | None = None, authenticate: Authenticate | None = None
) -> Starlette:
    """The FHIR door; mount it at ``/fhir``. Addresses are ``/fhir/<facility code>/…``."""
    used = settings or store.settings
    store.guard_with(subscription_guard)
    door = FhirDoor(store, used, authenticate or authenticator(store))
    return guarded(door.routes(), used)


def create_machine_app(
    store: Store,
    settings: Settings | None = None,
    routes: Sequence[BaseRoute] = (),
    authenticate: Authenticate | None = None,
) -> Starlette:
    """What machines reach: ``/fhir/…``, ``/oauth/token``, ``/.well-known/smart-configuration`` and ``routes``
    (MHD …).

    ``/health`` answers 200 while the process serves; it tells nothing else.
    """
    used = settings or store.settings

    async def health(request: Request) -> Response:
        return Response("ok", media_type="text/plain")

    return guarded(
        [
            Route("/health", health, methods=["GET"]),
            *oauth_routes(store, used),
            *routes,
            Mount("/fhir", create_app(store, used, authenticate)),
        ],
        used,
    )
