"""Reference parameters: ``Type/id``, ``id``, a URL, ``:Type``, ``:identifier``; and the compartment of a patient."""

from __future__ import annotations

from benhan.fhir import RESOURCE_TYPES, SearchParam, compartment_params, split_reference
from benhan.store.hashing import key64, param32, ref64, system32
from benhan.store.search.condition import (
    Values,
    alternatives,
    any_of,
    bad_modifier,
    bad_value,
    bars,
    has_row,
    unescape,
)
from benhan.store.shapes import literal_of


def reference(
    values: Values, alias: str, resource_type: str, param: SearchParam, modifier: str, value: str
) -> str:
    """Condition of a reference parameter."""
    if modifier == "identifier":
        return _by_identifier(values, alias, resource_type, param.name, value)
    if modifier and modifier not in RESOURCE_TYPES:
        raise bad_modifier(param.name, modifier)
    wider, of_type = literal_of(resource_type, param.name)
    own, narrowed = [], []
    for part in alternatives(value):
        for target in _targets(param, modifier, unescape(part)):
            own.append(target)
            if wider != param.name and target.startswith(f"{of_type}/"):
                narrowed.append(target)
    tests = [_to(values, resource_type, param.name, own)]
    if narrowed:
        tests.append(_to(values, resource_type, wider, narrowed))
    return has_row("index_reference", alias, any_of(tests))


def _to(values: Values, resource_type: str, name: str, targets: list[str]) -> str:
    key = values.add(param32(f"{resource_type}.{name}"))
    hashes = [ref64(target) for target in targets]
    if len(hashes) == 1:
        return f"(i.param = {key}::integer and i.target = {values.add(hashes[0])}::bigint)"
    return f"(i.param = {key}::integer and i.target = any({values.add(hashes)}::bigint[]))"


def _targets(param: SearchParam, modifier: str, text: str) -> list[str]:
    if "/" not in text and ":" not in text:
        types = [modifier] if modifier else sorted(param.targets)
        return [f"{t}/{text}" for t in types]
    found = split_reference(text)
    if modifier and found is not None and found[0] != modifier:
        raise bad_value(f"{param.name}:{modifier}")
    return [text] if found is None else [f"{found[0]}/{found[1]}", text]


def _by_identifier(values: Values, alias: str, resource_type: str, param: str, value: str) -> str:
    tests = []
    for part in alternatives(value):
        pieces = bars(part)
        if len(pieces) > 2 or not pieces[-1]:
            raise bad_value(f"{param}:identifier")
        key = values.add(key64(resource_type, param, ":identifier", pieces[-1]))
        if len(pieces) == 1:
            tests.append(f"i.key = {key}::bigint")
        else:
            tests.append(f"(i.key = {key}::bigint and i.system = {values.add(system32(pieces[0]))}::integer)")
    return has_row("index_equal", alias, any_of(tests))


def in_compartment(values: Values, alias: str, resource_type: str, patient_id: str) -> str:
    """Condition: in the compartment of a patient, by the parameters of the CompartmentDefinition."""
    names = compartment_params(resource_type)
    params = sorted({param32(f"{resource_type}.{literal_of(resource_type, n)[0]}") for n in names})
    tests = []
    if resource_type == "Patient":
        tests.append(f"{alias}.id = {values.add(patient_id)}")
    if params:
        target = f"{values.add(ref64(f'Patient/{patient_id}'))}::bigint"
        tests.append(
            has_row(
                "index_reference",
                alias,
                f"i.param = any({values.add(params)}::integer[]) and i.target = {target}",
            )
        )
    return any_of(tests) if tests else "false"
