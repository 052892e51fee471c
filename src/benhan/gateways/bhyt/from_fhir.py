"""From the Bundle of :mod:`benhan.gateways.bhyt.to_fhir` back to the package: identity, tag by tag."""

from __future__ import annotations

from benhan.base.errors import InvalidInput
from benhan.base.json_door import JsonObject
from benhan.gateways.bhyt.fhir_parts import ROW, row_values
from benhan.gateways.bhyt.package import Package, Row, make_row
from benhan.gateways.bhyt.tables import tables
from benhan.gateways.bhyt.to_fhir import PACKAGE


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


def _row(table: str, parts: list[JsonObject]) -> Row:
    line, values = row_values(parts)
    return make_row(table, line, values)
