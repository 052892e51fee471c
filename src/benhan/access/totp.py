"""Time-based one-time codes (RFC 6238): SHA-1, 6 digits, 30 s, the step before and after are admitted, each
code once.
"""

from __future__ import annotations

import hmac
import io
import re
from datetime import datetime

import pyotp
import segno

STEP_S = 30
_CODE = re.compile(r"\d{6}")


def new_secret() -> str:
    """A new seed of 160 bits, base32."""
    return pyotp.random_base32(32)


def is_seed(secret: str) -> bool:
    """True for a base32 seed of at least 112 bits."""
    try:
        pyotp.TOTP(secret)
    except ValueError:  # binascii.Error is one
        return False
    return True


def code_at(secret: str, at: datetime) -> str:
    """The code shown at an instant; for tests and the demo's printed accounts."""
    return pyotp.TOTP(secret).at(int(at.timestamp()))


def matching_step(secret: str, code: str, at: datetime, last_step: int) -> int | None:
    """The time step whose code this is, newer than ``last_step``, within one step of ``at``; None when there
    is none.
    """
    given = code.replace(" ", "")
    if not _CODE.fullmatch(given) or not given.isascii():
        return None
    now = int(at.timestamp()) // STEP_S
    found: int | None = None
    for step in (now - 1, now, now + 1):
        expected = pyotp.TOTP(secret).at(step * STEP_S)
        if hmac.compare_digest(expected, given) and step > last_step:
            found = step
    return found


def uri(secret: str, username: str, issuer: str) -> str:
    """``otpauth://`` address for an authenticator app."""
    return pyotp.TOTP(secret).provisioning_uri(name=username, issuer_name=issuer)


def qr_svg(text: str) -> str:
    """The text as a QR code: a bare SVG element without script or style."""
    out = io.BytesIO()
    segno.make(text, error="m", micro=False).save(
        out,
        kind="svg",
        xmldecl=False,
        svgns=True,
        scale=4,
        border=4,
        omitsize=False,
        svgclass="qr",
        lineclass=None,
    )
    return out.getvalue().decode("utf-8")
