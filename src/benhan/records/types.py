"""Arguments and answers of the room: frozen dataclasses, parsed once at the rim.

Instants are aware datetimes, quantities ``Decimal``, codes text. ``late_reason`` is needed when an entry is made later
than the facility's limit after it happened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from benhan.store import Stored

JsonObject = dict[str, Any]
Authorize = Callable[[str, str | None], None]


def everything_allowed(permission: str, khoa: str | None) -> None:
    """``authorize`` for workers and the demo: whoever runs them has been checked elsewhere."""


@dataclass(frozen=True, slots=True)
class Staff:
    """A practitioner as he stands under an entry. ``licence``: CCHN or GPHN number."""

    reference: str
    name: str
    licence: str | None = None
    khoa: str | None = None


@dataclass(frozen=True, slots=True)
class ByHand:
    """What a patient or relative drew: picture (PNG) and its SHA-256, who, in what relation, on which device, when.

    ``relation`` is empty for the patient himself; ``number`` of an identity paper, if told.
    """

    picture: bytes
    sha256: str
    name: str
    relation: str
    number: str
    device: str
    drawn_at: datetime


@dataclass(frozen=True, slots=True)
class SignWith:
    """How somebody signs: the opened two-phase signer, who, in which role of the form."""

    signer: Any
    staff: Staff
    role: str = ""
    tsa: Any = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Bed:
    """Buồng and giường (``H001`` …); ``shared``: two lie in it (nằm ghép)."""

    room: str | None = None
    bed: str | None = None
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Admission:
    """What reception and the khoa know when a đợt begins. ``direct_from``, ``referred_by``: boxes 13 and 14."""

    patient_id: str
    happened: datetime
    khoa: str
    khoa_name: str
    doctor: Staff
    ma_loai_kcb: str = "03"
    bed: Bed | None = None
    reason: str = ""
    direct_from: str = "2"
    referred_by: str = "2"
    referred_from: str = ""
    referral_no: str = ""
    time_of_illness: int | None = None
    late_reason: str | None = None
    episode_id: str | None = None


@dataclass(frozen=True, slots=True)
class ScanInput:
    """What the cover of a paper record says. ``pages``: with writing on them, counted on the paper; ``result``: KET_QUA_DTRI;
    ``decision``: of the head of the facility, for scanning; ``shelf``: where the paper lies; ``batch``: label of the batch.
    """

    patient_id: str
    so_luu_tru: str
    khoa: str
    admitted: date
    discharged: date
    pages: int
    decision: str
    inpatient: bool = True
    khoa_name: str = ""
    so_benh_an: str = ""
    form_code: str = ""
    icd10: str = ""
    diagnosis: str = ""
    result: str = ""
    shelf: str = ""
    batch: str = ""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The resources of a new đợt and its numbers."""

    episode: Stored
    encounter: Stored
    stay: Stored
    ma_lk: str
    so_vao_vien: str


@dataclass(frozen=True, slots=True)
class BedInterval:
    """Time in one bed; ``end`` None: still there."""

    room: str
    bed: str
    shared: bool
    start: datetime
    end: datetime | None


@dataclass(frozen=True, slots=True)
class Stay:
    """Time in one khoa."""

    id: str
    khoa: str
    khoa_name: str
    start: datetime
    end: datetime | None
    doctor: str
    doctor_name: str
    beds: tuple[BedInterval, ...]


@dataclass(frozen=True, slots=True)
class Number:
    """A number that has been taken."""

    kind: str
    scope: str
    seq: int
    text: str


