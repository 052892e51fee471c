"""IHE MHD 4.2 metadata: the Provide Document Bundle of ITI-65, written and read. Pure.

One submission is a transaction Bundle of one SubmissionSet (``List``), one ``DocumentReference`` and one ``Binary``
for each document, and the ``Patient`` the documents are about. What is written fills the
Comprehensive metadata; what is read is held to the metadata it claims (`metadata`), so that a foreign source can send.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from benhan.access import SENSITIVE_LABELS
from benhan.base.clock import fhir_instant, parse_instant
from benhan.base.errors import InvalidInput, Issue
from benhan.base.json_door import JsonObject
from benhan.catalogue import systems
from benhan.exchange.metadata import DESIGNATION, faults_of_document, faults_of_set

PROFILE = "https://profiles.ihe.net/ITI/MHD/StructureDefinition/"
PROVIDE_BUNDLE = PROFILE + "IHE.MHD.Comprehensive.ProvideBundle"
SUBMISSION_SET = PROFILE + "IHE.MHD.Comprehensive.SubmissionSet"
DOCUMENT = PROFILE + "IHE.MHD.Comprehensive.DocumentReference"
LIST_TYPES = "https://profiles.ihe.net/ITI/MHD/CodeSystem/MHDlistTypes"
SOURCE_ID = PROFILE + "ihe-sourceId"
URI = "urn:ietf:rfc:3986"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
PAPER_KIND = "urn:benhan:paper"
FORMAT = {
    "system": "http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode",
    "code": "urn:ihe:iti:xds:2017:mimeTypeSufficient",
}
UNKNOWN = {"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "UNK"}
DESIGNATED = {
    "coding": [{"system": systems.DOCUMENT_KIND, "code": systems.BINDER_TYPE, "display": "Hồ sơ bệnh án"}]
}
_WHO = ("identifier", "name", "gender", "birthDate")
MAX_DOCUMENTS = 500


@dataclass(frozen=True, slots=True)
class Document:
    """One document to share: its exact bytes and the metadata by which it is found."""

    master_id: str
    kind: str
    kind_display: str
    title: str
    content_type: str
    data: bytes = field(repr=False)
    created: datetime
    author: str = ""
    event: str = ""
    period_start: str = ""
    replaces: str | None = None
    #: code of the khoa that wrote it (`systems.MA_KHOA`); empty: not known
    khoa: str = ""
    #: sensitive groups (`SENSITIVE_LABELS`); empty: normal confidentiality
    security: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Hex digest of the bytes."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, slots=True)
class Submission:
    """What one ITI-65 message carries, read and checked."""

    message_id: str
    source_id: str
    sent: datetime
    patient: JsonObject
    documents: tuple[Document, ...]


def _urn(*parts: str) -> str:
    return f"urn:uuid:{uuid5(NAMESPACE_URL, '|'.join(parts))}"


def provide_bundle(submission: Submission) -> JsonObject:
    """The ITI-65 transaction Bundle of a submission; equal input gives equal bytes, so a resend is recognised."""
    patient_urn = _urn(submission.message_id, "patient")
    source_patient = {k: submission.patient[k] for k in _WHO if k in submission.patient}
    entries: list[JsonObject] = []
    items: list[JsonObject] = []
    for number, document in enumerate(submission.documents):
        reference_urn = _urn(submission.message_id, "document", str(number))
        binary_urn = _urn(submission.message_id, "binary", str(number))
        items.append({"item": {"reference": reference_urn}})
        entries.append(
            _entry(reference_urn, _document_reference(document, patient_urn, binary_urn, source_patient))
        )
        binary = {
            "resourceType": "Binary",
            "contentType": document.content_type,
            "data": base64.b64encode(document.data).decode("ascii"),
        }
        entries.append(_entry(binary_urn, binary))
    submission_set: JsonObject = {
        "resourceType": "List",
        "meta": {"profile": [SUBMISSION_SET]},
        "extension": [
            {"url": SOURCE_ID, "valueIdentifier": {"system": URI, "value": submission.source_id}},
            {"url": DESIGNATION, "valueCodeableConcept": DESIGNATED},
        ],
        "identifier": [
            {"use": "official", "system": URI, "value": submission.message_id},
            {"use": "usual", "system": URI, "value": submission.message_id},
        ],
        "status": "current",
        "mode": "working",
        "code": {"coding": [{"system": LIST_TYPES, "code": "submissionset"}]},
        "subject": {"reference": patient_urn},
        "date": fhir_instant(submission.sent),
        "entry": items,
    }
    head = [_entry(_urn(submission.message_id, "list"), submission_set)]
    tail = [_entry(patient_urn, {k: v for k, v in submission.patient.items() if k != "meta"})]
    return {
        "resourceType": "Bundle",
        "meta": {"profile": [PROVIDE_BUNDLE]},
        "type": "transaction",
        "timestamp": fhir_instant(submission.sent),
        "entry": head + entries + tail,
    }


def _entry(urn: str, resource: JsonObject) -> JsonObject:
    return {
        "fullUrl": urn,
        "resource": resource,
        "request": {"method": "POST", "url": resource["resourceType"]},
    }


def _document_reference(
    document: Document, patient: str, binary: str, source_patient: JsonObject
) -> JsonObject:
    out: JsonObject = {
        "resourceType": "DocumentReference",
        "meta": {"profile": [DOCUMENT]},
        "masterIdentifier": {"system": URI, "value": document.master_id},
        "identifier": [{"use": "official", "system": URI, "value": document.master_id}],
        "status": "current",
        "type": {
            "coding": [{"system": PAPER_KIND, "code": document.kind, "display": document.kind_display}],
            "text": document.kind_display,
        },
        "contained": [{"resourceType": "Patient", "id": "nguoi-benh", **source_patient}],
        "category": [category(document)],
        "subject": {"reference": patient},
        "date": fhir_instant(document.created),
        "description": document.title,
        "securityLabel": security_label(document),
        "content": [
            {
                "attachment": {
                    "contentType": document.content_type,
                    "language": "vi",
                    "url": binary,
                    "size": len(document.data),
                    "hash": base64.b64encode(
                        hashlib.sha1(document.data, usedforsecurity=False).digest()
                    ).decode(),
                    "title": document.title,
                    "creation": fhir_instant(document.created),
                },
                "format": FORMAT,
            }
        ],
        "context": setting(document),
    }
    if document.author:
        out["author"] = [{"display": document.author}]
    if document.event:
        out["context"]["related"] = [{"identifier": {"system": "urn:benhan:ma-lk", "value": document.event}}]
    if document.period_start:
        out["context"]["period"] = {"start": document.period_start}
    if document.replaces:
        out["relatesTo"] = [
            {"code": "replaces", "target": {"identifier": {"system": URI, "value": document.replaces}}}
        ]
    return out


def category(document: Document) -> JsonObject:
    """Class of the document: a sealed record, or a single paper."""
    code = systems.DOC_CONTAINER if document.kind == systems.DOC_CONTAINER else systems.DOC_PAPER
    return {"coding": [{"system": systems.DOCUMENT_KIND, "code": code}]}


def setting(document: Document) -> JsonObject:
    """Context: type of facility (a code for it is not on any list we have: unknown), khoa, the person as at the source."""
    khoa = {"system": systems.MA_KHOA, "code": document.khoa} if document.khoa else UNKNOWN
    return {
        "facilityType": {"coding": [UNKNOWN]},
        "practiceSetting": {"coding": [khoa]},
        "sourcePatientInfo": {"reference": "#nguoi-benh"},
    }


def security_label(document: Document) -> list[JsonObject]:
    """Confidentiality (R for a sensitive paper, else N) and the groups it belongs to."""
    code = "R" if document.security else "N"
    groups = [{"coding": [{"system": SENSITIVE_LABELS, "code": group}]} for group in document.security]
    return [{"coding": [{"system": CONFIDENTIALITY, "code": code}]}, *groups]


class _Faults:
    """Collects every fault of a message before it is refused."""

    def __init__(self) -> None:
        self.issues: list[Issue] = []

    def add(self, where: str, text: str) -> None:
        self.issues.append(Issue("exchange.bad-submission", text, expression=where, issue_type="structure"))

    def stop(self) -> None:
        if self.issues:
            text = "Gói ITI-65 không nhận được: " + " ".join(i.text for i in self.issues)
            raise InvalidInput("exchange.bad-submission", text, issues=self.issues)


def read_provide(bundle: JsonObject) -> Submission:
    """Read an ITI-65 Bundle.

    Raises: ``InvalidInput`` (exchange.bad-submission) with every fault and its FHIRPath location.
    Source: IHE MHD 4.2, 2:3.65.4.1.
    """
    faults = _Faults()
    if bundle.get("resourceType") != "Bundle" or bundle.get("type") != "transaction":
        faults.add("Bundle.type", "Phải là Bundle loại transaction.")
        faults.stop()
    by_url: dict[str, JsonObject] = {}
    for number, entry in enumerate(bundle.get("entry") or []):
        resource = entry.get("resource")
        if not isinstance(resource, dict) or "resourceType" not in resource:
            faults.add(f"Bundle.entry[{number}].resource", "Mục không có tài nguyên.")
            continue
        url = entry.get("fullUrl") or f"#{number}"
        if url in by_url:
            faults.add(f"Bundle.entry[{number}].fullUrl", "fullUrl lặp lại.")
        by_url[url] = resource
    lists = _of(by_url, "List")
    patients = _of(by_url, "Patient")
    references = _of(by_url, "DocumentReference")
    if len(lists) != 1:
        faults.add("Bundle.entry", "Phải có đúng một SubmissionSet (List).")
    if len(patients) != 1:
        faults.add("Bundle.entry", "Phải có đúng một Patient là người bệnh của tài liệu.")
    if not 1 <= len(references) <= MAX_DOCUMENTS:
        faults.add("Bundle.entry", f"Phải có từ 1 đến {MAX_DOCUMENTS} DocumentReference.")
    faults.stop()
    (list_resource,) = lists.values()
    (patient_url,) = patients
    message_id, source_id, sent = _read_set(list_resource, faults)
    documents = [
        _read_document(resource, by_url, patient_url, f"Bundle.entry({url})", faults)
        for url, resource in references.items()
    ]
    listed = {i.get("item", {}).get("reference") for i in list_resource.get("entry") or []}
    for url in references:
        if url not in listed:
            faults.add("List.entry", "SubmissionSet không kê đủ các DocumentReference.")
    faults.stop()
    return Submission(message_id, source_id, sent, patients[patient_url], tuple(d for d in documents if d))


def _of(by_url: dict[str, JsonObject], resource_type: str) -> dict[str, JsonObject]:
    return {u: r for u, r in by_url.items() if r["resourceType"] == resource_type}


def _read_set(resource: JsonObject, faults: _Faults) -> tuple[str, str, datetime]:
    for path, text in faults_of_set(resource):
        faults.add(f"List.{path}", text)
    codings = (resource.get("code") or {}).get("coding") or []
    if codings and not any(
        c.get("system") == LIST_TYPES and c.get("code") == "submissionset" for c in codings
    ):
        faults.add("List.code", "Thiếu mã submissionset.")
    official = [i for i in resource.get("identifier") or [] if i.get("use") == "official"] or (
        resource.get("identifier") or []
    )
    message_id = str(official[0].get("value", "")) if official else ""
    source_id = ""
    for extension in resource.get("extension") or []:
        if extension.get("url") == SOURCE_ID:
            source_id = str((extension.get("valueIdentifier") or {}).get("value", ""))
    if not source_id:
        faults.add("List.extension(ihe-sourceId)", "Thiếu định danh nơi gửi (ihe-sourceId).")
    return message_id, source_id, _instant(resource.get("date"), "List.date", faults)


def _instant(value: Any, where: str, faults: _Faults) -> datetime:
    try:
        return parse_instant(str(value))
    except ValueError:
        faults.add(where, "Thiếu thời điểm, hoặc thời điểm không có múi giờ.")
        return datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _read_document(
    resource: JsonObject, by_url: dict[str, JsonObject], patient_url: str, where: str, faults: _Faults
) -> Document | None:
    for path, text in faults_of_document(resource):
        faults.add(f"{where}.{path}", text)
    master = (resource.get("masterIdentifier") or {}).get("value")
    if (resource.get("subject") or {}).get("reference") != patient_url:
        faults.add(f"{where}.subject", "Tài liệu phải chỉ về người bệnh trong cùng gói.")
    if resource.get("status") != "current":
        faults.add(f"{where}.status", "Trạng thái phải là current.")
    contents = resource.get("content") or []
    attachment = contents[0].get("attachment") or {} if len(contents) == 1 else {}
    if not attachment:
        faults.add(f"{where}.content", "Mỗi DocumentReference phải có đúng một attachment.")
        return None
    data = _binary(by_url.get(str(attachment.get("url"))), attachment, where, faults)
    kind = next(iter((resource.get("type") or {}).get("coding") or [{}]))
    if data is None or not master:
        return None
    related = (resource.get("context") or {}).get("related") or []
    replaces = next(
        (
            (r.get("target") or {}).get("identifier", {}).get("value")
            for r in resource.get("relatesTo") or []
            if r.get("code") == "replaces"
        ),
        None,
    )
    return Document(
        master_id=str(master),
        kind=str(kind.get("code", "")),
        kind_display=str(kind.get("display") or (resource.get("type") or {}).get("text") or ""),
        title=str(resource.get("description") or attachment.get("title") or ""),
        content_type=str(attachment.get("contentType", "")),
        data=data,
        created=_instant(attachment.get("creation") or resource.get("date"), f"{where}.date", faults),
        author=str(next(iter(resource.get("author") or [{}])).get("display", "")),
        event=str(next((r["identifier"].get("value", "") for r in related if r.get("identifier")), "")),
        period_start=str(((resource.get("context") or {}).get("period") or {}).get("start", "")),
        replaces=replaces,
        khoa=_khoa(resource),
        security=tuple(
            str(c.get("code", ""))
            for label in resource.get("securityLabel") or []
            for c in label.get("coding") or []
            if c.get("system") == SENSITIVE_LABELS
        ),
    )


def _khoa(resource: JsonObject) -> str:
    practice = (resource.get("context") or {}).get("practiceSetting") or {}
    codings = practice.get("coding") or []
    return next((str(c.get("code", "")) for c in codings if c.get("system") == systems.MA_KHOA), "")


def _binary(binary: JsonObject | None, attachment: JsonObject, where: str, faults: _Faults) -> bytes | None:
    if binary is None or binary.get("resourceType") != "Binary":
        faults.add(
            f"{where}.content.attachment.url",
            "Không có Binary của tài liệu trong gói; không tải từ nơi khác.",
        )
        return None
    try:
        data = base64.b64decode(str(binary.get("data", "")), validate=True)
    except (binascii.Error, ValueError):
        faults.add(f"{where}.content.attachment", "Nội dung không phải base64.")
        return None
    size = attachment.get("size")
    if size is not None and size != len(data):
        faults.add(f"{where}.content.attachment.size", "Kích thước không khớp với nội dung.")
    given = attachment.get("hash")
    if given and given != base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode():
        faults.add(f"{where}.content.attachment.hash", "Mã băm không khớp với nội dung.")
    return data


def sort_documents(documents: Sequence[Document]) -> list[Document]:
    """Documents in a stable order: by creation, then identifier."""
    return sorted(documents, key=lambda d: (d.created, d.master_id))
