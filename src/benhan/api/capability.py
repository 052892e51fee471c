"""The CapabilityStatement: made from the same tables that route and serve, so that it cannot promise more."""

from __future__ import annotations

from importlib.metadata import version

from benhan.api.asking import SERVED
from benhan.base.json_door import JsonObject
from benhan.fhir import capability_statement, search_params

INTERACTIONS = ("read", "vread", "update", "delete", "history-instance", "create", "search-type")
SYSTEM_INTERACTIONS = ("transaction", "batch")
#: Types of search parameter that the store answers.
SEARCHED = frozenset({"token", "string", "reference", "date", "number", "quantity", "uri"})
STATED = "2026-11-23"


def searchable(kind: str) -> list[str]:
    """Names of the parameters of a type that are answered."""
    return sorted(name for name, p in search_params(kind).items() if p.extracted and p.type in SEARCHED)


def statement(base: str) -> JsonObject:
    """CapabilityStatement of the FHIR door at ``base``."""
    return capability_statement(
        sorted(SERVED),
        INTERACTIONS,
        {kind: searchable(kind) for kind in SERVED},
        base,
        version("benhan"),
        STATED,
        system_interactions=SYSTEM_INTERACTIONS,
        conditional=True,
        security=(
            "Phiên đăng nhập, hoặc OAuth2 client_credentials (private_key_jwt) gắn với chứng "
            "thư TLS (RFC 8705)."
        ),
    )
