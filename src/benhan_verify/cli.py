"""Command line: ``benhan-verify FILE… [--json] [--root PEM]…``; exit 0 all proved, 1 refused, 2 unreadable."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509

from benhan_verify.chain import roots_of_pem
from benhan_verify.revocation import of_lists
from benhan_verify.verify import verify_file


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benhan-verify",
        description="Kiểm hồ sơ niêm phong, giấy PDF đã ký, chữ ký .p7s; không cần mạng. / "
        "Checks sealed records, signed PDFs and .p7s signatures, offline.",
        epilog="Mã thoát / exit: 0 đúng cả / all proved, 1 bị bác / refused, 2 không đọc được / unreadable.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="tệp cần kiểm / file to check")
    parser.add_argument("--json", action="store_true", help="mỗi tệp một dòng JSON / one JSON object a file")
    parser.add_argument(
        "--root", action="append", default=[], type=Path, metavar="PEM",
        help="gốc tin cậy, hoặc thư mục các tệp .pem / trusted root, or a folder of .pem files",
    )  # fmt: skip
    parser.add_argument(
        "--crl", action="append", default=[], type=Path, metavar="CRL",
        help="danh sách thu hồi mang theo / a revocation list brought along",
    )  # fmt: skip
    parser.add_argument(
        "--at", type=datetime.fromisoformat, metavar="TIME",
        help="xét như tại lúc này (ISO 8601) / judge as of this time",
    )  # fmt: skip
    return parser.parse_args(argv)


def _files(paths: Sequence[Path]) -> list[Path]:
    """The files named, and the PEM files of folders named."""
    return [f for p in paths for f in (sorted(p.glob("*.pem")) if p.is_dir() else [p])]


def main(argv: Sequence[str] | None = None, *, now: datetime | None = None) -> int:
    """Run the program; ``now`` stands for the present where no time stamp proves another time."""
    arguments = _arguments(argv)
    moment = now if arguments.at is None else arguments.at.astimezone()
    roots: list[x509.Certificate] = []
    path = Path()
    try:
        for path in _files(arguments.root):
            roots += roots_of_pem(path.read_bytes())
        lists = [(path := one).read_bytes() for one in arguments.crl]
        brought = of_lists(lists)
    except (OSError, ValueError) as error:
        print(
            f"Không đọc được gốc tin cậy hay danh sách thu hồi / unreadable root or list: {path} "
            f"({type(error).__name__})",
            file=sys.stderr,
        )
        return 2
    verdicts = [verify_file(path, roots, moment, brought) for path in arguments.files]
    for verdict in verdicts:
        if arguments.json:
            print(json.dumps(verdict.as_json(), ensure_ascii=False))
        else:
            print(verdict.as_text())
    return max(verdict.exit_code for verdict in verdicts)
