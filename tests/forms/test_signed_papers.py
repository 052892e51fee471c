"""Every paper after signing: archive PDF for veraPDF, and its text is Vietnamese as it was written."""

from __future__ import annotations

import io
import os
import random
import re
import subprocess
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import pytest
from pyhanko.pdf_utils.reader import PdfFileReader

from benhan.forms import Form, PrintContext, PrintedEntry, audit, catalogue, print_form, sample
from benhan.forms.model import answerable
from benhan.signing import LocalEvidence, LocalTimeStamper, Place, SoftwareSigner, pki, sign_pdf, verify_pdf

JUDGES = Path(__file__).parents[2] / "build" / "judges"
FORMS = list(catalogue().all())
WHO = ("Nguyễn Thị Thu Huyền Trân Công Tằng Tôn Nữ", "Phạm Minh Đức", "Đỗ Hữu Lễ", "Võ Thị Ỷ Lan")
SEED = int(os.environ.get("BENHAN_TEST_SEED", "20261123"))


def verapdf(files: Sequence[Path]) -> list[str]:
    """Judge all in one call; the verdicts that are not PASS, with the rules that failed."""
    command = [
        "java",
        "-cp",
        f"{JUDGES}/verapdf/*",
        "org.verapdf.apps.GreenfieldCliWrapper",
        "-f",
        "2b",
        "-v",
    ]
    if not (JUDGES / "verapdf").is_dir():
        return []
    run = subprocess.run(
        [*command, "--format", "text", *map(str, files)], capture_output=True, text=True, check=False
    )
    assert len(re.findall(r"^(PASS|FAIL) ", run.stdout, re.MULTILINE)) == len(files), run.stderr[-2000:]
    return [line for line in run.stdout.splitlines() if not line.startswith("PASS")]


class Desk:
    """Signers of a hospital on the test PKI: persons sign B-T, the head of the hospital's seal B-LT."""

    def __init__(self, folder: Path) -> None:
        pki.create(folder)
        self.root = (folder / "root.pem").read_bytes()
        self.tsa = LocalTimeStamper(folder)
        chain = pki.chain(folder)
        self.people = []
        for n, name in enumerate(WHO):
            issued = pki.issue(folder, name, "person", serial=f"00000{n}/QNG-CCHN")
            self.people.append((name, SoftwareSigner.load(issued.certificate, issued.key, chain)))
        issued = pki.issue(folder, "Bệnh viện Đa khoa huyện Tân Hòa", "seal", serial="01-TEST")
        self.seal = SoftwareSigner.load(
            issued.certificate, issued.key, chain, revocation=LocalEvidence(folder)
        )

    async def signed(self, form: Form, s: ModuleType) -> bytes:
        """The filled paper with a visible signature in every place, and the hospital's seal over all of it."""
        answers = sample(form, SEED)
        context = s.record_context(
            answers=answers, signatures=[], entries=lines(form, answers, s), electronic=True
        )
        printed = print_form(form, context)
        paper = printed.pdf
        boxes = {b.role: b for b in printed.signature_boxes}
        places = sorted((p for p in form.signatures if not p.per_entry), key=lambda p: p.order)
        for n, place in enumerate(places):
            name, signer = self.people[n % len(self.people)]
            box = boxes.get(place.role)
            paper = await sign_pdf(
                paper,
                signer,
                field=f"ky_{place.role}",
                reason=place.title,
                name=name,
                tsa=self.tsa,
                place=Place(box.page - 1, (box.x0, box.y0, box.x1, box.y1)) if box else None,
                role=place.title,
            )
        return await sign_pdf(paper, self.seal, field="dau_co_so", reason="Chữ ký số của cơ sở", tsa=self.tsa)


def lines(form: Form, answers: dict[str, object], s: ModuleType) -> list[PrintedEntry]:
    """The rows of a sheet that is signed line by line, each with its signer."""
    if form.layout.kind != "sheet" or not any(p.per_entry for p in form.signatures):
        return []
    table = next(i for i in form.items() if i.type == "table")
    rows = answers.get(table.link_id) or []
    assert isinstance(rows, list)
    return [
        PrintedEntry(
            row, WHO[n % len(WHO)], s.AT + timedelta(hours=n), "Ghi bổ sung: mất điện" if n else None
        )
        for n, row in enumerate(rows)
    ]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("pki"))


