"""ViewDefinitions give the rows that SQL on FHIR v2 asks for, to files, under the caller's policy."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as parquet
import pytest
from tests.store.builders import a_patient, an_observation

from benhan.base.errors import InvalidInput
from benhan.store import Repository
from benhan.views import read_view, stream, write_csv, write_parquet, write_table

HOA: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "hoa",
    "active": True,
    "name": [
        {"use": "official", "family": "Nguyễn", "given": ["Thị", "Hoa"]},
        {"use": "nickname", "family": "Bé", "given": ["Na"]},
    ],
    "contact": [
        {"telecom": [{"system": "phone", "value": "0905"}, {"system": "email", "value": "a@vd.vn"}]},
        {"telecom": [{"system": "phone", "value": "0906"}]},
    ],
    "managingOrganization": {"reference": "Organization/bv"},
    "generalPractitioner": [{"reference": "Practitioner/bs"}],
}
DUC: dict[str, Any] = {"resourceType": "Patient", "id": "duc", "active": False}


def column(name: str, path: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "path": path, **more}


def rows(select: list[dict[str, Any]], **more: Any) -> list[list[Any]]:
    view = read_view({"resource": "Patient", "select": select, **more})
    return [row for resource in (HOA, DUC) for row in view.rows(resource)]


ID = {"column": [column("id", "getResourceKey()")]}


def test_columns_and_missing_values() -> None:
    assert rows([{"column": [column("id", "id"), column("who", "name.where(use='official').family")]}]) == [
        ["hoa", "Nguyễn"],
        ["duc", None],
    ]


def test_for_each_drops_and_for_each_or_null_keeps_what_has_none() -> None:
    names = {"column": [column("family", "family"), column("at", "%rowIndex")]}
    with_name = [["hoa", "Nguyễn", 0], ["hoa", "Bé", 1]]
    assert rows([ID, {"forEach": "name", **names}]) == with_name
    assert rows([ID, {"forEachOrNull": "name", **names}]) == [*with_name, ["duc", None, 0]]


def test_nested_iterations_multiply_only_within_their_element() -> None:
    inner = {"forEach": "telecom", "column": [column("value", "value"), column("n", "%rowIndex")]}
    assert rows([{"forEach": "contact", "column": [column("c", "%rowIndex")], "select": [inner]}]) == [
        [0, "0905", 0], [0, "a@vd.vn", 1], [1, "0906", 0],
    ]  # fmt: skip


def test_union_keeps_the_rows_of_every_branch_in_order() -> None:
    branch = [column("v", "value")]
    select = {
        "unionAll": [
            {"forEach": "contact.telecom.where(system='email')", "column": branch},
            {"forEach": "contact.telecom.where(system='phone')", "column": branch},
        ]
    }
    assert rows([ID, select]) == [["hoa", "a@vd.vn"], ["hoa", "0905"], ["hoa", "0906"]]


def test_where_and_constants() -> None:
    constant = [{"name": "use", "valueCode": "nickname"}, {"name": "on", "valueBoolean": True}]
    select = [{"column": [column("n", "name.where(use = %use).given.join(' ')")]}]
    assert rows(select, constant=constant, where=[{"path": "active = %on"}]) == [["Na"]]


def test_where_must_be_a_truth_value() -> None:
    with pytest.raises(InvalidInput, match="not-boolean"):
        rows([ID], where=[{"path": "name.family.first()"}])


def test_lists_are_asked_for() -> None:
    assert rows([{"column": [column("given", "name.given", collection=True)]}]) == [
        [["Thị", "Hoa", "Na"]],
        [[]],
    ]
    with pytest.raises(InvalidInput, match="many-values"):
        rows([{"column": [column("given", "name.given")]}])


def test_reference_keys_join_with_resource_keys() -> None:
    select = {
        "column": [
            column("org", "managingOrganization.getReferenceKey(Organization)"),
            column("no", "managingOrganization.getReferenceKey(Patient)"),
            column("gp", "generalPractitioner.getReferenceKey()"),
        ]
    }
    assert rows([select])[0] == ["bv", None, "bs"]


def test_repeat_walks_every_depth_in_order() -> None:
    answers = {
        "resourceType": "QuestionnaireResponse", "status": "completed",
        "item": [{"linkId": "1", "item": [{"linkId": "1.1", "item": [{"linkId": "1.1.1"}]}]}, {"linkId": "2"}],
    }  # fmt: skip
    select = [{"repeat": ["item"], "column": [column("id", "linkId"), column("n", "%rowIndex")]}]
    view = read_view({"resource": "QuestionnaireResponse", "select": select})
    assert view.rows(answers) == [["1", 0], ["1.1", 1], ["1.1.1", 2], ["2", 3]]


def test_every_fault_is_told_with_its_place() -> None:
    two = [{"column": [column("a", "id")]}, {"column": [column("b", "id")]}]
    with pytest.raises(InvalidInput) as told:
        read_view(
            {
                "resource": "Patientt",
                "select": [
                    {"column": [column("a b", "name..family"), column("c", "%unknown")]},
                    {"forEach": "name", "repeat": ["name"], "unionAll": two},
                    {"column": [column("c", "lowBoundary()")]},
                ],
            }
        )
    assert {i.expression for i in told.value.issues} == {
        "ViewDefinition.resource", "ViewDefinition.select", "ViewDefinition.select[0].column[0].name",
        "ViewDefinition.select[0].column[0].path", "ViewDefinition.select[0].column[1].path",
        "ViewDefinition.select[1]", "ViewDefinition.select[1].unionAll", "ViewDefinition.select[2].column[0].path",
    }  # fmt: skip


@pytest.mark.server
async def test_files_over_the_store_keep_digits(repo: Repository, tmp_path: Path) -> None:
    person = await repo.create(a_patient())
    for value in ("72.50", "73.0"):
        await repo.create(an_observation(person.id, value))
    view = read_view(
        {
            "resource": "Observation",
            "select": [
                {
                    "column": [
                        column("patient", "subject.getReferenceKey(Patient)", type="string"),
                        column("kg", "value.ofType(Quantity).value", type="decimal"),
                        column("codes", "code.coding.code", type="code", collection=True),
                        column("n", "%rowIndex", type="integer"),
                    ]
                }
            ],
        }
    )
    assert await write_csv(tmp_path / "a.csv", view, stream(repo, view)) == 2
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        read = list(csv.reader(file))
    assert read[0] == ["patient", "kg", "codes", "n"]
    assert sorted(r[1] for r in read[1:]) == ["72.50", "73.0"]
    assert await write_parquet(tmp_path / "a.parquet", view, stream(repo, view)) == 2
    table = parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert sorted(Decimal(r["kg"]) for r in table) == [Decimal("72.50"), Decimal("73.0")]
    assert {(r["patient"], tuple(r["codes"]), r["n"]) for r in table} == {(person.id, ("29463-7",), 0)}
    assert any(row.action == "export" for row in await repo.audit_of_patient(person.id))


@pytest.mark.server
async def test_table_is_replaced_and_shown_to_its_tenant_alone(repo: Repository) -> None:
    await repo.create(a_patient())
    view = read_view(
        {
            "resource": "Patient",
            "select": [
                {
                    "column": [
                        column("family", "name.family"),
                        column("given", "name.given", collection=True),
                        column("female", "gender = 'female'", type="boolean"),
                    ]
                }
            ],
        }
    )
    for _ in range(2):
        assert await write_table(repo.store, repo.ctx.tenant, "people", view, stream(repo, view)) == 1
    query = "select family, given, female from views.people"
    async with await psycopg.AsyncConnection.connect(repo.store.database.admin) as connection:
        await connection.execute("set role benhan_reader")
        assert await (await connection.execute(query)).fetchall() == []
        await connection.execute("select set_config('benhan.tenant', %s, false)", (str(repo.ctx.tenant),))
        assert await (await connection.execute(query)).fetchall() == [("Nguyễn", ["Thị", "Hoa"], True)]
    other = read_view({"resource": "Patient", "select": [ID]})
    with pytest.raises(InvalidInput, match="other-columns"):
        await write_table(repo.store, repo.ctx.tenant, "people", other, stream(repo, other))
