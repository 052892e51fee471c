"""An ASGI app as a real server on a port of this machine, switched off and on."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import uvicorn


class Service:
    """``app`` may be exchanged while it runs; the port stays the same over off and on."""

    def __init__(self, app: Any) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = int(found.getsockname()[1])
        self.app = app
        self.server: uvicorn.Server | None = None
        self.task: asyncio.Task[None] | None = None
        self.asked = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        await self.app(scope, receive, send)

    async def on(self) -> None:
        if self.server is None:
            config = uvicorn.Config(
                self._answer,
                host="127.0.0.1",
                port=self.port,
                log_level="error",
                lifespan="off",
                interface="asgi3",
            )
            self.server = uvicorn.Server(config)
            self.task = asyncio.create_task(self.server.serve())
            while not self.server.started:
                await asyncio.sleep(0.005)

    async def off(self) -> None:
        if self.server is not None and self.task is not None:
            self.server.should_exit = True
            await self.task
            self.server = self.task = None


def saying(content: bytes, status: int = 200) -> Any:
    """An app that answers everything with the same bytes."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope.get("method") == "POST":
            await receive()
        await say(send, content, status)

    return app


async def say(send: Any, content: bytes, status: int = 200) -> None:
    """One whole answer."""
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": content})
