"""The error tree of Bệnh Án.

Every error that leaves a room is one of these; the skins map it once: ``api`` to an OperationOutcome, ``web``
to a page or a sentence beside a field, ``cli`` to an exit code.

::

    BenhanError
    ├── InvalidInput        400  invalid | structure | value | required
    ├── NotAuthenticated    401  login
    ├── NotAllowed          403  forbidden
    ├── NotFound            404  not-found
    ├── Deleted             410  deleted
    ├── Conflict            409  conflict
    │   └── StaleVersion    412  conflict
    ├── RuleViolation       422  business-rule | invariant | code-invalid
    ├── TooLarge            413  too-long
    ├── TooMany             429  throttled
    ├── NeighbourFailed     502  transient
    │   └── NeighbourTimeout 504 timeout
    └── ConfigurationError  500  exception (start-up only)

A *code* is stable and readable (``room.reason``); each is listed in ``docs/reference/errors.md``. ``text`` is the
Vietnamese sentence a person reads and never carries personal data beyond what that person has just typed;
``diagnostics`` never carries personal data at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Issue:
    """One fault: what is wrong (``text``, Vietnamese), where (``expression``, FHIRPath or field key)."""

    code: str
    text: str
    expression: str | None = None
    diagnostics: str | None = None
    severity: str = "error"
    issue_type: str | None = None


class BenhanError(Exception):
    """Root of the tree. ``issues`` holds all faults at once, at least one."""

    status: ClassVar[int] = 500
    issue_type: ClassVar[str] = "exception"

    def __init__(
        self,
        code: str,
        text: str,
        *,
        expression: str | None = None,
        diagnostics: str | None = None,
        issues: Sequence[Issue] = (),
        issue_type: str | None = None,
    ) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
        self.issues: tuple[Issue, ...] = tuple(issues) or (
            Issue(code, text, expression, diagnostics, issue_type=issue_type),
        )


class InvalidInput(BenhanError):
    """The request cannot be understood or breaks the structure of its format."""

    status = 400
    issue_type = "invalid"


class NotAuthenticated(BenhanError):
    """Nobody has signed in, or the sign-in has ended."""

    status = 401
    issue_type = "login"


class NotAllowed(BenhanError):
    """The person or machine is known and may not do this."""

    status = 403
    issue_type = "forbidden"


class NotFound(BenhanError):
    """There is no such thing, or it may not be seen: the two look alike."""

    status = 404
    issue_type = "not-found"


class Deleted(BenhanError):
    """It was here and has been deleted; its history remains."""

    status = 410
    issue_type = "deleted"


class Conflict(BenhanError):
    """The thing is in a state that does not admit this act."""

    status = 409
    issue_type = "conflict"


class StaleVersion(Conflict):
    """Somebody else has written a newer version meanwhile."""

    status = 412


class RuleViolation(BenhanError):
    """Well formed, but against a rule of law, of the form or of the facility."""

    status = 422
    issue_type = "business-rule"


class TooLarge(BenhanError):
    """Larger or deeper than the door admits."""

    status = 413
    issue_type = "too-long"


class TooMany(BenhanError):
    """Too many requests or attempts."""

    status = 429
    issue_type = "throttled"


class NeighbourFailed(BenhanError):
    """Another system answered with an error; its own code is kept in ``diagnostics``."""

    status = 502
    issue_type = "transient"


class NeighbourTimeout(NeighbourFailed):
    """Another system did not answer in time."""

    status = 504
    issue_type = "timeout"


class ConfigurationError(BenhanError):
    """A setting is wrong; said at start, with its name and what to write instead."""
