"""Write the generated reference pages: settings, errors, claim rules, states. `--check` compares instead and exits 1 on a difference."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src" / "benhan"
sys.path.insert(0, str(ROOT / "src"))

from benhan.access import permissions, roles  # noqa: E402
from benhan.base import errors  # noqa: E402
from benhan.base.settings import Settings  # noqa: E402
from benhan.gateways.bhyt.rules import shipped_rules  # noqa: E402
from benhan.records import state_title, states  # noqa: E402
from benhan.records.states import event_names, transitions  # noqa: E402

HTTP = {
    name: kind.status
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and hasattr(kind, "status")
}


def settings_page() -> str:
    """Every field of `Settings` with its default and meaning."""
    lines = [
        "# Settings",
        "",
        "A TOML file (named by `--config` or `BENHAN_CONFIG`), then environment variables over it. A wrong value stops the",
        "start with its name and what is wrong. Secrets are never settings: they lie below `home`/secrets, mode 0600.",
        "",
        "| Field | Environment | Default | Meaning |",
        "|---|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = field.get_default()
        shown = "(unset)" if default is None else f"`{default}`"
        lines.append(f"| `{name}` | `BENHAN_{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(lines) + "\n"


def _constant(node: ast.expr | None) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(v.value if isinstance(v, ast.Constant) else "…" for v in node.values)
    return ""


def error_codes() -> dict[str, tuple[str, str]]:
    """Every error code raised in the sources → (class, first Vietnamese sentence)."""
    found: dict[str, tuple[str, str]] = {}
    for path in sorted(SRC.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            code = _constant(node.args[0])
            if (name not in HTTP and name != "Issue") or "." not in code or " " in code or "…" in code:
                continue
            text = _constant(node.args[1]) if len(node.args) > 1 else ""
            if code not in found or (found[code][0] == "Issue" and name != "Issue"):
                found[code] = (name, text or found.get(code, ("", ""))[1])
    return found


def errors_page() -> str:
    """Every error code with its HTTP status and sentence."""
    lines = [
        "# Errors",
        "",
        "Codes are stable (`room.reason`). The same error is an OperationOutcome for machines, a sentence on a page, an exit",
        "code on the command line. `…` stands for what is filled in. `Issue` marks a fault listed inside a larger error.",
        "",
        "| Code | Kind | HTTP | Sentence |",
        "|---|---|---|---|",
    ]
    for code, (kind, text) in sorted(error_codes().items()):
        status = HTTP.get(kind, "")
        lines.append(f"| `{code}` | {kind} | {status} | {text.replace('|', '∣').replace(chr(10), ' ')} |")
    return "\n".join(lines) + "\n"


def _example(lines: object) -> str:
    return "; ".join(f"{table}: {list(rows)}" for table, rows in dict(lines).items()).replace("|", "∣")


def claim_rules_page() -> str:
    """Every rule of the claim between tags and tables, with the example it lets through and the one it stops."""
    lines = [
        "# Rules of the claim",
        "",
        f"{len(shipped_rules())} rules between tags and tables (`gateways/bhyt/data/rules/*.yaml`), besides those that follow",
        "from each row of the tables (need, type, length, list, repetition). To write one: `docs/howto/add-a-claim-rule.md`.",
        "",
    ]
    for rule in shipped_rules():
        days = (
            f"; {rule.first if rule.first.year > 1 else '…'} – {rule.last if rule.last.year < 9999 else '…'}"
        )
        lines += [
            f"## {rule.id}",
            "",
            f"{rule.severity}, `{rule.code}`, {', '.join(rule.tables)} → {rule.place or ' / '.join(rule.fields)}; gates: "
            f"{', '.join(rule.gates)}; source ({rule.confidence}): {rule.source}"
            f"{days if (rule.first.year > 1 or rule.last.year < 9999) else ''}.",
            "",
            *([f"- when `{rule.when}`"] if rule.when else []),
            f"- must `{rule.must}`" if rule.must else f"- must say `{rule.value}`",
            *([f"- says “{rule.text}”"] if rule.text else []),
            f"- passes: {_example(rule.good)}",
            f"- stopped: {_example(rule.bad)}",
            "",
        ]
    return "\n".join(lines)


def states_page() -> str:
    """Every pair of state and event with where it leads, and who may do each step."""
    events = event_names()
    steps = transitions()
    lines = [
        "# Life of a record: states, events, rights",
        "",
        f"{len(states())} states × {len(events)} events (`records/data/lifecycle.yaml`): {len(steps)} steps are allowed, the other",
        f"{len(states()) * len(events) - len(steps)} pairs are refused for everybody. The rights are those of `access/data/permissions.yaml`.",
        "",
        "## Where each pair leads",
        "",
        f"| State | {' | '.join(f'`{e}`' for e in events)} |",
        f"|---|{'---|' * len(events)}",
    ]
    for state in states():
        cells = [steps[state, e].to if (state, e) in steps else "" for e in events]
        lines.append(f"| `{state}` {state_title(state)} | {' | '.join(cells)} |")
    lines += [
        "",
        "An empty cell is refused: `records.already-closed` in a closed state, else `records.transition-forbidden`.",
        "",
        "## Who may do each step",
        "",
        "F: in the whole facility; K: in the khoa in which the role is held; empty: `access.not-permitted`. `approved`: only after",
        "another person has granted the request.",
        "",
        f"| State | Event | Permission | Guards | Reason | {' | '.join(f'`{r.code}`' for r in roles())} |",
        f"|---|---|---|---|---|{'---|' * len(roles())}",
    ]
    for (state, event), step in steps.items():
        held = permissions()[step.permission].roles
        cells = [{"facility": "F", "khoa": "K"}.get(held.get(r.code, ""), "") for r in roles()]
        guards, reason = ", ".join(step.guards), "yes" if step.reason else ""
        lines.append(
            f"| `{state}` | `{event}` {step.title} | `{step.permission}` | {guards} | {reason} | {' | '.join(cells)} |"
        )
    return "\n".join(lines) + "\n"


PAGES = {
    "settings.md": settings_page,
    "errors.md": errors_page,
    "claim-rules.md": claim_rules_page,
    "states.md": states_page,
}


def main() -> int:
    """Write or check the pages."""
    stale = []
    for name, make in PAGES.items():
        path = ROOT / "docs" / "reference" / name
        text = make()
        if "--check" in sys.argv:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                stale.append(name)
        else:
            path.write_text(text, encoding="utf-8")
    for name in stale:
        print(f"docs/reference/{name} is stale: run scripts/reference.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
