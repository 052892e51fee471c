"""The agent on the doctor's computer, run as its own process over a SoftHSM token: who may use it, what it signs."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from asn1crypto import x509 as asn1_x509

from benhan.base.errors import NotAllowed
from benhan.signing import AgentSigner, Prepared, cades_finish, cades_prepare, pki, verify_entry
from benhan.signing.signer import certificates_of_pem

MODULE, PIN, PAGE = "/usr/lib/softhsm/libsofthsm2.so", "482915", "https://benhan.example"
SRC = Path(__file__).parents[2] / "src"
PUT = """
import sys, pkcs11
from asn1crypto import pem
der = pem.unarmor(open(sys.argv[2], 'rb').read())[2]
with pkcs11.lib(sys.argv[1]).get_token(token_label='bac-si').open(rw=True, user_pin=sys.argv[3]) as session:
    A = pkcs11.Attribute
    session.create_object({A.CLASS: pkcs11.ObjectClass.CERTIFICATE, A.CERTIFICATE_TYPE: pkcs11.CertificateType.X_509,
        A.TOKEN: True, A.LABEL: 'ky', A.SUBJECT: b'', A.VALUE: der, A.PRIVATE: False})
"""


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A token with one key and certificate, and the agent before it; `benhan` cannot be imported there."""
    home = tmp_path_factory.mktemp("usb")
    (home / "tokens").mkdir()
    (home / "softhsm2.conf").write_text(
        f"directories.tokendir = {home / 'tokens'}\nobjectstore.backend = file\n"
    )
    env = {**os.environ, "SOFTHSM2_CONF": str(home / "softhsm2.conf")}
    pki.create(home / "pki")
    issued = pki.issue_person(home / "pki", "Nguyễn Văn Thử", "000001/QNG-CCHN")
    (home / "key.pem").write_bytes(issued.key)
    (home / "own.pem").write_bytes(issued.certificate)
    token = ["--label", "bac-si", "--pin", PIN, "--so-pin", "87654321"]
    for command in (
        ["softhsm2-util", "--init-token", "--free", *token],
        [
            "softhsm2-util",
            "--import",
            home / "key.pem",
            "--token",
            "bac-si",
            "--label",
            "ky",
            "--id",
            "A1",
            "--pin",
            PIN,
        ],
        [sys.executable, "-c", PUT, MODULE, str(home / "own.pem"), PIN],
    ):
        subprocess.run(command, env=env, check=True, capture_output=True)
    script = (
        "import sys; sys.modules['benhan'] = None; sys.path.insert(0, sys.argv.pop(1))\n"
        "import benhan_agent; sys.exit(benhan_agent.main(sys.argv[1:]))"
    )
    arguments = ["--module", MODULE, "--token", "bac-si", "--key", "ky", "--origin", PAGE, "--port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(SRC), *arguments], env=env, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    yield SimpleNamespace(
        url=url,
        home=home,
        roots=(home / "pki" / "root.pem").read_bytes(),
        chain=certificates_of_pem(pki.chain(home / "pki")),
    )
    process.terminate()
    process.wait(10)


def _ask(agent: SimpleNamespace, pieces: list[bytes], pin: str = PIN, **more: Any) -> httpx.Response:
    body = {
        "pin": pin,
        "pieces": [base64.b64encode(p).decode() for p in pieces],
        "hashes": [hashlib.sha256(p).hexdigest() for p in pieces],
        **more.pop("body", {}),
    }
    headers = {"Origin": PAGE, **more.pop("headers", {})}
    return httpx.post(
        f"{agent.url}/sign", json=body, headers={k: v for k, v in headers.items() if v}, timeout=30
    )


def _signer(agent: SimpleNamespace) -> AgentSigner:
    told = httpx.get(f"{agent.url}/certificate", headers={"Origin": PAGE}).json()
    own = asn1_x509.Certificate.load(base64.b64decode(told["certificate"]))
    return AgentSigner(own, agent.chain)