@dataclass(frozen=True, slots=True)
class NumberRow:
    """A taken number in the book of numbers; ``cancel_reason`` set when it was cancelled."""

    kind: str
    scope: str
    seq: int
    text: str
    event: str
    subject: str | None
    taken_at: datetime
    taken_by: str
    machine: str | None
    cancel_reason: str | None


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers lent to an offline machine, ``first`` to ``last`` included."""

    id: UUID
    kind: str
    scope: str
    first: int
    last: int
    machine: str


@dataclass(frozen=True, slots=True)
class CoverageInput:
    """A BHYT card as shown or looked up. ``starts``: from when it counts in this đợt (late card); None: its own start."""

    card: str
    valid_from: date
    valid_to: date | None
    percent: Decimal | int
    ma_doituong: str | None = None
    registered_at: str | None = None
    verified_at: datetime | None = None
    source: str = "reception"
    starts: datetime | None = None
    temporary: bool = False
    five_years_from: date | None = None
    free_from: date | None = None


@dataclass(frozen=True, slots=True)
class Entitlement:
    """A right for a time inside the đợt. ``free_from`` is NGAY_MIEN_CCT, from which the patient pays nothing."""

    coverage_id: str
    card: str
    percent: Decimal
    starts: datetime
    valid_from: date
    valid_to: date | None
    ma_doituong: str
    registered_at: str
    temporary: bool
    free_from: date | None


@dataclass(frozen=True, slots=True)
class ChargeInput:
    """One line to charge. ``source``: reference of the executed order; ``price``, ``payer`` None: of the date."""

    system: str
    code: str
    name: str
    quantity: Decimal
    happened: datetime
    source: str | None = None
    price: Decimal | None = None
    payer: str | None = None
    khoa: str | None = None
    doctor: Staff | None = None


@dataclass(frozen=True, slots=True)
class ChargeLine:
    """A line of the bill, VND. ``amount`` = quantity × unit price; negative for a reversal. ``other``: which other source
    pays (``nsnn``, ``vtnn``, ``vttn``, ``rest``); ``reason``, ``by``: why and by whom it was reversed or given another payer.
    """

    id: str
    system: str
    code: str
    name: str
    quantity: Decimal
    unit_price: Decimal
    amount: Decimal
    payer: str
    percent: Decimal
    insurer_amount: Decimal
    patient_amount: Decimal
    coverage_id: str
    happened: datetime
    khoa: str
    source: str
    reverses: str
    other: str = ""
    reason: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class AccountTotals:
    """Sums of the đợt, VND; ``due`` = patient's part less advances (negative: to be given back)."""

    total: Decimal
    insurer: Decimal
    patient: Decimal
    advances: Decimal
    due: Decimal


@dataclass(frozen=True, slots=True)
class LabOrder:
    """Laboratory items ordered together."""

    codes: tuple[str, ...]
    happened: datetime
    doctor: Staff
    note: str = ""
    urgent: bool = False
    late_reason: str | None = None


@dataclass(frozen=True, slots=True)
class ResultInput:
    """A result: when the specimen was taken, when performed, by whom, on which machine.

    ``critical``: whoever performed it judges it as *báo động* by the list of his house; no limits are shipped.
    """

    value: Decimal | str
    performed: datetime
    performer: Staff
    taken: datetime | None = None
    machine: str | None = None
    note: str = ""
    critical: bool = False


@dataclass(frozen=True, slots=True)
class ResultEntered:
    """The report and its observation."""

    report: Stored
    observation: Stored


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a trend. ``flag``: H, L, N or empty."""

    at: datetime
    value: Decimal
    unit: str
    low: Decimal | None
    high: Decimal | None
    observation_id: str
    flag: str


@dataclass(frozen=True, slots=True)
class DrugOrder:
    """A drug of the ward. ``dose`` in ``unit`` each time, ``per_day`` times, for ``days``.

    ``recorder``: the nurse who took a spoken order down and read it back; the doctor confirms it by signature.
    """

    code: str
    dose: Decimal
    unit: str
    route: str
    per_day: int
    days: int
    happened: datetime
    doctor: Staff
    note: str = ""
    as_text: str | None = None
    late_reason: str | None = None
    recorder: Staff | None = None


@dataclass(frozen=True, slots=True)
class Administration:
    """One dose given; ``quantity`` in the unit of the order."""

    happened: datetime
    quantity: Decimal
    nurse: Staff
    note: str = ""
    late_reason: str | None = None


@dataclass(frozen=True, slots=True)
class VitalSigns:
    """One round at the bed; what was not measured is None."""

    happened: datetime
    nurse: Staff
    pulse: Decimal | None = None
    temperature: Decimal | None = None
    systolic: Decimal | None = None
    diastolic: Decimal | None = None
    breathing: Decimal | None = None
    spo2: Decimal | None = None
    weight: Decimal | None = None
    height: Decimal | None = None
    late_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a running sheet; ``extra``: further columns by name."""

    happened: datetime
    author: Staff
    progress: str = ""
    orders: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    late_reason: str | None = None


