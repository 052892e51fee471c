"""Notifications as Bundles, and what a Subscription asks for, by the R4 profiles of the subscriptions back-port 1.1.

A notification is a Bundle of type ``history``: first the status (Parameters), then, by the content asked for, nothing
(``empty``), addresses (``id-only``) or resources (``full-resource``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from benhan.api.topics import Topic, read_filter, topics
from benhan.base.clock import fhir_instant
from benhan.base.errors import Deleted, InvalidInput, NotAllowed, NotFound
from benhan.base.json_door import JsonObject
from benhan.jobs import Event, Subscription
from benhan.store import Action, Repository, Stored

_GUIDE = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
STATUS_PROFILE = f"{_GUIDE}/backport-subscription-status-r4"
NOTIFICATION_PROFILE = f"{_GUIDE}/backport-subscription-notification-r4"
_FILTER, _CONTENT = f"{_GUIDE}/backport-filter-criteria", f"{_GUIDE}/backport-payload-content"
_HEARTBEAT, _TIMEOUT = f"{_GUIDE}/backport-heartbeat-period", f"{_GUIDE}/backport-timeout"
_MOST = f"{_GUIDE}/backport-max-count"
CONTENTS = ("empty", "id-only", "full-resource")
MEDIA_TYPES = ("application/fhir+json", "application/fhir+xml")
_METHODS = {"create": ("POST", "201"), "update": ("PUT", "200"), "delete": ("DELETE", "204")}


def asked_of(resource: JsonObject) -> JsonObject:
    """What a Subscription asks for, as plain values. Every fault has its own place.

    Raises: ``InvalidInput`` (api.subscription-topic, -channel, -content, -filter, -number).
    """
    topic = topics().get(str(resource.get("criteria", "")))
    if topic is None:
        raise InvalidInput(
            "api.subscription-topic",
            "Không có chủ đề này. Các chủ đề: " + ", ".join(sorted(topics())) + ".",
            expression="Subscription.criteria",
        )
    channel = resource.get("channel", {})
    where = "Subscription.channel"
    if channel.get("type") != "rest-hook" or not channel.get("endpoint"):
        raise InvalidInput("api.subscription-channel", "Chỉ gửi qua kênh rest-hook.", expression=where)
    if channel.get("header"):
        raise InvalidInput(
            "api.subscription-channel",
            "Không nhận header: máy này chứng minh mình bằng chứng thư TLS, không bằng mật khẩu.",
            expression=f"{where}.header",
        )
    content = _extension(channel.get("_payload"), _CONTENT, "valueCode")
    media_type = str(channel.get("payload", "")).partition(";")[0].strip()
    if content not in CONTENTS or media_type not in MEDIA_TYPES:
        raise InvalidInput(
            "api.subscription-content",
            "Cần payload application/fhir+json hoặc application/fhir+xml, với nội dung empty, id-only hoặc full-resource.",
            expression=f"{where}.payload",
        )
    texts = _extensions(resource.get("_criteria"), _FILTER, "valueString")
    for text in texts:
        read_filter(topic, str(text), "Subscription.criteria.extension")
    return {
        "topic": topic.url,
        "endpoint": channel["endpoint"],
        "content": content,
        "media_type": media_type,
        "filters": texts,
        "heartbeat_s": _number(channel, _HEARTBEAT, "valueUnsignedInt", 0, 86_400, 0),
        "timeout_s": _number(channel, _TIMEOUT, "valueUnsignedInt", 1, 60, 20),
        "most": _number(channel, _MOST, "valuePositiveInt", 1, 100, 20),
        "end": resource.get("end"),
    }


def topic_of(one: Subscription) -> Topic:
    """The topic of a subscription at work. Raises: ``InvalidInput`` (api.subscription-topic): not shipped any more."""
    found = topics().get(str(one.asked["topic"]))
    if found is None:
        raise InvalidInput("api.subscription-topic", "Không có chủ đề này.")
    return found


def _extensions(holder: Any, url: str, key: str) -> list[Any]:
    listed = holder.get("extension", []) if isinstance(holder, dict) else []
    return [one[key] for one in listed if isinstance(one, dict) and one.get("url") == url and key in one]


def _extension(holder: Any, url: str, key: str) -> Any:
    found = _extensions(holder, url, key)
    return found[0] if len(found) == 1 else None


def _number(channel: JsonObject, url: str, key: str, low: int, high: int, default: int) -> int:
    found = _extension(channel, url, key)
    if found is None:
        return default
    if not isinstance(found, int) or not low <= found <= high:
        raise InvalidInput(
            "api.subscription-number",
            f"Số phải từ {low} đến {high}.",
            expression=f"Subscription.channel.extension('{url}')",
        )
    return found


@dataclass(frozen=True)
class Told:
    """An event with what of it may be shown; ``shown`` False: its number and time only."""

    event: Event
    shown: bool = False
    stored: Stored | None = None


async def told(repo: Repository, events: Sequence[Event], content: str) -> list[Told]:
    """Events as the subscriber may see them now: each resource is asked of the policy, and read in full if wanted."""
    out: list[Told] = []
    for event in events:
        if content == "empty":
            out.append(Told(event))
            continue
        try:
            repo.policy.check(repo.ctx, Action.READ, event.type, None)
            if content == "full-resource":
                out.append(Told(event, True, await repo.vread(event.type, event.id, event.version)))
            else:
                out.append(Told(event, True))
        except Deleted:
            out.append(Told(event, event.action == "delete"))
        except (NotAllowed, NotFound):
            out.append(Told(event))
    return out


def status_parameters(
    base: str, one: Subscription, kind: str, status: str, events: Sequence[Told] = ()
) -> JsonObject:
    """The status of a subscription, with the events told in this message (profile subscription-status-r4)."""
    listed: list[JsonObject] = [
        {"name": "subscription", "valueReference": {"reference": f"{base}/Subscription/{one.id}"}},
        {"name": "topic", "valueCanonical": one.asked["topic"]},
        {"name": "status", "valueCode": status},
        {"name": "type", "valueCode": kind},
        {"name": "events-since-subscription-start", "valueString": str(one.events)},
    ]
    for told_one in events:
        event = told_one.event
        part: list[JsonObject] = [
            {"name": "event-number", "valueString": str(event.number)},
            {"name": "timestamp", "valueInstant": fhir_instant(event.at)},
        ]
        if told_one.shown:
            focus = {"reference": f"{base}/{event.type}/{event.id}"}
            part.append({"name": "focus", "valueReference": focus})
        listed.append({"name": "notification-event", "part": part})
    if one.fault and status in ("error", "off"):
        listed.append({"name": "error", "valueCodeableConcept": {"text": one.fault}})
    return {
        "resourceType": "Parameters",
        "id": str(uuid4()),
        "meta": {"profile": [STATUS_PROFILE]},
        "parameter": listed,
    }


def notification(
    base: str, one: Subscription, kind: str, status: str, at: str, events: Sequence[Told] = ()
) -> JsonObject:
    """A message: handshake, heartbeat, event-notification or query-event."""
    head = status_parameters(base, one, kind, status, events)
    entries: list[JsonObject] = [
        {
            "fullUrl": f"urn:uuid:{head['id']}",
            "resource": head,
            "request": {"method": "GET", "url": f"Subscription/{one.id}/$status"},
            "response": {"status": "200"},
        }
    ]
    for told_one in events:
        if told_one.shown:
            entries.append(_entry(base, told_one))
    return {
        "resourceType": "Bundle",
        "id": str(uuid4()),
        "meta": {"profile": [NOTIFICATION_PROFILE]},
        "type": "history",
        "timestamp": at,
        "entry": entries,
    }


def _entry(base: str, told_one: Told) -> JsonObject:
    event = told_one.event
    method, status = _METHODS[event.action]
    out: JsonObject = {"fullUrl": f"{base}/{event.type}/{event.id}"}
    if told_one.stored is not None:
        out["resource"] = told_one.stored.data
    url = event.type if method == "POST" else f"{event.type}/{event.id}"
    out["request"] = {"method": method, "url": url}
    out["response"] = {
        "status": status,
        "etag": f'W/"{event.version}"',
        "lastModified": fhir_instant(event.at),
    }
    return out
