"""Reads by id: through the FHIR door as a signed-in doctor, through the store alone, and with nothing noted.

The limit of all three is a bare ASGI function with one select of the same bytes, as the same role, with the same pool,
transaction and tenant setting. Everything runs in this process without a socket.
"""

from __future__ import annotations

from functools import partial

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from benhan.access import COOKIE, new_totp_secret, onboard, sign_in, totp_code
from benhan.api import create_app
from benhan.bench import bare
from benhan.bench.material import observation, patient
from benhan.bench.measure import Result, Sizes, rate, seconds_async
from benhan.bench.storing import new_repo, spread
from benhan.store import Repository, Store

_PASSWORD = "Sông Trà Khúc 2026"


async def read_bench(store: Store, sizes: Sizes) -> Result:
    """Reads/s of the whole FHIR app: session cookie, roles, policy, decryption, audit committed before the answer."""
    repo, ids = await _material(store, "BR001", sizes)
    app = Starlette(routes=[Mount("/fhir", create_app(store))])
    cookie = await _session(store, repo, "BR001")
    return await _measure("read", store, repo, app, ids, sizes, cookie)


async def read_store_bench(store: Store, sizes: Sizes) -> Result:
    """Reads/s of the store alone: policy, decryption, audit committed before the answer; no HTTP door, no session."""
    repo, ids = await _material(store, "BR002", sizes)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await _answer(send, (await repo.read("Observation", _last(scope))).raw)

    return await _measure("read-store", store, repo, app, ids, sizes)


async def read_no_audit_bench(store: Store, sizes: Sizes) -> Result:
    """Reads/s as ``read-store`` with no audit row written: what the audit costs. The product never does this."""
    repo, ids = await _material(store, "BR003", sizes)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async with repo.transaction() as tx:
            current = await tx.current("Observation", _last(scope))
        await _answer(send, current.stored.raw if current else b"")

    return await _measure("read-no-audit", store, repo, app, ids, sizes)


async def _material(store: Store, code: str, sizes: Sizes) -> tuple[Repository, list[str]]:
    repo = await new_repo(store, code)
    person = await repo.create(patient(1))
    return repo, [(await repo.create(observation(person.id, n))).id for n in range(min(sizes.reads, 200))]


async def _session(store: Store, repo: Repository, code: str) -> str:
    """Cookie of a doctor who has signed in with a second factor."""
    secret = new_totp_secret()
    await onboard(
        repo, "bac.si", _PASSWORD, "Bác sĩ Thử", [("bac_si", None)], totp_secret=secret, must_change=False
    )
    token = await sign_in(store, code, "bac.si", _PASSWORD, totp_code(secret, store.clock.now()))
    return f"{COOKIE}={token.token}"


def _last(scope: Scope) -> str:
    return str(scope["path"]).rsplit("/", 1)[-1]


async def _answer(send: Send, body: bytes) -> None:
    await send({"type": "http.response.start", "status": 200 if body else 404, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def _measure(
    name: str,
    store: Store,
    repo: Repository,
    app: ASGIApp,
    ids: list[str],
    sizes: Sizes,
    cookie: str = "",
) -> Result:
    tenant = repo.ctx.tenant
    code = next(t.code for t in await store.tenants() if t.id == tenant)

    async def limit(scope: Scope, receive: Receive, send: Send) -> None:
        await _answer(send, await bare.read(store, tenant, "Observation", _last(scope)))

    await _reads(app, code, ids, sizes, cookie)
    await _reads(limit, code, ids, sizes)
    times = [
        (await _reads(app, code, ids, sizes, cookie), await _reads(limit, code, ids, sizes))
        for _ in range(sizes.runs)
    ]
    return rate(name, "reads/s", [sizes.reads / t[0] for t in times], [sizes.reads / t[1] for t in times])


async def _reads(app: ASGIApp, code: str, ids: list[str], sizes: Sizes, cookie: str = "") -> float:
    """Seconds for ``sizes.reads`` reads over ``sizes.clients`` lanes. An answer other than 200 ends the bench."""

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] != 200:
            raise RuntimeError(f"bench: a read was answered with {message['status']}")

    async def one(number: int) -> None:
        await app(_scope(f"/fhir/{code}/Observation/{ids[number % len(ids)]}", cookie), receive, send)

    return await seconds_async(lambda: spread([partial(one, n) for n in range(sizes.reads)], sizes.clients))


def _scope(path: str, cookie: str) -> Scope:
    headers = [(b"host", b"bench.invalid"), (b"accept", b"application/fhir+json")]
    if cookie:
        headers.append((b"cookie", cookie.encode()))
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("bench.invalid", 80),
    }
