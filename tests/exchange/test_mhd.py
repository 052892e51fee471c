"""ITI-65 messages: what is written is read back, and every fault of a foreign message is named."""

from __future__ import annotations

import copy
from datetime import UTC, datetime

import pytest

from benhan.base.errors import InvalidInput
from benhan.base.json_door import dumps, loads
from benhan.exchange.mhd import Document, Submission, provide_bundle, read_provide

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
