"""The only door for JSON: strict, bounded, and it keeps the digits of numbers.

What comes in is refused when it is not UTF-8, is not RFC 8259 JSON, names a key twice, holds NaN or
Infinity, a lone surrogate, NUL or a bidirectional override, is too large or too deep, or has a whole number
beyond 64 bits or a fraction beyond 40 digits. Numbers with a fraction or an exponent become
:class:`decimal.Decimal`, so ``72.50`` stays ``72.50``; whole numbers become ``int``. An exponent is written
back in Python's form (``1e3`` → ``1E+3``): same value, same precision. The stored bytes are the record; this
is its reading.

How it is fast: ``msgspec`` parses with a Decimal hook. Duplicate keys are found without a Python call per
object: every pair has exactly one structural colon and colons inside strings survive a round trip, so when
the written-back value has fewer colons than the input, a pair was dropped. Only an input with ``\\u`` escapes
(where a colon may hide) or twenty digits in a row takes the slower hooks of the standard library. Figures
(2-core machine, Encounter of 2.0 kB): this door 12 µs,
``json`` with hooks for the same 20 µs, ``orjson``, which keeps neither digits nor duplicates apart, 4 µs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn, TypeAlias

import msgspec

from benhan.base.errors import InvalidInput, TooLarge

JsonValue: TypeAlias = "bool | int | Decimal | str | list[Any] | dict[str, Any] | None"
JsonObject: TypeAlias = dict[str, Any]

MAX_DIGITS = 40
_MAX_INT = 2**64 - 1
_MIN_INT = -(2**63)
_MAX_EXPONENT = 400
_FORBIDDEN = re.compile("[\u0000\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_BIDI_BYTES = re.compile(rb"\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9]")
_CHARACTER_TEXT = "Chuỗi có ký tự bị cấm (NUL, mã lẻ đôi, đảo chiều chữ)."
_BACKSLASH = 0x5C
_TO_ZERO = bytes.maketrans(b"123456789", b"0" * 9)
_LONG_RUN = b"0" * 20


def _decimal(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise _refuse("json.number", "Số không đọc được.") from None
    sign_digits = value.as_tuple()
    if len(sign_digits.digits) > MAX_DIGITS or abs(value.adjusted()) > _MAX_EXPONENT:
        raise _refuse("json.number", "Số quá lớn hoặc quá nhiều chữ số.")
    return value


_decode = msgspec.json.Decoder(float_hook=_decimal).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


def loads(raw: bytes, *, max_bytes: int = 20_000_000, max_depth: int = 60) -> JsonValue:
    """Read one JSON text.

    Raises: ``TooLarge`` (json.too-large, json.too-deep); ``InvalidInput`` (json.malformed,
            json.duplicate-key, json.number, json.character).
    """
    if len(raw) > max_bytes:
        raise TooLarge("json.too-large", f"Dữ liệu lớn hơn {max_bytes} byte.")
    escaped = _BACKSLASH in raw and b"\\u" in raw
    odd = escaped or _LONG_RUN in raw.translate(_TO_ZERO)
    value: JsonValue = _decode_slow(raw) if odd else _decode_fast(raw)
    if raw.count(b"{") + raw.count(b"[") > max_depth and isinstance(value, dict | list):
        _check_depth(value, max_depth - 1)
    if escaped:
        _check_characters(value)
    elif _BIDI_BYTES.search(raw):
        raise _refuse("json.character", _CHARACTER_TEXT)
    return value


def loads_object(raw: bytes, *, max_bytes: int = 20_000_000, max_depth: int = 60) -> JsonObject:
    """As :func:`loads`, and the text must be an object (json.not-object)."""
    value = loads(raw, max_bytes=max_bytes, max_depth=max_depth)
    if not isinstance(value, dict):
        raise _refuse("json.not-object", "Dữ liệu phải là một đối tượng JSON.")
    return value


def reread(raw: bytes, *, max_depth: int = 60) -> JsonObject:
    """The object that :func:`dumps` has just written, as :func:`loads_object` gives it: only keys cannot be twice in it.

    Raises: as :func:`loads_object`.
    """
    if (_BACKSLASH in raw and b"\\u" in raw) or _LONG_RUN in raw.translate(_TO_ZERO):
        return loads_object(raw, max_depth=max_depth)
    value: JsonObject = _decode(raw)
    if raw.count(b"{") + raw.count(b"[") > max_depth:
        _check_depth(value, max_depth - 1)
    if _BIDI_BYTES.search(raw):
        raise _refuse("json.character", _CHARACTER_TEXT)
    return value


def dumps(value: JsonValue, *, pretty: bool = False) -> bytes:
    """Compact UTF-8 (``pretty``: indented by two), Decimal with its digits, keys in their order.

    Raises: ``InvalidInput`` (json.not-writable) for NaN, Infinity, lone surrogates or foreign types.
    """
    try:
        out = _encode(value)
        if b"NaN" in out or b"Infinity" in out:
            _decode(out)
    except (TypeError, ValueError, OverflowError) as error:
        raise _refuse("json.not-writable", "Giá trị không ghi được thành JSON.", error) from error
    return msgspec.json.format(out, indent=2) if pretty else out


def _decode_fast(raw: bytes) -> Any:
    try:
        value = _decode(raw)
    except RecursionError as error:
        raise TooLarge("json.too-deep", "Dữ liệu lồng nhau quá sâu.") from error
    except (ValueError, TypeError) as error:
        _decode_slow(raw)
        raise _refuse("json.malformed", "Dữ liệu không phải JSON hợp lệ (UTF-8).", error) from error
    if _encode(value).count(b":") != raw.count(b":"):
        _decode_slow(raw)
        raise _refuse("json.duplicate-key", "Một khóa xuất hiện hai lần trong cùng một đối tượng.")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise _refuse("json.duplicate-key", "Một khóa xuất hiện hai lần trong cùng một đối tượng.")
    return out


def _no_constant(name: str) -> NoReturn:
    raise _refuse("json.number", "NaN và Infinity không phải là số JSON.", ValueError(name))


def _int(text: str) -> int:
    if len(text) > MAX_DIGITS or not _MIN_INT <= int(text) <= _MAX_INT:
        raise _refuse("json.number", "Số quá lớn hoặc quá nhiều chữ số.")
    return int(text)


def _decode_slow(raw: bytes) -> Any:
    try:
        return json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_float=_decimal,
            parse_int=_int,
            parse_constant=_no_constant,
        )
    except RecursionError as error:
        raise TooLarge("json.too-deep", "Dữ liệu lồng nhau quá sâu.") from error
    except ValueError as error:
        raise _refuse("json.malformed", "Dữ liệu không phải JSON hợp lệ (UTF-8).", error) from error


def _check_depth(value: Any, max_depth: int) -> None:
    level: list[Any] = [value]
    for _ in range(max_depth + 1):
        level = [
            inner
            for box in level
            for inner in (box.values() if box.__class__ is dict else box)
            if inner.__class__ is dict or inner.__class__ is list
        ]
        if not level:
            return
    raise TooLarge("json.too-deep", f"Dữ liệu lồng nhau sâu hơn {max_depth} tầng.")


def _check_characters(value: Any) -> None:
    stack: list[Any] = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            if _FORBIDDEN.search(item):
                raise _refuse("json.character", _CHARACTER_TEXT)
        elif isinstance(item, dict):
            stack += item.keys()
            stack += item.values()
        elif isinstance(item, list):
            stack += item


def _refuse(code: str, text: str, cause: BaseException | None = None) -> InvalidInput:
    return InvalidInput(code, text, diagnostics=_safe(cause), issue_type="structure")


def _safe(cause: BaseException | None) -> str | None:
    """The parser's complaint without the data: JSON errors of both parsers name positions, not contents."""
    if cause is None or isinstance(cause, UnicodeError):
        return None if cause is None else "input is not UTF-8"
    parts: Sequence[str] = str(cause).splitlines()
    return parts[0][:120] if parts else type(cause).__name__
