"""`benhan view`: a SQL on FHIR ViewDefinition over the store, to a file or a table."""

from __future__ import annotations

from pathlib import Path

import typer

from benhan.base.errors import InvalidInput
from benhan.base.json_door import loads_object
from benhan.cli.common import CONFIG, console, facility_of, open_store, operator_repo, run, settings_of
from benhan.views import read_view, stream, write_csv, write_parquet, write_table

_WRITERS = {".csv": write_csv, ".parquet": write_parquet}


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(view)


def view(
    file: Path = typer.Argument(..., help="ViewDefinition (JSON) của SQL on FHIR v2."),
    facility: str = typer.Option(..., help="Mã cơ sở."),
    out: Path | None = typer.Option(None, help="Tệp .csv hoặc .parquet."),
    sql: str | None = typer.Option(None, "--sql", help="Tên bảng trong lược đồ views của PostgreSQL."),
    config: Path | None = CONFIG,
) -> None:
    """Trải tài nguyên thành bảng theo một ViewDefinition; ghi ra CSV, Parquet hoặc bảng PostgreSQL."""
    settings = settings_of(config)

    async def work() -> int:
        definition = read_view(loads_object(file.read_bytes()))
        writer = _WRITERS.get(out.suffix) if out else None
        if (out is None) == (sql is None) or (out is not None and writer is None):
            raise InvalidInput("view.output", "Cần đúng một trong --out (tệp .csv, .parquet) và --sql.")
        async with open_store(settings) as store:
            tenant = (await facility_of(store, facility)).id
            rows = stream(operator_repo(store, tenant), definition)
            if sql is not None:
                return await write_table(store, tenant, sql, definition, rows)
            assert out is not None
            assert writer is not None
            return await writer(out, definition, rows)

    console.print(f"Đã ghi {run(work)} dòng.")
