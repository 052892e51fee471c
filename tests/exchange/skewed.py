"""A process of the product whose clock is wrong: ``python -m tests.exchange.skewed SECONDS COMMAND …``."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from benhan.base.clock import SystemClock


def main() -> None:
    """Put the clock wrong, then be the program."""
    by = timedelta(seconds=float(sys.argv.pop(1)))

    def now(_: Any) -> datetime:
        return datetime.now(UTC) + by

    SystemClock.now = now  # type: ignore[method-assign]
    from benhan.cli import main as program

    program()


if __name__ == "__main__":
    main()
