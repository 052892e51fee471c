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
        "--root", action="append", default=[], type=Path, metavar="PEM", help="gốc tin cậy / trusted root"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, *, now: datetime | None = None) -> int:
    """Run the program; ``now`` stands for the present where no time stamp proves another time."""
    arguments = _arguments(argv)
    roots: list[x509.Certificate] = []
    for path in arguments.root:
        try:
            roots += roots_of_pem(path.read_bytes())
        except (OSError, ValueError) as error:
            print(
                f"Không đọc được gốc tin cậy / unreadable root: {path} ({type(error).__name__})",
                file=sys.stderr,
            )
            return 2
    verdicts = [verify_file(path, roots, now) for path in arguments.files]
    for verdict in verdicts:
        if arguments.json:
            print(json.dumps(verdict.as_json(), ensure_ascii=False))
        else:
            print(verdict.as_text())
    return max(verdict.exit_code for verdict in verdicts)
