"""Paper: 01/BV1 set as PDF/A-2b against Typst on plain text, and signed against a bare RSA signature of the same bytes."""

from __future__ import annotations

import tempfile
from datetime import date
from functools import partial
from pathlib import Path

import orjson
import typst
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from benhan.bench.material import note
from benhan.bench.measure import Result, Sizes, cost, seconds, seconds_async
from benhan.forms import FONT_DIR, Form, PrintContext, get, print_form
from benhan.signing import LocalTimeStamper, SoftwareSigner, pki, sign_pdf
from benhan.store import Store

_BARE = """#set page("a4")
#set document(title: "Đo", date: datetime(year: 2026, month: 11, day: 22))
#set text(font: "Tinos")
#for page in json(bytes(sys.inputs.data)) {
  for words in page { par(words) }
  pagebreak(weak: true)
}
"""


def _form() -> Form:
    return get("01/BV1", date(2026, 11, 22))


def _context(form: Form, number: int) -> PrintContext:
    """Every line of free text filled in, other words each time."""
    texts = {
        i.link_id: note(number * 1000 + n)[:300] for n, i in enumerate(form.answerable()) if i.type == "text"
    }
    return PrintContext(facility="Bệnh viện Thử nghiệm", patient="NGUYỄN VĂN MẪU", answers=texts)


async def pdf_bench(_: Store, sizes: Sizes) -> Result:
    """ms for a filled 01/BV1, other content each time; limit: Typst, warm, setting as many pages of plain text as PDF/A-2b."""
    form = _form()
    pages = print_form(form, _context(form, 0)).pages
    with tempfile.TemporaryDirectory(prefix="benhan-bench-") as folder:
        source = Path(folder) / "bare.typ"
        source.write_text(_BARE, encoding="utf-8")
        fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[FONT_DIR])
        compiler = typst.Compiler(source, root=folder, font_paths=fonts, ignore_system_fonts=True)
        bare_print = partial(compiler.compile, format="pdf", pdf_standards=["a-2b"])
        bare_print(sys_inputs=_words(pages, 0))
        ours, bare = [], []
        for number in range(1, sizes.runs * sizes.papers + 1):
            ours.append(seconds(partial(print_form, form, _context(form, number))) * 1000)
            bare.append(seconds(partial(bare_print, sys_inputs=_words(pages, number))) * 1000)
    return cost("pdf", "ms", ours, bare)


def _words(pages: int, number: int) -> dict[str, str]:
    """Five paragraphs a page, about as many words as a filled page of the form holds."""
    text = [[note(number * 999 + page * 7 + n) for n in range(5)] for page in range(pages)]
    return {"data": orjson.dumps(text).decode()}


async def sign_bench(_: Store, sizes: Sizes) -> Result:
    """ms to sign a 01/BV1 as PAdES-B-T (visible, time-stamped by the authority of tests); limit: RSA-2048 over SHA-256."""
    form = _form()
    paper = print_form(form, _context(form, 0)).pdf
    with tempfile.TemporaryDirectory(prefix="benhan-bench-") as name:
        folder = Path(name) / "pki"
        pki.create(folder)
        issued = pki.issue(folder, "Nguyễn Văn Thử", "person", serial="000001/QNG-CCHN")
        signer = SoftwareSigner.load(issued.certificate, issued.key, pki.chain(folder))
        tsa = LocalTimeStamper(folder)
        key = signer.key
        assert isinstance(key, rsa.RSAPrivateKey)
        work = partial(sign_pdf, paper, signer, field="BacSi", name="Nguyễn Văn Thử", tsa=tsa)
        bare = partial(key.sign, paper, padding.PKCS1v15(), hashes.SHA256())
        await work()
        times = [(await seconds_async(work), seconds(bare)) for _ in range(sizes.runs * sizes.papers)]
    return cost("sign", "ms", [t[0] * 1000 for t in times], [t[1] * 1000 for t in times])
