"""The hub: a submission is taken once, linked, and seen only by right; every look reaches the custodian."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from tests.store.waiting import all_settled

from benhan.access import sensitivity_guard
from benhan.base.errors import BenhanError, Conflict, InvalidInput, NotAllowed, NotFound
from benhan.base.json_door import dumps
from benhan.exchange import (
    counts,
    disclosures_for,
    find,
    find_lists,
    grant,
    receive,
    records_of,
    retrieve,
    take_report,
)
from benhan.exchange.metadata import faults_of_document, faults_of_set, says_comprehensive
from benhan.exchange.mhd import Document, Submission, provide_bundle
from benhan.exchange.status import RecordStatus
from benhan.signing import KeyStore, time_stamper
from benhan.store import Actor, Ctx, Repository, Store, SystemPolicy, TenantInfo

SENT = datetime(2026, 11, 23, 7, 0, tzinfo=UTC)
CCCD = "urn:benhan:id:cccd|051199000001"
DOCTOR = "Practitioner/b Bác sĩ Thử (51Z02)"


@dataclass
class Hub:
    """A hub with two facilities and a way to seal receipts."""

    repo: Repository
    a: TenantInfo
    b: TenantInfo
    seal: dict


@pytest.fixture
async def hub(store: Store) -> Hub:
    """An empty hub that knows facilities A and B."""
    tenant = await store.create_tenant("hub", "QNG-HUB", "Trục thử")
    for code in ("51Z01", "51Z02"):
        await store.create_tenant("facility", code, f"Cơ sở {code}")
    repo = store.repo(Ctx(tenant, Actor("Device/test", "Thử", "system")), SystemPolicy())
    signer = await KeyStore(repo).seal_signer(tenant)
    by_code = {t.code: t for t in await store.tenants()}
    return Hub(
        repo, by_code["51Z01"], by_code["51Z02"], {"signer": signer, "tsa": time_stamper(store.settings)}
    )


def a_message(
    message_id: str = "urn:uuid:11111111-1111-4111-8111-111111111111", text: str = "mot"
) -> Submission:
    """A submission of one paper about an invented person by facility A."""
    document = Document(
        master_id="urn:uuid:22222222-2222-4222-8222-222222222222",
        kind="TT25/2025-M02",
        kind_display="Giấy ra viện",
        title="Giấy ra viện",
        content_type="application/pdf",
        data=f"%PDF-1.7 {text}".encode(),
        created=SENT,
    )
    patient = {
        "resourceType": "Patient",
        "id": "benh-nhan-o-a",
        "identifier": [{"system": "urn:benhan:id:cccd", "value": "051199000001"}],
        "name": [{"text": "NGUYỄN VĂN MẪU"}],
        "gender": "male",
        "birthDate": "1999-01-01",
    }
    return Submission(message_id, "urn:benhan:id:ma-cskcb:51Z01", SENT, patient, (document,))


async def provided(hub: Hub, message: Submission | None = None):
    """Facility A hands over a submission."""
    return await receive(hub.repo, hub.a, dumps(provide_bundle(message or a_message())), **hub.seal)


async def test_second_delivery_gets_the_same_receipt_and_doubles_nothing(hub: Hub) -> None:
    """A resend after a lost answer is recognised."""
    first, second = await provided(hub), await provided(hub)
    assert (first.duplicate, second.duplicate) == (False, True)
    assert first.receipt == second.receipt
    assert await hub.repo.count("DocumentReference", []) == 1


async def test_reused_number_or_changed_document_is_refused(hub: Hub) -> None:
    """A message number stands for one content; a document identifier too."""
    await provided(hub)
    with pytest.raises(Conflict) as reused:
        await provided(hub, a_message(text="hai"))
    assert reused.value.code == "exchange.message-reused"
    with pytest.raises(Conflict) as changed:
        await provided(hub, a_message("urn:uuid:33333333-3333-4333-8333-333333333333", "hai"))
    assert changed.value.code == "exchange.document-changed"
    assert await hub.repo.count("DocumentReference", []) == 1


async def test_a_facility_cannot_send_in_the_name_of_another(hub: Hub) -> None:
    """The source in the message must be the facility of the certificate."""
    with pytest.raises(NotAllowed) as refused:
        await receive(hub.repo, hub.b, dumps(provide_bundle(a_message())), **hub.seal)
    assert refused.value.code == "exchange.foreign-source"


async def test_without_a_right_known_and_unknown_people_look_alike(hub: Hub) -> None:
    """A refusal does not tell whether the person has documents."""
    await provided(hub)
    answers = []
    for identifier in (CCCD, "urn:benhan:id:cccd|051199999999"):
        with pytest.raises(NotAllowed) as refused:
            await find(hub.repo, hub.b, identifier, DOCTOR)
        answers.append((refused.value.code, refused.value.text))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("kind", ["consent", "referral", "break-glass"])
async def test_each_right_opens_and_is_disclosed(hub: Hub, kind: str) -> None:
    """Consent, referral and break-glass open the documents; the custodian learns who looked and why."""
    await provided(hub)
    sender = hub.a if kind == "referral" else hub.b
    evidence = "a" * 64 if kind == "consent" else ""
    await grant(hub.repo, sender, hub.b, CCCD, kind, "Lý do đủ dài để ghi lại", DOCTOR, evidence)
    bundle = await find(hub.repo, hub.b, CCCD, DOCTOR)
    assert bundle["total"] == 1
    sha256 = bundle["entry"][0]["resource"]["content"][0]["attachment"]["url"].rsplit("/", 1)[-1]
    data, content_type = await retrieve(hub.repo, hub.b, sha256, DOCTOR)
    assert (data, content_type) == (b"%PDF-1.7 mot", "application/pdf")
    await all_settled(hub.repo)
    page = await disclosures_for(hub.repo, hub.a, "")
    assert [(i["act"], i["kind"], i["patient"], i["requester"]) for i in page["items"]] == [
        ("find", kind, "benh-nhan-o-a", DOCTOR),
        ("retrieve", kind, "benh-nhan-o-a", DOCTOR),
    ]
    assert (await disclosures_for(hub.repo, hub.a, page["next"]))["items"] == []
    assert (await disclosures_for(hub.repo, hub.b, ""))["items"] == []


async def test_no_right_no_document_by_its_hash(hub: Hub) -> None:
    """Knowing the hash of a document opens nothing."""
    await provided(hub)
    with pytest.raises(NotFound):
        await retrieve(hub.repo, hub.b, a_message().documents[0].sha256, DOCTOR)


@pytest.mark.parametrize(
    ("kind", "reason", "evidence", "error"),
    [
        ("consent", "Người bệnh đồng ý", "", InvalidInput),
        ("break-glass", "gấp", "", InvalidInput),
        ("referral", "Chuyển chuyên khoa", "", NotAllowed),
        ("curiosity", "Muốn xem hồ sơ", "", InvalidInput),
    ],
)
async def test_a_right_without_its_ground_is_refused(hub: Hub, kind, reason, evidence, error) -> None:
    """Consent needs evidence, break-glass a reason, a referral comes from who keeps the documents."""
    await provided(hub)
    with pytest.raises(error):
        await grant(hub.repo, hub.b, hub.b, CCCD, kind, reason, DOCTOR, evidence)


async def test_break_glass_for_another_facility_is_refused(hub: Hub) -> None:
    """Nobody breaks the glass for somebody else."""
    await provided(hub)
    with pytest.raises(BenhanError) as refused:
        await grant(hub.repo, hub.a, hub.b, CCCD, "break-glass", "Cấp cứu, hôn mê", DOCTOR)
    assert refused.value.code == "exchange.break-glass-for-other"


async def test_status_counts_and_older_report_never_wins(hub: Hub) -> None:
    """The Department sees counts and states; a late older report changes nothing."""
    row = RecordStatus("k1", "BA001", "closed", "accepted", 3, SENT, SENT)
    await take_report(hub.repo, hub.a, [row])
    await take_report(hub.repo, hub.a, [replace(row, state="open", changed_at=SENT.replace(hour=1))])
    (line,) = await counts(hub.repo)
    assert (line.facility, line.opened, line.signed, line.closed, line.sent, line.refused) == (
        hub.a.id,
        1,
        1,
        1,
        1,
        0,
    )
    assert [r.state for r in await records_of(hub.repo, hub.a.id)] == ["closed"]


@pytest.mark.parametrize(
    ("kind", "groups", "purpose", "opens"),
    [
        ("referral", (), "TREAT", False),
        ("consent", (), "TREAT", False),
        ("consent", ("tam-than",), "TREAT", False),
        ("consent", ("hiv",), "TREAT", True),
        ("consent", ("hiv",), "HRESCH", None),
        ("break-glass", (), "TREAT", True),
    ],
)
async def test_a_sensitive_paper_needs_a_right_of_its_own(hub: Hub, kind, groups, purpose, opens) -> None:
    """ITI-67 and ITI-68: a masked paper is neither found, counted nor handed over; another right does not open it."""
    hub.repo.store.guard_with(sensitivity_guard)
    secret = replace(a_message().documents[0], security=("hiv",))
    plain = replace(
        secret, security=(), master_id="urn:uuid:22222222-2222-4222-8222-000000000003", data=b"%PDF-1.7 ba"
    )
    await provided(hub, replace(a_message(), documents=(secret, plain)))
    sender, evidence = (hub.a if kind == "referral" else hub.b), ("a" * 64 if kind == "consent" else "")
    await grant(
        hub.repo, sender, hub.b, CCCD, kind, "Lý do đủ dài để ghi lại", DOCTOR, evidence,
        purpose=purpose, groups=groups,
    )  # fmt: skip
    if opens is None:  # a right for research is none for treatment
        with pytest.raises(NotAllowed):
            await find(hub.repo, hub.b, CCCD, DOCTOR)
        with pytest.raises(NotFound):
            await retrieve(hub.repo, hub.b, plain.sha256, DOCTOR)
        return
    bundle = await find(hub.repo, hub.b, CCCD, DOCTOR)
    assert bundle["total"] == len(bundle["entry"]) == (2 if opens else 1)
    assert (secret.master_id in str(bundle)) is opens
    if opens:
        assert (await retrieve(hub.repo, hub.b, secret.sha256, DOCTOR))[0] == secret.data
    else:
        with pytest.raises(NotFound):
            await retrieve(hub.repo, hub.b, secret.sha256, DOCTOR)
    assert (await retrieve(hub.repo, hub.b, plain.sha256, DOCTOR))[0] == plain.data


async def test_consent_is_kept_as_fhir_with_purpose_groups_and_evidence(hub: Hub) -> None:
    """The Consent says for what, what of, until when, to whom, and carries the hash of the evidence."""
    await provided(hub)
    await grant(
        hub.repo, hub.b, hub.b, CCCD, "consent", "Người bệnh đồng ý", DOCTOR, "a" * 64, groups=("hiv",)
    )
    (kept,) = (await hub.repo.search("Consent", [])).entries
    provision = kept.data["provision"]
    assert [c["code"] for c in provision["purpose"]] == ["TREAT"]
    assert [c["code"] for c in provision["securityLabel"]] == ["hiv"]
    assert kept.data["sourceAttachment"]["url"] == "urn:sha256:" + "a" * 64
    assert provision["actor"][0]["reference"]["identifier"]["value"] == hub.b.code


async def test_answers_of_iti66_and_iti67_carry_the_required_metadata(hub: Hub) -> None:
    """What is found has every element that the Comprehensive profiles require, and finds by MHD's own parameters."""
    await provided(hub)
    await grant(hub.repo, hub.b, hub.b, CCCD, "break-glass", "Cấp cứu, người bệnh hôn mê", DOCTOR)
    for filters in ([], [("category", "giay")], [("format", "urn:ihe:iti:xds:2017:mimeTypeSufficient")]):
        (entry,) = (await find(hub.repo, hub.b, CCCD, DOCTOR, filters))["entry"]
        assert list(faults_of_document(entry["resource"])) == []
        assert says_comprehensive(entry["resource"])
    assert (await find(hub.repo, hub.b, CCCD, DOCTOR, [("category", "ho-so-niem-phong")]))["total"] == 0
    lists = await find_lists(hub.repo, hub.b, CCCD, DOCTOR, [("code", "submissionset")])
    (found,) = lists["entry"]
    assert list(faults_of_set(found["resource"])) == []
    assert (
        found["resource"]["entry"][0]["item"]["reference"] == f"DocumentReference/{entry['resource']['id']}"
    )
    await all_settled(hub.repo)
    acts = [i["act"] for i in (await disclosures_for(hub.repo, hub.a, ""))["items"]]
    assert acts == ["find"] * 4  # an empty answer discloses nothing


async def test_iti66_needs_a_right_and_hides_a_sensitive_submission(hub: Hub) -> None:
    """Without a right the answer is the refusal of ITI-67; a submission with a masked paper is not counted."""
    hub.repo.store.guard_with(sensitivity_guard)
    secret = replace(a_message().documents[0], security=("hiv",))
    await provided(hub, replace(a_message(), documents=(secret,)))
    with pytest.raises(NotAllowed) as refused:
        await find_lists(hub.repo, hub.b, CCCD, DOCTOR)
    assert refused.value.code == "exchange.no-right"
    await grant(hub.repo, hub.a, hub.b, CCCD, "referral", "Chuyển chuyên khoa tim mạch", DOCTOR)
    assert (await find_lists(hub.repo, hub.b, CCCD, DOCTOR))["total"] == 0
