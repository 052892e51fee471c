"""The test PKI and its two services, judged by openssl and used over HTTP."""

from __future__ import annotations

import asyncio
import base64
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from asn1crypto import tsp
from cryptography import x509
from tests.signing.services import Service, say

from benhan.base.clock import SYSTEM_CLOCK, FrozenClock
from benhan.base.errors import ConfigurationError, NeighbourFailed
from benhan.base.settings import Settings
from benhan.signing import (
    HttpTimeStamper,
    SoftwareSigner,
    pki,
    pki_app,
    sign_cades,
    time_stamper,
    tsa_app,
    verify_entry,
)
from benhan.signing import fetch as fetch_module
from benhan.signing import timestamps as timestamps_module

QUERY, REPLY = "application/timestamp-query", "application/timestamp-reply"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A test PKI."""
    path = tmp_path_factory.mktemp("services") / "pki"
    pki.create(path)
    return path


@pytest.fixture
async def http(folder: Path):
    """A client of its services."""
    transport = httpx.ASGITransport(app=pki_app(folder))
    async with httpx.AsyncClient(transport=transport, base_url="http://pki") as client:
        yield client


def _openssl(*arguments: str | Path, cwd: Path) -> str:
    done = subprocess.run(["openssl", *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_certificates_are_accepted_by_openssl(folder) -> None:
    """The chain verifies with both lists; keys are for their owner's eyes; every subject says it is a test."""
    (folder / "lists.pem").write_text(
        "".join(_openssl("crl", "-inform", "DER", "-in", f"{n}.crl", cwd=folder) for n in ("root", "ca"))
    )
    for name, purpose in (("tsa", "timestampsign"), ("ocsp", "ocsphelper")):
        said = _openssl(
            "verify", "-CAfile", "root.pem", "-untrusted", "ca.pem", "-CRLfile", "lists.pem", "-crl_check_all",
            "-purpose", purpose, f"{name}.pem", cwd=folder,
        )  # fmt: skip
        assert f"{name}.pem: OK" in said, said
    for name in ("root", "ca", "tsa", "ocsp"):
        assert (folder / f"{name}.key").stat().st_mode & 0o777 == 0o600
        certificate = x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())
        assert "thử nghiệm" in certificate.subject.rfc4514_string()
    assert x509.load_der_x509_certificate((folder / "root.der").read_bytes())


def test_processes_that_start_together_share_one_pki(tmp_path) -> None:
    """Three makers at once leave one PKI whose keys fit its certificates, and no rests."""
    code = "import sys, pathlib; from benhan.signing import pki; pki.create(pathlib.Path(sys.argv[1]))"
    made = [subprocess.Popen([sys.executable, "-c", code, tmp_path / "pki"]) for _ in range(3)]
    assert [m.wait() for m in made] == [0] * 3
    assert [p.name for p in tmp_path.iterdir()] == ["pki"]
    for name in ("root", "ca", "tsa", "ocsp"):
        assert _openssl("x509", "-in", f"{name}.pem", "-noout", "-pubkey", cwd=tmp_path / "pki") == _openssl(
            "pkey", "-in", f"{name}.key", "-pubout", cwd=tmp_path / "pki"
        )
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "root.pem").write_text("x")
    with pytest.raises(ConfigurationError):
        pki.create(tmp_path / "half")


async def test_time_stamps_over_http_are_accepted_by_openssl(folder, http, tmp_path) -> None:
    """`openssl ts` asks and judges; a weak digest, rubbish, another type and a huge body are refused."""
    (tmp_path / "data").write_bytes(b"x")
    _openssl("ts", "-query", "-data", "data", "-sha256", "-cert", "-out", "q", cwd=tmp_path)
    answer = await http.post("/tsa/", content=(tmp_path / "q").read_bytes(), headers={"content-type": QUERY})
    assert answer.headers["content-type"] == REPLY
    (tmp_path / "r").write_bytes(answer.content)
    said = _openssl(
        "ts", "-verify", "-queryfile", "q", "-in", "r", "-CAfile", folder / "root.pem", "-untrusted", folder / "ca.pem",
        cwd=tmp_path,
    )  # fmt: skip
    assert "Verification: OK" in said, said
    _openssl("ts", "-query", "-data", "data", "-sha1", "-out", "q1", cwd=tmp_path)
    for body in ((tmp_path / "q1").read_bytes(), b"rubbish", b""):
        refused = await http.post("/tsa/", content=body, headers={"content-type": QUERY})
        (tmp_path / "no").write_bytes(refused.content)
        assert "Status: Rejected." in _openssl("ts", "-reply", "-in", "no", "-text", cwd=tmp_path)
    assert (await http.post("/tsa/", content=b"x")).status_code == 415
    assert (
        await http.post("/tsa/", content=b"x" * 30_000, headers={"content-type": QUERY})
    ).status_code == 413


