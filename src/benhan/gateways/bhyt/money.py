"""Money of one line (rules of QĐ 130, 4750, 3176): exact decimals, two digits, half up, shares that always add up."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from benhan.base.errors import RuleViolation

CENT = Decimal("0.01")
HUNDRED = Decimal(100)
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class OtherSources:
    """Support by others, VND: state budget, foreign aid, domestic aid, the rest."""

    nsnn: Decimal = ZERO
    vtnn: Decimal = ZERO
    vttn: Decimal = ZERO
    rest: Decimal = ZERO

    @property
    def total(self) -> Decimal:
        """Sum of the four."""
        return self.nsnn + self.vtnn + self.vttn + self.rest


@dataclass(frozen=True, slots=True)
class Split:
    """Who pays a line, VND; ``bv`` = ``bntt`` + ``bncct`` + ``bhtt`` + ``other``."""

    bv: Decimal
    bh: Decimal
    bntt: Decimal
    bncct: Decimal
    bhtt: Decimal
    other: Decimal


def round2(value: Decimal) -> Decimal:
    """Two digits, half up."""
    return value.quantize(CENT, rounding=ROUND_HALF_UP)


def money(value: Decimal) -> str:
    """Money as the tables write it: two digits."""
    return f"{round2(value):.2f}"


def three(value: Decimal) -> str:
    """Quantity or unit price: three digits."""
    return f"{value.quantize(Decimal('0.001'), rounding=ROUND_HALF_UP):.3f}"


def percent_text(value: Decimal) -> str:
    """A percentage without trailing zeros: ``80``, ``47.5``."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def drug_amounts(quantity: Decimal, price: Decimal, rate_bh: Decimal) -> tuple[Decimal, Decimal]:
    """THANH_TIEN_BV and THANH_TIEN_BH of a line of XML2."""
    whole = quantity * price
    return round2(whole), round2(whole * rate_bh / HUNDRED)


def service_amounts(
    quantity: Decimal, price_bv: Decimal, price_bh: Decimal, rate_dv: Decimal, rate_bh: Decimal
) -> tuple[Decimal, Decimal]:
    """THANH_TIEN_BV and THANH_TIEN_BH of a line of XML3."""
    part = quantity * rate_dv / HUNDRED
    return round2(part * price_bv), round2(part * price_bh * rate_bh / HUNDRED)


def split(bv: Decimal, bh: Decimal, percent: Decimal, other: Decimal = ZERO) -> Split:
    """Share a line between insurer, co-payment and patient; other sources take from T_BNTT, T_BNCCT, T_BHTT in turn.

    Raises: ``RuleViolation`` bhyt.other-source when others pay more than the line costs.
    """
    bhtt = round2(bh * percent / HUNDRED)
    bncct = bh - bhtt
    bntt = bv - bh
    left = round2(other)
    if left < 0 or left > bv:
        raise RuleViolation("bhyt.other-source", "Nguồn khác chi trả nhiều hơn thành tiền của dòng.")
    own, left = _take(bntt, left)
    shared, left = _take(bncct, left)
    insurer, _ = _take(bhtt, left)
    return Split(bv, bh, own, shared, insurer, round2(other))


def _take(share: Decimal, left: Decimal) -> tuple[Decimal, Decimal]:
    taken = min(max(share, ZERO), left)
    return share - taken, left - taken
