"""The pages of a node as one ASGI app: routes, guard, and the FHIR door mounted beside them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from benhan import api
from benhan.access import sensitivity_guard
from benhan.base.errors import BenhanError
from benhan.base.ids import new_id
from benhan.base.settings import Settings
from benhan.gateways.bhyt import use_icd_list
from benhan.records import closed_record_guard
from benhan.store import Store, WriteGuard
from benhan.web import (
    assets,
    autosave,
    binder,
    break_glass,
    by_hand,
    claim_rules,
    claims,
    closing,
    desk,
    destruction,
    errors,
    exchange_queue,
    form_admin,
    history,
    keeping,
    keys,
    orders,
    oversight,
    patients,
    picks,
    record,
    referrals,
    release,
    scans,
    sheets,
    signin,
    signing,
    signing_duties,
    signing_far,
    signing_list,
    stay,
    steward,
    undoing,
    unread,
    verify_code,
    vitals,
)
from benhan.web.frame import CSP

log = logging.getLogger("benhan.web")

HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """Gives every request an id and every answer its security headers; refuses bodies that are too large."""

    def __init__(self, app: ASGIApp, max_body: int, max_scan: int, secure: bool) -> None:
        self.app, self.max_body, self.max_scan, self.secure = app, max_body, max_scan, secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        correlation = new_id()
        scope.setdefault("state", {})["correlation_id"] = correlation
        length = dict(scope["headers"]).get(b"content-length", b"0")
        most = self.max_scan if scope["path"].endswith(scans.UPLOAD) else self.max_body
        if not length.isdigit() or int(length) > most:
            await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
                headers["X-Correlation-Id"] = correlation
                if self.secure:
                    headers["Strict-Transport-Security"] = "max-age=31536000"
            await send(message)

        await self.app(scope, receive, send_guarded)


def routes() -> list[BaseRoute]:
    """Every page, in the order of the files."""
    rooms: Sequence[Any] = (
        assets, signin, desk, patients, stay, record, autosave, picks, signing, signing_list, signing_far, signing_duties, keys,
        by_hand, orders, sheets, vitals, closing, binder, release, keeping, destruction, verify_code, form_admin, history,
        break_glass, undoing, scans, referrals, exchange_queue, oversight, steward, claims, claim_rules, unread,
    )  # fmt: skip
    return [route for room in rooms for route in room.ROUTES]


def create_app(store: Store, settings: Settings | None = None, jobs: object | None = None) -> Starlette:
    """The pages and the FHIR door of a node over an open store.

    ``jobs`` is kept for pages that show stuck work; the worker is a process of its own.
    """
    used = settings or store.settings
    use_icd_list(used.home / "bhyt")
    app = Starlette(
        routes=[
            *routes(),
            *api.oauth_routes(store, used),
            Mount("/fhir", api.create_app(store, used)),
        ],
        middleware=[
            Middleware(
                Guard, max_body=used.max_body_bytes, max_scan=used.scan_max_bytes, secure=not used.local_only
            )
        ],
        exception_handlers={
            BenhanError: errors.on_benhan_error,
            HTTPException: errors.on_http_error,
            Exception: errors.on_fault,
        },
    )
    app.router.redirect_slashes = False
    app.state.store, app.state.settings, app.state.jobs = store, used, jobs
    return app


class NodeApp:
    """Opens the store when the server starts, then hands every request to `create_app`'s app."""

    def __init__(self, settings: Settings, guards: Sequence[WriteGuard]) -> None:
        self.settings, self.guards = settings, guards
        self.app: Starlette | None = None

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Starlette]:
        """The app over its own store."""
        store = await Store.open(self.settings, guards=self.guards)
        try:
            yield create_app(store, self.settings)
        finally:
            await store.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif self.app is not None:
            await self.app(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with self.opened() as app:
                self.app = app
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except Exception as error:
            log.exception("start-up failed")
            await send({"type": "lifespan.startup.failed", "message": type(error).__name__})
            raise
        await send({"type": "lifespan.shutdown.complete"})


def node_app(
    settings: Settings, guards: Sequence[WriteGuard] = (closed_record_guard, sensitivity_guard)
) -> ASGIApp:
    """The app of a server process: the store is opened by the process itself."""
    return NodeApp(settings, guards)