async def test_certificate_state_over_http_is_accepted_by_openssl(folder, http, tmp_path) -> None:
    """`openssl ocsp` hears good, then revoked; a certificate of nobody is unknown; rubbish is malformed."""
    issued = pki.issue_person(folder, "Nguyễn Văn Thử", "000001/QNG-CCHN")
    (tmp_path / "p.pem").write_bytes(issued.certificate)
    serial = x509.load_pem_x509_certificate(issued.certificate).serial_number

    async def ask(*names: str | Path) -> str:
        _openssl("ocsp", "-issuer", folder / "ca.pem", *names, "-reqout", "q", cwd=tmp_path)
        body = (tmp_path / "q").read_bytes()
        answer = await http.post("/ocsp/", content=body, headers={"content-type": "application/ocsp-request"})
        again = await http.get("/ocsp/" + base64.b64encode(body).decode().replace("/", "%2F"))
        assert again.headers["content-type"] == "application/ocsp-response"
        (tmp_path / "r").write_bytes(answer.content)
        return _openssl(
            "ocsp", "-issuer", folder / "ca.pem", *names, "-respin", "r", "-CAfile", folder / "root.pem",
            "-verify_other", folder / "ca.pem", "-no_nonce", cwd=tmp_path,
        )  # fmt: skip

    said = await ask("-cert", "p.pem")
    assert "Response verify OK" in said, said
    assert "p.pem: good" in said, said
    pki.revoke(folder, serial)
    assert "p.pem: revoked" in await ask("-cert", "p.pem")
    assert "unknown" in await ask("-serial", "12345")
    bad = await http.post("/ocsp/", content=b"rubbish", headers={"content-type": "application/ocsp-request"})
    assert "malformedrequest" in _say_ocsp(bad.content, tmp_path)
    listed = x509.load_der_x509_crl((await http.get("/ca.crl")).content)
    assert listed.get_revoked_certificate_by_serial_number(serial) is not None
    assert (await http.get("/ca.key")).status_code == 404


def _say_ocsp(der: bytes, folder: Path) -> str:
    (folder / "bad").write_bytes(der)
    return _openssl("ocsp", "-respin", "bad", "-text", cwd=folder).lower().replace(" ", "")


@pytest.fixture
def served(folder, monkeypatch):
    """Send what the HTTP stamper asks to the app, or to an answerer of the test."""

    def through(app) -> HttpTimeStamper:
        client = httpx.AsyncClient
        monkeypatch.setattr(
            fetch_module.httpx,
            "AsyncClient",
            lambda **_: client(transport=httpx.ASGITransport(app=app)),
        )
        return HttpTimeStamper("http://pki/tsa/", (folder / "root.pem").read_bytes())

    return through


async def test_signature_with_a_stamp_by_http_is_proved(folder, served) -> None:
    """The stamper of a service and the local one are one to the verifier."""
    issued = pki.issue_seal(folder, "51Z01 Bệnh viện Thử", "51Z01")
    signer = SoftwareSigner.load(issued.certificate, issued.key, pki.chain(folder))
    signature = await sign_cades(b"x", signer, served(pki_app(folder)))
    report = await verify_entry(b"x", signature, (folder / "root.pem").read_bytes())
    assert report.ok
    assert any(f.what == "dấu thời gian" and f.ok for f in report.findings)


