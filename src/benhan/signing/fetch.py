"""One bounded HTTP question to a service of a trust provider: nothing is followed, nothing is read beyond its limit."""

from __future__ import annotations

import httpx


async def fetch(
    url: str,
    *,
    most: int,
    timeout_s: float,
    content: bytes | None = None,
    kind: str = "",
) -> bytes | None:
    """The body of the answer to a POST of ``content`` (its media type is ``kind``), or to a GET without content.

    None when the status is not 200 or the body is longer than ``most`` bytes, then not read on.
    Raises: ``httpx.HTTPError``; the caller bounds the whole time.
    """
    headers = {"Content-Type": kind} if kind else {}
    method = "GET" if content is None else "POST"
    async with (
        httpx.AsyncClient(timeout=timeout_s, trust_env=False) as http,
        http.stream(method, url, content=content, headers=headers) as answer,
    ):
        if answer.status_code != 200:
            return None
        body = b""
        async for part in answer.aiter_bytes():
            body += part
            if len(body) > most:
                return None
        return body
