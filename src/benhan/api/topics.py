"""Topics of subscriptions: what happens that a machine may want to hear of, and how it may be narrowed.

Source: Subscriptions R5 Backport 1.1 for R4 (http://hl7.org/fhir/uv/subscriptions-backport). Topics are data
(``data/topics.yaml``): a type, the actions, a FHIRPath that holds after the change and one that holds before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from urllib.parse import parse_qsl

import yaml

from benhan.base.errors import InvalidInput
from benhan.base.json_door import JsonObject
from benhan.fhir import IndexValue, ViewPath, extract, search_params, split_reference, view_path, view_root

_FILTERED = frozenset({"token", "reference"})


@dataclass(frozen=True)
class Topic:
    """One topic. ``current`` and ``previous`` are compiled, or None when nothing is asked of that side."""

    url: str
    title: str
    resource: str
    actions: frozenset[str]
    current: ViewPath | None
    previous: ViewPath | None
    filters: frozenset[str]

    def triggered(self, action: str, data: JsonObject | None, before: JsonObject | None) -> bool:
        """True when this change of a resource of the type is what the topic tells of."""
        if action not in self.actions:
            return False
        if self.current is not None and (data is None or not _holds(self.current, data)):
            return False
        return self.previous is None or before is None or _holds(self.previous, before)


@dataclass(frozen=True)
class Filter:
    """One condition: a search parameter and the values of which one must be there."""

    name: str
    values: tuple[str, ...]


@cache
def topics() -> Mapping[str, Topic]:
    """All topics by canonical address."""
    text = files("benhan.api").joinpath("data", "topics.yaml").read_text(encoding="utf-8")
    return {t["url"]: _topic(t) for t in yaml.safe_load(text)["topics"]}


def _topic(given: JsonObject) -> Topic:
    current, previous = given.get("current"), given.get("previous")
    for name in given["filters"]:
        if search_params(given["resource"])[name].type not in _FILTERED:
            raise ValueError(f"{given['url']}: {name}")
    return Topic(
        given["url"],
        given["title"],
        given["resource"],
        frozenset(given["actions"]),
        None if current is None else view_path(current, {}),
        None if previous is None else view_path(previous, {}),
        frozenset(given["filters"]),
    )


def _holds(path: ViewPath, resource: JsonObject) -> bool:
    nodes = path(resource, view_root(resource), 0)
    return len(nodes) == 1 and nodes[0][1] is True


def read_filter(topic: Topic, text: str, where: str) -> list[Filter]:
    """Conditions of one filter (``Encounter?patient=Patient/1&class=IMP,EMER``); all of them must hold.

    Raises: ``InvalidInput`` (api.subscription-filter).
    """
    kind, _, query = text.partition("?")
    found = [
        Filter(name, tuple(value.split(","))) for name, value in parse_qsl(query, keep_blank_values=True)
    ]
    if (
        kind != topic.resource
        or not found
        or any(f.name not in topic.filters or "" in f.values for f in found)
    ):
        known = ", ".join(sorted(topic.filters))
        raise InvalidInput(
            "api.subscription-filter",
            f"Bộ lọc phải có dạng {topic.resource}?tham-số=giá-trị, với tham số trong: {known}.",
            expression=where,
        )
    return found


def passes(filters: list[Filter], resource: JsonObject) -> bool:
    """True when the resource meets every condition."""
    if not filters:
        return True
    values = extract(resource)
    return all(_met(one, resource, [v for v in values if v.param == one.name]) for one in filters)


def _met(asked: Filter, resource: JsonObject, values: list[IndexValue]) -> bool:
    if asked.name == "_id":
        return resource.get("id") in asked.values
    return any(_equal(text, value) for text in asked.values for value in values)


def _equal(text: str, value: IndexValue) -> bool:
    if value.kind == "reference":
        target = split_reference(text)
        wanted = (value.target_type, value.target_id)
        return target == wanted if target is not None else text in (value.target_id, value.url)
    system, bar, code = text.rpartition("|")
    if bar and (value.system or "") != system:
        return False
    return value.code is not None and (not code or value.code == code)
