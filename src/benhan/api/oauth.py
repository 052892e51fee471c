"""``/oauth/token`` and ``/.well-known/smart-configuration``: SMART Backend Services with certificate-bound
tokens.
"""

from __future__ import annotations

import json
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benhan.access import TokenRefused, audiences, issue_token
from benhan.api.asking import FORM_TYPE
from benhan.api.auth import client_thumbprint
from benhan.api.guard import correlation_of, error_response
from benhan.base.settings import Settings
from benhan.store import Store

MAX_FORM_BYTES = 20_000


def smart_configuration(settings: Settings) -> dict[str, object]:
    """What the token endpoint really does (SMART App Launch 2.2, RFC 8414, RFC 8705)."""
    return {
        "token_endpoint": min(audiences(settings)),
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
        "scopes_supported": ["system/*.cruds"],
        "tls_client_certificate_bound_access_tokens": True,
        "capabilities": ["client-confidential-asymmetric", "permission-v2"],
    }


def oauth_routes(store: Store, settings: Settings) -> list[Route]:
    """Routes for the root of an app that machines reach."""

    async def token(request: Request) -> Response:
        request.scope.setdefault("state", {})["route"] = "/oauth/token"
        headers = {"Cache-Control": "no-store", "Pragma": "no-cache"}
        try:
            form = await _form(request)
            made = await issue_token(
                store,
                form=form,
                thumbprint=client_thumbprint(request),
                audience=audiences(settings),
                correlation_id=correlation_of(request),
            )
        except TokenRefused as error:
            return error_response(error, correlation_of(request), headers)
        body = {
            "access_token": made.token,
            "token_type": "bearer",
            "expires_in": made.expires_in_s,
            "scope": made.scopes,
        }
        return Response(json.dumps(body), headers=headers, media_type="application/json")

    async def well_known(request: Request) -> Response:
        request.scope.setdefault("state", {})["route"] = "/.well-known/smart-configuration"
        return Response(json.dumps(smart_configuration(settings)), media_type="application/json")

    return [
        Route("/oauth/token", token, methods=["POST"]),
        Route("/.well-known/smart-configuration", well_known, methods=["GET"]),
    ]


async def _form(request: Request) -> dict[str, str]:
    """Fields of a token request; each at most once. Raises: ``TokenRefused`` (invalid_request)."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        raise TokenRefused("invalid_request")
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_FORM_BYTES:
            raise TokenRefused("invalid_request")
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20)
    except ValueError:
        raise TokenRefused("invalid_request") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise TokenRefused("invalid_request")
    return form
