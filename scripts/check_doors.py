"""Refuse second doors: XML or JSON parsed elsewhere, unsafe loaders, wall clocks, unescaped templates, f-string SQL.

Prints each place and exits 1 when there is one. An allowed place is a file named beside its rule.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src"

RULES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "XML only through base/xml_door",
        r"\betree\.(parse|fromstring|XML|iterparse)\(|xml\.(dom|sax(?!\.saxutils)|etree)",
        ("benhan/base/xml_door.py", "benhan_verify/", "benhan/bench/claims.py"),
    ),
    ("no pickle, marshal, shelve", r"^\s*(import|from) (pickle|marshal|shelve)\b", ()),
    ("YAML by safe_load only", r"yaml\.(load|unsafe_load|full_load)\(", ()),
    (
        "time only through base/clock",
        r"datetime\.(now|utcnow|today)\(|date\.today\(",
        ("benhan/base/clock.py", "benhan_verify/"),
    ),
    ("templates stay escaped", r"\|\s*safe\b|autoescape\s*=\s*False", ()),
    ("no SQL built from text", r"execute(many)?\(\s*f[\"']", ("benhan/store/reindexing.py",)),
    (
        "no eval but of the closed grammar of rules",
        r"(?<![\w.])(eval|exec)\(",
        ("benhan/gateways/bhyt/rules/expression.py",),
    ),
)


def main() -> int:
    """Check every Python and template file below src."""
    faults = []
    for path in sorted([*SRC.rglob("*.py"), *SRC.rglob("*.html")]):
        name = path.relative_to(SRC).as_posix()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for rule, pattern, allowed in RULES:
                if re.search(pattern, line) and not any(name.startswith(a) for a in allowed):
                    faults.append(f"src/{name}:{number}: {rule}: {line.strip()[:100]}")
    print("\n".join(faults) if faults else "doors: one of each")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
