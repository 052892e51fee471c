"""From the Bundle of :mod:`.to_fhir` back to the package: identity, tag by tag; and what a package cannot carry."""

from __future__ import annotations

from benhan.base.errors import InvalidInput
from benhan.base.json_door import JsonObject
from benhan.gateways.bhyt.fhir_parts import ROW, row_values
from benhan.gateways.bhyt.package import Package, Row, make_row
from benhan.gateways.bhyt.tables import tables
from benhan.gateways.bhyt.to_fhir import PACKAGE, to_fhir


def from_fhir(bundle: JsonObject) -> Package:
    """The package whose lines the resources carry. Raises: ``InvalidInput`` bhyt.no-claim."""
    about: dict[str, str] = {}
    found: dict[str, list[Row]] = {}
    for entry in bundle.get("entry", []):
        for extension in entry["resource"].get("extension", []):
            url = str(extension.get("url", ""))
            if url == PACKAGE:
                about = {p["url"]: p["valueString"] for p in extension["extension"]}
            elif url.startswith(ROW) and url.removeprefix(ROW) in tables():
                row = _row(url.removeprefix(ROW), extension["extension"])
                found.setdefault(row.table, []).append(row)
    if not about or "XML1" not in found:
        raise InvalidInput("bhyt.no-claim", "Không có hồ sơ BHYT trong gói FHIR.")
    rows = {n: tuple(sorted(found[n], key=lambda r: r.line)) for n in tables() if n in found}
    return Package(about.get("co-so", ""), about.get("ngay-lap", ""), rows, about.get("chu-ky", ""))


def dropped(bundle: JsonObject) -> list[str]:
    """What of a Bundle a package cannot carry: ``Patient/1`` for a whole resource, ``Patient/1.contact`` for an element.

    Found by going there and back: what :func:`.to_fhir.to_fhir` of the package does not say again, or says otherwise.
    Times of reading (``Provenance``) are not counted. Raises: as :func:`from_fhir`.
    """
    again = {_key(e["resource"]): e["resource"] for e in to_fhir(from_fhir(bundle))["entry"]}
    lost: list[str] = []
    for entry in bundle.get("entry", []):
        resource = entry["resource"]
        key = _key(resource)
        if resource["resourceType"] == "Provenance" and key in again:
            continue
        if key not in again:
            lost.append(key)
            continue
        lost += [f"{key}.{name}" for name, value in resource.items() if again[key].get(name) != value]
    return lost


def _key(resource: JsonObject) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _row(table: str, parts: list[JsonObject]) -> Row:
    line, values = row_values(parts)
    return make_row(table, line, values)
