"""A seeded generator of requests: half sense, half nonsense, over every route, parameter and form of body."""

from __future__ import annotations

import base64
import json
import random
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from benhan.api.asking import SERVED
from benhan.fhir import search_params

TYPES = ("Patient", "Observation", "Encounter", "Composition", "Condition", "Basic", "Organization", "Binary")
WORDS = (
    "", "x", "Nguyễn", "%", "_", "\\", "'", '"', "--", "$", "|", ",", "urn:x|1", "|", "a|b|c", "2026", "2026-13-40", "gt2026",
    "ap2026-01-01", "0001", "9999-12-31T23:59:59Z", "eb", "5.40e-3", "1e400", "-0", "NaN", "Patient/p1", "Patient/", "#x",
    "http://a/Patient/1", "true", "null", "0", "-1", "99999999999999999999", "a" * 300, "\u202e", "\ufeff", "💉",
    "5.4|http://unitsofmeasure.org|mg", "5.4||mg", "(a+)+$", "Patient.name", "[]", "{}", "1.1.1", "a.b.c",
    "2026-11-23T10:00:00+07:00",
)  # fmt: skip
COMMON = (
    "_id", "_lastUpdated", "_sort", "_count", "_cursor", "_include", "_revinclude", "_total", "_summary", "_elements",
    "_format", "_pretty", "_since", "_at", "_type", "_has:Observation:patient:code", "_tag", "_profile", "_text", "_content",
    "_filter", "_list", "_query", "_security", "_source", "persist", "url", "filter", "count", "offset", "code", "system",
)  # fmt: skip
MODIFIERS = ("", "", "", ":exact", ":contains", ":missing", ":not", ":text", ":identifier", ":Patient", ":x", ":above",
             ":in", ":of-type", ".name", ":Patient.name", ".organization.name")  # fmt: skip
TYPES_OF_BODY = (
    "application/fhir+json", "application/fhir+json", "application/json", "application/fhir+xml", "application/json-patch+json",
    "application/x-www-form-urlencoded", "text/plain", "application/fhir+ndjson", "",
)  # fmt: skip
OPERATIONS = (
    "$validate", "$everything", "$document", "$meta", "$meta-add", "$meta-delete", "$expand", "$lookup", "$validate-code",
    "$translate", "$export", "$import", "$khong-co", "$match", "$status", "$events",
)  # fmt: skip
BODIES: dict[str, dict[str, Any]] = {
    "Patient": {"resourceType": "Patient", "name": [{"text": "A", "given": ["B", "C"]}], "gender": "male",
                "identifier": [{"system": "urn:x", "value": "1"}], "birthDate": "1999-02-03"},
    "Observation": {"resourceType": "Observation", "status": "final", "code": {"text": "x"},
                    "subject": {"reference": "Patient/p1"}, "valueQuantity": {"value": 7, "unit": "kg"}},
    "Encounter": {"resourceType": "Encounter", "status": "planned", "class": {"code": "IMP"}},
    "Composition": {"resourceType": "Composition", "status": "final", "type": {"text": "x"}, "title": "x",
                    "date": "2026", "author": [{"reference": "Practitioner/1"}], "subject": {"reference": "Patient/p1"}},
    "Condition": {"resourceType": "Condition", "subject": {"reference": "Patient/p1"}, "code": {"text": "x"}},
    "Basic": {"resourceType": "Basic", "code": {"text": "x"}},
    "Organization": {"resourceType": "Organization", "name": "x"},
    "Binary": {"resourceType": "Binary", "contentType": "text/plain", "data": "eA=="},
}  # fmt: skip
PATHS = (
    "Patient", "Patient.name", "Patient.name[0]", "Patient.name[0].given", "Patient.gender", "Patient.name.given[1]",
    "Patient.name.where(text='A')", "Patient.name.where(", "Observation.value", "%resource", "1+1", "Patient.id",
    "Patient.name.given.first()", "'a'", "Patient.birthDate", "$this", "Patient.identifier.value", "", "Patient.meta",
)  # fmt: skip
BROKEN = (
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff",
    b'{"a":1,"a":2}',
    b"<Patient/>",
    b"[" * 300,
    b'{"resourceType":1}',
)
VERSIONS = ("1", "2", "0", "x", "999999999", "9" * 12)
ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, "", "x", [], {}, [None], [[]], {"a": {}}, "2026-02-30", "x" * 2000, 10**18, ["x", 1], "\u0001",
    "<b/>",
)  # fmt: skip


def copied(value: Any) -> Any:
    """A copy that shares nothing: what is spoilt later must not spoil the table."""
    return json.loads(json.dumps(value))


