"""QR text of the CCCD (7 or more fields) and of the paper BHYT card (9–16 fields, ends with ``$``).

A QR carries no signature: what it says is *scanned, unverified*. Layouts: observed in several independent readers; fields
past the well-known ones are kept raw and never make a scan fail. No address is parsed into codes here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from benhan.base.errors import InvalidInput
from benhan.base.text import nfc, squeeze

MAX_CHARS = 4096
_CARD = re.compile(r"^(?:[A-Z]{2}[1-5]\d{12}|\d{10}|\d{12})$")
# UTF-8 read as a Western code page: letters followed by signs that never follow them in Vietnamese
_MOJIBAKE = re.compile("á[º»]|[ÃÂÄÆ][\u0080-\u00bf‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|\ufffd")
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f]")


@dataclass(frozen=True, slots=True)
class CardScan:
    """What a card says. Dates are ISO text with the precision of the card; ``""`` where it is silent."""

    kind: str
    number: str
    name: str
    birth_date: str
    sex: str
    address: str = ""
    old_number: str = ""
    issued_on: str = ""
    registered_at: str = ""
    valid_from: str = ""
    valid_to: str = ""
    five_years_from: str = ""
    guardian: str = ""
    warnings: tuple[str, ...] = ()
    raw_fields: tuple[str, ...] = ()


def parse_qr(text: str, *, on: date | None = None) -> CardScan:
    """Read a scanned QR text; ``on`` (today) lets an expired card be warned of.

    Raises: ``InvalidInput``: identity.qr-too-long, qr-characters, qr-broken-text, qr-fields, qr-number, qr-date,
    qr-cut, qr-hex.
    """
    if len(text) > MAX_CHARS:
        raise InvalidInput("identity.qr-too-long", "Chuỗi quét quá dài, không phải mã QR của thẻ.")
    clean = nfc(text.strip(" \t\r\n\ufeff"))
    _refuse_signs(clean)
    if "|" not in clean:
        raise InvalidInput("identity.qr-fields", "Chuỗi quét không phải mã QR của CCCD hoặc thẻ BHYT.")
    fields = clean.split("|")
    first = fields[0].strip()
    if clean.endswith("$") or not first.isdigit():
        return _bhyt(clean, on)
    if len(first) == 10:
        raise InvalidInput("identity.qr-cut", "Mã QR thẻ BHYT bị cắt, hãy quét lại.")
    return _cccd(fields, on)


def _refuse_signs(text: str) -> None:
    if _BIDI.search(text) or any(ord(c) < 32 or 127 <= ord(c) < 160 for c in text):
        raise InvalidInput("identity.qr-characters", "Chuỗi quét có ký tự điều khiển, hãy quét lại.")
    if _MOJIBAKE.search(text):
        raise InvalidInput(
            "identity.qr-broken-text",
            "Máy quét làm hỏng chữ tiếng Việt; tắt bộ gõ, đặt máy quét UTF-8 rồi quét lại.",
        )


def _cccd(fields: list[str], on: date | None) -> CardScan:
    if len(fields) < 7:
        raise InvalidInput("identity.qr-fields", "Mã QR CCCD thiếu trường, hãy quét lại.")
    number, old, name, born, sex_text, address, issued = (squeeze(f) for f in fields[:7])
    if not re.fullmatch(r"\d{12}", number):
        raise InvalidInput("identity.qr-number", "Số định danh phải có 12 chữ số.")
    if not name:
        raise InvalidInput("identity.qr-fields", "Mã QR CCCD không có họ tên.")
    birth = _compact_day(born)
    sex = {"nam": "male", "nữ": "female"}.get(sex_text.casefold(), "unknown")
    warnings = list(number_warnings(number, birth, sex))
    issue_day = ""
    try:
        issue_day = _compact_day(issued)
    except InvalidInput:
        warnings.append("Ngày cấp trên thẻ không đọc được.")
    if on and birth > on.isoformat():
        warnings.append("Ngày sinh ở tương lai.")
    return CardScan(
        "cccd",
        number,
        name,
        birth,
        sex,
        address,
        old,
        issue_day,
        warnings=tuple(warnings),
        raw_fields=tuple(fields),
    )


def number_warnings(number: str, birth_date: str, sex: str) -> tuple[str, ...]:
    """Where a 12-digit number disagrees with year of birth or sex. Warnings, not errors: no check digit exists."""
    mark = int(number[3])
    year = 1900 + 100 * (mark // 2) + int(number[4:6])
    warnings = []
    if birth_date and birth_date[:4] != str(year):
        warnings.append(f"Năm sinh không khớp số định danh (số ghi {year}).")
    if sex in ("male", "female") and sex != ("male" if mark % 2 == 0 else "female"):
        warnings.append("Giới tính không khớp số định danh.")
    return tuple(warnings)


def _compact_day(text: str) -> str:
    if re.fullmatch(r"\d{4}", text):
        return text
    if not re.fullmatch(r"\d{8}", text):
        raise InvalidInput("identity.qr-date", "Ngày trên thẻ sai định dạng, hãy quét lại.")
    return _iso(text[:2], text[2:4], text[4:])


def _iso(day: str, month: str, year: str) -> str:
    try:
        return date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        raise InvalidInput("identity.qr-date", "Ngày trên thẻ không có thật, hãy quét lại.") from None


def _bhyt(text: str, on: date | None) -> CardScan:
    if not text.endswith("$"):
        raise InvalidInput("identity.qr-cut", "Mã QR thẻ BHYT bị cắt (thiếu dấu kết thúc), hãy quét lại.")
    fields = text[:-1].split("|")
    if len(fields) < 9:
        raise InvalidInput("identity.qr-fields", "Mã QR thẻ BHYT thiếu trường, hãy quét lại.")
    cells = [("" if f.strip() == "-" else f.strip()) for f in fields] + [""] * (16 - len(fields))
    if not _CARD.fullmatch(cells[0]):
        raise InvalidInput("identity.qr-number", "Mã thẻ BHYT không đúng cấu trúc.")
    name = _from_hex(cells[1])
    if not name:
        raise InvalidInput("identity.qr-fields", "Mã QR thẻ BHYT không có họ tên.")
    valid_from, valid_to = _slashed(cells[6]), _slashed(cells[7])
    warnings = []
    if on and valid_to and valid_to < on.isoformat():
        warnings.append("Thẻ BHYT đã hết hạn.")
    if on and valid_from and valid_from > on.isoformat():
        warnings.append("Thẻ BHYT chưa có hiệu lực.")
    return CardScan(
        kind="bhyt",
        number=cells[0],
        name=name,
        birth_date=_slashed(cells[2]),
        sex={"1": "male", "2": "female"}.get(cells[3], "unknown"),
        address=_from_hex(cells[4]),
        issued_on=_slashed(cells[8]),
        registered_at=re.sub(r"[\s-]", "", cells[5]),
        valid_from=valid_from,
        valid_to=valid_to,
        five_years_from=_lenient(cells[12], warnings, "Thời điểm đủ 5 năm liên tục không đọc được."),
        guardian=_guardian(cells[10], warnings),
        warnings=tuple(warnings),
        raw_fields=tuple(fields),
    )


def _guardian(cell: str, warnings: list[str]) -> str:
    try:
        return _from_hex(cell)
    except InvalidInput:
        warnings.append("Tên cha, mẹ hoặc người giám hộ trên thẻ không đọc được.")
        return ""


def _lenient(cell: str, warnings: list[str], warning: str) -> str:
    try:
        return _slashed(cell)
    except InvalidInput:
        warnings.append(warning)
        return ""


def _slashed(text: str) -> str:
    if not text:
        return ""
    if re.fullmatch(r"\d{4}", text):
        return text
    found = re.fullmatch(r"(\d{2})/(\d{2})/(\d{4})", text)
    if not found:
        raise InvalidInput("identity.qr-date", "Ngày trên thẻ sai định dạng, hãy quét lại.")
    return _iso(*found.groups())


def _from_hex(cell: str) -> str:
    try:
        text = bytes.fromhex(cell).decode("utf-8")
    except ValueError:
        raise InvalidInput("identity.qr-hex", "Chữ trên thẻ BHYT bị hỏng, hãy quét lại.") from None
    _refuse_signs(nfc(text))
    return squeeze(text)
