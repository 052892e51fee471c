"""What IHE MHD 4.2 requires of a SubmissionSet and a DocumentReference, as data, and the check of a message against it. Pure.

Source: MHD 4.2, StructureDefinitions IHE.MHD.Minimal.* (whatever comes) and IHE.MHD.Comprehensive.* (what says so in
``meta.profile``); XDS metadata that these map to: IHE ITI TF-3, table 4.3.1-3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benhan.base.json_door import JsonObject

#: path → what is missing. ``x.y`` goes down; through a list: some element has it.
MINIMAL_SET = {
    "identifier": "Thiếu định danh duy nhất của lần gửi.",
    "status": "Thiếu trạng thái của lần gửi.",
    "mode": "Thiếu cách dùng của danh sách (mode working).",
    "code": "Thiếu mã submissionset.",
    "date": "Thiếu thời điểm gửi.",
}
COMPREHENSIVE_SET = {"subject": "Thiếu người bệnh của lần gửi."}
MINIMAL_DOCUMENT = {
    "masterIdentifier.value": "Tài liệu không có định danh.",
    "status": "Thiếu trạng thái của tài liệu.",
    "content.attachment.contentType": "Thiếu loại nội dung (contentType).",
    "content.attachment.url": "Thiếu địa chỉ nội dung (url).",
}
COMPREHENSIVE_DOCUMENT = {
    "type": "Thiếu loại giấy (type).",
    "category": "Thiếu nhóm tài liệu (category).",
    "subject": "Thiếu người bệnh (subject).",
    "securityLabel": "Thiếu mức bảo mật (securityLabel).",
    "content.attachment.language": "Thiếu ngôn ngữ (language).",
    "content.attachment.creation": "Thiếu thời điểm lập (creation).",
    "content.format": "Thiếu định dạng (format).",
    "context.facilityType": "Thiếu loại cơ sở (facilityType).",
    "context.practiceSetting": "Thiếu chuyên khoa (practiceSetting).",
    "context.sourcePatientInfo": "Thiếu người bệnh như ở nơi gửi (sourcePatientInfo).",
}
#: elements that the profile forbids
FORBIDDEN_DOCUMENT = {
    "docStatus": "Không dùng docStatus.",
    "modifierExtension": "Không dùng modifierExtension.",
    "content.attachment.data": "Nội dung phải ở Binary, không ở attachment.data.",
}
DESIGNATION = "https://profiles.ihe.net/ITI/MHD/StructureDefinition/ihe-designationType"


def says_comprehensive(resource: JsonObject) -> bool:
    """Whether the resource claims the Comprehensive metadata (contained or not)."""
    profiles = (resource.get("meta") or {}).get("profile") or []
    return any(isinstance(p, str) and ".Comprehensive." in p for p in profiles)


def faults_of_set(resource: JsonObject) -> Iterator[tuple[str, str]]:
    """``(path, sentence)`` of everything a SubmissionSet lacks."""
    yield from _lacking(resource, MINIMAL_SET)
    if resource.get("mode") not in (None, "working"):
        yield "mode", MINIMAL_SET["mode"]
    if not says_comprehensive(resource):
        return
    yield from _lacking(resource, COMPREHENSIVE_SET)
    if not any(e.get("url") == DESIGNATION for e in resource.get("extension") or []):
        yield "extension(ihe-designationType)", "Thiếu loại của lần gửi (ihe-designationType)."


def faults_of_document(resource: JsonObject) -> Iterator[tuple[str, str]]:
    """``(path, sentence)`` of everything a DocumentReference lacks or may not have."""
    yield from _lacking(resource, MINIMAL_DOCUMENT)
    for path, text in FORBIDDEN_DOCUMENT.items():
        if _has(resource, path.split(".")):
            yield path, text
    if says_comprehensive(resource):
        yield from _lacking(resource, COMPREHENSIVE_DOCUMENT)
        if len(resource.get("category") or []) > 1:
            yield "category", "Chỉ một nhóm tài liệu (category)."


def _lacking(resource: JsonObject, required: dict[str, str]) -> Iterator[tuple[str, str]]:
    for path, text in required.items():
        if not _has(resource, path.split(".")):
            yield path, text


def _has(value: Any, steps: list[str]) -> bool:
    if isinstance(value, list):
        return any(_has(one, steps) for one in value)
    if not steps:
        return value not in (None, "", {}, [])
    return isinstance(value, dict) and _has(value.get(steps[0]), steps[1:])