@dataclass
class Asked:
    """One request."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None


class Fuzzer:
    """Requests of one seed, always the same ones."""

    def __init__(self, seed: int, base: str) -> None:
        self.random = random.Random(seed)
        self.base = base
        self.served = sorted(SERVED)

    def next(self) -> Asked:
        """The next request."""
        r = self.random
        method = r.choices(
            ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"), (40, 24, 12, 12, 6, 3, 1)
        )[0]
        kind = (
            r.choice(TYPES)
            if r.random() < 0.85
            else r.choice((*self.served, "Nothing", "Subscription", "%00"))
        )
        path = self._path(method, kind)
        query = self._query(kind)
        headers = self._headers()
        body = None
        if method in ("POST", "PUT", "PATCH"):
            body = self._body(method, path, kind, headers)
        return Asked(method, f"{self.base}{path}" + (f"?{query}" if query else ""), headers, body)

    def _id(self) -> str:
        return self.random.choice(
            ("p1", "p2", "c1", "1", "x", "a" * 65, "%2e%2e", "khong-co", "b1", quote("Nguyễn"))
        )

    def _path(self, method: str, kind: str) -> str:
        r, operation = self.random, self.random.choice(OPERATIONS)
        shapes = [
            f"/{kind}", f"/{kind}", f"/{kind}/{self._id()}", f"/{kind}/{self._id()}", f"/{kind}/_history", "/_history",
            f"/{kind}/{self._id()}/_history", f"/{kind}/{self._id()}/_history/{r.choice(VERSIONS)}",
            f"/{kind}/_search", "", "/", f"/{operation}", f"/{kind}/{operation}", f"/{kind}/{self._id()}/{operation}",
            "/metadata", f"/Patient/{self._id()}/{kind}", f"/Patient/{self._id()}/{kind}/_search", f"/Group/g/{operation}",
            f"/{kind}/{self._id()}/x/y/z",
        ]  # fmt: skip
        return r.choice(shapes)

    def _query(self, kind: str) -> str:
        r = self.random
        names = [*COMMON, *(search_params(kind) if kind in SERVED else ())]
        pairs = []
        for _ in range(r.choices((0, 1, 2, 4), (40, 35, 20, 5))[0]):
            name = r.choice(names) + r.choice(MODIFIERS)
            value = r.choice(WORDS) if r.random() < 0.8 else ",".join(r.choices(WORDS, k=3))
            if r.random() < 0.2:
                value = r.choice(("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")) + value
            pairs.append((name, value))
        text = urlencode(pairs)
        return text if r.random() < 0.97 else text + r.choice(("&a=%FF", "&=", "&&&", "&%00=1", "&a=%00"))

    def _headers(self) -> dict[str, str]:
        r = self.random
        out: dict[str, str] = {"Content-Type": r.choice(TYPES_OF_BODY)}
        for name, values in (
            (
                "Accept",
                ("application/fhir+xml", "application/fhir+json", "text/html", "*/*", "x/y;q=x", ";;,"),
            ),
            ("If-Match", ('W/"1"', '"2"', "*", "x", 'W/"99999999999"')),
            ("If-None-Match", ('W/"1"', "*", "x")),
            (
                "If-Modified-Since",
                ("Mon, 01 Jan 2001 00:00:00 GMT", "x", "Mon, 99 Jan 2001 00:00:00 GMT", "0"),
            ),
            ("If-None-Exist", ("identifier=urn:x|1", "", "x=1", "?identifier=a", "_id=p1", "birthdate=x")),
            (
                "Prefer",
                ("return=minimal", "return=OperationOutcome", "handling=strict", "respond-async", ";="),
            ),
        ):
            if r.random() < 0.15:
                out[name] = r.choice(values)
        return {k: v for k, v in out.items() if v or k != "Content-Type"}

    def _body(self, method: str, path: str, kind: str, headers: dict[str, str]) -> bytes:
        r = self.random
        if r.random() < 0.04:
            return r.choice(
                (
                    b"",
                    b"{",
                    b"[]",
                    b"null",
                    b"\xff",
                    b'{"a":1,"a":2}',
                    b"<Patient/>",
                    b"[" * 300,
                    b'{"resourceType":1}',
                )
            )
        value: Any = self._resource(kind)
        if path in ("", "/"):
            value = self._bundle()
        elif method == "PATCH" and r.random() < 0.9:
            value = self._patch()
            listed = isinstance(value, list)
            headers["Content-Type"] = "application/json-patch+json" if listed else "application/fhir+json"
        elif "$meta" in path or r.random() < 0.05:
            value = self._parameters()
        elif "_search" in path and r.random() < 0.8:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            return self._query(kind).encode()
        if r.random() < 0.75 and method != "PATCH":
            headers["Content-Type"] = "application/fhir+json"
        return json.dumps(value).encode()

    def _resource(self, kind: str) -> Any:
        r = self.random
        value = json.loads(json.dumps(BODIES.get(kind, {"resourceType": kind})))
        if r.random() < 0.6:
            value["id"] = r.choice(("p1", "p2", "c1", "b1", "1"))
        for _ in range(r.choices((0, 1, 3), (45, 45, 10))[0]):
            self._spoil(value)
        return value

    def _spoil(self, value: Any) -> None:
        r = self.random
        while isinstance(value, dict | list) and value:
            key = r.choice(list(value)) if isinstance(value, dict) else r.randrange(len(value))
            if isinstance(value[key], dict | list) and value[key] and r.random() < 0.6:
                value = value[key]
                continue
            if r.random() < 0.15 and isinstance(value, dict):
                value[
                    r.choice(("x", "_" + str(key), "extension", "contained", "meta", "valueString", ""))
                ] = copied(r.choice(ODD))
            elif r.random() < 0.2:
                del value[key]
            else:
                value[key] = copied(r.choice(ODD))
            return

    def _bundle(self) -> Any:
        r = self.random
        entries = []
        for _ in range(r.randrange(4)):
            kind = r.choice(TYPES)
            method = r.choice(("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"))
            url = r.choice(
                (
                    kind,
                    f"{kind}/{self._id()}",
                    f"{kind}?{self._query(kind)}",
                    f"{kind}?_id=p1",
                    f"{kind}/_history?{self._query(kind)}",
                )
            )
            entry: dict[str, Any] = {"request": {"method": method, "url": url}}
            if r.random() < 0.8:
                entry["resource"] = self._resource(kind) if method != "PATCH" else self._patch_resource()
            if r.random() < 0.3:
                entry["fullUrl"] = r.choice(("urn:uuid:1", "urn:uuid:2", "Patient/p1"))
            if r.random() < 0.2:
                name = r.choice(("ifMatch", "ifNoneExist", "ifNoneMatch", "ifModifiedSince"))
                entry["request"][name] = r.choice(("*", 'W/"1"', *WORDS))
            entries.append(entry)
        out = {"resourceType": "Bundle", "type": r.choice(("transaction", "batch")), "entry": entries}
        if r.random() < 0.3:
            self._spoil(out)
        return out

    def _patch_resource(self) -> Any:
        value = self._patch()
        if isinstance(value, dict):
            return value
        data = base64.b64encode(json.dumps(value).encode()).decode()
        return {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": data}

    def _patch(self) -> Any:
        r = self.random
        if r.random() < 0.5:
            return self._parameters()
        out = []
        for _ in range(r.randrange(1, 4)):
            path = r.choice(
                (
                    "/name",
                    "/name/0",
                    "/name/-",
                    "/name/0/given/1",
                    "/gender",
                    "/id",
                    "",
                    "/",
                    "/~2",
                    "/x/y",
                    "name",
                )
            )
            step = {"op": r.choice(("add", "remove", "replace", "move", "copy", "test", "x")), "path": path}
            step["value"] = copied(r.choice((*ODD, "male", {"text": "B"})))
            step["from"] = r.choice(("/name/0", "/gender", "", "/khong"))
            if r.random() < 0.1:
                self._spoil(step)
            out.append(step)
        return out

    def _parameters(self) -> Any:
        r = self.random
        operations = []
        for _ in range(r.randrange(1, 4)):
            parts: list[dict[str, Any]] = [
                {"name": "type", "valueCode": r.choice(("add", "insert", "delete", "replace", "move", "x"))},
                {"name": "path", "valueString": r.choice(PATHS)},
                {"name": "name", "valueString": r.choice(("name", "given", "active", "value", "deceased", "x", "contact"))},
                {"name": "value", **r.choice(({"valueString": "x"}, {"valueBoolean": True}, {"valueHumanName": {"text": "B"}},
                                              {"valueQuantity": {"value": 1}}, {"part": [{"name": "text", "valueString": "y"}]},
                                              {"valueCode": "male"}))},
                {"name": "index", "valueInteger": r.randrange(3)},
                {"name": "source", "valueInteger": r.randrange(3)},
                {"name": "destination", "valueInteger": r.randrange(3)},
            ]  # fmt: skip
            operations.append({"name": "operation", "part": [p for p in parts if r.random() < 0.93]})
        if r.random() < 0.2:
            operations.append({"name": "meta", "valueMeta": {"tag": [{"system": "urn:x", "code": "a"}]}})
        out = {"resourceType": "Parameters", "parameter": operations}
        if r.random() < 0.15:
            self._spoil(out)
        return out
