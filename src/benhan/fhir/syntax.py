"""Code systems that are grammars rather than lists: MIME, languages, units, currencies. Used by the generator only.

Required bindings (and those with a maximum value set) on them are checked by form. Patterns are of Rust's regex,
linear in time.
"""

from __future__ import annotations

from dataclasses import dataclass

_WORD = "[A-Za-z0-9!#$&^_.+-]"
_MIME = rf"{_WORD}{{1,127}}/{_WORD}{{1,127}}(?:\s*;\s*{_WORD}+=(?:[^;\s\x22][^;\x22]*|\x22[^\x22]*\x22))*"
_LANGUAGE = (
    "(?:[A-Za-z]{2,3}(?:-[A-Za-z]{3}){0,3}|[A-Za-z]{4,8})(?:-[A-Za-z]{4})?(?:-(?:[A-Za-z]{2}|[0-9]{3}))?"
    "(?:-(?:[A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*(?:-[0-9A-WY-Za-wy-z](?:-[A-Za-z0-9]{2,8})+)*"
    "(?:-[xX](?:-[A-Za-z0-9]{1,8})+)?|[xX](?:-[A-Za-z0-9]{1,8})+"
)
_ATOM = r"(?:[0-9]+|[A-Za-z%'\x22*_\[][!-'*,\-0-9:-z|~]*|10[*^])(?:[+-]?[0-9]+)?(?:\{[!-z|~]*\})?"
_UNIT = (
    rf"/?(?:\({_ATOM}(?:[./]{_ATOM})*\)|{_ATOM}|\{{[!-z|~]*\}})(?:[./](?:\(*{_ATOM}\)*|\{{[!-z|~]*\}})\)*)*"
)


@dataclass(frozen=True, slots=True)
class Syntax:
    """A grammar: its name, the code system it stands for, its pattern."""

    name: str
    system: str
    pattern: str

    @property
    def schema(self) -> dict[str, str]:
        """JSON Schema of one code."""
        return {"type": "string", "pattern": f"^(?:{self.pattern})$"}


MIME = Syntax("mime", "urn:ietf:bcp:13", _MIME)
"""RFC 6838 type names; parameters as RFC 2045, but a blank needs no quotes (official examples write none)."""

FORMAT = Syntax("format", "urn:ietf:bcp:13", f"{_MIME}|json|xml|ttl")
"""``CapabilityStatement.format`` also admits the three short names (its comment in the specification)."""

LANGUAGE = Syntax("language", "urn:ietf:bcp:47", _LANGUAGE)
"""RFC 5646 well-formed language tags."""

UNIT = Syntax("unit", "http://unitsofmeasure.org", _UNIT)
"""UCUM terms by their form: atoms with exponents and annotations, joined by ``.`` and ``/``."""

CURRENCY = Syntax("currency", "urn:iso:std:iso:4217", "[A-Z]{3}")
"""ISO 4217 codes by their form."""

BY_VALUE_SET = {
    "http://hl7.org/fhir/ValueSet/mimetypes": MIME,
    "http://www.rfc-editor.org/bcp/bcp13.txt": MIME,
    "http://hl7.org/fhir/ValueSet/all-languages": LANGUAGE,
    "http://hl7.org/fhir/ValueSet/ucum-units": UNIT,
    "http://hl7.org/fhir/ValueSet/currencies": CURRENCY,
}
BY_PATH = {"CapabilityStatement.format": FORMAT}

LISTED = {
    "http://terminology.hl7.org/ValueSet/v3-ConfidentialityClassification": [
        ("http://terminology.hl7.org/CodeSystem/v3-Confidentiality", code) for code in "LMNRUV"
    ]
}
"""Value sets named by R4 whose definition is not shipped, written out (HL7 V3 ConfidentialityClassification)."""
