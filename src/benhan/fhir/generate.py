"""Compile the official definitions into what the room runs on: ``python -m benhan.fhir.generate``.

In:  ``definitions/*.json.gz`` (HL7 FHIR R4 4.0.1, see ``definitions/SOURCE.md``), ``profiles.yaml``,
     ``invariants_vi.yaml``, ``search_parameters.yaml``.
Out: ``compiled/*.json.gz``: ``schema`` (JSON Schema definitions), ``model`` (element table, choices, invariants,
     type parents, resource types, bindings that could not be enumerated), ``layout`` (order and flags of elements,
     for XML and summaries), ``profiles`` (local StructureDefinitions), ``sentences`` (of broken rules) and ``search``
     (search parameters, patient compartment).
The output is the same bytes for the same input; a test compares it with what is checked in.
"""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import yaml

from benhan.fhir import build_profiles, build_search
from benhan.fhir.build_schema import SchemaBuilder
from benhan.fhir.expansion import Expander

HERE = Path(__file__).parent
DEFINITIONS = HERE / "definitions"
COMPILED = HERE / "compiled"

Json = dict[str, Any]


def read(name: str) -> Any:
    """One definition file."""
    with gzip.open(DEFINITIONS / name, "rt", encoding="utf-8") as file:
        return json.load(file)


def compile_all() -> dict[str, Json]:
    """File name (without ending) → content, from the definitions."""
    types = [t for t in read("profiles-types.json.gz") if t["kind"] == "complex-type"]
    resources = [
        r
        for r in read("profiles-resources.json.gz")
        if r["resourceType"] == "StructureDefinition" and r["kind"] == "resource"
    ]
    expander = Expander(read("valuesets.json.gz"))
    of_r4 = {code for _, code in expander.codes("http://hl7.org/fhir/ValueSet/resource-types")}
    resources = [r for r in resources if r["id"] in of_r4]
    names = sorted(r["id"] for r in resources if not r["abstract"])
    builder = SchemaBuilder(expander, names)
    abstract = {r["id"]: r for r in resources if r["abstract"]}
    resource_schema = dict(builder.definitions["Resource"])
    for definition in [*types, *resources]:
        builder.add(definition)
    for name in abstract:
        builder.definitions.pop(name)
    builder.definitions["Resource"] = resource_schema
    local, sentences, searched = (
        yaml.safe_load((HERE / name).read_text(encoding="utf-8"))
        for name in ("profiles.yaml", "invariants_vi.yaml", "search_parameters.yaml")
    )
    compartment = read("compartmentdefinition-patient.json.gz")
    if isinstance(compartment, list):
        compartment = compartment[0]
    return {
        "schema": {"definitions": builder.definitions},
        "model": {
            "resources": names,
            "elements": builder.elements,
            "choices": builder.choices,
            "parents": builder.parents,
            "invariants": builder.invariants,
            "unbound": builder.unbound,
        },
        "layout": {"types": {kind: list(flags.items()) for kind, flags in builder.layout.items()}},
        "profiles": {"profiles": build_profiles.build(local, {d["id"]: d for d in [*types, *resources]})},
        "sentences": sentences,
        "search": {
            "params": build_search.build([*read("search-parameters.json.gz"), *searched], names),
            "compartment": build_search.compartment(compartment),
        },
    }


def packed(content: Json) -> bytes:
    """Gzip of canonical JSON, without time or name, so that equal content gives equal bytes."""
    out = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=out, compresslevel=9, mtime=0) as file:
        text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        file.write(text.encode("utf-8"))
    return out.getvalue()


def main() -> None:
    """Write the compiled files."""
    COMPILED.mkdir(exist_ok=True)
    for name, content in compile_all().items():
        (COMPILED / f"{name}.json.gz").write_bytes(packed(content))


if __name__ == "__main__":
    main()
