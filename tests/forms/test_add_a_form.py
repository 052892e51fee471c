"""The how-to is followed word for word, and a wrong file is refused with file, line and key."""

from __future__ import annotations

import re
import shlex
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from benhan.base.errors import ConfigurationError, InvalidInput, NotFound
from benhan.cli import app
from benhan.fhir import validate
from benhan.forms import (
    Form,
    PrintContext,
    catalogue,
    check,
    compute,
    form_fields,
    get,
    load_folder,
    load_form,
    parse_form_post,
    print_form,
    render_fields,
)

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "add-a-form.md"


def sample() -> str:
    found = re.search(r"```yaml\n(.*?)```", HOWTO.read_text(encoding="utf-8"), re.S)
    assert found is not None
    return found.group(1)


def test_the_second_sample_adds_to_an_official_form(tmp_path: Path) -> None:
    """The addition of the page loads as it stands and has all of the official form."""
    blocks = re.findall(r"```yaml\n(.*?)```", HOWTO.read_text(encoding="utf-8"), re.S)
    form = load_form(written(tmp_path, blocks[1]))
    assert {i.link_id for i in get("01/BV1", date(2026, 3, 1)).items()} < {i.link_id for i in form.items()}


def commands() -> list[list[str]]:
    """Commands of the how-to, in its order."""
    blocks = re.findall(r"```sh\n(.*?)```", HOWTO.read_text(encoding="utf-8"), re.S)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def test_the_commands_of_the_page_work_as_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s: ModuleType
) -> None:
    """Each ``benhan`` line of the how-to in an empty folder that holds its file; a mistake is told with its line."""
    monkeypatch.chdir(tmp_path)
    written(tmp_path, sample())
    assert len(commands()) >= 3
    runner = CliRunner()
    for line in commands():
        assert line[0] == "benhan"
        done = runner.invoke(app, line[1:], catch_exceptions=False)
        assert done.exit_code == 0, done.output
    made = {p.name for p in (tmp_path / "thu").iterdir()}
    assert {"CS1-TAN-HOA-trong.pdf", "CS1-TAN-HOA-dien-mau.pdf", "CS1-BAN-SAO-trong.pdf"} <= made
    text = s.squeezed(s.pdf_text((tmp_path / "thu" / "CS1-BAN-SAO-trong.pdf").read_bytes(), tmp_path))
    assert s.squeezed("Kế hoạch dinh dưỡng") in text
    written(tmp_path, sample().replace("type: datetime, label", "type: datum, label"))
    wrong = runner.invoke(app, commands()[0][1:])
    assert wrong.exit_code == 1
    assert "CS1-TAN-HOA.yaml:" in wrong.output


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "CS1-TAN-HOA.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def form(tmp_path: Path) -> Form:
    return load_form(written(tmp_path, sample()))


def test_the_sample_becomes_page_paper_and_data(form: Form, tmp_path: Path, s: ModuleType) -> None:
    """One file, three views, twenty fields or more, no code."""
    assert sum(1 for _ in form.answerable()) >= 20
    validate(form.questionnaire())
    assert "bf-section" in render_fields(form, {})
    result = print_form(form, PrintContext(blank=True))
    text = s.squeezed(s.pdf_text(result.pdf, tmp_path))
    for label in ("Kế hoạch dinh dưỡng", "Tổng điểm", "Năng lượng (kcal)", "Điều dưỡng đánh giá"):
        assert s.squeezed(label) in text
    assert [b.role for b in result.signature_boxes] == ["dieu_duong"]


def test_the_sample_checks_and_computes(form: Form) -> None:
    """Conditions, ranges, scores and overrides of included parts work."""
    answers = parse_form_post(form, {"sut_can": "1", "an_uong": "2", "benh_nang": "1", "can_nang": "40"})
    assert compute(form, answers)["tong_diem"] == 3
    missing = {f.link_id for f in check(form, answers, "sign") if f.rule == "required"}
    assert {"sut_can_kg", "ke_hoach", "chieu_cao", "chan_doan"} <= missing
    assert "nhip_tho" not in form
    over = check(form, {**answers, "sut_can_kg": Decimal(70)})
    assert any(f.link_id == "sut_can_kg" and f.severity == "error" for f in over)
    assert parse_form_post(form, form_fields(form, answers)) == answers


