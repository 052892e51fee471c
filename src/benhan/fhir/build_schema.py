"""StructureDefinitions → strict JSON Schema, element table and invariants. Used by the generator only.

The stock ``fhir.schema.json`` misses absent required elements, two ``value[x]`` and impossible dates
(decision 4), so ours is made from the snapshots. Draft 4, because only there ``1.0`` is no integer.

One definition per type and per backbone element (``Patient.contact``). A nested resource (``contained``,
``Bundle.entry.resource``) is only required to be an object with a known ``resourceType``: the validator runs
that type's own schema on it, so that the schema of one type never drags in all the others.
"""

from __future__ import annotations

from typing import Any

from benhan.fhir.expansion import Expander, NoExpansion
from benhan.fhir.syntax import BY_PATH, BY_VALUE_SET, LISTED

Json = dict[str, Any]

_FHIR_TYPE = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"
_ATTRIBUTES = {"http://hl7.org/fhirpath/System.String"}
_YEAR = "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
_LEAP = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_DAY = (
    f"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    f"|02-(?:0[1-9]|1[0-9]|2[0-8]))|{_LEAP}-02-29)"
)
_MONTH = f"{_YEAR}(?:-(?:0[1-9]|1[0-2]))?"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]{1,9})?"
_ZONE = "(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_TEXT = r"^[^\x00-\x08\x0B\x0C\x0E-\x1F]*[^\x00-\x20][^\x00-\x08\x0B\x0C\x0E-\x1F]*$"
_ADDRESS = r"^[^\s\x00-\x1F\x7F]+$"


def _pattern(text: str) -> Json:
    return {"type": "string", "pattern": text}


PRIMITIVES: dict[str, Json] = {
    "boolean": {"type": "boolean"},
    "decimal": {"type": "number"},
    "integer": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "unsignedInt": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
    "positiveInt": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
    "string": _pattern(_TEXT),
    "markdown": _pattern(_TEXT),
    "xhtml": {"type": "string", "minLength": 1},
    "code": _pattern(r"^[^\s]+(?:\s[^\s]+)*$"),
    "id": _pattern(r"^[A-Za-z0-9.-]{1,64}$"),
    "uri": _pattern(_ADDRESS),
    "url": _pattern(_ADDRESS),
    "canonical": _pattern(_ADDRESS),
    "oid": _pattern(r"^urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+$"),
    "uuid": _pattern("^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"),
    "date": _pattern(f"^(?:{_MONTH}|{_DAY})$"),
    "dateTime": _pattern(f"^(?:{_MONTH}|{_DAY}(?:T{_TIME}{_ZONE})?)$"),
    "instant": _pattern(f"^{_DAY}T{_TIME}{_ZONE}$"),
    "time": _pattern(f"^{_TIME}$"),
    "base64Binary": {
        "type": "string",
        "minLength": 1,
        "pattern": r"^(?:\s*[0-9A-Za-z+/]{4})*\s*(?:[0-9A-Za-z+/]{2}==|[0-9A-Za-z+/]{3}=)?\s*$",
    },
}


