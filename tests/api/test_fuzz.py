"""Whatever is sent, the door answers: no 5xx, every refusal an OperationOutcome, and it still serves afterwards."""

from __future__ import annotations

import os
from uuid import UUID

import httpx
import pytest

from benhan.base.json_door import loads_object
from benhan.fhir import from_xml
from benhan.store import Store

from .conftest import Client, admin_repo
from .fuzzing import BODIES, Asked, Fuzzer
from .test_capability import open_client

SEED = int(os.environ.get("BENHAN_FUZZ_SEED", "20261123"))


async def send(client: Client, asked: Asked) -> httpx.Response:
    """One request."""
    return await client.request(asked.method, asked.url, headers=asked.headers, content=asked.body)


def check(asked: Asked, answer: httpx.Response) -> str:
    """Empty, or what is wrong with the answer."""
    told = f"{asked.method} {asked.url} {asked.headers} {asked.body!r} -> {answer.status_code} {answer.text[:300]}"
    if answer.status_code >= 500:
        return told
    if answer.status_code >= 400 and asked.method != "HEAD":
        kind = answer.headers.get("content-type", "")
        body = from_xml(answer.content) if "xml" in kind else loads_object(answer.content)
        if body["resourceType"] != "OperationOutcome" or not body["issue"][0]["details"]["text"]:
            return told
    return ""


async def fuzz(store: Store, tenant: UUID, facility: str, number: int) -> None:
    """``number`` requests; all that fell are told at once."""
    repo = admin_repo(store, tenant)
    for resource_id, kind in (("p1", "Patient"), ("c1", "Composition"), ("b1", "Binary"), ("p2", "Patient")):
        await repo.update({**BODIES[kind], "id": resource_id})
    fuzzer = Fuzzer(SEED, f"/fhir/{facility}")
    fallen: list[str] = []
    async with open_client(store, tenant) as client:
        for _ in range(number):
            asked = fuzzer.next()
            fault = check(asked, await send(client, asked))
            if fault:
                fallen.append(fault)
            if len(fallen) >= 20:
                break
        assert not fallen, "\n".join(fallen)
        assert (await client.get(f"/fhir/{facility}/metadata")).status_code == 200


async def test_sample(store: Store, tenant: UUID, facility: str) -> None:
    """A small sample on every run."""
    await fuzz(store, tenant, facility, 800)


@pytest.mark.long
async def test_full(store: Store, tenant: UUID, facility: str) -> None:
    """The full count."""
    await fuzz(store, tenant, facility, int(os.environ.get("BENHAN_FUZZ_COUNT", "100000")))
