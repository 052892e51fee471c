"""ITI-65 messages: what is written is read back, and every fault of a foreign message is named."""

from __future__ import annotations

import copy
from datetime import UTC, datetime

import pytest

from benhan.base.errors import InvalidInput
from benhan.base.json_door import dumps, loads
from benhan.exchange.mhd import Document, Submission, provide_bundle, read_provide
from benhan.fhir import validate

PATIENT = {
    "resourceType": "Patient",
    "identifier": [{"system": "urn:benhan:id:cccd", "value": "051199000001"}],
}
SENT = datetime(2026, 11, 23, 7, 0, tzinfo=UTC)


def a_submission(count: int = 2) -> Submission:
    """A submission of ``count`` small documents."""
    documents = tuple(
        Document(
            master_id=f"urn:uuid:00000000-0000-4000-8000-00000000000{n}",
            kind="TT25/2025-M02",
            kind_display="Giấy ra viện",
            title="Giấy ra viện",
            content_type="application/pdf",
            data=f"%PDF-{n} thử".encode(),
            created=SENT,
            author="BS Nguyễn Thị Thử",
            event="MAU0001",
            period_start="2026-11-20T08:00:00+07:00",
            replaces="urn:uuid:old" if n else None,
        )
        for n in range(count)
    )
    return Submission(
        "urn:uuid:11111111-1111-4111-8111-111111111111",
        "urn:benhan:id:ma-cskcb:51Z01",
        SENT,
        PATIENT,
        documents,
    )


def test_what_is_written_is_read_back() -> None:
    """A submission survives the wire with every byte and every item of metadata."""
    sent = a_submission()
    got = read_provide(loads(dumps(provide_bundle(sent))))
    assert got.documents == sent.documents
    assert (got.message_id, got.source_id, got.sent) == (sent.message_id, sent.source_id, sent.sent)
    assert got.patient["identifier"] == PATIENT["identifier"]


def test_resend_gives_the_same_bytes() -> None:
    """A resend is byte for byte the first message, so that the hub recognises it."""
    assert dumps(provide_bundle(a_submission())) == dumps(provide_bundle(a_submission()))


@pytest.mark.parametrize(
    ("break_it", "where"),
    [
        (lambda b: b.update(type="batch"), "Bundle.type"),
        (lambda b: b["entry"].pop(0), "Bundle.entry"),
        (lambda b: b["entry"].pop(), "Bundle.entry"),
        (lambda b: b["entry"][0]["resource"].pop("extension"), "List.extension(ihe-sourceId)"),
        (lambda b: b["entry"][0]["resource"].pop("code"), "List.code"),
        (lambda b: b["entry"][0]["resource"].pop("identifier"), "List.identifier"),
        (lambda b: b["entry"][0]["resource"]["entry"].pop(), "List.entry"),
        (lambda b: b["entry"][2]["resource"].update(data="@@"), "content.attachment"),
        (lambda b: b["entry"][2]["resource"].update(data="QUJD"), "content.attachment.size"),
        (lambda b: b["entry"][1]["resource"]["subject"].update(reference="Patient/other"), "subject"),
        (
            lambda b: b["entry"][1]["resource"]["content"][0]["attachment"].update(
                url="http://evil.invalid/x"
            ),
            "url",
        ),
    ],
)
def test_each_fault_is_refused_with_its_place(break_it, where) -> None:
    """A broken message is refused and the place is named; nothing is fetched from elsewhere."""
    bundle = copy.deepcopy(provide_bundle(a_submission()))
    break_it(bundle)
    with pytest.raises(InvalidInput) as refused:
        read_provide(bundle)
    assert any(where in (i.expression or "") for i in refused.value.issues)


# Written from the text of IHE MHD 4.2, not from our tables: every element with a lower bound of one.
COMPREHENSIVE_DOCUMENT = (
    "masterIdentifier", "status", "type", "category", "subject", "securityLabel", "content",
    "content.attachment.contentType", "content.attachment.language", "content.attachment.url",
    "content.attachment.creation", "content.format", "context", "context.facilityType", "context.practiceSetting",
    "context.sourcePatientInfo",
)  # fmt: skip
MINIMAL_DOCUMENT = (
    "masterIdentifier", "status", "content", "content.attachment.contentType", "content.attachment.url",
)  # fmt: skip
COMPREHENSIVE_SET = ("identifier", "status", "mode", "code", "subject", "date", "extension")
MINIMAL_SET = ("identifier", "status", "mode", "code", "date", "extension")
DOCUMENT_AT, SET_AT = 1, 0


def _without(resource: dict, path: str) -> None:
    """Take an element out, through lists."""
    head, _, rest = path.partition(".")
    if not rest:
        del resource[head]
        return
    inner = resource[head]
    for one in inner if isinstance(inner, list) else [inner]:
        _without(one, rest)