class SchemaBuilder:
    """Collects the definitions of all types given to :meth:`add`.

    ``definitions``: JSON Schema by type name. ``elements``: type → JSON key → [FHIR type, is list].
    ``layout``: type → JSON key → flags, the keys in the order of the definition.
    ``choices``: type → element → its JSON keys. ``invariants``: type → [key, severity, expression, text].
    ``unbound``: bindings left unchecked, with the reason.
    """

    def __init__(self, expander: Expander, resource_types: list[str]) -> None:
        self._expander = expander
        self._sets: dict[str, str | None] = {}
        self.definitions: dict[str, Json] = {name: dict(PRIMITIVES[name]) for name in PRIMITIVES}
        self.definitions["Resource"] = {
            "type": "object",
            "properties": {"resourceType": {"enum": resource_types}},
            "required": ["resourceType"],
        }
        self.elements: dict[str, dict[str, list[Any]]] = {}
        self.choices: dict[str, dict[str, list[str]]] = {}
        self.invariants: dict[str, list[list[str]]] = {}
        self.layout: dict[str, dict[str, str]] = {}
        self.parents: dict[str, str] = {}
        self.unbound: dict[str, str] = {}

    def add(self, definition: Json) -> None:
        """Add one StructureDefinition of a complex type or resource (abstract ones: invariants only)."""
        elements = definition["snapshot"]["element"]
        own = definition["url"]
        root = definition["id"]
        children: dict[str, list[Json]] = {}
        for element in elements[1:]:
            path = root + element["path"][len(definition["type"]) :]
            children.setdefault(path.rsplit(".", 1)[0], []).append({**element, "path": path})
        self._invariants(root, elements[0], own)
        base = definition.get("baseDefinition", "").rsplit("/", 1)[-1]
        if base:
            self.parents[root] = base
        for path in [root, *(p for p in children if p != root)]:
            self._object(path, children, own, definition["kind"] == "resource")

    def _invariants(self, name: str, element: Json, own: str) -> None:
        rules = [
            [c["key"], c["severity"], c["expression"], c["human"]]
            for c in element.get("constraint", [])
            if c.get("source", own) == own and "expression" in c
        ]
        if rules:
            self.invariants[name] = rules

    def _object(self, path: str, children: dict[str, list[Json]], own: str, resource: bool) -> None:
        properties: dict[str, Json] = {}
        required: list[str] = []
        rules: list[Json] = []
        table: dict[str, list[Any]] = {}
        if resource and "." not in path:
            properties["resourceType"] = {"enum": [path]}
            required.append("resourceType")
        for element in children[path]:
            if element["max"] == "0":
                continue
            if element["path"] in children:
                self._invariants(element["path"], element, own)
            elif rest := self._own_rules(element, own):
                self.invariants[element["path"].replace("[x]", "")] = rest
            self._element(path, element, children, properties, required, rules, table)
        body: Json = {
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
            "minProperties": 1,
        }
        if required:
            body["required"] = required
        if rules:
            body["allOf"] = rules
        self.definitions[path] = body
        self.elements[path] = table

    def _own_rules(self, element: Json, own: str) -> list[list[str]]:
        return [
            [c["key"], c["severity"], c["expression"], c["human"]]
            for c in element.get("constraint", [])
            if c.get("source", own) == own and "expression" in c
        ]

    def _element(
        self,
        parent: str,
        element: Json,
        children: dict[str, list[Json]],
        properties: dict[str, Json],
        required: list[str],
        rules: list[Json],
        table: dict[str, list[Any]],
    ) -> None:
        path = element["path"]
        name = path.rsplit(".", 1)[1]
        many = element["max"] != "1"
        if name.endswith("[x]"):
            self._choice(parent, element, name[:-3], properties, rules, table)
            return
        kind, attribute = self._kind(element, children)
        table[name] = [kind, many]
        self.layout.setdefault(parent, {})[name] = _flags(element)
        schema = self._bound(element, kind) or _ref(kind)
        primitive = kind in PRIMITIVES and not attribute
        properties[name] = _list(schema, element, primitive) if many else schema
        if primitive and kind != "xhtml":
            properties["_" + name] = _extensions(many)
            if many:
                rules.append(_no_null_alone(name))
        if element["min"] > 0:
            if primitive and kind != "xhtml":
                rules.append({"anyOf": [{"required": [name]}, {"required": ["_" + name]}]})
            else:
                required.append(name)

    def _choice(
        self,
        parent: str,
        element: Json,
        name: str,
        properties: dict[str, Json],
        rules: list[Json],
        table: dict[str, list[Any]],
    ) -> None:
        branches: list[Json] = []
        keys: list[str] = []
        for one in element["type"]:
            kind = _profiled(one)
            key = name + one["code"][0].upper() + one["code"][1:]
            keys.append(key)
            table[key] = [one["code"], False]
            self.layout.setdefault(parent, {})[key] = _flags(element)
            properties[key] = self._bound(element, kind) or _ref(kind)
            branch: Json = {"required": [key]}
            if kind in PRIMITIVES:
                properties["_" + key] = _ref("Element")
                branch = {"anyOf": [branch, {"required": ["_" + key]}]}
            branches.append(branch)
        self.choices.setdefault(parent, {})[name] = keys
        if parent == "Extension":
            branches.append({"required": ["extension"]})
        elif element["min"] == 0:
            if len(branches) == 1:
                return
            branches.append({"not": {"anyOf": list(branches)}})
        rules.append({"oneOf": branches})

    def _kind(self, element: Json, children: dict[str, list[Json]]) -> tuple[str, bool]:
        """FHIR type of an element, and whether it is an attribute (no extensions)."""
        if "contentReference" in element:
            return element["contentReference"].rsplit("#", 1)[-1], False
        if element["path"] in children:
            return element["path"], False
        one = element["type"][0]
        if one["code"] not in _ATTRIBUTES:
            return _profiled(one), False
        if element["base"]["path"] == "Resource.id":
            return "id", True
        kind = next((x.get("valueUrl", "") for x in one.get("extension", []) if x["url"] == _FHIR_TYPE), "")
        return kind if kind in PRIMITIVES else "string", True

    def _bound(self, element: Json, kind: str) -> Json | None:
        """Schema of an element with a required binding, by its codes or by its syntax."""
        url, textual = _required_set(element.get("binding", {}))
        if url is None or kind not in ("code", "Coding", "CodeableConcept", "string", "uri"):
            return None
        syntax = BY_PATH.get(element["path"]) or BY_VALUE_SET.get(url)
        if syntax is not None:
            self.definitions["syntax:" + syntax.name] = dict(syntax.schema)
            return _coded(kind, "syntax:" + syntax.name, [syntax.system], textual)
        try:
            codes = LISTED.get(url) or self._expander.codes(url)
        except NoExpansion as reason:
            self.unbound[element["path"]] = f"{url}: {reason}"
            return None
        name = "valueset:" + url.rsplit("/", 1)[-1]
        self.definitions[name] = {"enum": sorted({code for _, code in codes})}
        return _coded(kind, name, sorted({system for system, _ in codes}), textual)


