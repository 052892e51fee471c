"""FHIR R4 (4.0.1): strict validation, search indexes, compartments, outcomes. Pure; no I/O but its own data.

Compiled from the official definitions by ``python -m benhan.fhir.generate``; all 148 resource types.

Face::

    RESOURCE_TYPES: frozenset[str]                    every type that may be stored
    validate(resource) -> None                        raises InvalidInput with ALL issues (code fhir.*,
                                                      expression = FHIRPath location, Vietnamese text)
    search_params(type) -> Mapping[str, SearchParam]  by parameter name, with the common ``_id`` …
    extract(resource) -> list[IndexValue]             all index values of all parameters
    patient_of(resource) -> str | None                id of the patient whose compartment it is in (the first
                                                      found); for a Patient its own id
    patients_of(resource) -> frozenset[str]           all of them
    references(resource) -> list[ReferenceAt]         every Reference with its path, contained ones included
    operation_outcome(error) -> JsonObject            OperationOutcome of any BenhanError
    capability_statement(types, interactions, params, base_url, version, date) -> JsonObject

See :class:`IndexValue` for what index rows carry.
"""

from benhan.fhir.model import Component, IndexKind, IndexValue, ReferenceAt, SearchParam, SearchType
from benhan.fhir.tables import RESOURCE_TYPES
from benhan.fhir.validation import validate

__all__ = [
    "RESOURCE_TYPES",
    "Component",
    "IndexKind",
    "IndexValue",
    "ReferenceAt",
    "SearchParam",
    "SearchType",
    "validate",
]
