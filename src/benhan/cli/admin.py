"""Administration: database, facilities, accounts, certificates, health."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.table import Table

from benhan.access import assign_role, create_account, create_ca, issue_node, roles
from benhan.base.errors import InvalidInput
from benhan.base.json_door import JsonObject
from benhan.catalogue import systems
from benhan.cli import doctor as doctor_room
from benhan.cli import node
from benhan.cli.common import CONFIG, console, facility_of, open_store, operator_repo, run, settings_of

facility_app = typer.Typer(help="Cơ sở khám bệnh, chữa bệnh của cài đặt này.", no_args_is_help=True)
user_app = typer.Typer(help="Tài khoản và vai trò.", no_args_is_help=True)
cert_app = typer.Typer(help="Chứng thư của mạng nội bộ.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(migrate)
    app.command()(doctor)
    app.add_typer(facility_app, name="facility")
    app.add_typer(user_app, name="user")
    app.add_typer(cert_app, name="cert")


def migrate(config: Path | None = CONFIG) -> None:
    """Tạo hoặc nâng cấp cơ sở dữ liệu; chỉ tiến, không lùi."""
    settings = settings_of(config)

    async def work() -> int:
        return await node.migrate(settings)

    console.print(f"Cơ sở dữ liệu sẵn sàng; {run(work)} bước nâng cấp vừa chạy.")


def doctor(config: Path | None = CONFIG) -> None:
    """Kiểm tra cài đặt và nói điều gì sai, cần làm gì."""
    settings = settings_of(config)
    marks = {"ok": "[green]ổn[/]", "warn": "[yellow]lưu ý[/]", "fail": "[red]SAI[/]"}

    async def work() -> list[doctor_room.Finding]:
        return doctor_room.look_around(settings) + [f async for f in doctor_room.look_inside(settings)]

    findings = run(work)
    table = Table("", "Mục", "Kết quả", box=None)
    for finding in findings:
        table.add_row(marks[finding.state], finding.what, finding.text)
    console.print(table)
    if any(f.state == "fail" for f in findings):
        raise typer.Exit(1)


@facility_app.command("add")
def facility_add(code: str, name: str, kind: str = "facility", config: Path | None = CONFIG) -> None:
    """Thêm một cơ sở theo mã và tên (kind: facility hoặc hub)."""
    settings = settings_of(config)

    async def work() -> None:
        if kind not in ("facility", "hub"):
            raise InvalidInput("cli.bad-kind", "kind phải là facility hoặc hub.")
        async with open_store(settings) as store:
            await store.create_tenant("hub" if kind == "hub" else "facility", code, name)

    run(work)
    console.print(f"Đã thêm {code} {name}.")


@facility_app.command("list")
def facility_list(config: Path | None = CONFIG) -> None:
    """Liệt kê các cơ sở."""
    settings = settings_of(config)

    async def work() -> None:
        async with open_store(settings) as store:
            for info in sorted(await store.tenants(), key=lambda t: t.code):
                console.print(f"{info.code}\t{info.kind}\t{info.name}", markup=False)

    run(work)


@user_app.command("add")
def user_add(
    facility: str,
    username: str,
    name: str,
    role: list[str] = typer.Option(..., "--role", help="Vai trò; lặp lại được."),
    khoa: str | None = typer.Option(None, help="Mã khoa của vai trò."),
    licence: str | None = typer.Option(None, help="Số chứng chỉ hoặc giấy phép hành nghề."),
    password: str = typer.Option(..., prompt="Mật khẩu tạm", confirmation_prompt=True, hide_input=True),
    config: Path | None = CONFIG,
) -> None:
    """Thêm một người dùng với vai trò và mật khẩu tạm."""
    settings = settings_of(config)

    async def work() -> None:
        known = {r.code: r for r in roles()}
        unknown = [r for r in role if r not in known]
        if unknown:
            raise InvalidInput(
                "cli.no-such-role", f"Không có vai trò {', '.join(unknown)}. Xem `benhan user roles`."
            )
        async with open_store(settings) as store:
            repo = operator_repo(store, (await facility_of(store, facility)).id)
            person: JsonObject = {"resourceType": "Practitioner", "active": True, "name": [{"text": name}]}
            if licence:
                person["identifier"] = [{"system": systems.CCHN, "value": licence}]
            async with repo.transaction() as tx:
                found = await tx.create(person)
                account = await create_account(
                    tx, username, password, f"Practitioner/{found.id}", name, kind=known[role[0]].kind
                )
                for code in role:
                    await assign_role(tx, account.id, code, khoa=khoa)

    run(work)
    console.print(f"Đã thêm {username}. Lần đăng nhập đầu sẽ đổi mật khẩu và quét mã một lần.", markup=False)


@user_app.command("roles")
def user_roles() -> None:
    """Liệt kê các vai trò."""
    for role in roles():
        console.print(f"{role.code}\t{role.title}", markup=False)


@cert_app.command("ca")
def cert_ca(out: Path = typer.Option(Path("ca"), help="Thư mục của tổ chức chứng thực nội bộ.")) -> None:
    """Tạo tổ chức chứng thực (CA) cho mạng của mình."""
    create_ca(out)
    console.print(f"Đã tạo CA trong {out}. Giữ khóa ca.key ở nơi an toàn.")


@cert_app.command("node")
def cert_node(
    name: str,
    host: list[str] = typer.Option(
        ["localhost", "127.0.0.1"], "--host", help="Tên máy hoặc địa chỉ; lặp lại được."
    ),
    ca: Path = typer.Option(Path("ca"), help="Thư mục CA."),
    out: Path = typer.Option(Path("tls"), help="Thư mục kết quả."),
) -> None:
    """Cấp chứng thư cho một nút (máy chủ và máy khách)."""
    issue_node(ca, name, host, out)
    console.print(f"Đã cấp {out / (name + '.crt')}.")
