"""Passwords, one-time codes, sealed seeds."""

from __future__ import annotations

import stat
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benhan.access import new_totp_secret, qr_svg, totp_code
from benhan.access.passwords import check_strength, hash_password, verify_password
from benhan.access.seal import KEY_FILE, load_key, seal, unseal
from benhan.access.totp import matching_step, uri
from benhan.base.errors import ConfigurationError, InvalidInput

NOW = datetime(2026, 11, 22, 7, 0, 10, tzinfo=UTC)


async def test_password_round_trip_in_both_unicode_forms() -> None:
    """A password typed decomposed (macOS) matches the composed one; another does not."""
    encoded = await hash_password("Sông Trà Khúc 9")
    assert encoded.startswith("$argon2id$")
    assert await verify_password(encoded, "So\u0302ng Tra\u0300 Khu\u0301c 9")
    assert not await verify_password(encoded, "sông trà khúc 9")


async def test_unknown_account_costs_the_same() -> None:
    """Checking against nothing takes about as long as a wrong password, and is False."""
    encoded = await hash_password("mot-mat-khau-dai")
    await verify_password(None, "x")

    async def cost(against: str | None) -> float:
        best = 9.0
        for _ in range(5):
            began = time.perf_counter()
            assert not await verify_password(against, "sai-mat-khau")
            best = min(best, time.perf_counter() - began)
        return best

    known, unknown = await cost(encoded), await cost(None)
    assert 0.5 < known / unknown < 2


@pytest.mark.parametrize(
    "weak", ["short1!", "12345678", "matkhau", "mật khẩu", "aaaaaaaaaaaa", "bs.an.2026", "x" * 300]
)
def test_weak_passwords_are_refused(weak: str) -> None:
    """Too short, common, the user name, one letter repeated, or endless."""
    with pytest.raises(InvalidInput) as caught:
        check_strength(weak, "bs.an.2026", second_factor=True)
    assert caught.value.code == "access.weak-password"


def test_password_without_second_factor_must_be_longer_and_mixed() -> None:
    """TCVN 14423:2026: at least 8 with a second factor, else at least 14 mixed."""
    check_strength("khoai lang tím", "an", second_factor=True)
    with pytest.raises(InvalidInput):
        check_strength("Khoai-lang-1", "an", second_factor=False)
    with pytest.raises(InvalidInput):
        check_strength("khoailangtimkhoai", "an", second_factor=False)
    check_strength("Khoai lang tím 1", "an", second_factor=False)


def test_code_is_good_one_step_either_side_and_once() -> None:
    """±1 step of 30 s is admitted; a used step and older ones are not."""
    secret = new_totp_secret()
    step = int(NOW.timestamp()) // 30
    for seconds, good in ((-60, False), (-30, True), (0, True), (30, True), (60, False)):
        code = totp_code(secret, NOW + timedelta(seconds=seconds))
        assert (matching_step(secret, code, NOW, -1) is not None) is good, seconds
    code = totp_code(secret, NOW)
    assert matching_step(secret, code, NOW, step - 1) == step
    assert matching_step(secret, code, NOW, step) is None
    assert matching_step(secret, f"{code[:3]} {code[3:]}", NOW, -1) == step


@pytest.mark.parametrize(
    "code", ["", "12345", "1234567", "abcdef", "１２３４５６", "123456\n7", "-12345", "٠١٢٣٤٥"]
)
def test_what_is_no_code_is_refused(code: str) -> None:
    """Only six ASCII digits are a code."""
    assert matching_step(new_totp_secret(), code, NOW, -1) is None


def test_enrolment_uri_and_qr() -> None:
    """The app reads issuer and account; the QR is one SVG element without script or style."""
    address = uri("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", "bs.an", "Bệnh Án")
    assert address.startswith("otpauth://totp/")
    assert "secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP" in address
    svg = qr_svg(address)
    assert svg.startswith("<svg")
    assert "script" not in svg
    assert "style" not in svg


def test_sealed_seed_opens_only_for_its_owner_and_key(tmp_path: Path) -> None:
    """Another account, another key, or one flipped bit: refused."""
    key = load_key(tmp_path / "secrets")
    sealed = seal(key, b"SEED", b"account-1")
    assert unseal(key, sealed, b"account-1") == b"SEED"
    assert b"SEED" not in sealed
    flipped = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for k, s, owner in (
        (key, sealed, b"account-2"),
        (bytes(32), sealed, b"account-1"),
        (key, flipped, b"account-1"),
    ):
        with pytest.raises(ConfigurationError):
            unseal(k, s, owner)


def test_key_file_is_made_once_with_mode_0600(tmp_path: Path) -> None:
    """The key is stable over restarts, and only its owner reads it; a broken file is said at start."""
    first = load_key(tmp_path)
    assert load_key(tmp_path) == first
    assert len(first) == 32
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == [KEY_FILE]
    (tmp_path / KEY_FILE).write_bytes(b"short")
    with pytest.raises(ConfigurationError):
        load_key(tmp_path)
