"""Remote signing by CSC API v2 against the strict simulator; a signature finished by another process."""

from __future__ import annotations

import base64
import hashlib
import pickle
import subprocess
import sys
from datetime import UTC, datetime
from types import SimpleNamespace

import httpx
import pytest

from benhan.base.clock import FrozenClock
from benhan.base.errors import BenhanError, NeighbourFailed, NotAllowed, NotFound
from benhan.signing import (
    CscService,
    CscSigner,
    CscSimulator,
    cades_finish,
    cades_prepare,
    pki,
    sign_cades,
    verify_entry,
)
from benhan.signing.csc import SHA256_OID, SIGN_ALGO

PIN, WHO, ENTRY = "493817", "bs-thu", "Diễn biến: giảm sốt.".encode()


@pytest.fixture
def remote(tmp_path) -> SimpleNamespace:
    """A simulator with one person and the way to it."""
    clock = FrozenClock(datetime.now(UTC))
    simulator = CscSimulator(tmp_path, clock)
    simulator.enrol(WHO, "Nguyễn Văn Thử", PIN, "000001/QNG-CCHN")
    transport = httpx.ASGITransport(simulator.app())
    service = CscService("http://127.0.0.1", "benhan", "thu-nghiem", transport)
    return SimpleNamespace(
        simulator=simulator, service=service, clock=clock, folder=tmp_path, transport=transport,
        roots=(tmp_path / "root.pem").read_bytes(),
    )  # fmt: skip


async def test_remote_signatures_are_proved(remote) -> None:
    """One signature; then twelve papers by one PIN, each over its own bytes."""
    signer = await CscSigner.open(remote.service, WHO, PIN)
    report = await verify_entry(ENTRY, await sign_cades(ENTRY, signer), remote.roots)
    assert report.ok, report
    papers = [b"%d " % n + ENTRY for n in range(12)]
    prepared = [await cades_prepare(p, signer) for p in papers]
    made = await signer.sign_many(prepared)
    for paper, first, value in zip(papers, prepared, made, strict=True):
        signed = await cades_finish(first, signer, value, None)
        assert (await verify_entry(paper, signed, remote.roots)).ok
        assert not (await verify_entry(ENTRY, signed, remote.roots)).ok


async def test_wrong_pins_disable_the_key(remote) -> None:
    """Five times wrong, then even the right one signs nothing, and the state says so."""
    good = await CscSigner.open(remote.service, WHO, PIN)
    bad = await CscSigner.open(remote.service, WHO, "000000")
    first = await cades_prepare(ENTRY, bad)
    for _ in range(5):
        with pytest.raises(NotAllowed) as refused:
            await bad.sign_digest(first)
        assert refused.value.code == "signing.wrong-pin"
    with pytest.raises(NeighbourFailed):
        await good.sign_digest(first)
    with pytest.raises(NotAllowed) as refused:
        await CscSigner.open(remote.service, WHO, PIN)
    assert refused.value.code == "signing.key-suspended"


async def test_state_of_the_certificate_is_asked(remote) -> None:
    """Revoked, expired, unknown credential, unknown client: each with its own reason."""
    with pytest.raises(NotFound) as unknown:
        await CscSigner.open(remote.service, "ai-do", PIN)
    assert unknown.value.code == "signing.no-remote-key"
    signer = await CscSigner.open(remote.service, WHO, PIN)
    stranger = CscService("http://127.0.0.1", "benhan", "khac", remote.transport)
    with pytest.raises(NeighbourFailed):
        await CscSigner.open(stranger, WHO, PIN)
    pki.revoke(remote.folder, signer.certificate.serial_number, remote.clock)
    with pytest.raises(NotAllowed) as revoked:
        await CscSigner.open(remote.service, WHO, PIN)
    assert revoked.value.code == "signing.certificate-revoked"
    remote.clock.move(days=4000)
    with pytest.raises(NotAllowed) as expired:
        await CscSigner.open(remote.service, WHO, PIN)
    assert expired.value.code == "signing.certificate-expired"


