"""The worker of a node makes and tells events, and every process that writes has the rule for Subscription."""

from __future__ import annotations

from benhan.api import subscription_guard
from benhan.base.settings import Settings
from benhan.cli.common import open_store
from benhan.cli.node import register_all_jobs
from benhan.jobs import registry


async def test_a_node_tells_subscribers(settings: Settings) -> None:
    """Source, handlers and guard are there."""
    register_all_jobs()
    assert registry.sources()
    assert {"subscription.handshake", "subscription.notify", "subscription.heartbeat"} <= set(
        registry.topics()
    )
    async with open_store(settings) as store:
        assert subscription_guard in store.guards
