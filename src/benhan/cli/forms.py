"""`benhan forms …`: the forms of the law, checked view by view."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import orjson
import typer
from rich.console import Console

from benhan.base.errors import BenhanError
from benhan.base.json_door import dumps, loads_object
from benhan.cli.common import tell
from benhan.forms import Checked, PrintContext, check_all, load_form, pdf, sample, yaml_of
from benhan.forms import check as check_answers

T = TypeVar("T")
forms_app = typer.Typer(help="Biểu mẫu: kiểm tra trang, giấy, dữ liệu và bản quy định.", no_args_is_help=True)

_WORDS = {
    "ok": "khớp",
    "differs": "khác nhau",
    "missing": "chưa có",
    "no-source": "chưa có nguồn",
    "superseded": "hết hiệu lực hoặc không phải biểu mẫu",
}


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(forms_app, name="forms")


@forms_app.callback()
def group() -> None:
    """Biểu mẫu theo quy định."""


@forms_app.command("check")
def check(
    codes: list[str] = typer.Argument(None, help="Mã biểu mẫu; bỏ trống là tất cả."),
    json: bool = typer.Option(False, "--json", help="In ra JSON."),
) -> None:
    """Đối chiếu trang, giấy in, dữ liệu và bản quy định của mọi biểu mẫu; thoát 1 khi thiếu hoặc khác nhau."""
    found = check_all(codes or ())
    if json:
        print(orjson.dumps(list(found), option=orjson.OPT_INDENT_2).decode())
    else:
        _print(found)
    if any(c.bad for c in found):
        raise typer.Exit(1)


@forms_app.command("try")
def attempt(
    file: Path = typer.Argument(help="Tệp YAML của biểu mẫu."),
    out: Path = typer.Option(Path(), "--out", help="Thư mục ghi các tệp xem thử."),
) -> None:
    """Đọc thử một tệp biểu mẫu: báo mọi lỗi theo dòng, ghi bản in trống, bản in điền mẫu và Questionnaire."""
    form = _read(lambda: load_form(file))
    out.mkdir(parents=True, exist_ok=True)
    answers = sample(form, 1)
    for name, content in (
        ("trong.pdf", pdf(form, PrintContext(blank=True))),
        ("dien-mau.pdf", pdf(form, PrintContext(answers=answers))),
        ("questionnaire.json", dumps(form.questionnaire(), pretty=True)),
    ):
        (out / f"{form.slug}-{name}").write_bytes(content)
    number = sum(1 for _ in form.answerable())
    print(
        f"{form.code}, bản {form.edition}: {number} mục để điền. Đã ghi {form.slug}-*.pdf và Questionnaire vào {out}."
    )
    for finding in check_answers(form, {}, at="sign"):
        print(f"  Khi ký còn trống: {finding.text}")


@forms_app.command("import")
def bring(
    file: Path = typer.Argument(help="Questionnaire FHIR R4 (JSON)."),
    code: str = typer.Option("", "--code", help="Mã biểu mẫu của cơ sở, ví dụ CS51Z01/SANG-LOC."),
    out: Path = typer.Option(..., "--out", help="Tệp YAML sẽ ghi."),
) -> None:
    """Đổi một Questionnaire thành tệp biểu mẫu; điều không giữ được ghi ở 'unconfirmed' của mục."""
    out.write_text(_read(lambda: yaml_of(loads_object(file.read_bytes()), code=code)), encoding="utf-8")
    form = _read(lambda: load_form(out))
    unsure = [i for i in form.items() if i.unconfirmed]
    print(f"{form.code}, bản {form.edition}: {sum(1 for _ in form.answerable())} mục để điền, đã ghi {out}.")
    for item in unsure:
        print(f"  {item.link_id} ({item.label}): {item.unconfirmed}")


def _read(work: Callable[[], T]) -> T:
    """What is read; a fault ends the command with its sentences and exit code 1."""
    try:
        return work()
    except BenhanError as error:
        tell(error)
        raise typer.Exit(1) from None


def _print(found: list[Checked]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for one in found:
        note = f", {one.unconfirmed} mục chưa xác nhận" if one.unconfirmed else ""
        size = f" ({one.items} mục{note})" if one.items else ""
        console.print(f"{one.code}  {_WORDS[one.state]}{size}  {one.title}", markup=False)
        for text in one.differences:
            console.print(f"    {text}", markup=False)
    counts = Counter(one.state for one in found)
    console.print("; ".join(f"{_WORDS[state]}: {number}" for state, number in counts.items()), markup=False)
