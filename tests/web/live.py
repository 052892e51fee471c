"""A real server and a real browser: Granian in a process of its own on a free port, the system's Chromium."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from benhan import records
from benhan.base.settings import Settings
from benhan.forms import Form
from benhan.identity import PersonInput

ARGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


def chromium() -> str:
    """The system's browser; its absence is a failure, not a skip."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        raise AssertionError("chromium is missing: run scripts/bootstrap")
    return found


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class LiveServer:
    """``benhan.web.serve.run`` in its own process group; can be killed and started again on the same port."""

    def __init__(self, settings: Settings) -> None:
        self.port = free_port()
        self.settings = settings.model_copy(update={"host": "127.0.0.1", "port": self.port})
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.log = self.settings.home / "server.log"

    async def start(self) -> None:
        """Start and wait until it answers."""
        values = {k: v for k, v in self.settings.model_dump(mode="json").items() if v is not None}
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("BENHAN_")},
            **{f"BENHAN_{k.upper()}": str(v) for k, v in values.items()},
        }
        code = "from benhan.base.settings import load; from benhan.web.serve import run; run(load())"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code], env=environment, stdout=log, stderr=log, start_new_session=True
            )
        async with httpx.AsyncClient(trust_env=False) as http:
            for _ in range(300):
                try:
                    if (await http.get(f"{self.url}/health")).status_code == 200:
                        return
                except httpx.HTTPError:
                    pass
                if self.process.poll() is not None:
                    break
                await asyncio.sleep(0.1)
        raise AssertionError(f"server did not start:\n{self.log.read_text()[-3000:]}")

    def kill(self) -> None:
        """kill -9 of the server and its workers: the process group this object started."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """End it in good order."""
        self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, number)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(10)


async def sign_in(page: Any, server: LiveServer, username: str, password: str, code: str) -> None:
    """Sign in by keyboard."""
    await page.goto(f"{server.url}/dang-nhap")
    if await page.locator("select[name=co_so]").count():
        await page.select_option("select[name=co_so]", "51Z01")
    await page.fill("#f-ten", username)
    await page.keyboard.press("Tab")
    await page.keyboard.type(password)
    await page.keyboard.press("Tab")
    await page.keyboard.type(code)
    await page.keyboard.press("Enter")
    await page.wait_for_url(lambda url: "/dang-nhap" not in url)


def shots_folder(settings: Settings) -> Path:
    """Where screenshots go: ``BENHAN_SHOTS`` or beside the test's home."""
    folder = Path(os.environ.get("BENHAN_SHOTS") or settings.home / "demo-out" / "pages")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


async def opened(house: Any, form: Form) -> str:
    """A new person's record with a paper of the form, arranged below the pages."""
    repo, now = house.repo, house.store.clock.now()
    doctor = records.Staff(house.people["bacsi"].reference, "Nguyễn Văn Thử", "000001/QNG-CCHN", "K03")
    person = PersonInput(name="Phạm Văn Kiểm Thử", birth_date="1990", sex="male")
    patient = await records.register_patient(repo, person)
    admitted = await records.admit(
        repo, records.Admission(patient.id, now, "K03", "Khoa Nội tổng hợp", doctor)
    )
    encounter = admitted.encounter.id
    if form.kind == "benh_an":
        return str((await records.open_record(repo, encounter, form.code, doctor, now)).response.id)
    await records.open_record(repo, encounter, "01/BV1", doctor, now)
    return str((await records.open_paper(repo, encounter, form.code, doctor, now)).id)
