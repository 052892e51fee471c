"""How things are written on the screen: days, ages, sex, numbers. Pure."""

from __future__ import annotations

import hashlib
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from benhan.base.clock import VIETNAM, local
from benhan.base.errors import InvalidInput, Issue
from benhan.catalogue import systems
from benhan.forms import parse_date, parse_datetime
from benhan.web.i18n import N_, Translate

JsonObject = dict[str, Any]
SEX = {"male": N_("Nam"), "female": N_("Nữ"), "other": N_("Khác"), "unknown": N_("Chưa rõ")}


def moment(value: datetime | str | None) -> str:
    """``22/11/2026 14:05`` on a Vietnamese wall clock; empty for nothing."""
    if value is None or value == "":
        return ""
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    if isinstance(value, str) and len(value) == 10:
        return day(value)
    return f"{(local(at) if at.tzinfo else at):%d/%m/%Y %H:%M}"


def clock_time(value: datetime) -> str:
    """``14:05:12`` on a Vietnamese wall clock."""
    return f"{local(value):%H:%M:%S}"


def day(value: date | str | None) -> str:
    """``22/11/2026``; a partial date keeps its precision; empty for nothing."""
    if value is None or value == "":
        return ""
    text = value.isoformat()[:10] if isinstance(value, date) else value[:10]
    return "/".join(reversed(text.split("-")))


def age(born: str, on: date, _: Translate) -> str:
    """Age as its size asks: days below a month, months below six years, years above; ``""`` when unknown."""
    if not born:
        return ""
    if len(born) < 10:
        years = on.year - int(born[:4])
        return _("khoảng {n} tuổi").format(n=years)
    birth = date.fromisoformat(born)
    months = (on.year - birth.year) * 12 + on.month - birth.month - (on.day < birth.day)
    if months < 1:
        return _("{n} ngày tuổi").format(n=(on - birth).days)
    if months < 72:
        return _("{n} tháng tuổi").format(n=months)
    return _("{n} tuổi").format(n=months // 12)


def number(value: Decimal | int | float | str | None) -> str:
    """A figure with a decimal comma and its own digits; thousands are not parted."""
    return "" if value is None else str(value).replace(".", ",")


_SWAPPED = str.maketrans(",.", ".,")


def money(value: Decimal | int | None) -> str:
    """Đồng with points between thousands; hundredths, as claims have them, after a comma."""
    if value is None:
        return ""
    text = f"{int(value):,}" if value == int(value) else f"{value:,.2f}"
    return text.translate(_SWAPPED)


_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def unit(code: str | None) -> str:
    """A UCUM unit as people write it: ``10*12/L`` → ``10¹²/L``, ``umol/L`` → ``µmol/L``."""
    text = code or ""
    if text.startswith("10*"):
        power, slash, rest = text[3:].partition("/")
        text = f"10{power.translate(_RAISED)}{slash}{rest}"
    return (
        text.replace("umol", "µmol")
        .replace("ug/", "µg/")
        .replace("[iU]", "IU")
        .replace("{", "")
        .replace("}", "")
    )


def name_of(patient: JsonObject) -> str:
    """Name of a Patient as written."""
    first: JsonObject = (patient.get("name") or [{}])[0]
    return str(first.get("text") or " ".join([first.get("family", ""), *first.get("given", [])]).strip())


def identifiers(patient: JsonObject) -> dict[str, str]:
    """Present identifiers by system."""
    return {
        i.get("system", ""): i.get("value", "")
        for i in reversed(patient.get("identifier") or [])
        if i.get("use") != "old"
    }


def address_of(patient: JsonObject) -> str:
    """Address as one line."""
    first: JsonObject = (patient.get("address") or [{}])[0]
    return str(first.get("text") or ", ".join([*first.get("line", []), first.get("city", "")]).strip(", "))


def phone_of(patient: JsonObject) -> str:
    """First telephone number."""
    return next((t.get("value", "") for t in patient.get("telecom") or [] if t.get("system") == "phone"), "")


def cccd_of(patient: JsonObject) -> str:
    """Citizen number, or empty."""
    return identifiers(patient).get(systems.CCCD, "")


def band(patient_id: str) -> int:
    """Colour band (0–5) that tells patients in neighbouring tabs apart."""
    return hashlib.sha256(patient_id.encode()).digest()[0] % 6


def read_moment(text: str, field: str) -> datetime:
    """An instant as typed (``22/11/2026 14:05`` …). Raises: ``InvalidInput`` (web.bad-moment) naming the field."""
    typed = text.strip()
    read = parse_datetime(typed)
    if read is None:
        sentence = f"“{typed}” không phải ngày giờ. Ghi như 22/11/2026 14:05."
        raise InvalidInput("web.bad-moment", sentence, issues=[Issue("web.bad-moment", sentence, field)])
    at = datetime.fromisoformat(read)
    return at if at.tzinfo else at.replace(tzinfo=VIETNAM)


def read_day(text: str, field: str) -> date:
    """A day as typed. Raises: ``InvalidInput`` (web.bad-day) naming the field."""
    typed = text.strip()
    read = parse_date(typed)
    if read is not None and len(read) == 10:
        return date.fromisoformat(read)
    sentence = f"“{typed}” không phải ngày. Ghi như 22/11/2026."
    raise InvalidInput("web.bad-day", sentence, issues=[Issue("web.bad-day", sentence, field)])


def read_number(text: str, field: str) -> Decimal:
    """A figure as typed, comma or point. Raises: ``InvalidInput`` (web.bad-number) naming the field."""
    typed = text.strip().replace(",", ".")
    if (
        typed
        and all(c.isdigit() or c == "." for c in typed.lstrip("-"))
        and typed.count(".") <= 1
        and typed != "."
    ):
        return Decimal(typed)
    sentence = f"“{text.strip()}” không phải số."
    raise InvalidInput("web.bad-number", sentence, issues=[Issue("web.bad-number", sentence, field)])
