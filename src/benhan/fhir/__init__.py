"""FHIR R4 (4.0.1): strict validation, search indexes, compartments, outcomes. Pure; no I/O but its own data.

Compiled from the official definitions by ``python -m benhan.fhir.generate``; all 146 concrete resource types
(the 148 codes of R4 less the abstract Resource and DomainResource).

Face::

    RESOURCE_TYPES: frozenset[str]                    every type that may be stored
    validate(resource) -> None                        raises InvalidInput with ALL issues (code fhir.*,
                                                      expression = FHIRPath location, Vietnamese text)
    validator(type)                                   the compiled JSON Schema alone (.is_valid); for benches
    to_xml(resource) -> bytes                         ``application/fhir+xml`` of a valid resource
    from_xml(raw) -> JsonObject                       the resource as the JSON door would give it; not validated
    search_params(type) -> Mapping[str, SearchParam]  by parameter name, with the common ``_id`` …
    extract(resource) -> list[IndexValue]             all index values of all parameters
    visit(resource, sink_of, out)                     the same, told to a Sink
    patient_of(resource) -> str | None                id of the patient whose compartment it is in (the first
                                                      found); for a Patient its own id
    patients_of(resource) -> frozenset[str]           all of them
    references(resource) -> list[ReferenceAt]         every Reference with its path, contained ones included
    addresses(resource) -> Iterator                   every other element that holds an address, with its holder
    operation_outcome(error) -> JsonObject            OperationOutcome of any BenhanError
    judge(resource, profile=None) -> list[Issue]      all errors, or (when there are none) FHIR's warnings
    outcome(issues) -> JsonObject                     OperationOutcome of issues; "valid" when there are none
    validation_outcome(resource, profile=None)        the answer of ``$validate``: OperationOutcome of ``judge``
    profiles() -> Mapping[str, StructureDefinition]   local profiles (with snapshot) by canonical address; validate
                                                      holds a resource to those that its meta.profile names
    elements(resource, names) -> JsonObject           ``_elements``: the named, mandatory and modifier elements
    has_element(type, name) -> bool                   whether ``_elements`` may name it for a type
    json_patch(resource, operations) -> JsonObject    RFC 6902, digits of numbers kept
    fhirpath_patch(resource, parameters) -> JsonObject  FHIRPath Patch of a Parameters resource
    summary(resource, mode) -> JsonObject             ``_summary`` = true | text | data | false, tag SUBSETTED
    capability_statement(types, interactions, params, base_url, version, date, …) -> JsonObject
    view_path(text, constants) -> ViewPath            FHIRPath of a SQL on FHIR column; raises PathSyntaxError
    view_root(resource) -> node                       the element such a path begins at
    date_range(text) -> (low, high) | None            half-open instants of a date, for search
    number_range(number) -> (low, high)               implicit range of a number, for search
    ucum_unit(code) -> Unit | None                    dimension and base values of a UCUM unit, for search
    is_code, is_single(type, param), compartment_params(type)   shape of search parameters; the patient compartment
    value_set_codes(url), code_system_parents(url)    value sets and hierarchies of the specification itself
    split_reference(text) -> (type, id) | None        of a literal reference, relative or absolute
    local_request(url) -> bool                        a relative request that stays in the store

See :class:`IndexValue` for what index rows carry.
"""

from benhan.fhir.dates import date_range
from benhan.fhir.index_values import Sink, number_range
from benhan.fhir.judgement import judge, outcome, validation_outcome
from benhan.fhir.links import addresses, patient_of, patients_of, references
from benhan.fhir.match_keys import match_keys
from benhan.fhir.model import Component, IndexKind, IndexValue, ReferenceAt, SearchParam, SearchType
from benhan.fhir.patch import fhirpath_patch, json_patch
from benhan.fhir.path import split_reference
from benhan.fhir.path_parse import PathSyntaxError
from benhan.fhir.profiling import profiles
from benhan.fhir.search import compartment_params, extract, is_code, is_single, search_params, visit
from benhan.fhir.statements import capability_statement, operation_outcome
from benhan.fhir.structure import validator
from benhan.fhir.subset import elements, has_element, summary
from benhan.fhir.tables import RESOURCE_TYPES
from benhan.fhir.terminology import code_system_parents, value_set_codes
from benhan.fhir.units import UCUM, Unit, ucum_unit
from benhan.fhir.validation import local_request, validate
from benhan.fhir.view_path import ViewConstant, ViewPath, view_path, view_root
from benhan.fhir.xml_format import from_xml, to_xml

__all__ = [
    "RESOURCE_TYPES",
    "UCUM",
    "Component",
    "IndexKind",
    "IndexValue",
    "PathSyntaxError",
    "ReferenceAt",
    "SearchParam",
    "SearchType",
    "Sink",
    "Unit",
    "ViewConstant",
    "ViewPath",
    "addresses",
    "capability_statement",
    "code_system_parents",
    "compartment_params",
    "date_range",
    "elements",
    "extract",
    "fhirpath_patch",
    "from_xml",
    "has_element",
    "is_code",
    "is_single",
    "json_patch",
    "judge",
    "local_request",
    "match_keys",
    "number_range",
    "operation_outcome",
    "outcome",
    "patient_of",
    "patients_of",
    "profiles",
    "references",
    "search_params",
    "split_reference",
    "summary",
    "to_xml",
    "ucum_unit",
    "validate",
    "validation_outcome",
    "validator",
    "value_set_codes",
    "view_path",
    "view_root",
    "visit",
]
