"""`benhan validate`: one OperationOutcome a file, and the exit code that says how it went."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from benhan.cli import app

EXAMPLES = Path(__file__).parents[1] / "data" / "fhir-r4-examples"
GOOD = '{"resourceType":"Patient","gender":"male"}'
BAD = '{"resourceType":"Patient","gender":"nam","birthDate":"2026-02-30"}'


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["validate", *map(str, arguments)])
    return result.exit_code, result.stdout


def outcomes(*arguments: object) -> tuple[int, list[dict[str, Any]]]:
    code, out = run("--json", *arguments)
    return code, [json.loads(line) for line in out.splitlines()]


def places(outcome: dict[str, Any]) -> list[tuple[str, str]]:
    return [(i["severity"], *i.get("expression", ["-"])) for i in outcome["issue"]]


def test_a_line_for_each_file_with_all_its_errors(tmp_path: Path) -> None:
    """Good and bad files in order; every error with its place; exit 1."""
    for name, text in (("a.json", GOOD), ("b.json", BAD), ("c.json", '{"a":1,"a":2}')):
        (tmp_path / name).write_text(text, encoding="utf-8")
    code, found = outcomes(tmp_path)
    assert code == 1
    assert [Path(o["extension"][0]["valueString"]).name for o in found] == ["a.json", "b.json", "c.json"]
    assert {severity for severity, _ in places(found[0])} == {"warning"}
    assert set(places(found[1])) == {("error", "Patient.gender"), ("error", "Patient.birthDate")}
    assert found[2]["issue"][0]["details"]["coding"][0]["code"] == "json.duplicate-key"
    assert outcomes(tmp_path / "a.json")[0] == 0


def test_lines_of_ndjson_are_named(tmp_path: Path) -> None:
    """The line of each error is told; blank lines count and are no error."""
    path = tmp_path / "x.ndjson"
    path.write_text(f"{GOOD}\n\n{BAD}\n{GOOD}\n", encoding="utf-8")
    code, (found,) = outcomes(path)
    assert code == 1
    assert {i["diagnostics"].split(";")[0] for i in found["issue"] if i["severity"] == "error"} == {"line 3"}
    code, text = run(path)
    assert code == 1
    assert "dòng 3: Patient.gender: lỗi: Mã không có trong bộ mã bắt buộc" in text


def test_a_long_file_is_told_in_bounds(tmp_path: Path) -> None:
    """Thousands of bad lines: errors first, the rest counted."""
    path = tmp_path / "x.ndjson"
    path.write_text(f"{GOOD}\n" * 1500 + f"{BAD}\n" * 700, encoding="utf-8")
    code, (found,) = outcomes(path)
    assert code == 1
    assert [i["severity"] for i in found["issue"]].count("error") == 1000
    assert found["issue"][0]["diagnostics"].startswith("line 1501;")
    assert found["issue"][-1]["details"]["text"] == "Còn 400 lỗi và 500 khuyến nghị nữa không được liệt kê."


def test_a_profile_can_be_asked_for(tmp_path: Path) -> None:
    """Valid by the base, not by the profile; an unknown profile is an error."""
    (tmp_path / "a.json").write_text(GOOD, encoding="utf-8")
    code, (found,) = outcomes("--profile", "urn:benhan:profile:nguoi-benh", tmp_path)
    assert code == 1
    assert places(found) == [("error", "Patient.name")]
    assert outcomes("--profile", "urn:khong-co", tmp_path)[0] == 1


def test_xml_is_judged_too(tmp_path: Path) -> None:
    """The same faults at the same places as in JSON; faults of the form of XML before."""
    head = '<Patient xmlns="http://hl7.org/fhir">'
    (tmp_path / "a.xml").write_text(f'{head}<gender value="nam"/></Patient>', encoding="utf-8")
    (tmp_path / "b.xml").write_text(f'{head}<ten value="A"/></Patient>', encoding="utf-8")
    (tmp_path / "c.xml").write_text(f'{head}<gender value="male"/></Patient>', encoding="utf-8")
    code, found = outcomes(tmp_path)
    assert code == 1
    assert [places(o)[0][1] for o in found] == ["Patient.gender", "Patient.ten", "Patient"]


def test_what_cannot_be_read_is_exit_2(tmp_path: Path) -> None:
    """A missing file does not hide what the others say."""
    (tmp_path / "a.json").write_text(GOOD, encoding="utf-8")
    code, found = outcomes(tmp_path / "khong-co.json", tmp_path / "a.json")
    assert code == 2
    assert len(found) == 1
    (tmp_path / "trong").mkdir()
    assert run(tmp_path / "trong")[0] == 2


def test_the_official_examples_are_valid() -> None:
    """The whole folder at once, by the command a user would give."""
    code, found = outcomes(EXAMPLES)
    assert code == 0
    assert len(found) == len(list(EXAMPLES.glob("*.json")))