async def test_activation_data_is_good_once_for_its_hashes_for_five_minutes(remote) -> None:
    """The simulator is strict: reuse, other hashes, lateness, extra or missing fields are refused."""
    digests = [base64.b64encode(hashlib.sha256(x).digest()).decode() for x in (b"a", b"b")]
    common = {"credentialID": WHO, "hashes": digests[:1], "hashAlgorithmOID": SHA256_OID}
    grant = {**common, "numSignatures": 1, "authData": [{"id": "PIN", "value": PIN}]}
    call = remote.service.call

    async def refused(name: str, body: dict) -> None:
        with pytest.raises(BenhanError):
            await call(name, body)

    async def sad() -> dict:
        told = await call("credentials/authorize", grant)
        return {**common, "SAD": told["SAD"], "signAlgo": SIGN_ALGO["rsa"], "operationMode": "S"}

    good = await sad()
    assert (await call("signatures/signHash", good))["signatures"]
    await refused("signatures/signHash", good)
    await refused("signatures/signHash", {**await sad(), "hashes": digests[1:]})
    await refused("signatures/signHash", {**await sad(), "signAlgo": "1.2.840.113549.1.1.5"})
    late = await sad()
    remote.clock.move(minutes=6)
    await refused("signatures/signHash", late)
    await refused("credentials/authorize", {**grant, "numSignatures": 2})
    await refused("credentials/authorize", {**grant, "them": 1})
    await refused("credentials/authorize", {k: v for k, v in grant.items() if k != "hashes"})
    await refused("credentials/authorize", {**grant, "hashes": ["YQ=="]})


async def test_a_service_that_lies_or_is_away_signs_nothing(remote) -> None:
    """A signature over something else, no JSON, a cut line, silence: an error, never a signature."""
    signer = await CscSigner.open(remote.service, WHO, PIN)
    prepared = await cades_prepare(ENTRY, signer)
    lie = base64.b64encode(b"\1" * 256).decode()

    def fault(answer: object) -> CscSigner:
        def handle(request: httpx.Request) -> httpx.Response:
            if isinstance(answer, Exception):
                raise answer
            return answer  # type: ignore[return-value]

        service = CscService("http://127.0.0.1", "benhan", "x", httpx.MockTransport(handle))
        return CscSigner(signer.certificate, signer.chain, service, WHO, PIN)

    liar = {"access_token": "t", "SAD": "s", "signatures": [lie]}
    for answer, code in (
        (httpx.Response(200, json=liar), "signing.csc-refused"),
        (httpx.Response(200, json={**liar, "signatures": []}), "signing.csc-refused"),
        (httpx.Response(200, text="<html>"), "signing.csc-refused"),
        (httpx.Response(503, json={}), "signing.csc-refused"),
        (httpx.ConnectError("away"), "signing.csc-away"),
        (httpx.ReadTimeout("slow"), "signing.csc-timeout"),
    ):
        with pytest.raises(BenhanError) as refused:
            await fault(answer).sign_digest(prepared)
        assert refused.value.code == code


async def test_another_process_finishes_what_one_prepared(remote, tmp_path) -> None:
    """Prepared here, stored; a fresh process reads it from the disk and finishes with the signature that came later."""
    signer = await CscSigner.open(remote.service, WHO, PIN)
    prepared = await cades_prepare(ENTRY, signer)
    value = await signer.sign_digest(prepared)
    parts = (
        prepared.to_be_signed,
        prepared.state,
        value,
        signer.certificate.dump(),
        [c.dump() for c in signer.chain],
    )
    (tmp_path / "waiting").write_bytes(pickle.dumps(parts))
    script = (
        "import asyncio, pickle, sys\n"
        "from types import SimpleNamespace\n"
        "from asn1crypto import x509\n"
        "from benhan.signing import Prepared, cades_finish\n"
        "covered, state, value, own, chain = pickle.load(open(sys.argv[1], 'rb'))\n"
        "load = x509.Certificate.load\n"
        "signer = SimpleNamespace(certificate=load(own), chain=tuple(load(c) for c in chain))\n"
        "done = asyncio.run(cades_finish(Prepared(covered, state), signer, value, None))\n"
        "open(sys.argv[1] + '.p7s', 'wb').write(done)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "waiting")], check=True)
    assert (await verify_entry(ENTRY, (tmp_path / "waiting.p7s").read_bytes(), remote.roots)).ok


async def test_a_pin_is_checked_without_signing(remote) -> None:
    """For acts that only ask who is there: a wrong PIN is refused and counted, a right one signs nothing."""
    await (await CscSigner.open(remote.service, WHO, PIN)).check_pin()
    with pytest.raises(NotAllowed) as refused:
        await (await CscSigner.open(remote.service, WHO, "000000")).check_pin()
    assert refused.value.code == "signing.wrong-pin"
    assert remote.simulator.keys[WHO].failed == 1
