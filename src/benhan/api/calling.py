"""Calling a receiver that somebody else named: which addresses are allowed, and a call that cannot be led elsewhere.

Only hosts that the operator has listed (setting ``subscription_hosts``), only https, no redirects, no proxy. The name
is resolved once, every address it has is judged, and the connection goes to the address that was judged; the
certificate is checked against the name. Addresses of private networks need the setting ``subscription_private``.
With ``tls_cert``, ``tls_key`` and ``tls_ca`` the node shows its certificate: so a receiver knows who speaks, and no
subscription has to carry a password.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from urllib.parse import SplitResult, urlsplit

import httpx

from benhan.api.machine_door import client_context
from benhan.base.errors import InvalidInput, NeighbourFailed, NeighbourTimeout
from benhan.base.settings import Settings


def checked_endpoint(settings: Settings, url: str, where: str) -> SplitResult:
    """The parts of an allowed address. Raises: ``InvalidInput`` (api.subscription-endpoint)."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip(".").lower(), parts.port or 443
    except ValueError:
        raise _not_allowed(where) from None
    listed = {name.lower() for name in settings.subscription_hosts}
    plain = parts.username is None and parts.password is None and not parts.fragment
    if parts.scheme != "https" or not plain or not {f"{host}:{port}", host if port == 443 else ""} & listed:
        raise _not_allowed(where)
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        return parts
    if not _reachable(settings, literal):
        raise _not_allowed(where)
    return parts


def _not_allowed(where: str) -> InvalidInput:
    return InvalidInput(
        "api.subscription-endpoint",
        "Địa chỉ nhận thông báo phải là https và thuộc danh sách máy chủ mà quản trị đã cho phép.",
        expression=where,
    )


def _reachable(settings: Settings, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if address.is_multicast or address.is_unspecified or address.is_link_local or address.is_reserved:
        return False
    return address.is_global or settings.subscription_private


async def _address(settings: Settings, host: str, port: int) -> str:
    """The first address of a name, when every address of it is allowed. Raises: ``NeighbourFailed``."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        raise NeighbourFailed("api.receiver-unreachable", "Không tìm thấy máy nhận thông báo.") from None
    addresses = [ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found]
    if not addresses or not all(_reachable(settings, a) for a in addresses):
        raise NeighbourFailed(
            "api.receiver-refused", "Máy nhận thông báo nằm ở địa chỉ mạng không được phép."
        )
    return str(addresses[0])


def _context(settings: Settings) -> ssl.SSLContext:
    if settings.tls_cert and settings.tls_key and settings.tls_ca:
        return client_context(settings.tls_cert, settings.tls_key, settings.tls_ca)
    return ssl.create_default_context(cafile=str(settings.tls_ca) if settings.tls_ca else None)


async def call(settings: Settings, url: str, body: bytes, media_type: str, timeout_s: float) -> None:
    """POST once; any 2xx is success, and nothing of the answer is read.

    Raises: ``InvalidInput`` (api.subscription-endpoint), ``NeighbourFailed`` (api.receiver-*), ``NeighbourTimeout``.
    """
    parts = checked_endpoint(settings, url, "Subscription.channel.endpoint")
    host, port = str(parts.hostname), parts.port or 443
    address = await _address(settings, host, port)
    shown = f"[{address}]" if ":" in address else address
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"Host": parts.netloc, "Content-Type": media_type, "User-Agent": "benhan"}
    try:
        async with (
            httpx.AsyncClient(verify=_context(settings), timeout=timeout_s, trust_env=False) as client,
            client.stream(
                "POST",
                f"https://{shown}:{port}{path}",
                content=body,
                headers=headers,
                extensions={"sni_hostname": host},
            ) as answer,
        ):
            status = answer.status_code
    except httpx.TimeoutException:
        raise NeighbourTimeout("api.receiver-timeout", "Máy nhận thông báo không trả lời kịp.") from None
    except (httpx.HTTPError, ssl.SSLError, OSError):
        raise NeighbourFailed("api.receiver-unreachable", "Không nối được tới máy nhận thông báo.") from None
    if not 200 <= status < 300:
        raise NeighbourFailed(
            "api.receiver-error", "Máy nhận thông báo trả lời lỗi.", diagnostics=f"status {status}"
        )
