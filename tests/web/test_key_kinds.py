"""A doctor signs with a key that is elsewhere (HSM at the server, remote service, USB token at his desk); the page of keys."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pkcs11
import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from pyhanko.pdf_utils.reader import PdfFileReader
from tests.web.test_sign_many import ticks, until_done, waiting

from benhan import records
from benhan.base.settings import Settings
from benhan.signing import CscSimulator, KeyStore, pki, pki_folder, root_certificate, verify_pdf

__all__ = ["waiting"]
MODULE, PIN, PAGE = Path("/usr/lib/softhsm/libsofthsm2.so"), "482915", "https://testserver"
WHO = "bs-thu"
PUT = """
import sys, pkcs11
from asn1crypto import pem
der = pem.unarmor(open(sys.argv[2], 'rb').read())[2]
with pkcs11.lib(sys.argv[1]).get_token(token_label='bac-si').open(rw=True, user_pin=sys.argv[3]) as session:
    A = pkcs11.Attribute
    session.create_object({A.CLASS: pkcs11.ObjectClass.CERTIFICATE, A.CERTIFICATE_TYPE: pkcs11.CertificateType.X_509,
        A.TOKEN: True, A.LABEL: 'ky', A.SUBJECT: b'', A.VALUE: der, A.PRIVATE: False})
