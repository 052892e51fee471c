"""The address on a paper names the commune once."""

from __future__ import annotations

import pytest

from benhan.records.facts import full_address


@pytest.mark.parametrize(
    ("typed", "commune", "printed"),
    [
        ("Thôn 2", "Xã Đăk Pék", "Thôn 2, Xã Đăk Pék"),
        ("Thôn 2, xã Đăk Pék, tỉnh Quảng Ngãi", "Xã Đăk Pék", "Thôn 2, xã Đăk Pék, tỉnh Quảng Ngãi"),
        ("", "Xã Đăk Pék", "Xã Đăk Pék"),
        ("Thôn 2", "", "Thôn 2"),
    ],
)
def test_commune_is_named_once(typed: str, commune: str, printed: str) -> None:
    assert full_address(typed, commune) == printed
