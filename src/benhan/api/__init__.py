"""FHIR REST, OAuth token endpoint, CapabilityStatement, and the machine door. Thin: rules live below.

``create_app(store, settings=None, authenticate=None) -> Starlette``: mount at ``/fhir``; serves
``/fhir/<facility code>/…``. ``authenticate(request) -> Caller(ctx, policy)``; default: cookie or bound
bearer token. ``create_machine_app(store, settings=None, routes=(), authenticate=None) -> Starlette``: the
root app of the machine port: FHIR, ``/oauth/token``, ``/.well-known/smart-configuration``, ``/health`` and
further ``routes`` (the hub's MHD: ``hub_routes(hub_authenticator(store), seal)``), every error an
OperationOutcome. ``serve_machines(app, settings)`` serves it over mutual TLS until the process ends;
``open_door(app, context, host, port)`` is an async context manager giving the port (tests, demo).
``server_context(cert, key, ca)``, ``client_context(…)``, ``machine_client(base_url, cert, key, ca) ->
httpx.AsyncClient``. ``oauth_routes(store, settings)`` for a root of one's own. ``guarded(routes,
settings)`` puts any routes behind the same guard.

Subscriptions: ``subscription_guard`` (a ``WriteGuard``: which Subscription may be kept; ``create_app`` brings it to its
store, other processes that write open theirs with it) and ``register_subscriptions()`` for the worker.
"""

from benhan.api.app import create_app, create_machine_app, guarded
from benhan.api.auth import Authenticate, Caller, authenticator, client_thumbprint, repository
from benhan.api.machine_door import (
    client_context,
    machine_client,
    open_door,
    serve_machines,
    server_context,
)
from benhan.api.notifying import register_subscriptions
from benhan.api.oauth import oauth_routes
from benhan.api.subscriptions import subscription_guard

__all__ = [
    "Authenticate",
    "Caller",
    "authenticator",
    "client_context",
    "client_thumbprint",
    "create_app",
    "create_machine_app",
    "guarded",
    "machine_client",
    "oauth_routes",
    "open_door",
    "register_subscriptions",
    "repository",
    "serve_machines",
    "server_context",
    "subscription_guard",
]
