"""`benhan simulate …`: the other sides, for training and tests; strict as the real ones."""

from __future__ import annotations

from pathlib import Path

import typer
import uvicorn

from benhan.gateways.bhyt import create_simulator
from benhan.signing import CscSimulator, pki_app

simulate_app = typer.Typer(help="Mô phỏng hệ thống bên ngoài, để tập huấn và thử.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(simulate_app, name="simulate")


@simulate_app.callback()
def group() -> None:
    """Chỉ mở trên máy này (127.0.0.1)."""


@simulate_app.command("bhyt")
def simulate_bhyt(
    port: int = typer.Option(8099, help="Cổng mạng."),
    state: Path | None = typer.Option(None, help="Thư mục giữ các gói đã nhận."),
) -> None:
    """Cổng tiếp nhận BHYT mô phỏng: cấp mã truy cập, tra thẻ, nhận hồ sơ, từ chối có mã."""
    uvicorn.run(create_simulator(state), host="127.0.0.1", port=port, log_level="warning")


@simulate_app.command("pki")
def simulate_pki(
    folder: Path = typer.Argument(help="Thư mục của nơi cấp chứng thư thử; được tạo khi chưa có."),
    port: int = typer.Option(8098, help="Cổng mạng."),
) -> None:
    """Nơi cấp chứng thư thử: dấu thời gian (/tsa), trạng thái chứng thư (/ocsp), danh sách thu hồi, chứng thư gốc."""
    uvicorn.run(pki_app(folder), host="127.0.0.1", port=port, log_level="warning")


@simulate_app.command("csc")
def simulate_csc(
    folder: Path = typer.Argument(help="Thư mục của nơi cấp chứng thư thử; được tạo khi chưa có."),
    port: int = typer.Option(8097, help="Cổng mạng."),
    person: list[str] = typer.Option(["bs-thu=Nguyễn Văn Thử"], help="Người ký: mã=Họ tên (người bịa)."),
    pin: str = typer.Option("493817", help="PIN của mọi người ký."),
) -> None:
    """Dịch vụ ký từ xa mô phỏng (CSC API v2); ứng dụng: benhan, bí mật: thu-nghiem."""
    simulator = CscSimulator(folder)
    for one in person:
        credential, _, name = one.partition("=")
        simulator.enrol(credential, name or credential, pin)
    uvicorn.run(simulator.app(), host="127.0.0.1", port=port, log_level="warning")
