"""Time-ordered identifiers that carry their patient's placement.

An id is a UUID of version 7 (RFC 9562): 48 bits of milliseconds, then in ``rand_a`` (12 bits) the patient's
placement, then 62 random bits. The placement of a patient is drawn from a hash of the patient's own id, so
that all rows of one patient can later be placed on one shard (decision 13).
"""

from __future__ import annotations

import hashlib
import secrets
from uuid import UUID

from benhan.base.clock import SYSTEM_CLOCK, Clock

PLACEMENTS = 4096


def placement_of_patient(patient_id: str) -> int:
    """Placement (0–4095) of a patient, from its id: read from our own ids, hashed from a client's id."""
    try:
        given = UUID(patient_id)
    except ValueError:
        given = None
    if given is not None and given.version == 7:
        return (given.int >> 64) & 0xFFF
    return int.from_bytes(hashlib.sha256(patient_id.encode()).digest()[:2], "big") & 0xFFF


def new_uuid(placement: int | None = None, clock: Clock = SYSTEM_CLOCK) -> UUID:
    """A new UUIDv7; ``placement`` None draws one at random (a new patient, or a row of no patient)."""
    millis = int(clock.now().timestamp() * 1000) & ((1 << 48) - 1)
    rand_a = secrets.randbelow(PLACEMENTS) if placement is None else placement & 0xFFF
    value = (millis << 80) | (0x7 << 76) | (rand_a << 64) | (0b10 << 62) | secrets.randbits(62)
    return UUID(int=value)


def new_id(patient_id: str | None = None, clock: Clock = SYSTEM_CLOCK) -> str:
    """A new resource id as text; carries the placement of ``patient_id`` when given."""
    return str(new_uuid(None if patient_id is None else placement_of_patient(patient_id), clock))
