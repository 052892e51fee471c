"""`benhan forms …`: the forms of the law, checked view by view."""

from __future__ import annotations

from collections import Counter

import orjson
import typer
from rich.console import Console

from benhan.forms import Checked, check_all

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
