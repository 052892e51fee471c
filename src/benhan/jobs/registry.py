"""Topics and their handlers, and sources of messages. Upper rooms register; this room knows none of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias
from uuid import UUID

from benhan.base.json_door import JsonObject
from benhan.store import Store

Handler: TypeAlias = Callable[[Store, UUID, JsonObject], Awaitable[None]]
Source: TypeAlias = Callable[[Store], Awaitable[None]]

_HANDLERS: dict[str, Handler] = {}
_SOURCES: dict[str, Source] = {}


def register(topic: str, function: Handler) -> None:
    """Deliver outbox rows of ``topic`` to ``function``; the last registration counts."""
    _HANDLERS[topic] = function


def register_source(name: str, function: Source) -> None:
    """Ask ``function`` before each look into the outbox: it may put rows in (from the change feed, by the clock)."""
    _SOURCES[name] = function


def handler(topic: str) -> Callable[[Handler], Handler]:
    """Decorator form of :func:`register`."""

    def keep(function: Handler) -> Handler:
        register(topic, function)
        return function

    return keep


def topics() -> list[str]:
    """Topics that this process can deliver."""
    return sorted(_HANDLERS)


def sources() -> list[Source]:
    """Sources that this process asks."""
    return list(_SOURCES.values())


def handler_of(topic: str) -> Handler | None:
    """The handler of a topic."""
    return _HANDLERS.get(topic)