def test_a_facility_adds_its_form_to_the_catalogue(tmp_path: Path) -> None:
    """Own forms stand beside the shipped ones, with their dates."""
    written(tmp_path, sample())
    index = catalogue().with_forms(load_folder(tmp_path))
    assert index.get("CS1/TAN-HOA", date(2026, 5, 1)).title == "PHIẾU SÀNG LỌC DINH DƯỠNG"
    with pytest.raises(NotFound):
        index.get("CS1/TAN-HOA", date(2025, 5, 1))
    with pytest.raises(ConfigurationError):
        index.with_forms(load_folder(tmp_path))


def test_forms_are_found_by_code_alias_and_slug() -> None:
    """The code as printed on old papers works too."""
    day = date(2026, 3, 1)
    assert get("01/BV-01", day) is get("01-BV1", day) is get("01/BV1", day)
    with pytest.raises(NotFound) as caught:
        get("TT25/2025-M02", date(2025, 6, 30))
    assert caught.value.code == "forms.no-such-form"


@pytest.mark.parametrize(
    ("old", "new", "key", "part"),
    [
        ("type: datetime, label: Đánh giá lúc", "type: datum, label: Đánh giá lúc", "type", "datum"),
        ("populate: patient.name", "populate: patient.nam", "items", "không có dữ kiện 'patient.nam'"),
        ("list: icd10", "list: icd99", "items", "không có danh mục 'icd99'"),
        ("omit: [so_luu_tru]", "omit: [so_luu]", "sections", "không có mục 'so_luu'"),
        ("function: points", "function: puntos", "items", "không có hàm 'puntos'"),
        ("include: common/sinh-hieu", "include: common/sinh", "items", "không tìm thấy tệp dùng chung"),
        ("include: common/sinh-hieu", "include: ../../../etc/passwd", "include", "does not match"),
        (
            "items: [ngay_sinh, ngay_danh_gia]",
            "items: [ngay_sin, ngay_danh_gia]",
            "rules",
            "không có mục 'ngay_sin'",
        ),
        ("key: sut_can_kg", "key: ho_ten", "items", "mục 'ho_ten' đã có ở CS1-TAN-HOA.yaml:"),
        ("role: dieu_duong, label", "role: bac_si, label", "items", "chữ ký 'bac_si' không có"),
        ("unit: kg, ucum: kg, range", "ucum: kg, range", "items", "unit"),
    ],
)
def test_a_wrong_file_names_file_line_and_key(
    tmp_path: Path, old: str, new: str, key: str, part: str
) -> None:
    """Each kind of mistake is found at its line."""
    text = sample()
    assert text.count(old) == 1
    line = text[: text.index(old)].count("\n") + 1
    with pytest.raises(InvalidInput) as caught:
        load_form(written(tmp_path, text.replace(old, new)))
    assert caught.value.code == "forms.bad-file"
    issue = next(i for i in caught.value.issues if part in i.text)
    place = re.match(r"CS1-TAN-HOA\.yaml:(\d+): (\S+): ", issue.text)
    assert place is not None
    assert abs(int(place.group(1)) - line) <= 2
    assert key in place.group(2)


@pytest.mark.parametrize(
    "text", ["form: [", "form: A\nform: B\n", "- x\n", "", "form: !!python/object:os.system x\n"]
)
def test_what_is_no_form_is_refused(tmp_path: Path, text: str) -> None:
    """Bad YAML, doubled keys, other shapes and foreign tags give one clear error."""
    with pytest.raises(InvalidInput) as caught:
        load_form(written(tmp_path, text))
    assert "CS1-TAN-HOA.yaml" in caught.value.text


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    """Two mistakes, two issues."""
    text = (
        sample().replace("list: icd10", "list: icd99").replace("populate: patient.name", "populate: nothing")
    )
    with pytest.raises(InvalidInput) as caught:
        load_form(written(tmp_path, text))
    assert len(caught.value.issues) == 2
