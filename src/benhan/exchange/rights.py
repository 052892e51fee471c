"""Who may read another facility's documents: consent, active referral, break-glass; nobody else.

Source: Luật 91/2025/QH15 Điều 26 (health data between facilities), Luật KCB 15/2023/QH15 Điều 69.
The grant itself lies in the store, where row-level security asks it; here it is decided who may make one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal
from uuid import UUID

from benhan.access import SENSITIVE_LABELS, break_glass, grant_access
from benhan.base.clock import fhir_instant
from benhan.base.errors import InvalidInput, NotAllowed, NotFound
from benhan.base.json_door import JsonObject
from benhan.catalogue import systems
from benhan.exchange._rows import connection_of
from benhan.identity import current_id, family
from benhan.store import Repository, TenantInfo

GrantKind = Literal["consent", "referral", "break-glass"]

#: Longest life of a grant, by kind. Referral: 10 working days (TT 01/2025/TT-BYT Điều 12), counted as 14 days.
LIFE: dict[str, timedelta] = {
    "consent": timedelta(days=365),
    "referral": timedelta(days=14),
    "break-glass": timedelta(hours=4),
}

#: Purposes of use (v3 ActReason) a person may consent to: treatment, payment, research, public health.
PURPOSES = ("TREAT", "HPAYMT", "HRESCH", "PUBHLTH")

_ACTIVE = (
    "select kind, reason from access_grant where tenant = %s and patient_id = %s and grantee = %s "
    "and kind <> 'custodian' and revoked_at is null and valid_from <= %s and valid_to > %s "
    "and (purposes = '{}' or %s = any(purposes)) "
    "order by case kind when 'consent' then 0 when 'referral' then 1 else 2 end, valid_to desc limit 1"
)


@dataclass(frozen=True, slots=True)
class Right:
    """A right in force: what it rests on and the reason given."""

    kind: str
    reason: str


async def person_of(repo: Repository, identifier: str) -> str:
    """Hub patient id of ``system|value``; of a merged person the id of today.

    Raises: ``NotFound`` (exchange.unknown-patient).
    """
    found = await repo.search("Patient", [("identifier", identifier), ("_count", "20")])
    people = {await current_id(repo, entry.id) for entry in found.entries}
    if len(people) != 1:
        raise NotFound("exchange.unknown-patient", "Trục liên thông chưa có người bệnh với số định danh này.")
    return people.pop()


async def right_of(repo: Repository, patient_id: str, reader: UUID) -> Right | None:
    """The strongest right ``reader`` now has to documents of other facilities about this person, or None."""
    now = repo.clock.now()
    async with repo.transaction() as tx:
        cursor = await connection_of(tx).execute(
            _ACTIVE, (repo.ctx.tenant, patient_id, reader, now, now, repo.ctx.purpose)
        )
        row = await cursor.fetchone()
    return None if row is None else Right(row[0], row[1])


async def grant(
    repo: Repository,
    sender: TenantInfo,
    grantee: TenantInfo,
    identifier: str,
    kind: str,
    reason: str,
    requester: str,
    evidence_sha256: str = "",
    *,
    purpose: str = "TREAT",
    groups: Sequence[str] = (),
) -> JsonObject:
    """Open documents about a person to ``grantee``.

    A consent is sent by the facility that holds the person's evidence (its hash is kept); a referral only by a
    facility that keeps documents of the person, for another; break-glass only for oneself, with a reason, and it
    goes on the review list. A right serves one ``purpose`` of use (consent: any of `PURPOSES`; else treatment).
    ``groups``: sensitive groups that the person's consent names; without them their papers stay hidden.
    Raises: ``InvalidInput`` (exchange.bad-grant), ``NotAllowed`` (exchange.not-yours-to-refer), ``NotFound``.
    """
    if kind not in LIFE:
        raise InvalidInput("exchange.bad-grant", "Loại quyền phải là consent, referral hoặc break-glass.")
    if purpose not in PURPOSES or (kind != "consent" and (purpose != "TREAT" or groups)):
        raise InvalidInput(
            "exchange.bad-grant",
            "Mục đích phải là TREAT, HPAYMT, HRESCH hoặc PUBHLTH; chỉ sự đồng ý mới nêu mục đích khác hay nhóm nhạy cảm.",
            expression="purpose",
        )
    if len(reason.strip()) < 10:
        raise InvalidInput("exchange.bad-grant", "Phải ghi lý do, ít nhất 10 ký tự.", expression="reason")
    if kind == "consent" and len(evidence_sha256) != 64:
        raise InvalidInput(
            "exchange.bad-grant",
            "Đồng ý của người bệnh phải kèm mã băm của bằng chứng.",
            expression="evidence",
        )
    patient_id = await person_of(repo, identifier)
    until = repo.clock.now() + LIFE[kind]
    async with repo.transaction() as tx:
        if kind == "referral" and not await _keeps_documents(tx, patient_id, sender):
            raise NotAllowed(
                "exchange.not-yours-to-refer", "Cơ sở chưa có tài liệu của người bệnh này để chuyển."
            )
        if kind == "break-glass":
            if grantee.id != sender.id:
                raise NotAllowed(
                    "exchange.break-glass-for-other", "Chỉ được mở khẩn cấp cho chính cơ sở mình."
                )
            await break_glass(tx, patient_id, grantee.id, reason, until=until)
        for one in await family(tx, patient_id):
            if kind != "break-glass" or one != patient_id:
                await grant_access(
                    tx,
                    kind,
                    one,
                    grantee.id,
                    until,
                    reason,
                    groups=groups,
                    purposes=[purpose] if kind != "break-glass" else (),
                )
        if kind == "consent":
            await tx.create(
                _consent(patient_id, grantee, evidence_sha256, until.isoformat(), purpose, groups)
            )
        await tx.audit(
            f"grant-{kind}",
            entity=f"Patient/{patient_id}",
            patient=patient_id,
            detail={"grantee": grantee.code, "by": requester, "until": fhir_instant(until)},
        )
    return {"kind": kind, "until": fhir_instant(until)}


async def _keeps_documents(tx: Repository, patient_id: str, sender: TenantInfo) -> bool:
    people = ",".join(await family(tx, patient_id))
    found = await tx.search("DocumentReference", [("patient", people), ("_count", "200")])
    return any(e.custodian == sender.id for e in found.entries)


def _consent(
    patient_id: str, grantee: TenantInfo, evidence: str, until: str, purpose: str, groups: Sequence[str]
) -> JsonObject:
    labels = [{"system": SENSITIVE_LABELS, "code": group} for group in groups]
    return {
        "resourceType": "Consent",
        "status": "active",
        "scope": {
            "coding": [
                {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}
            ]
        },
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": f"Patient/{patient_id}"},
        "policy": [{"uri": "urn:benhan:law:91-2025-qh15:26"}],
        "sourceAttachment": {"contentType": "application/pdf", "url": f"urn:sha256:{evidence}"},
        "provision": {
            "type": "permit",
            "period": {"end": until},
            "purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": purpose}],
            **({"securityLabel": labels} if labels else {}),
            "actor": [
                {
                    "role": {
                        "coding": [
                            {
                                "system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType",
                                "code": "IRCP",
                            }
                        ]
                    },
                    "reference": {"identifier": {"system": systems.MA_CSKCB, "value": grantee.code}},
                }
            ],
        },
    }
