"""Topics and their handlers. Upper rooms register; this room knows none of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias
from uuid import UUID

from benhan.base.json_door import JsonObject
from benhan.store import Store

Handler: TypeAlias = Callable[[Store, UUID, JsonObject], Awaitable[None]]

_HANDLERS: dict[str, Handler] = {}


def register(topic: str, function: Handler) -> None:
    """Deliver outbox rows of ``topic`` to ``function``; the last registration counts."""
    _HANDLERS[topic] = function


def handler(topic: str) -> Callable[[Handler], Handler]:
    """Decorator form of :func:`register`."""

    def keep(function: Handler) -> Handler:
        register(topic, function)
        return function

    return keep


def topics() -> list[str]:
    """Topics that this process can deliver."""
    return sorted(_HANDLERS)


def handler_of(topic: str) -> Handler | None:
    """The handler of a topic."""
    return _HANDLERS.get(topic)
