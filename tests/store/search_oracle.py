"""A slow, obvious evaluator of FHIR searches over a list of resources, written from the text of FHIR R4 (search.html).

It shares no code with the product: values are picked by hand-written functions, dates are intervals of instants, numbers
are fractions, units a small table. Good for the types and parameters in ``PARAMS`` only.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from typing import Any

Resource = dict[str, Any]
LOCAL = timezone(timedelta(hours=7))
FAR, EARLY = datetime(9998, 1, 1, tzinfo=UTC), datetime(2, 1, 1, tzinfo=UTC)
UCUM = "http://unitsofmeasure.org"
#: unit → (what it measures, factor to a common unit): UCUM table 4 and its prefixes.
UNITS = {
    "kg": ("mass", Fraction(1000)), "g": ("mass", Fraction(1)), "mg": ("mass", Fraction(1, 1000)),
    "g/L": ("conc", Fraction(1)), "mg/dL": ("conc", Fraction(1, 100)), "mg/L": ("conc", Fraction(1, 1000)),
    "cm": ("length", Fraction(1, 100)), "m": ("length", Fraction(1)),
}  # fmt: skip


def fold(text: str) -> str:
    flat = unicodedata.normalize("NFD", text.lower()).replace("đ", "d")
    flat = "".join(c for c in flat if unicodedata.category(c) != "Mn")
    return " ".join(re.findall("[a-z0-9]+", flat))


def many(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def dig(resource: Any, path: str) -> list[Any]:
    found = [resource]
    for step in path.split("."):
        found = [v for one in found if isinstance(one, dict) for v in many(one.get(step))]
    return found


def codings(concepts: list[Any]) -> list[tuple[str, str]]:
    out = []
    for concept in concepts:
        for coding in concept.get("coding", [concept] if "code" in concept else []):
            if "code" in coding:
                out.append((coding.get("system", ""), coding["code"]))
    return out


def code_texts(concepts: list[Any]) -> list[str]:
    out = [c["text"] for c in concepts if "text" in c]
    return out + [d["display"] for c in concepts for d in c.get("coding", []) if "display" in d]


def concept(path: str) -> dict[str, Callable[[Resource], Any]]:
    return {"token": lambda r: codings(dig(r, path)), "text": lambda r: code_texts(dig(r, path))}


def plain(path: str) -> dict[str, Callable[[Resource], Any]]:
    return {
        "token": lambda r: [
            ("", "true" if v is True else "false" if v is False else v) for v in dig(r, path)
        ],
        "text": lambda r: [],
        "code": lambda r: True,
    }


def identifiers(r: Resource) -> list[tuple[str, str]]:
    return [(i.get("system", ""), i["value"]) for i in many(r.get("identifier")) if "value" in i]


def typed(r: Resource) -> list[tuple[str, str, str]]:
    return [
        (c.get("system", ""), c["code"], i["value"])
        for i in many(r.get("identifier")) for c in i.get("type", {}).get("coding", [])
    ]  # fmt: skip


def name_strings(r: Resource) -> list[str]:
    out = []
    for n in many(r.get("name")):
        if isinstance(n, str):
            out.append(n)
        else:
            out += [p for k in ("text", "family", "given", "prefix", "suffix") for p in many(n.get(k))]
            out.append(" ".join([*many(n.get("family")), *many(n.get("given"))]))
    return [text for text in out if text]


def strings(path: str) -> dict[str, Callable[[Resource], Any]]:
    return {"string": lambda r: dig(r, path)}


def reference(path: str, only: str = "") -> dict[str, Callable[[Resource], Any]]:
    return {
        "reference": lambda r: [
            v for v in dig(r, path) if not only or v.get("reference", "").startswith(only)
        ]
    }


def interval(value: Any) -> tuple[datetime, datetime]:
    """Of a date of any precision, or of a Period."""
    if isinstance(value, dict):
        return (
            interval(value["start"])[0] if "start" in value else EARLY,
            interval(value["end"])[1] if "end" in value else FAR,
        )
    if len(value) == 4:
        return datetime(int(value), 1, 1, tzinfo=LOCAL), datetime(int(value) + 1, 1, 1, tzinfo=LOCAL)
    if len(value) == 7:
        year, month = int(value[:4]), int(value[5:])
        end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=LOCAL)
        return datetime(year, month, 1, tzinfo=LOCAL), end
    if len(value) == 10:
        start = datetime.fromisoformat(value).replace(tzinfo=LOCAL)
        return start, start + timedelta(days=1)
    start = datetime.fromisoformat(value.replace("Z", "+00:00"))
    start = start if start.tzinfo else start.replace(tzinfo=LOCAL)
    return start, start + (
        timedelta(minutes=1) if len(value.split("+")[0].rstrip("Z")) == 16 else timedelta(seconds=1)
    )


def dates(*paths: str) -> dict[str, Callable[[Resource], Any]]:
    return {"date": lambda r: [interval(v) for path in paths for v in dig(r, path)]}


def quantities(*paths: str) -> dict[str, Callable[[Resource], Any]]:
    return {"quantity": lambda r: [v for path in paths for v in dig(r, path)]}


PARAMS: dict[str, dict[str, dict[str, Callable[[Resource], Any]]]] = {
    "Patient": {
        "identifier": {"token": identifiers, "text": lambda r: dig(r, "identifier.type.text"), "typed": typed},
        "name": {"string": name_strings},
        "family": strings("name.family"),
        "given": strings("name.given"),
        "gender": plain("gender"),
        "active": plain("active"),
        "birthdate": dates("birthDate"),
        "organization": reference("managingOrganization"),
        "general-practitioner": reference("generalPractitioner"),
        "address-city": strings("address.city"),
        "phone": {"token": lambda r: [("", t["value"]) for t in dig(r, "telecom") if t.get("system") == "phone"],
                  "text": lambda r: []},
        "death-date": dates("deceasedDateTime"),
    },
    "Practitioner": {
        "identifier": {"token": identifiers, "text": lambda r: dig(r, "identifier.type.text"), "typed": typed},
        "name": {"string": name_strings},
        "active": plain("active"),
    },
    "Organization": {
        "identifier": {"token": identifiers, "text": lambda r: dig(r, "identifier.type.text"), "typed": typed},
        "name": {"string": lambda r: [*many(r.get("name")), *many(r.get("alias"))]},
        "partof": reference("partOf"),
        "type": concept("type"),
    },
    "Encounter": {
        "identifier": {"token": identifiers, "text": lambda r: [], "typed": typed},
        "status": plain("status"),
        "class": concept("class"),
        "date": dates("period"),
        "subject": reference("subject"),
        "patient": reference("subject", "Patient/"),
        "part-of": reference("partOf"),
        "service-provider": reference("serviceProvider"),
        "participant": reference("participant.individual"),
    },
    "Condition": {
        "code": concept("code"),
        "clinical-status": concept("clinicalStatus"),
        "onset-date": dates("onsetDateTime", "onsetPeriod"),
        "recorded-date": dates("recordedDate"),
        "subject": reference("subject"),
        "patient": reference("subject", "Patient/"),
        "encounter": reference("encounter"),
        "asserter": reference("asserter"),
    },
    "Observation": {
        "code": concept("code"),
        "category": concept("category"),
        "status": plain("status"),
        "date": dates("effectiveDateTime", "effectivePeriod"),
        "subject": reference("subject"),
        "patient": reference("subject", "Patient/"),
        "encounter": reference("encounter"),
        "performer": reference("performer"),
        "has-member": reference("hasMember"),
        "value-quantity": quantities("valueQuantity"),
        "value-concept": concept("valueCodeableConcept"),
        "value-string": {"string": lambda r: [*dig(r, "valueString"), *dig(r, "valueCodeableConcept.text")]},
        "component-code": concept("component.code"),
        "component-value-quantity": quantities("component.valueQuantity"),
        "combo-code": {"token": lambda r: codings(dig(r, "code") + dig(r, "component.code")),
                       "text": lambda r: code_texts(dig(r, "code") + dig(r, "component.code"))},
        "combo-value-quantity": quantities("valueQuantity", "component.valueQuantity"),
    },
    "RiskAssessment": {
        "subject": reference("subject"),
        "probability": {"number": lambda r: dig(r, "prediction.probabilityDecimal")},
        "date": dates("occurrenceDateTime"),
    },
    "ValueSet": {
        "url": {"uri": lambda r: dig(r, "url")},
        "name": strings("name"),
        "status": plain("status"),
    },
    "Group": {
        "member": reference("member.entity"),
        "type": plain("type"),
        "characteristic": concept("characteristic.code"),
    },
}  # fmt: skip

#: Composite → (elements that make the groups, (kind, how to reach each component)).
COMPOSITES: dict[tuple[str, str], tuple[Callable[[Resource], list[Any]], list[tuple[str, str]]]] = {
    ("Observation", "code-value-quantity"): (lambda r: [r], [("token", "code"), ("quantity", "valueQuantity")]),
    ("Observation", "code-value-concept"): (lambda r: [r], [("token", "code"), ("token", "valueCodeableConcept")]),
    ("Observation", "code-value-string"): (lambda r: [r], [("token", "code"), ("string", "valueString")]),
    ("Observation", "component-code-value-quantity"): (
        lambda r: r.get("component", []), [("token", "code"), ("quantity", "valueQuantity")]),
    ("Observation", "combo-code-value-quantity"): (
        lambda r: [r, *r.get("component", [])], [("token", "code"), ("quantity", "valueQuantity")]),
    ("Group", "characteristic-value"): (
        lambda r: r.get("characteristic", []), [("token", "code"), ("token", "valueCodeableConcept")]),
}  # fmt: skip
COMPARTMENT = {
    "Observation": ["subject", "performer"], "Encounter": ["patient"], "Condition": ["patient", "asserter"],
    "RiskAssessment": ["subject"], "Group": ["member"],
}  # fmt: skip


class World:
    """The resources, what a policy lets be seen of them, and value sets and hierarchies by hand."""

    def __init__(
        self,
        resources: list[Resource],
        sees: Callable[[Resource], bool],
        sets: dict[str, list[tuple[str, str]]],
        parents: dict[tuple[str, str], list[str]],
        now: datetime,
    ) -> None:
        self.all = {f"{r['resourceType']}/{r['id']}": r for r in resources}
        self.sees, self.sets, self.parents, self.now = sees, sets, parents, now

    def search(self, kind: str, query: list[tuple[str, str]]) -> list[Resource]:
        found = list(self.of(kind))
        return [r for r in found if all(self.holds(r, name, value) for name, value in query)]

    def of(self, kind: str) -> Iterator[Resource]:
        return (r for r in self.all.values() if r["resourceType"] == kind and self.sees(r))

    def holds(self, r: Resource, name: str, value: str) -> bool:
        kind = r["resourceType"]
        if name == "_compartment":
            paths = COMPARTMENT.get(kind, [])
            own = f"{kind}/{r['id']}" == value
            return own or any(
                t.get("reference") == value for p in paths for t in PARAMS[kind][p]["reference"](r)
            )
        if name.startswith("_has:"):
            _, source, param, rest = name.split(":", 3)
            me = f"{kind}/{r['id']}"
            return any(
                self.holds(s, rest, value)
                for s in self.of(source)
                if any(t.get("reference") == me for t in PARAMS[source][param]["reference"](s))
            )
        head, dot, rest = name.partition(".")
        base, _, modifier = head.partition(":")
        if dot:
            targets = [self.all.get(t.get("reference", "")) for t in PARAMS[kind][base]["reference"](r)]
            return any(
                t is not None
                and self.sees(t)
                and modifier in ("", t["resourceType"])
                and (rest.startswith("_has:") or known(t["resourceType"], rest))
                and self.holds(t, rest, value)
                for t in targets
            )
        return self.test(r, base, modifier, value)

    def test(self, r: Resource, base: str, modifier: str, value: str) -> bool:
        kind = r["resourceType"]
        options = re.split(r"(?<!\\),", value)
        if base == "_id":
            return r["id"] in options
        if base in ("_content", "_text"):
            held = words(r if base == "_content" else {"text": r.get("text")})
            return any(set(fold(o).split()) <= held for o in options)
        if (kind, base) in COMPOSITES:
            groups, parts = COMPOSITES[kind, base]
            return any(self.composite(g, parts, o) for g in groups(r) for o in options)
        entry = PARAMS[kind][base]
        if modifier == "missing":
            return (not self.present(entry, r)) == (value == "true")
        if "token" in entry:
            return self.token(entry, r, modifier, options)
        if "string" in entry:
            return any(string(v, modifier, o) for v in entry["string"](r) for o in options)
        if "date" in entry:
            return any(self.date(v, o) for v in entry["date"](r) for o in options)
        if "number" in entry:
            return any(number(Fraction(str(v)), o) for v in entry["number"](r) for o in options)
        if "quantity" in entry:
            return any(quantity(v, o) for v in entry["quantity"](r) for o in options)
        if "uri" in entry:
            return any(uri(v, modifier, o) for v in entry["uri"](r) for o in options)
        return any(to(v, modifier, o) for v in entry["reference"](r) for o in options)

    def present(self, entry: dict[str, Callable[[Resource], Any]], r: Resource) -> bool:
        return any(entry[k](r) for k in entry if k not in ("typed", "code"))

    def token(
        self, entry: dict[str, Callable[[Resource], Any]], r: Resource, modifier: str, options: list[str]
    ) -> bool:
        held = entry["token"](r)
        if modifier == "text":
            return any(fold(t).startswith(fold(o)) for t in entry["text"](r) for o in options)
        if modifier == "of-type":
            return any(tuple(o.split("|")) in entry["typed"](r) for o in options)
        if modifier in ("in", "not-in", "below", "above"):
            codes = {pair for o in options for pair in self.codes(modifier, o)}
            if "code" in entry:
                codes = {("", code) for _, code in codes}
            return any(pair in codes for pair in held) != (modifier == "not-in")
        found = any(token(pair, o) for pair in held for o in options)
        return found != (modifier == "not")

    def codes(self, modifier: str, option: str) -> set[tuple[str, str]]:
        if modifier in ("in", "not-in"):
            return set(self.sets[option])
        system, code = option.split("|")
        if modifier == "above":
            return {(system, code), *((system, p) for p in self.parents.get((system, code), []))}
        return {
            (system, code),
            *(pair for pair, above in self.parents.items() if pair[0] == system and code in above),
        }

    def composite(self, group: Any, parts: list[tuple[str, str]], option: str) -> bool:
        pieces = re.split(r"(?<!\\)\$", option)
        tests = {
            "token": lambda path, o: any(token(p, o) for p in codings(dig(group, path))),
            "quantity": lambda path, o: any(quantity(v, o) for v in dig(group, path)),
            "string": lambda path, o: any(string(v, "", o) for v in dig(group, path)),
        }
        return all(tests[kind](path, o) for (kind, path), o in zip(parts, pieces, strict=True))

    def date(self, held: tuple[datetime, datetime], option: str) -> bool:
        prefix, text = prefixed(option)
        low, high = interval(text)
        if prefix == "ap":  # 10 % of the gap between now and the date
            by = abs(self.now - (low + (high - low) / 2)) / 10
            return held[0] < high + by and held[1] > low - by
        inside = low <= held[0] and held[1] <= high
        return {
            "eq": inside, "ne": not inside, "gt": held[1] > high, "lt": held[0] < low,
            "ge": held[1] > high or inside, "le": held[0] < low or inside, "sa": held[0] >= high, "eb": held[1] <= low,
        }[prefix]  # fmt: skip

    def references(self, r: Resource, param: str) -> list[str]:
        entries = PARAMS[r["resourceType"]]
        names = [n for n in entries if "reference" in entries[n]] if param == "*" else [param]
        return [t["reference"] for n in names for t in entries[n]["reference"](r) if "reference" in t]

    def include(self, matches: list[Resource], asked: list[tuple[str, str]]) -> set[str]:
        """What ``_include`` and ``_revinclude`` (with ``:iterate``) bring beside the matches."""
        out: dict[str, Resource] = {}
        fresh = matches
        first = True
        while fresh:
            new: dict[str, Resource] = {}
            for name, value in asked:
                if not (first or name.endswith(":iterate")):
                    continue
                source, param, target = [*value.split(":"), "", ""][:3]
                for r in fresh:
                    me = f"{r['resourceType']}/{r['id']}"
                    if name.startswith("_include") and r["resourceType"] == source:
                        found = [self.all.get(ref) for ref in self.references(r, param)]
                    elif name.startswith("_revinclude") and target in ("", r["resourceType"]):
                        found = [s for s in self.of(source) if me in self.references(s, param)]
                    else:
                        continue
                    for f in found:
                        if f is None or not self.sees(f):
                            continue
                        if name.startswith("_include") and target not in ("", f["resourceType"]):
                            continue
                        new[f"{f['resourceType']}/{f['id']}"] = f
            known_ = {f"{m['resourceType']}/{m['id']}" for m in matches} | set(out)
            fresh = [f for key, f in new.items() if key not in known_]
            out.update({f"{f['resourceType']}/{f['id']}": f for f in fresh})
            first = False
        return set(out)

    def sort_value(self, r: Resource, name: str, descending: bool, end: bool) -> Any:
        """The value a resource sorts by (``end``: of a period its end); None when it has none: it then comes last."""
        if name == "_id":
            return r["id"]
        entry = PARAMS[r["resourceType"]][name]
        if "date" in entry:
            found = [v[int(end)] for v in entry["date"](r)]
        elif "string" in entry:
            found = [fold(v) for v in entry["string"](r)]
        elif "number" in entry:
            found = [Fraction(str(v)) for v in entry["number"](r)]
        elif "quantity" in entry:
            found = [Fraction(str(v["value"])) for v in entry["quantity"](r)]
        else:
            found = entry["uri"](r)
        return (max if descending else min)(found, default=None)


def known(kind: str, name: str) -> bool:
    base = re.split("[:.]", name)[0]
    return base in PARAMS[kind] or (kind, base) in COMPOSITES or base == "_id"


def words(value: Any) -> set[str]:
    if isinstance(value, str):
        return set(fold(re.sub("<[^>]*>", " ", value)).split())
    found = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return {w for v in found for w in words(v)}


def token(held: tuple[str, str], option: str) -> bool:
    parts = re.split(r"(?<!\\)\|", option)
    if len(parts) == 1:
        return held[1] == option
    return held[0] == parts[0] and parts[1] in ("", held[1])


def string(held: str, modifier: str, option: str) -> bool:
    if modifier == "exact":
        return " ".join(held.split()) == " ".join(option.split())
    if modifier == "contains":
        return fold(option) in fold(held)
    return fold(held).startswith(fold(option))


def uri(held: str, modifier: str, option: str) -> bool:
    if modifier == "below":
        return held.startswith(option)
    if modifier == "above":
        return held == option or (
            option.startswith(held) and (held.endswith("/") or option[len(held)] == "/")
        )
    return held == option


def to(held: Resource, modifier: str, option: str) -> bool:
    if modifier == "identifier":
        identifier = held.get("identifier", {})
        return "value" in identifier and token((identifier.get("system", ""), identifier["value"]), option)
    text = held.get("reference", "")
    if "/" in option:
        return text == option
    return text.split("/")[-1] == option and (modifier == "" or text.split("/")[0] == modifier)


def prefixed(option: str) -> tuple[str, str]:
    found = re.match("(eq|ne|gt|lt|ge|le|sa|eb|ap)", option)
    return (found[1], option[2:]) if found else ("eq", option)


def number(held: Fraction, option: str, scale: Fraction = Fraction(1)) -> bool:
    prefix, text = prefixed(option)
    asked = Fraction(text) * scale
    half = Fraction(1, 2 * 10 ** len(text.partition(".")[2])) * scale
    inside = asked - half <= held < asked + half
    return {
        "eq": inside, "ne": not inside, "gt": held > asked, "lt": held < asked, "ge": held >= asked,
        "le": held <= asked, "sa": held > asked, "eb": held < asked,
        "ap": abs(held - asked) <= abs(asked) / 10,
    }[prefix]  # fmt: skip


def quantity(held: Resource, option: str) -> bool:
    text, *unit = option.split("|")
    value = Fraction(str(held["value"]))
    if not unit:
        return number(value, text)
    system, code = unit
    if not system:
        return code in (held.get("code"), held.get("unit")) and number(value, text)
    if held.get("system") != system:
        return False
    if system == UCUM and code in UNITS and held.get("code") in UNITS:
        (kind, factor), (other, by) = UNITS[held["code"]], UNITS[code]
        return kind == other and number(value * factor, text, by)
    return bool(held.get("code") == code and number(value, text))