async def test_service_that_stamps_something_else_is_refused(folder, served) -> None:
    """A token over another digest is not taken, nor is rubbish."""
    issued = pki.issue_seal(folder, "51Z01 Bệnh viện Thử", "51Z01")
    signer = SoftwareSigner.load(issued.certificate, issued.key, pki.chain(folder))
    authority = timestamps_module.LocalTimeStamper(folder)
    imprint = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": b"\1" * 32}
    other = authority.request_tsa_response(tsp.TimeStampReq({"version": "v1", "message_imprint": imprint}))

    def lying(content: bytes):
        async def app(scope, receive, send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": content})

        return app

    for content in (other.dump(), b"rubbish", timestamps_module.refusal("bad_alg")):
        with pytest.raises(NeighbourFailed) as refused:
            await sign_cades(b"x", signer, served(lying(content)))
        assert refused.value.code == "signing.tsa-refused"


@pytest.mark.parametrize(("endless", "code"), [(True, "signing.tsa-refused"), (False, "signing.tsa-timeout")])
async def test_a_service_that_never_ends_its_answer_counts_as_away(monkeypatch, endless, code) -> None:
    """A flood is cut at its limit and a trickle at the time limit: neither holds up a doctor who signs."""
    monkeypatch.setattr(timestamps_module, "TIMEOUT_S", 10.0 if endless else 0.5)
    sent = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900000000\r\n\r\n")
        part = b"x" * (65_536 if endless else 1)
        try:
            while not writer.is_closing():
                writer.write(part)
                await writer.drain()
                sent += len(part)
                await asyncio.sleep(0 if endless else 0.05)
        except ConnectionError:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(NeighbourFailed) as refused:
            async with asyncio.timeout(8):
                await HttpTimeStamper(f"http://127.0.0.1:{port}/", b"").async_timestamp(b"\1" * 32, "sha256")
    assert refused.value.code == code
    assert sent < 40_000_000


async def test_token_is_judged_when_it_is_taken(folder, tmp_path) -> None:
    """Over HTTP: a token of an authority nobody trusts, of a certificate that is no stamp authority, with a broken
    signature, another nonce or from the future is refused; the right one is taken.
    """
    roots, authority = (folder / "root.pem").read_bytes(), tsa_app(folder)
    service = Service(authority)
    pki.create(tmp_path / "other")
    shutil.copytree(folder, tmp_path / "wrong-use")
    for name in ("pem", "key"):
        (tmp_path / "wrong-use" / f"tsa.{name}").write_bytes((folder / f"ocsp.{name}").read_bytes())
    ahead = FrozenClock(SYSTEM_CLOCK.now() + timedelta(hours=1))
    (tmp_path / "roots.pem").write_bytes((tmp_path / "other" / "root.pem").read_bytes())
    settings = Settings(home=tmp_path / "home", tsa_url=service.url, tsa_roots=tmp_path / "roots.pem")
    named = time_stamper(settings)

    async def stamped(app, stamper=None) -> str:
        service.app = app
        try:
            await (stamper or HttpTimeStamper(service.url, roots)).async_timestamp(b"\1" * 32, "sha256")
        except NeighbourFailed as refused:
            return refused.code
        return "taken"

    await service.on()
    try:
        assert await stamped(authority) == "taken"
        assert await stamped(tsa_app(tmp_path / "other")) == "signing.tsa-untrusted"
        assert await stamped(tsa_app(tmp_path / "other"), named) == "taken"
        assert await stamped(authority, named) == "signing.tsa-untrusted"
        assert await stamped(tsa_app(tmp_path / "wrong-use")) == "signing.tsa-untrusted"
        assert await stamped(tsa_app(folder, ahead)) == "signing.tsa-untrusted"
        assert await stamped(_spoilt(folder, signature=True)) == "signing.tsa-untrusted"
        assert await stamped(_spoilt(folder, signature=False)) == "signing.tsa-refused"
    finally:
        await service.off()
    missing = settings.model_copy(update={"tsa_roots": tmp_path / "none.pem"})
    with pytest.raises(ConfigurationError):
        time_stamper(missing)


def _spoilt(folder: Path, *, signature: bool):
    """An authority that breaks the signature of its token, or answers with another nonce than was asked."""
    authority = timestamps_module.LocalTimeStamper(folder)

    async def app(scope, receive, send) -> None:
        asked = tsp.TimeStampReq.load((await receive())["body"])
        if not signature:
            asked["nonce"] = asked["nonce"].native ^ 1
        answer = authority.request_tsa_response(asked)
        if signature:
            signer = answer["time_stamp_token"]["content"]["signer_infos"][0]
            signer["signature"] = bytes([signer["signature"].native[0] ^ 1]) + signer["signature"].native[1:]
        await say(send, answer.dump(force=True))

    return app