@dataclass(frozen=True, slots=True)
class SheetEntry:
    """A line as it stands, with its signature when it has one that covers these bytes. ``waiting``, ``unasked``,
    ``void_since``: as of a `Signature`."""

    id: str
    version: int
    happened: datetime
    author: str
    author_name: str
    values: Mapping[str, Any]
    signed_by: str | None
    signed_at: datetime | None
    late_reason: str | None
    sha256: str = ""
    waiting: bool = False
    unasked: bool = False
    void_since: datetime | None = None
    #: written by a trainee: the treating doctor signs it
    supervised: bool = False


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature on a paper. ``standing``: neither withdrawn nor overtaken by an amendment. ``waiting``: it has no time
    stamp yet. ``on_behalf``: ký thay whom. ``unasked``: nobody could say yet whether its certificate was good.
    ``void_since``: its certificate had been revoked, which came out later."""

    provenance_id: str
    role: str
    title: str
    staff: str
    name: str
    at: datetime
    version: int
    standing: bool
    withdrawn: bool
    waiting: bool = False
    on_behalf: str = ""
    unasked: bool = False
    void_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Returned:
    """A paper was sent back to its author: by whom, when, why."""

    staff: str
    name: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Paper:
    """A form of the record with its signatures. ``next_role``: whose turn it is, None when complete."""

    response: Stored
    form_code: str
    title: str
    signatures: tuple[Signature, ...]
    next_role: str | None
    issued: bool
    number: str
    document_id: str | None
    returned: Returned | None = None

    @property
    def complete(self) -> bool:
        """True when every required signature stands."""
        return self.next_role is None and any(s.standing for s in self.signatures)


@dataclass(frozen=True, slots=True)
class OpenedRecord:
    """A record that has been opened on its template."""

    composition: Stored
    response: Stored
    so_benh_an: str


@dataclass(frozen=True, slots=True)
class IssuedPaper:
    """A paper with its number, sealed PDF."""

    number: str
    document: Stored


@dataclass(frozen=True, slots=True)
class Discharge:
    """The end of a đợt. ``outcome``: code of the outcomes table; ``result``: KET_QUA_DTRI where the outcome leaves it open."""

    happened: datetime
    outcome: str
    doctor: Staff
    diagnosis: str
    icd10: str
    others: tuple[tuple[str, str], ...] = ()
    result: str | None = None
    treatment: str = ""
    advice: str = ""
    moved_to: str | None = None
    death_cause: str | None = None
    late_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """Where a record stands: the fast view of its Composition, rebuilt from it at any time."""

    encounter_id: str
    patient_id: str
    composition_id: str | None
    form_code: str | None
    khoa: str
    doctor: str
    state: str
    admitted_at: datetime
    discharged_at: datetime | None
    due_on: date | None
    closed_at: datetime | None
    legal_hold: bool
    financial_lock: bool
    so_benh_an: str | None
    so_luu_tru: str | None
    ma_lk: str
    scanned: bool = False


@dataclass(frozen=True, slots=True)
class RecordEvent:
    """One step in the life of a record."""

    event: str
    from_state: str
    to_state: str
    at: datetime
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Something missing before a record may be completed: what, who must act, where; ``blocking`` False: a hint."""

    code: str
    text: str
    who: str
    form_code: str | None = None
    response_id: str | None = None
    field: str | None = None
    blocking: bool = True


@dataclass(frozen=True, slots=True)
class Addendum:
    """A late fact after closing: a text, and perhaps the late result of an order."""

    title: str
    text: str
    happened: datetime
    author: Staff
    reason: str
    order_id: str | None = None
    result: ResultInput | None = None


@dataclass(frozen=True, slots=True)
class AddendumDone:
    """The signed append and its container."""

    response: Stored
    provenance: Stored
    container: Stored


@dataclass(frozen=True, slots=True)
class BinderPart:
    """One paper of the binder. ``link``: reference to open."""

    title: str
    form_code: str
    response_id: str
    document_id: str | None
    sha256: str | None
    state: str
    signatures: tuple[Signature, ...]
    link: str


@dataclass(frozen=True, slots=True)
class Binder:
    """The record as a folder, parts in the paper's order."""

    composition: Stored | None
    case: Case
    parts: tuple[BinderPart, ...]
    containers: tuple[Stored, ...]


@dataclass(frozen=True, slots=True)
class TimelineItem:
    """One thing that happened to the patient."""

    at: datetime
    kind: str
    title: str
    text: str
    reference: str
    encounter_id: str
    author: str


@dataclass(frozen=True, slots=True)
class WorkPatient:
    """A patient on somebody's list."""

    encounter_id: str
    patient_id: str
    name: str
    birth_date: str
    sex: str
    khoa: str
    doctor: str
    room: str
    bed: str
    admitted_at: datetime
    state: str
    ma_lk: str
    so_benh_an: str | None


@dataclass(frozen=True, slots=True)
class WorkPaper:
    """A paper or entry that waits for a signature. ``sha256``, ``sheet_id``, ``values``: of an entry only."""

    encounter_id: str
    patient_id: str
    patient_name: str
    response_id: str
    form_code: str
    title: str
    role: str
    since: datetime
    is_entry: bool
    version: int
    sha256: str = ""
    sheet_id: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    place_title: str = ""


@dataclass(frozen=True, slots=True)
class LateSignature:
    """A place on a paper that waits: who owes it (a name, else the place's title), since when."""

    encounter_id: str
    patient_name: str
    response_id: str
    form_code: str
    title: str
    place_title: str
    owed_by: str
    khoa: str
    since: datetime
    returned: Returned | None


@dataclass(frozen=True, slots=True)
class WorkRecord:
    """A record its khoa still owes to the records department."""

    encounter_id: str
    patient_id: str
    patient_name: str
    khoa: str
    doctor: str
    state: str
    discharged_at: datetime
    due_on: date
    days_late: int
    so_benh_an: str | None
