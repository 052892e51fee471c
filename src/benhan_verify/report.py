"""What a verification says: findings in two languages, signers, and an AdES indication with its reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Indication = Literal["TOTAL-PASSED", "TOTAL-FAILED", "INDETERMINATE"]
_FALSE = frozenset({"FORMAT_FAILURE", "HASH_FAILURE", "SIG_CRYPTO_FAILURE"})
UNREADABLE = "SIGNED_DATA_NOT_FOUND"


class Refused(Exception):
    """Something does not hold; ``sub`` is the sub-indication of EN 319 102-1."""

    def __init__(self, sub: str, vi: str, en: str) -> None:
        super().__init__(en)
        self.sub, self.vi, self.en = sub, vi, en


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; ``ok`` is None for a remark that decides nothing."""

    ok: bool | None
    vi: str
    en: str


@dataclass(frozen=True, slots=True)
class SignerSeen:
    """Who signed: names of the certificate, the proved time (time stamp) and the time only claimed."""

    name: str
    issuer: str
    serial: str
    stamped_at: datetime | None = None
    claimed_at: datetime | None = None


@dataclass(slots=True)
class Verdict:
    """Outcome for one file; begins as passed with nothing found and is made worse by `refuse`."""

    file: str
    indication: Indication = "TOTAL-PASSED"
    sub: str = ""
    signers: list[SignerSeen] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def proved(self, vi: str, en: str) -> None:
        """Add something that holds."""
        self.findings.append(Finding(True, vi, en))

    def remark(self, vi: str, en: str) -> None:
        """Add a remark that decides nothing."""
        self.findings.append(Finding(None, vi, en))

    def refuse(self, why: Refused) -> None:
        """Add a refusal; a false signature outweighs one that cannot be judged."""
        self.findings.append(Finding(False, why.vi, why.en))
        indication: Indication = "TOTAL-FAILED" if why.sub in _FALSE else "INDETERMINATE"
        if self.indication == "TOTAL-PASSED" or (self.indication, indication) == (
            "INDETERMINATE",
            "TOTAL-FAILED",
        ):
            self.indication, self.sub = indication, why.sub

    @property
    def exit_code(self) -> int:
        """0 proved, 1 refused, 2 unreadable."""
        if self.indication == "TOTAL-PASSED":
            return 0
        return 2 if self.sub == UNREADABLE else 1

    def as_json(self) -> dict[str, Any]:
        """The object printed by ``--json``; times are ISO 8601."""
        return {
            "file": self.file,
            "indication": self.indication,
            "subIndication": self.sub or None,
            "signers": [
                {
                    "name": s.name,
                    "issuer": s.issuer,
                    "serial": s.serial,
                    "stampedAt": s.stamped_at.isoformat() if s.stamped_at else None,
                    "claimedAt": s.claimed_at.isoformat() if s.claimed_at else None,
                }
                for s in self.signers
            ],
            "findings": [{"ok": f.ok, "vi": f.vi, "en": f.en} for f in self.findings],
        }

    def as_text(self) -> str:
        """Lines for a person: Vietnamese, then English."""
        marks = {True: "✓", False: "✗", None: "·"}
        head = f"{self.file}: {self.indication}" + (f" ({self.sub})" if self.sub else "")
        return "\n".join([head, *(f"  {marks[f.ok]} {f.vi} / {f.en}" for f in self.findings)])
