"""What goes onto a paper and what comes back from printing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class PrintedSignature:
    """A signature that the paper shows. ``at`` is when it was made; ``title`` e.g. ``BSCKI``."""

    role: str
    name: str
    at: datetime | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True)
class PrintedEntry:
    """One row of a running sheet: ``values`` by column, who signed it and when, and a note (``ghi bổ
    sung``).
    """

    values: Mapping[str, Any]
    signer: str | None = None
    signed_at: datetime | None = None
    note: str | None = None
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class PrintContext:
    """What a paper shows besides its form.

    ``header`` fills header items that have no answer of their own. ``entries`` are the rows of the first
    table of a
    sheet. ``lookup_code`` is printed with a QR code of ``lookup_url`` (or of the code). ``mark`` is
    printed across
    the head (``BẢN SAO``, ``CẤP LẠI``). ``blank`` draws dotted lines for writing by hand.
    ``electronic`` leaves a required place that is not signed yet to the appearance of its digital signature, which
    tells name and time: no dotted lines for the hand there.
    """

    facility: str = ""
    patient: str = ""
    record_number: str = ""
    answers: Mapping[str, Any] = field(default_factory=dict)
    header: Mapping[str, Any] = field(default_factory=dict)
    entries: Sequence[PrintedEntry] = ()
    signatures: Sequence[PrintedSignature] = ()
    lookup_code: str | None = None
    lookup_url: str | None = None
    printed_at: datetime | None = None
    mark: str | None = None
    blank: bool = False
    electronic: bool = False


@dataclass(frozen=True, slots=True)
class Cover:
    """Cover and contents of a printed record: facts (name, value) and parts (title, form code, pages)."""

    title: str
    subtitle: str
    facility: str
    authority: str
    patient: str
    number: str
    facts: Sequence[tuple[str, str]]
    parts: Sequence[tuple[str, str, int]]


@dataclass(frozen=True, slots=True)
class SignatureBox:
    """Where a signature's appearance goes: page from 1; PDF points from the lower left corner."""

    role: str
    page: int
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True, slots=True)
class PrintResult:
    """A printed form."""

    pdf: bytes
    signature_boxes: tuple[SignatureBox, ...]
    pages: int