async def test_twelve_papers_by_one_pin(agent: SimpleNamespace) -> None:
    """Prepared at the server, signed in the token, accepted and finished at the server; each over its own bytes."""
    signer = _signer(agent)
    papers = [f"Giấy số {n}".encode() for n in range(12)]
    prepared = [await cades_prepare(p, signer) for p in papers]
    answer = _ask(agent, [p.to_be_signed for p in prepared])
    assert answer.status_code == 200, answer.text
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    values = [base64.b64decode(v) for v in answer.json()["signatures"]]
    for paper, first, value in zip(papers, prepared, values, strict=True):
        stored = Prepared(first.to_be_signed, first.state)
        signed = await cades_finish(stored, signer, signer.accept(stored, value), None)
        report = await verify_entry(paper, signed, agent.roots)
        assert report.ok, report
    with pytest.raises(NotAllowed) as other:
        signer.accept(prepared[0], values[1])
    assert other.value.code == "signing.not-this-signature"
    with pytest.raises(NotAllowed) as here:
        await signer.sign_digest(prepared[0])
    assert here.value.code == "signing.at-the-token"


def test_other_sites_and_names_are_refused(agent: SimpleNamespace) -> None:
    """No origin, a foreign one, a look-alike, another name for this computer: nothing is read, nothing signed."""
    for origin in ("", "https://khac.example", PAGE + ".khac.example", "null", PAGE.upper(), PAGE + ":444"):
        answer = _ask(agent, [b"x"], headers={"Origin": origin})
        assert (answer.status_code, answer.json()["code"]) == (403, "wrong-origin"), origin
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert (
            httpx.get(f"{agent.url}/certificate", headers={"Origin": origin} if origin else {}).status_code
            == 403
        )
    rebound = _ask(agent, [b"x"], headers={"Host": "khac.example"})
    assert (rebound.status_code, rebound.json()["code"]) == (421, "wrong-host")
    asked = httpx.options(f"{agent.url}/sign", headers={"Origin": PAGE})
    assert (asked.status_code, asked.headers["Access-Control-Allow-Private-Network"]) == (204, "true")
    assert httpx.options(f"{agent.url}/sign", headers={"Origin": "https://khac.example"}).status_code == 403


def test_only_what_was_shown_is_signed(agent: SimpleNamespace) -> None:
    """Other hashes, wrong shapes, a wrong PIN: each refused with its reason."""
    for body, code in (
        ({"hashes": ["00" * 32]}, "not-what-was-shown"),
        ({"pieces": []}, "not-what-was-shown"),
        ({"pieces": ["*"]}, "bad-request"),
        ({"pieces": 7}, "bad-request"),
        ({"pin": ""}, "bad-request"),
        ({"pin": None}, "bad-request"),
        ({"them": 1}, "bad-request"),
    ):
        answer = _ask(agent, [b"x"], body=body)
        assert (answer.status_code, answer.json()["code"]) == (400, code), body
    plain = _ask(agent, [b"x"], headers={"Content-Type": "text/plain"})
    assert plain.status_code == 400
    wrong = _ask(agent, [b"x"], pin="000000")
    assert (wrong.status_code, wrong.json()["code"]) == (409, "wrong-pin")
    assert PIN not in wrong.text
    assert httpx.get(f"{agent.url}/sign", headers={"Origin": PAGE}).status_code == 404


async def test_token_pulled_out_signs_again_when_it_is_back(agent) -> None:
    """The agent need not be restarted; while the token is out it says so and gives no signature."""
    piece = [b"x" * 40]
    (agent.home / "tokens").rename(agent.home / "pulled")
    try:
        for _ in range(2):
            refused = _ask(agent, piece)
            assert refused.status_code != 200
            assert "signatures" not in refused.json()
    finally:
        (agent.home / "pulled").rename(agent.home / "tokens")
    assert _ask(agent, piece).status_code == 200
