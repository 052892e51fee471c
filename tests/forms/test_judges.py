"""Outside judges: veraPDF on every paper, NLM LHC-Forms on every Questionnaire. Fetched by ``scripts/judges``."""

from __future__ import annotations

import asyncio
import functools
import http.server
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright

from benhan.forms import Cover, Form, PrintContext, catalogue, pdf, print_cover, sample

JUDGES = Path(__file__).parents[2] / "build" / "judges"
FORMS = list(catalogue().all())
LFORMS = JUDGES / "lforms" / "dist" / "lforms"
PAGE = """<!doctype html><html><head><meta charset="utf-8"><link rel="stylesheet" href="webcomponent/styles.css"></head>
<body><div id="form"></div><script src="webcomponent/assets/lib/zone.min.js"></script>
<script src="webcomponent/lhc-forms.js"></script><script src="fhir/R4/lformsFHIR.min.js"></script></body></html>"""


def papers(s: ModuleType) -> Iterator[tuple[str, bytes]]:
    """Every form, empty and filled, and a cover."""
    for form in FORMS:
        yield f"{form.slug}-{form.edition}-blank", pdf(form, PrintContext(blank=True))
        context = s.record_context(answers=sample(form, 7), signatures=[])
        yield f"{form.slug}-{form.edition}-full", pdf(form, context)
    cover = Cover(
        "HỒ SƠ BỆNH ÁN",
        "",
        s.HOSPITAL,
        "",
        s.NAME,
        "26-1",
        [("Họ và tên", s.NAME)],
        [("BỆNH ÁN", "01/BV1", 4)],
    )
    yield "cover", print_cover(cover, s.AT)


@pytest.mark.long
def test_every_paper_is_archive_pdf_for_verapdf(tmp_path: Path, s: ModuleType) -> None:
    """PDF/A-2b by the veraPDF consortium's own validator, no failed rule in any file."""
    assert (JUDGES / "verapdf").is_dir(), "veraPDF is missing: run scripts/judges"
    files = []
    for name, document in papers(s):
        path = tmp_path / f"{name}.pdf"
        path.write_bytes(document)
        files.append(str(path))
    command = [
        "java",
        "-cp",
        f"{JUDGES}/verapdf/*",
        "org.verapdf.apps.GreenfieldCliWrapper",
        "-f",
        "2b",
        "--format",
        "text",
    ]
    run = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
    verdicts = re.findall(r"^(PASS|FAIL) (\S+)", run.stdout, re.MULTILINE)
    assert len(verdicts) == len(files), run.stderr[-2000:]
    assert [name for verdict, name in verdicts if verdict != "PASS"] == []


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """LHC-Forms and our Questionnaires on 127.0.0.1."""
    assert LFORMS.is_dir(), "LHC-Forms is missing: run scripts/judges"
    root = tmp_path / "site"
    root.mkdir()
    for name in ("webcomponent", "fhir"):
        (root / name).symlink_to(LFORMS / name)
    (root / "index.html").write_text(PAGE, encoding="utf-8")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/index.html"
    server.shutdown()


SHOW = """async (text) => {
  const holder = document.getElementById("form");
  holder.innerHTML = "";
  const q = JSON.parse(text);
  const form = LForms.Util.convertFHIRQuestionnaireToLForms(q, "R4");
  const asked = [];
  const choices = (i) => (i.answers || []).map((a) => (a.code ? `${a.code} ` : "") + a.text);
  const walk = (items) => (items || []).forEach((i) => { asked.push([i.linkId, i.question, choices(i)]); walk(i.items); });
  walk(form.items);
  await LForms.Util.addFormToPage(q, "form", {fhirVersion: "R4"});
  await new Promise((done) => setTimeout(done, 400));
  return {asked, shown: holder.innerText};
}"""


def questions(items: list[dict[str, Any]]) -> Iterator[list[Any]]:
    """linkId, text and choices of every item, depth first."""
    for item in items:
        yield [item["linkId"], item["text"], [chosen(option) for option in item.get("answerOption", [])]]
        yield from questions(item.get("item", []))


def chosen(option: dict[str, Any]) -> str:
    """A choice as it is compared: code and words, or the words of a free one."""
    coding = option.get("valueCoding")
    return option["valueString"] if coding is None else f"{coding['code']} {coding['display']}"


async def show(page: Page, site: str, form: Form) -> None:
    """LHC-Forms has the same questions in the same order, and shows those that apply."""
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    await page.goto(site)
    text = json.dumps(form.questionnaire(), default=str)
    found = await page.evaluate(SHOW, text)
    wanted = list(questions(json.loads(text)["item"]))
    assert found["asked"] == wanted, form.code
    shown = "".join(found["shown"].split())
    hidden = {i.link_id for i in form.items() if i.enabled_when is not None}
    missing = [
        i.label for i in form.items() if i.link_id not in hidden and "".join(i.label.split()) not in shown
    ]
    assert missing == [], (form.code, missing)
    assert faults == []


async def in_browser(site: str, forms: list[Form]) -> None:
    """Every form in headless Chromium."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    async with async_playwright() as play:
        browser = await play.chromium.launch(
            executable_path=path, args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        try:
            for form in forms:
                page = await browser.new_page(viewport={"width": 1400, "height": 900})
                await asyncio.wait_for(show(page, site, form), 120)
                await page.close()
        finally:
            await browser.close()


@pytest.mark.long
@pytest.mark.browser
async def test_every_questionnaire_shows_the_same_questions_in_lhc_forms(site: str) -> None:
    """NLM LHC-Forms loads each compiled Questionnaire and shows its questions."""
    await in_browser(site, FORMS)
