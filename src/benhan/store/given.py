"""What a caller hands to the store, looked at before anything is asked of the database."""

from __future__ import annotations

import re
from typing import Any

from benhan.base.errors import InvalidInput, StaleVersion
from benhan.base.json_door import JsonObject, loads_object
from benhan.fhir import RESOURCE_TYPES, patient_of
from benhan.store.reading import Current

ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


def parsed(resource: JsonObject | bytes) -> tuple[bytes | None, JsonObject]:
    """Bytes, if bytes were given, and the resource."""
    if isinstance(resource, bytes | bytearray):
        raw = bytes(resource)
        return raw, loads_object(raw)
    return None, resource


def type_of(given: JsonObject) -> str:
    """Its type. Raises: ``InvalidInput`` (store.unknown-type)."""
    resource_type = given.get("resourceType")
    if not isinstance(resource_type, str) or resource_type not in RESOURCE_TYPES:
        raise InvalidInput(
            "store.unknown-type", "Thiếu loại tài liệu hoặc loại không được lưu.", expression="resourceType"
        )
    return resource_type


def placement(given: JsonObject) -> str | None:
    """Patient beside whom a new resource is placed; None for what is malformed, which validation refuses later."""
    try:
        return patient_of(given)
    except (TypeError, ValueError, AttributeError):
        return None


def checked_id(resource_id: Any) -> str:
    """The id, if it can be one. Raises: ``InvalidInput`` (store.bad-id)."""
    if not isinstance(resource_id, str) or not ID.fullmatch(resource_id):
        raise InvalidInput(
            "store.bad-id",
            "Mã tài liệu chỉ gồm chữ, số, dấu gạch ngang, dấu chấm; tối đa 64.",
            expression="id",
        )
    return resource_id


def check_version(old: Current | None, if_match: int | None) -> None:
    """Raises: ``StaleVersion`` (store.stale-version) when another version than ``if_match`` is current."""
    if if_match is None:
        return
    if old is None or old.stored.version != if_match:
        raise StaleVersion(
            "store.stale-version", "Tài liệu đã được người khác sửa; hãy tải lại rồi sửa tiếp."
        )
