"""Complete invented answer sets, the same for the same seed: what tests, previews and training fill forms with.

Every item that applies is answered; ``check`` finds no error in the set at any moment.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from benhan.base.clock import VIETNAM
from benhan.forms import drawing
from benhan.forms.checking import check
from benhan.forms.computed import compute
from benhan.forms.model import Answers, Form, Item, Rule
from benhan.forms.values import holds, normal

_START = datetime(2026, 3, 2, 7, 30, tzinfo=VIETNAM)
_WORDS = re.findall(
    r"\S+",
    "người bệnh tỉnh táo tiếp xúc tốt da niêm mạc hồng không phù hạch ngoại vi sờ chạm bụng mềm gan lách "
    "tim đều phổi thông khí rõ đau nhẹ vùng thượng vị ăn uống được ngủ ít nước tiểu vàng trong điều trị ổn định",
)
_CODES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "icd10": (
        ("J18.9", "Viêm phổi, không xác định"),
        ("I10", "Tăng huyết áp vô căn (nguyên phát)"),
        ("K35.8", "Viêm ruột thừa cấp, khác và không xác định"),
    )
}
_TEXTS = (
    "099158000001",
    "HT3990000000001",
    "0900000001",
    "120/80",
    "08:05",
    "J18.9",
    "U50.011",
    "00001.GCS.51001.26",
    "510010a1b2c3-C",
)


def sample(form: Form, seed: int = 0) -> Answers:
    """A complete valid answer set. Raises: ``ValueError`` when the form's own rules cannot be met."""
    answers = normal(form, _Sampler(form, seed).fill())
    errors = [
        f
        for f in check(form, answers, "close", datetime(2027, 1, 1, tzinfo=VIETNAM))
        if f.severity == "error"
    ]
    if errors:
        raise ValueError(f"{form.code}: {[(e.link_id, e.text) for e in errors]}")
    return answers


class _Sampler:
    def __init__(self, form: Form, seed: int) -> None:
        self.form = form
        self.rnd = random.Random(f"{form.code}/{seed}")
        self.ranks = _ranks(form.rules)
        self.summed = {
            name.rpartition(".")[2]
            for i in form.items()
            if i.computed and i.computed.function == "total"
            for name in i.computed.of
        }

    def fill(self) -> Answers:
        out: Answers = {}
        for item in self.form.answerable():
            if item.enabled_when is None or holds(item.enabled_when, out):
                out[item.link_id] = self.table(item) if item.type == "table" else self.answer(item)
        for rule in self.form.rules:
            if rule.kind == "greater":
                self.lift(rule, out)
        kept = {
            k: v
            for k, v in out.items()
            if (i := self.form.item(k)).enabled_when is None or holds(i.enabled_when, out)
        }
        return compute(self.form, kept)

    def lift(self, rule: Rule, out: Answers) -> None:
        """Make the first number greater than the second, inside its range."""
        high, low = rule.items
        a, b = out.get(high), out.get(low)
        if isinstance(a, int | Decimal) and isinstance(b, int | Decimal) and a <= b:
            out[high], out[low] = (b, a) if a != b else (b + 1, a)

    def answer(self, item: Item) -> Any:
        if not item.repeats:
            return self.value(item)
        if item.type == "choice":
            return self.rnd.sample([c.code for c in item.choices], self.rnd.randint(1, len(item.choices)))
        return [self.value(item) for _ in range(self.rnd.randint(1, 2))]

    def table(self, item: Item) -> list[dict[str, Any]]:
        number = len(item.rows) or self.rnd.randint(1, 3)
        columns = [c for c in item.children if c.holds_answer]
        rows = []
        for n in range(number):
            fixed = item.rows[n] if item.rows else {}
            free = {c.column: self.value(c, n) for c in columns if c.column not in fixed}
            rows.append({**free, **fixed})
        return rows

    def value(self, item: Item, row: int = 0) -> Any:
        kind = item.type
        if kind in ("date", "datetime", "time"):
            return self.moment(item, row)
        if kind == "boolean":
            return self.rnd.random() < 0.7
        if kind == "choice":
            return self.rnd.choice(item.choices).code
        if kind == "code":
            code, text = self.rnd.choice(_CODES.get(item.code_list or "", (("01", self.words(2)),)))
            return {"code": code, "text": text}
        if kind in ("integer", "decimal", "quantity"):
            return self.number(item)
        if kind == "drawing":
            return self.marks()
        return self.text(item)

    def moment(self, item: Item, row: int) -> str:
        rank = self.ranks.get(item.link_id, 2)
        at = _START + timedelta(days=rank * 3 + row, minutes=self.rnd.randint(0, 11) * 5)
        if item.type == "time":
            return f"{at:%H:%M}:00"
        return at.isoformat(timespec="seconds") if item.type == "datetime" else at.date().isoformat()

    def number(self, item: Item) -> int | Decimal:
        limits = item.range
        low = (
            next((v for v in (limits.low, limits.min) if v is not None), Decimal(1)) if limits else Decimal(1)
        )
        high = (
            next((v for v in (limits.high, limits.max) if v is not None), low + 8) if limits else Decimal(9)
        )
        if item.layout.boxes and item.type == "integer":
            high = min(high, Decimal(10**item.layout.boxes - 1))
        if item.column in self.summed:
            high = low + min(high - low, Decimal(2))
        if item.type == "integer":
            return self.rnd.randint(int(low), max(int(high), int(low)))
        return (low + (high - low) * self.rnd.randint(1, 9) / 10).quantize(Decimal("0.1"))

    def text(self, item: Item) -> str:
        if item.pattern:
            return self.shaped(item.pattern)
        if item.options:
            return self.rnd.choice(item.options)
        if item.layout.boxes and item.type == "text":
            return "".join(self.rnd.choice("0123456789") for _ in range(item.layout.boxes))
        if item.type == "longtext":
            text = f"{self.words(9)}.\n{self.words(6)}."
        else:
            text = self.words(3)
        return text[: item.max_length].strip() if item.max_length else text

    def shaped(self, pattern: str) -> str:
        """A text that fits the pattern: a known example, else digits."""
        digits = ["".join(self.rnd.choice("123456789") for _ in range(n)) for n in range(1, 21)]
        found = next((t for t in (*_TEXTS, *digits) if re.search(pattern, t)), None)
        if found is None:
            raise ValueError(f"no example for the pattern {pattern}")
        return found

    def words(self, number: int) -> str:
        return " ".join(self.rnd.choice(_WORDS) for _ in range(number)).capitalize()

    def marks(self) -> Any:
        def spot() -> float:
            return self.rnd.randint(100, 900) / 1000

        first = {"x": spot(), "y": spot(), "shape": "point", "label": self.words(2)}
        corners = [[spot(), spot()] for _ in range(3)]
        return drawing.clean(
            {
                "marks": [
                    first,
                    {"x": spot(), "y": spot(), "shape": "area", "points": corners, "label": self.words(2)},
                ]
            }
        )


def _ranks(rules: tuple[Rule, ...]) -> dict[str, int]:
    """Place of each moment in the order that the form's rules ask for."""
    pairs = [rule.items[:2] for rule in rules if rule.kind == "order"]
    ranks = {name: 0 for pair in pairs for name in pair}
    for _ in ranks:
        for before, after in pairs:
            ranks[after] = max(ranks[after], ranks[before] + 1)
    return ranks
