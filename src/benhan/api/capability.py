"""The CapabilityStatement: made from the same tables that route and serve, so that it cannot promise more."""

from __future__ import annotations

from importlib.metadata import version

from benhan.api.asking import SERVED
from benhan.api.topics import topics
from benhan.base.json_door import JsonObject
from benhan.fhir import capability_statement, search_params

INTERACTIONS = (
    "read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type",
)  # fmt: skip
SYSTEM_INTERACTIONS = ("transaction", "batch", "history-system")
#: Types of search parameter that the store answers.
SEARCHED = frozenset({"token", "string", "reference", "date", "number", "quantity", "uri", "composite"})
_BY_WORDS = frozenset({"_text", "_content"})
STATED = "2026-11-23"
_OFFICIAL = "http://hl7.org/fhir/OperationDefinition"
_BULK = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition"
_BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport"
_TOPIC = f"{_BACKPORT}/StructureDefinition/capabilitystatement-subscriptiontopic-canonical"
#: Operation → its official definition, for every type.
_EVERY_TYPE = {
    "validate": f"{_OFFICIAL}/Resource-validate",
    "meta": f"{_OFFICIAL}/Resource-meta",
    "meta-add": f"{_OFFICIAL}/Resource-meta-add",
    "meta-delete": f"{_OFFICIAL}/Resource-meta-delete",
}
#: Type → operation → definition.
_OF_TYPE = {
    "Patient": {
        "everything": f"{_OFFICIAL}/Patient-everything",
        "export": f"{_BULK}/patient-export",
        "match": f"{_OFFICIAL}/Patient-match",
    },
    "Group": {"export": f"{_BULK}/group-export"},
    "ValueSet": {
        "expand": f"{_OFFICIAL}/ValueSet-expand",
        "validate-code": f"{_OFFICIAL}/ValueSet-validate-code",
    },
    "CodeSystem": {
        "lookup": f"{_OFFICIAL}/CodeSystem-lookup",
        "validate-code": f"{_OFFICIAL}/CodeSystem-validate-code",
    },
    "ConceptMap": {"translate": f"{_OFFICIAL}/ConceptMap-translate"},
    "Composition": {"document": f"{_OFFICIAL}/Composition-document"},
    "Subscription": {
        "status": f"{_BACKPORT}/OperationDefinition/backport-subscription-status",
        "events": f"{_BACKPORT}/OperationDefinition/backport-subscription-events",
    },
}


def searchable(kind: str) -> list[str]:
    """Names of the parameters of a type that are answered."""
    return sorted(
        name
        for name, p in search_params(kind).items()
        if name in _BY_WORDS or (p.type in SEARCHED and (p.extracted or p.components))
    )


def included() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """What ``_include`` takes for each type, and ``_revinclude``: every reference that is answered, and the wildcard."""
    forward: dict[str, list[str]] = {kind: ["*"] for kind in SERVED}
    back: dict[str, list[str]] = {kind: [] for kind in SERVED}
    for kind in SERVED:
        for name, param in search_params(kind).items():
            if param.type == "reference" and param.extracted:
                forward[kind].append(f"{kind}:{name}")
                for target in param.targets & SERVED:
                    back[target].append(f"{kind}:{name}")
    return forward, back


def statement(base: str) -> JsonObject:
    """CapabilityStatement of the FHIR door at ``base``."""
    forward, back = included()
    made = capability_statement(
        sorted(SERVED),
        INTERACTIONS,
        {kind: searchable(kind) for kind in SERVED},
        base,
        version("benhan"),
        STATED,
        system_interactions=SYSTEM_INTERACTIONS,
        includes=forward,
        revincludes=back,
        conditional=True,
        security=(
            "Phiên đăng nhập, hoặc OAuth2 client_credentials (private_key_jwt) gắn với chứng "
            "thư TLS (RFC 8705)."
        ),
    )
    made["format"] = ["application/fhir+json", "application/fhir+xml", "json", "xml"]
    made["patchFormat"] = ["application/json-patch+json", "application/fhir+json", "application/fhir+xml"]
    made["rest"][0]["operation"] = [{"name": "export", "definition": f"{_BULK}/export"}]
    for resource in made["rest"][0]["resource"]:
        resource["conditionalRead"] = "full-support"
        resource["conditionalDelete"] = "single"
        operations = {**_EVERY_TYPE, **_OF_TYPE.get(resource["type"], {})}
        resource["operation"] = [{"name": n, "definition": d} for n, d in sorted(operations.items())]
        if resource["type"] == "Subscription":
            resource["extension"] = [{"url": _TOPIC, "valueCanonical": url} for url in sorted(topics())]
    return made