def text_faults(form: Form, path: Path) -> Iterator[str]:
    """What pdftotext does not give back: labels, titles, typed texts, signers; or letters not composed (NFC)."""
    run = subprocess.run(["pdftotext", "-raw", path, "-"], capture_output=True, check=True)
    text = run.stdout.decode()
    if not unicodedata.is_normalized("NFC", text):
        yield "text is not NFC"
    if "\ufffd" in text or re.search(r"[\ue000-\uf8ff]", text):
        yield "letters without a meaning"
    printed = squeezed(text)
    yield from (f"no “{w}”" for w in dict.fromkeys(words(form)) if squeezed(w) not in printed)


def words(form: Form) -> Iterator[str]:
    """Labels of every printed item, titles, and what was typed into texts."""
    answers = sample(form, SEED)
    yield form.title
    yield from (x.title for x in form.sections if x.area != "header" and not x.hidden_title)
    blank = {i.link_id for i in form.answerable() if i.link_id not in answers}
    blank |= {i.link_id for i in form.items() if i.layout.bare}  # at the head the name alone stands
    for item in form.items():
        if item.layout.skip_empty and all(i.link_id in blank for i in answerable((item,))):
            blank.add(item.link_id)
    for item in audit.printed_items(form):
        if item.link_id not in blank and item.link_id.rpartition(".")[0] not in blank:
            yield item.label
        value = answers.get(item.link_id)
        if isinstance(value, str) and item.type in ("text", "longtext") and not item.layout.boxes:
            yield value


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def signature_faults(form: Form, path: Path) -> list[str]:
    """Missing, invalid or invisible signatures; every visible one shows its whole signer."""
    paper = path.read_bytes()
    places = [p for p in form.signatures if not p.per_entry]
    said = subprocess.run(["pdfsig", "-nocert", path], capture_output=True, text=True, check=False).stdout
    faults = []
    if said.count("Signature is Valid") != len(places) + 1 or said.count("Total document signed") != 1:
        faults.append(f"pdfsig: {said}")
    found = PdfFileReader(io.BytesIO(paper)).embedded_regular_signatures
    if len(found) != len(places) + 1:
        faults.append(f"{len(found)} signatures, wanted {len(places) + 1}")
    boxes = {b.role for b in print_form(form, PrintContext(blank=True)).signature_boxes}
    text = squeezed(
        subprocess.run(["pdftotext", "-raw", path, "-"], capture_output=True, check=True).stdout.decode()
    )
    for n, place in enumerate(sorted(places, key=lambda p: p.order)):
        if place.role in boxes and squeezed(f"Ký bởi: {WHO[n % len(WHO)]}") not in text:
            faults.append(f"the appearance of {place.role} does not show {WHO[n % len(WHO)]}")
    return faults


async def judged(forms: Sequence[Form], desk: Desk, s: ModuleType, tmp_path: Path) -> None:
    """All signed: archive PDF, signatures valid, text right."""
    files, faults = [], []
    for form in forms:
        path = tmp_path / f"{form.slug}-{form.edition}.pdf"
        path.write_bytes(await desk.signed(form, s))
        files.append(path)
        faults += [f"{form.code}: {f}" for f in (*signature_faults(form, path), *text_faults(form, path))]
    assert faults == []
    assert verapdf(files) == []


@pytest.mark.long
async def test_every_signed_paper_is_archive_pdf(desk: Desk, s: ModuleType, tmp_path: Path) -> None:
    """PDF/A-2b, valid signatures and right text of every form after all its signers and the hospital's seal."""
    assert (JUDGES / "verapdf").is_dir(), "veraPDF is missing: run scripts/judges"
    await judged(FORMS, desk, s, tmp_path)


async def test_signed_papers_are_archive_pdf(desk: Desk, s: ModuleType, tmp_path: Path) -> None:
    """A seeded few of them, a line-by-line sheet among them (without veraPDF: signatures and text only)."""
    sheets = [f for f in FORMS if f.code == "36/BV2"]
    chosen = [*random.Random(SEED).sample(FORMS, 4), *sheets]
    await judged(chosen, desk, s, tmp_path)
    report = await verify_pdf(next(tmp_path.glob(f"{chosen[0].slug}-*.pdf")).read_bytes(), desk.root)
    assert report.ok, report
