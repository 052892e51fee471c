"""UCUM units made comparable: the dimension of a unit, and its values in base units. By ``ucumvert`` and ``pint``.

Arbitrary units (``[iU]`` …) compare only with the same arbitrary unit (UCUM § 24: they are of no other dimension).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import lru_cache
from typing import Any

UCUM = "http://unitsofmeasure.org"
_LONG_NUMBER = re.compile(r"\d{4,}")
_ARBITRARY = re.compile(r"\[[^\]]*'?[uU](?:\.[A-Za-z.]+)?\]")
_MAX_CODE = 64
_FACTOR = Context(prec=15)
_ROUND = Context(prec=10)


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: values of the same ``dimension`` compare after :meth:`base`."""

    dimension: str
    factor: Decimal
    offset: Decimal

    def base(self, value: Decimal) -> Decimal:
        """The value in base units, rounded to 10 digits so that equal amounts come out equal."""
        return _ROUND.plus(value * self.factor + self.offset)


@lru_cache(maxsize=1)
def _registry() -> Any:
    from ucumvert import PintUcumRegistry

    return PintUcumRegistry()


@lru_cache(maxsize=4096)
def ucum_unit(code: str) -> Unit | None:
    """The unit of a UCUM code; None for what is no UCUM code, and for logarithmic units."""
    if not code or len(code) > _MAX_CODE or _LONG_NUMBER.search(code):
        return None
    try:
        return _measured(code)
    except (
        Exception
    ):  # the libraries raise of many kinds for what is no unit; the code is then compared as text
        return None


def _measured(code: str) -> Unit | None:
    registry = _registry()
    units = registry.from_ucum(code)
    scale, kind = (units.magnitude, units.units) if hasattr(units, "magnitude") else (1, units)
    zero, one, two = (registry.Quantity(n * scale, kind).to_base_units() for n in (0, 1, 2))
    step = one.magnitude - zero.magnitude
    if abs(two.magnitude - one.magnitude - step) > abs(step) * 1e-9 or step == 0:
        return None
    arbitrary = "".join(sorted({a.upper() for a in _ARBITRARY.findall(code)}))
    return Unit(f"{one.units:~C}{arbitrary}", _decimal(step), _decimal(zero.magnitude))


def _decimal(number: float) -> Decimal:
    return _FACTOR.create_decimal(repr(float(number)))