def _minimal(bundle: dict) -> dict:
    """The same message claiming the Minimal metadata and carrying no more than it asks for."""
    for entry in bundle["entry"]:
        resource = entry["resource"]
        for profile in ("profile",):
            if profile in resource.get("meta", {}):
                resource["meta"][profile] = [
                    p.replace(".Comprehensive.", ".Minimal.") for p in resource["meta"][profile]
                ]
        if resource["resourceType"] == "DocumentReference":
            for element in ("type", "category", "securityLabel", "context", "date", "author", "description"):
                resource.pop(element, None)
            attachment = resource["content"][0]["attachment"]
            for element in ("language", "size", "hash", "title"):
                attachment.pop(element, None)
            resource["content"][0].pop("format")
        if resource["resourceType"] == "List":
            resource["extension"] = [e for e in resource["extension"] if e["url"].endswith("ihe-sourceId")]
            del resource["subject"]
    return bundle


def _refused(bundle: dict, path: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_provide(bundle)
    assert refused.value.code == "exchange.bad-submission"
    named = [i.expression or "" for i in refused.value.issues]
    assert any(path.rsplit(".", 1)[-1] in name for name in named), (path, named)


@pytest.mark.parametrize("path", COMPREHENSIVE_DOCUMENT)
def test_iti65_comprehensive_document_lacks_nothing_required(path: str) -> None:
    """Each required element of the Comprehensive DocumentReference: ours has it, and without it the message is refused."""
    bundle = copy.deepcopy(provide_bundle(a_submission()))
    _without(bundle["entry"][DOCUMENT_AT]["resource"], path)
    _refused(bundle, path)


@pytest.mark.parametrize("path", COMPREHENSIVE_SET)
def test_iti65_comprehensive_submission_set_lacks_nothing_required(path: str) -> None:
    """Each required element of the Comprehensive SubmissionSet."""
    bundle = copy.deepcopy(provide_bundle(a_submission()))
    _without(bundle["entry"][SET_AT]["resource"], path)
    _refused(bundle, path)


def test_iti65_designation_type_is_required_beside_the_source() -> None:
    """ihe-designationType 1..1 and ihe-sourceId 1..1 are two extensions; one does not stand for the other."""
    for kept in ("ihe-sourceId", "ihe-designationType"):
        bundle = copy.deepcopy(provide_bundle(a_submission()))
        held = bundle["entry"][SET_AT]["resource"]
        held["extension"] = [e for e in held["extension"] if e["url"].endswith(kept)]
        _refused(bundle, "extension")


def test_iti65_minimal_metadata_of_a_foreign_source_is_taken() -> None:
    """A source that claims Minimal metadata need not send what only Comprehensive asks for."""
    got = read_provide(_minimal(copy.deepcopy(provide_bundle(a_submission()))))
    assert [d.data for d in got.documents] == [d.data for d in a_submission().documents]


@pytest.mark.parametrize("path", MINIMAL_DOCUMENT)
def test_iti65_minimal_document_lacks_nothing_required(path: str) -> None:
    """Each required element of the Minimal DocumentReference."""
    bundle = _minimal(copy.deepcopy(provide_bundle(a_submission())))
    _without(bundle["entry"][DOCUMENT_AT]["resource"], path)
    _refused(bundle, path)


@pytest.mark.parametrize("path", MINIMAL_SET)
def test_iti65_minimal_submission_set_lacks_nothing_required(path: str) -> None:
    """Each required element of the Minimal SubmissionSet."""
    bundle = _minimal(copy.deepcopy(provide_bundle(a_submission())))
    _without(bundle["entry"][SET_AT]["resource"], path)
    _refused(bundle, path)


@pytest.mark.parametrize("element", ["docStatus", "modifierExtension"])
def test_iti65_forbidden_elements_are_refused(element: str) -> None:
    """docStatus 0..0, modifierExtension 0..0, attachment.data 0..0."""
    bundle = copy.deepcopy(provide_bundle(a_submission()))
    bundle["entry"][DOCUMENT_AT]["resource"][element] = (
        "final" if element == "docStatus" else [{"url": "urn:x"}]
    )
    _refused(bundle, element)
    bundle = copy.deepcopy(provide_bundle(a_submission()))
    bundle["entry"][DOCUMENT_AT]["resource"]["content"][0]["attachment"]["data"] = "QUJD"
    _refused(bundle, "data")


def test_iti65_references_inside_are_contained_and_resolve() -> None:
    """Comprehensive: sourcePatientInfo is contained; everything that is written is valid FHIR."""
    bundle = provide_bundle(a_submission())
    document = bundle["entry"][DOCUMENT_AT]["resource"]
    wanted = document["context"]["sourcePatientInfo"]["reference"]
    assert wanted in {f"#{c['id']}" for c in document["contained"] if c["resourceType"] == "Patient"}
    for entry in bundle["entry"]:
        validate(entry["resource"])