"""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The house knows an HSM, trusts its own test authority, and has its agents on a port of this test."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    return settings.model_copy(update={"pkcs11_module": MODULE, "agent_port": port})


@pytest.fixture
def token(house: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """A SoftHSM token with a key and certificate of the doctor, by the house's test authority."""
    (tmp_path / "tokens").mkdir()
    conf = tmp_path / "softhsm2.conf"
    conf.write_text(f"directories.tokendir = {tmp_path / 'tokens'}\nobjectstore.backend = file\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(conf))
    issued = pki.issue_person(pki_folder(house.store.settings), "Nguyễn Văn Thử", "000001/QNG-CCHN")
    (tmp_path / "key.pem").write_bytes(issued.key)
    (tmp_path / "own.pem").write_bytes(issued.certificate)
    label = ["--token", "bac-si", "--label", "ky", "--id", "A1", "--pin", PIN]
    for command in (
        [
            "softhsm2-util",
            "--init-token",
            "--free",
            "--label",
            "bac-si",
            "--pin",
            PIN,
            "--so-pin",
            "87654321",
        ],
        ["softhsm2-util", "--import", tmp_path / "key.pem", *label],
        [sys.executable, "-c", PUT, str(MODULE), str(tmp_path / "own.pem"), PIN],
    ):
        subprocess.run(command, check=True, capture_output=True)
    pkcs11.lib(str(MODULE)).finalize()  # read the configuration anew at the next use
    yield SimpleNamespace(certificate=issued.certificate, home=tmp_path)
    pkcs11.lib(str(MODULE)).finalize()


@pytest.fixture
async def remote(house: Any) -> AsyncIterator[CscSimulator]:
    """The remote service on a socket; the house is its client."""
    settings = house.store.settings
    simulator = CscSimulator(pki_folder(settings))
    simulator.enrol(WHO, "Nguyễn Văn Thử", PIN, "000001/QNG-CCHN")
    server = uvicorn.Server(uvicorn.Config(simulator.app(), port=0, log_level="error", lifespan="off"))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    (settings.secrets_dir / "csc.secret").write_text("thu-nghiem\n")
    object.__setattr__(settings, "csc_url", f"http://127.0.0.1:{port}")  # known only now
    yield simulator
    server.should_exit = True
    await task


async def enrolled(house: Any, as_person: Any, holder: str, certificate: bytes, place: str = "") -> None:
    """Hospital IT enrols the doctor's key on the page of keys."""
    it = await as_person("cntt")
    owner = house.people["bacsi"].reference
    await it.see("/khoa-ky")
    fields = {"owner": owner, "holder": holder, "place": place, "certificate_text": certificate.decode()}
    await it.press("/khoa-ky", **fields)
    assert place in it.last.text


async def proved(house: Any, papers: list[str], serial: int) -> None:
    """Each paper bears one signature by that certificate, and the file says so to the judge."""
    for paper in papers:
        held = await records.paper(house.repo, paper)
        assert [s.standing for s in held.signatures] == [True]
        pdf = await records.print_paper(house.repo, paper)
        report = await verify_pdf(pdf, root_certificate(house.store.settings))
        assert report.ok, report
    file = house.store.settings.home / "ky.pdf"
    file.write_bytes(pdf)
    done = subprocess.run(["pdfsig", str(file)], capture_output=True, text=True, check=False)
    assert "Signature is Valid." in done.stdout, done
    (embedded,) = PdfFileReader(io.BytesIO(pdf)).embedded_signatures
    assert embedded.signer_cert.serial_number == serial


def serial_of(pem: bytes) -> int:
    return x509.load_pem_x509_certificate(pem).serial_number


async def test_an_hsm_at_the_server(
    house: Any, as_person: Any, waiting: list[str], token: SimpleNamespace
) -> None:
    """Three papers by one PIN of the token; a wrong PIN signs nothing."""
    await enrolled(house, as_person, "pkcs11", token.certificate, "bac-si/ky")
    doctor = await as_person("bacsi")
    shown = ticks(await doctor.see("/viec/ky"))
    await doctor.press("/viec/ky", 403, giay=shown, pin="000000")
    await doctor.press("/viec/ky", giay=shown, pin=PIN)
    assert "Đã ký cả 3 giấy." in await until_done(doctor)
    await proved(house, waiting, serial_of(token.certificate))


async def test_a_remote_service(house: Any, as_person: Any, waiting: list[str], remote: CscSimulator) -> None:
    """One authorisation for three hashes; with a wrong PIN they wait, prepared, and are finished later."""
    certificate = remote.keys[WHO].certificates[0]
    pem = x509.load_der_x509_certificate(certificate).public_bytes(serialization.Encoding.PEM)
    await enrolled(house, as_person, "csc", pem, WHO)
    doctor = await as_person("bacsi")
    shown = ticks(await doctor.see("/viec/ky"))
    await doctor.press("/viec/ky", giay=shown, pin="111222")
    text = await until_done(doctor)
    assert "PIN ký không đúng." in text
    assert [len((await records.paper(house.repo, p)).signatures) for p in waiting] == [0, 0, 0]
    where = doctor.where()
    batch = (await records.stopped_batches(repo_of(house)))[0]
    before = [one.prepared.digest for one in await records.prepared_of(repo_of(house), batch.id)]
    assert len(before) == 3
    await doctor.press(where, pin=PIN)  # as after a restart: nothing but the database is needed
    assert "Đã ký cả 3 giấy." in await until_done(doctor)
    assert await records.prepared_of(repo_of(house), batch.id) == []
    await proved(house, waiting, serial_of(pem))


def repo_of(house: Any) -> Any:
    """The store as the doctor."""
    from benhan.store import Actor, Ctx, SystemPolicy

    actor = Actor(house.people["bacsi"].reference, "Nguyễn Văn Thử", "person")
    return house.store.repo(Ctx(house.tenant, actor), SystemPolicy())


class Agents:
    """benhan-agent as a process of its own before the token, for one origin."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.running: list[subprocess.Popen[str]] = []

    def start(self, origin: str) -> str:
        """Its address when it listens."""
        given = [
            "--module",
            str(MODULE),
            "--token",
            "bac-si",
            "--key",
            "ky",
            "--origin",
            origin,
            "--port",
            str(self.port),
        ]
        process = subprocess.Popen(
            [sys.executable, "-m", "benhan_agent", *given],
            env=dict(os.environ),
            stdout=subprocess.PIPE,
            text=True,
        )
        self.running.append(process)
        assert process.stdout is not None
        return process.stdout.readline().strip()


@pytest.fixture
def agents(house: Any, token: SimpleNamespace) -> Iterator[Agents]:
    """Agents of the doctor's computer, ended with the test."""
    made = Agents(house.store.settings.agent_port)
    yield made
    for process in made.running:
        process.terminate()
        process.wait(10)


@pytest.mark.browser
async def test_the_page_asks_the_agent(
    house: Any, as_person: Any, waiting: list[str], token: SimpleNamespace, agents: Agents, page: Any
) -> None:
    """In the browser: without the agent it says so and signs nothing; with it, one PIN and all are signed."""
    await enrolled(house, as_person, "agent", token.certificate)
    tab, server = page
    await tab.goto(f"{server.url}/viec/ky")
    await tab.locator("[data-tick-all]").check()
    await tab.get_by_role("button", name="Ký các giấy đã đánh dấu").click()
    await tab.wait_for_selector("[data-agent-sign]")
    await tab.locator("[data-agent-pin]").fill(PIN)
    await tab.locator("[data-agent-sign]").click()
    await tab.locator("[data-agent-said]", has_text="benhan-agent").wait_for()
    agents.start(server.url)
    await tab.locator("[data-agent-pin]").fill("111222")
    await tab.locator("[data-agent-sign]").click()
    await tab.locator("[data-agent-said]", has_text="PIN ký không đúng").wait_for()
    await tab.locator("[data-agent-pin]").fill(PIN)
    await tab.locator("[data-agent-sign]").click()
    await tab.wait_for_selector("text=Đã ký cả 3 giấy.")
    await proved(house, waiting, serial_of(token.certificate))


async def test_a_token_at_the_doctors_computer(
    house: Any, as_person: Any, waiting: list[str], token: SimpleNamespace, agents: Agents
) -> None:
    """The page's script between server and agent, step by step: no PIN reaches the server, a foreign value is refused."""
    agent = agents.start(PAGE)
    await enrolled(house, as_person, "agent", token.certificate)
    doctor = await as_person("bacsi")
    html = await doctor.see("/viec/ky")
    assert 'name="pin"' not in html
    await doctor.press("/viec/ky", giay=ticks(html)[:2])
    text = await until_done(doctor)
    where = doctor.where()
    assert "2 giấy đã sẵn sàng" in text
    port = house.store.settings.agent_port
    assert f"connect-src 'self' http://127.0.0.1:{port};" in doctor.last.headers["content-security-policy"]
    assert "127.0.0.1" not in (await doctor.get("/viec/ky")).headers["content-security-policy"]
    asked = (await doctor.get(f"{where}/can-ky")).json()
    assert [hashlib.sha256(base64.b64decode(p)).hexdigest() for p in asked["pieces"]] == asked["hashes"]
    wanted = {"pin": PIN, "pieces": asked["pieces"], "hashes": asked["hashes"]}
    foreign = httpx.post(f"{agent}/sign", json=wanted, headers={"Origin": "https://la.example"}, timeout=30)
    assert foreign.status_code == 403
    made = httpx.post(f"{agent}/sign", json=wanted, headers={"Origin": PAGE}, timeout=30).json()["signatures"]
    head = {"X-CSRF-Token": doctor.csrf(), "Accept": "application/json"}
    wrong = {"signatures": {asked["seqs"][0]: made[1]}}
    assert (await doctor.post(f"{where}/chu-ky", json=wrong, headers=head)).status_code == 403
    assert [len((await records.paper(house.repo, p)).signatures) for p in waiting] == [0, 0, 0]
    values = dict(zip(asked["seqs"], made, strict=True))
    assert (
        await doctor.post(f"{where}/chu-ky", json={"signatures": values}, headers=head)
    ).status_code == 200
    assert "Đã ký cả 2 giấy." in await until_done(doctor)
    signed = [p for p in waiting if (await records.paper(house.repo, p)).signatures]
    await proved(house, signed, serial_of(token.certificate))
    (rest,) = ticks(await doctor.see("/viec/ky"))
    await doctor.press("/viec/ky", giay=[rest])
    await until_done(doctor)
    await doctor.press(f"{doctor.where()}/thoi")  # given up: it is on the list again
    assert ticks(doctor.last.text) == [rest]
    await doctor.press("/viec/ky", giay=[rest])
    await until_done(doctor)
    author = records.Staff(house.people["bacsi"].reference, "Nguyễn Văn Thử", "000001/QNG-CCHN", "K03")
    paper = rest.split(":")[1]
    held = await records.paper_answers(house.repo, paper)
    await records.save_form(house.repo, paper, {**held, "ket_luan": "Sỏi túi mật."}, author)
    asked = (await doctor.get(f"{doctor.where()}/can-ky")).json()
    wanted = {"pin": PIN, "pieces": asked["pieces"], "hashes": asked["hashes"]}
    made = httpx.post(f"{agent}/sign", json=wanted, headers={"Origin": PAGE}, timeout=30).json()["signatures"]
    late = {"signatures": {asked["seqs"][0]: made[0]}}
    where = doctor.where()
    await doctor.post(f"{where}/chu-ky", json=late, headers=head)
    assert "Tờ đã thay đổi sau khi bạn xem; xem lại rồi ký." in await doctor.see(where)
    assert (await records.paper(house.repo, paper)).signatures == ()


async def test_a_key_asked_for_and_certified(house: Any, as_person: Any, waiting: list[str]) -> None:
    """The doctor makes a key under a new PIN; IT takes the request out and brings the certificate: the new PIN signs."""
    doctor, it = await as_person("bacsi"), await as_person("cntt")
    await doctor.see("/khoa-ky/cua-toi")
    await doctor.press("/khoa-ky/cua-toi", 400, pin="135791", pin_again="135792")
    await doctor.press("/khoa-ky/cua-toi", pin="135791", pin_again="135791")
    assert "Đã lập yêu cầu" in doctor.last.text
    page = await it.see("/khoa-ky")
    request = re.search(r"/khoa-ky/yeu-cau/([0-9a-f-]+)/csr", page)
    assert request is not None
    csr = x509.load_pem_x509_csr((await it.get(request[0])).content)
    assert csr.is_signature_valid
    folder = pki_folder(house.store.settings)
    other = pki.issue_person(folder, "Người khác", "")
    await it.see("/khoa-ky")
    where = request[0].removesuffix("/csr")
    await it.press(where, 400, viec="nhan", certificate_text=other.certificate.decode())
    assert "không phải của khóa trong yêu cầu" in it.last.text
    await it.press(where, 400, viec="nhan", certificate_text="không phải chứng thư")
    foreign = folder.parent / "la"
    pki.create(foreign)
    await it.press(
        where,
        400,
        viec="nhan",
        certificate_text=pki.certify(foreign, csr.public_bytes(serialization.Encoding.PEM)).decode(),
    )
    assert "không dẫn về nơi cấp" in it.last.text
    given = pki.certify(folder, csr.public_bytes(serialization.Encoding.PEM))
    await it.press(where, viec="nhan", certificate_text=given.decode())
    shown = ticks(await doctor.see("/viec/ky"))
    await doctor.press("/viec/ky", 403, giay=shown, pin="246810")  # the PIN of the key before
    await doctor.press("/viec/ky", giay=shown, pin="135791")
    assert "Đã ký cả 3 giấy." in await until_done(doctor)
    await proved(house, waiting, serial_of(given))


async def test_suspended_and_revoked(house: Any, as_person: Any, waiting: list[str]) -> None:
    """A suspended key signs nothing until it is active again; a revoked one never; every act needs its reason."""
    doctor, it = await as_person("bacsi"), await as_person("cntt")
    owner = house.people["bacsi"].reference
    await it.see("/khoa-ky")
    await it.press("/khoa-ky/trang-thai", 422, owner=owner, viec="tam-khoa")
    await it.press("/khoa-ky/trang-thai", owner=owner, viec="tam-khoa", reason="Mất điện thoại")
    assert "tạm khóa" in it.last.text
    shown = ticks(await doctor.see("/viec/ky"))
    await doctor.press("/viec/ky", 403, giay=shown, pin="246810")
    await it.press("/khoa-ky/trang-thai", owner=owner, viec="mo-lai", reason="Đã tìm thấy")
    await doctor.press("/viec/ky", giay=shown[:1], pin="246810")
    assert "Đã ký cả 1 giấy." in await until_done(doctor)
    await it.press("/khoa-ky/trang-thai", owner=owner, viec="thu-hoi", reason="Nghỉ việc")
    await doctor.see("/viec/ky")
    await doctor.press("/viec/ky", 404, giay=shown[1:], pin="246810")
    keys = await KeyStore(house.repo).certificates_of(owner)
    assert [k.status for k in keys] == ["revoked"]
    await doctor.see("/khoa-ky", 403)