_MAXIMUM = "http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet"


def _required_set(binding: Json) -> tuple[str | None, bool]:
    """Value set that codes must be of, and whether text alone will do (a maximum value set binds codes only)."""
    if binding.get("strength") == "required" and "valueSet" in binding:
        return str(binding["valueSet"]).split("|")[0], False
    most: Json = next((x for x in binding.get("extension", ()) if x["url"] == _MAXIMUM), {})
    return most.get("valueCanonical"), True


def _coded(kind: str, name: str, systems: list[str], textual: bool) -> Json:
    """Schema of an element of a kind whose codes are those of definition ``name``."""
    if kind in ("code", "string", "uri"):
        return _ref(name)
    coding: Json = {"properties": {"code": _ref(name), "system": {"enum": systems}}}
    if kind == "Coding":
        return {"allOf": [_ref("Coding"), coding]}
    none_fits: Json = {"properties": {"coding": {"items": {"not": {"required": ["code"], **coding}}}}}
    ways: list[Json] = [{"not": none_fits}, {"required": ["extension"]}]
    if textual:
        ways.append({"not": {"required": ["coding"]}})
    return {"allOf": [_ref("CodeableConcept"), {"anyOf": ways}]}


def _profiled(one: Json) -> str:
    """Type code, or the constrained type (SimpleQuantity, MoneyQuantity) that a profile names."""
    for profile in one.get("profile", []):
        name = profile.rsplit("/", 1)[-1]
        if name in ("SimpleQuantity", "MoneyQuantity"):
            return str(name)
    code: str = one["code"]
    return code


def _flags(element: Json) -> str:
    """``a`` an attribute in XML, ``s`` part of the summary, ``m`` mandatory or a modifier: never left out."""
    attribute = "xmlAttr" in element.get("representation", [])
    kept = element["min"] > 0 or element.get("isModifier", False)
    return "a" * attribute + "s" * bool(element.get("isSummary")) + "m" * bool(kept)


def _ref(name: str) -> Json:
    return {"$ref": f"#/definitions/{name}"}


def _list(schema: Json, element: Json, primitive: bool) -> Json:
    items = {"anyOf": [{"type": "null"}, schema]} if primitive else schema
    out: Json = {"type": "array", "items": items, "minItems": max(1, element["min"])}
    if element["max"] != "*":
        out["maxItems"] = int(element["max"])
    return out


def _extensions(many: bool) -> Json:
    one = _ref("Element")
    return {"type": "array", "minItems": 1, "items": {"anyOf": [{"type": "null"}, one]}} if many else one


def _no_null_alone(name: str) -> Json:
    """Null in a list of primitives is only a place kept for the extension beside it."""
    return {
        "anyOf": [
            {"required": ["_" + name]},
            {"properties": {name: {"items": {"not": {"type": "null"}}}}},
        ]
    }
