"""Clients that others wrote talk to the door over a real socket: PyPI ``fhirpy`` and npm ``fhir-kit-client``."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest
import uvicorn
from fhirpy import AsyncFHIRClient
from fhirpy.base.exceptions import OperationOutcome, ResourceNotFound
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

from benhan.api import Caller, create_app
from benhan.store import Actor, Ctx, Store, SystemPolicy

KIT = Path(__file__).parents[2] / "build" / "judges" / "fhir-kit"


@asynccontextmanager
async def served(store: Store, tenant: UUID, facility: str) -> AsyncIterator[str]:
    """Address of the door on a real socket of this machine."""

    async def anybody(request: Request) -> Caller:
        return Caller(Ctx(tenant, Actor("Device/t", "Kiểm thử", "system")), SystemPolicy())

    app = Starlette(routes=[Mount("/fhir", create_app(store, authenticate=anybody))])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off"))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/fhir/{facility}"
    finally:
        server.should_exit = True
        await task


async def test_fhirpy(store: Store, tenant: UUID, facility: str) -> None:
    """Create, read, update, search with include, page, conditional update, delete."""
    async with served(store, tenant, facility) as base:
        client = AsyncFHIRClient(base, authorization="Bearer x")
        patient = client.resource(
            "Patient", name=[{"text": "Nguyễn Thị Sông"}], identifier=[{"system": "urn:x", "value": "1"}]
        )
        await patient.save()
        observation = client.resource(
            "Observation", status="final", code={"text": "Mạch"}, subject=patient.to_reference()
        )
        await observation.save()
        patient["gender"] = "female"
        await patient.save()
        assert patient["meta"]["versionId"] == "2"
        patient["birthDate"] = "1999-02-03"  # its own patch() speaks merge patch, which FHIR R4 does not have
        await patient.save()
        found = await client.resources("Patient").search(name="nguyen thi").first()
        assert (found["id"], found["birthDate"]) == (patient["id"], "1999-02-03")
        with_subject = await client.resources("Observation").include("Observation", "subject").fetch_raw()
        assert {e.resource["resourceType"] for e in with_subject.entry} == {"Observation", "Patient"}
        again, made = (
            await client.resources("Patient")
            .search(identifier="urn:x|1")
            .update(client.resource("Patient", name=[{"text": "Khác"}]))
        )
        assert (again["id"], made) == (patient["id"], False)
        for _ in range(3):
            await client.resource("Patient", name=[{"text": "A"}]).save()
        assert len(await client.resources("Patient").limit(2).fetch_all()) == 4
        assert await client.resources("Patient").count() == 4
        with pytest.raises(OperationOutcome):
            await client.resource("Patient", gender="khong-co").save()
        await observation.delete()
        with pytest.raises(ResourceNotFound):
            await client.reference("Observation", observation["id"]).to_resource()


@pytest.mark.long
async def test_fhir_kit_client(store: Store, tenant: UUID, facility: str) -> None:
    """The script beside this file walks through the interactions and tells what it saw."""
    node = shutil.which("node")
    assert node is not None, "node is missing: run scripts/judges"
    assert (KIT / "node_modules" / "fhir-kit-client").is_dir(), (
        "fhir-kit-client is missing: run scripts/judges"
    )
    script = Path(__file__).with_name("fhir_kit_client.js")
    async with served(store, tenant, facility) as base:
        process = await asyncio.create_subprocess_exec(
            node, str(script), base, str(KIT), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    assert json.loads(out) == {
        "fhirVersion": "4.0.1", "created": "1", "name": "Nguyễn Thị Sông", "updated": "2", "patched": "other",
        "vread": "female", "history": 3, "pages": 2, "transaction": "201", "operation": "3", "gone": 410,
    }  # fmt: skip
