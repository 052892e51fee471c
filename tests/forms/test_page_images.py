"""Page images of the papers: made, kept small as grey PNG, compared by the millimetre. ``scripts/page_images`` renews them.

A golden is one PNG of four grey levels deep per paper, its pages one below the other, 24 dots to the inch: one dot is
about a millimetre, which shows where anything moved and lets a hair's breadth pass.
"""

from __future__ import annotations

import os
import random
import re
import struct
import subprocess
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from benhan.forms import Answers, Form, PrintContext, catalogue, pdf, sample

FOLDER = Path(__file__).parents[1] / "golden" / "pages"
FORMS = list(catalogue().all())
RENEW = os.environ.get("BENHAN_RENEW_GOLDENS") is not None
TEST_SEED = int(os.environ.get("BENHAN_TEST_SEED", "20261123"))
DPI = 24
#: seed of the answers on the filled papers
SEED = 3
LONG_NAME = "NGUYỄN PHÚC VĨNH HƯNG LONG TRƯỜNG THỌ CÔNG TẰNG TÔN NỮ THỊ THU HUYỀN TRÂN"
#: levels by which a dot may differ (of 16), and dots of a page that may differ by more
_LEVELS, _DOTS = 4, 12


@dataclass(frozen=True, slots=True)
class Image:
    """Grey levels 0 (black) to 15 (white), row by row."""

    width: int
    height: int
    dots: bytes


def papers(form: Form) -> Iterator[tuple[str, PrintContext]]:
    """The empty paper, and the one filled with long names."""
    yield "blank", PrintContext(blank=True, facility="Bệnh viện Đa khoa huyện Tân Hòa")
    yield (
        "full",
        PrintContext(
            facility="Bệnh viện Đa khoa huyện Tân Hòa",
            patient=f"{LONG_NAME} · 21/06/1958 · Nữ",
            record_number="Số bệnh án 26-003217",
            answers=stretched(form, sample(form, SEED)),
            lookup_code="BA26-7K3F-91QD",
        ),
    )


def stretched(form: Form, answers: Answers) -> Answers:
    """The answers with very long names and longer texts."""
    out: Answers = {}
    for link_id, value in answers.items():
        item = form.item(link_id)
        free = not (item.pattern or item.options or item.layout.boxes)
        if item.type == "text" and isinstance(value, str) and free:
            value = LONG_NAME if "ten" in link_id else f"{value}, {LONG_NAME.capitalize()}"
        elif item.type == "longtext":
            value = f"{value}\n{value}"
        out[link_id] = value[: item.max_length] if isinstance(value, str) and item.max_length else value
    return out


def drawn(form: Form, context: PrintContext) -> list[Image]:
    """The pages of a paper, by pdftoppm."""
    run = subprocess.run(
        ["pdftoppm", "-gray", "-r", str(DPI), "-"], input=pdf(form, context), capture_output=True, check=True
    )
    return list(_pages(run.stdout))


def _pages(data: bytes) -> Iterator[Image]:
    while data:
        head = re.match(rb"P5\s(\d+)\s(\d+)\s255\s", data)
        assert head is not None
        width, height = int(head[1]), int(head[2])
        end = head.end() + width * height
        yield Image(width, height, bytes(b >> 4 for b in data[head.end() : end]))
        data = data[end:]


def differences(form: Form, name: str, context: PrintContext) -> list[str]:
    """Where the pages of a paper are not those of the golden: page, and the place in centimetres."""
    path = FOLDER / f"{form.slug}-{form.edition}-{name}.png"
    if not path.exists():
        return [f"{path.name}: no golden; run scripts/page_images"]
    pages, whole = drawn(form, context), read(path)
    if sum(p.height for p in pages) != whole.height or pages[0].width != whole.width:
        known = whole.height // pages[0].height
        return [f"{path.name}: {len(pages)} pages, the golden has {known}"]
    out, top = [], 0
    for number, page in enumerate(pages, 1):
        golden = whole.dots[top * page.width : (top + page.height) * page.width]
        top += page.height
        bad = [n for n, (a, b) in enumerate(zip(page.dots, golden, strict=True)) if abs(a - b) > _LEVELS]
        if len(bad) > _DOTS:
            xs, ys = [n % page.width for n in bad], [n // page.width for n in bad]
            place = " to ".join(
                f"{x * 2.54 / DPI:.1f}/{y * 2.54 / DPI:.1f}"
                for x, y in ((min(xs), min(ys)), (max(xs), max(ys)))
            )
            out.append(
                f"{path.name}: page {number} differs in {len(bad)} dots, {place} cm from the upper left corner"
            )
    return out


def write(path: Path, image: Image) -> None:
    """A grey PNG, four bits to the dot."""
    rows = bytearray()
    for y in range(image.height):
        row = image.dots[y * image.width : (y + 1) * image.width] + b"\0" * (image.width % 2)
        rows += b"\0" + bytes(row[n] << 4 | row[n + 1] for n in range(0, len(row), 2))
    head = struct.pack(">IIBBBBB", image.width, image.height, 4, 0, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(rows), 9)), (b"IEND", b""))
    chunks = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def read(path: Path) -> Image:
    """A PNG as ``write`` makes it."""
    data, at, body = path.read_bytes(), 8, b""
    width, height = struct.unpack(">II", data[16:24])
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        body += data[at + 8 : at + 8 + size] if kind == b"IDAT" else b""
        at += size + 12
    rows, line = zlib.decompress(body), (width + 1) // 2 + 1
    dots = bytearray()
    for y in range(height):
        row = rows[y * line + 1 : (y + 1) * line]
        dots += bytes(n for b in row for n in (b >> 4, b & 15))[:width]
    return Image(width, height, bytes(dots))


def renew(form: Form) -> None:
    """Write the goldens of a form."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, context in papers(form):
        pages = drawn(form, context)
        whole = Image(pages[0].width, sum(p.height for p in pages), b"".join(p.dots for p in pages))
        write(FOLDER / f"{form.slug}-{form.edition}-{name}.png", whole)


def compared(forms: list[Form]) -> list[str]:
    """Every difference of these forms; their goldens are written anew when that is asked for."""
    for form in forms if RENEW else ():
        renew(form)
    return [d for form in forms for name, context in papers(form) for d in differences(form, name, context)]


WORD = re.compile(r'<word xMin="(.*?)" yMin="(.*?)" xMax="(.*?)" yMax="(.*?)">(.*?)</word>')
#: margins of the sheet and height of the words at head and foot, in points
LEFT, RIGHT, HEAD, FOOT = 50, 40, 54, 60


def layout_faults(form: Form, name: str, context: PrintContext) -> Iterator[str]:
    """Words outside the margins, words over one another, signatures alone on a page."""
    run = subprocess.run(
        ["pdftotext", "-bbox", "-", "-"], input=pdf(form, context), capture_output=True, check=True
    )
    for number, page in enumerate(run.stdout.decode().split("<page ")[1:], 1):
        where = f"{form.code} {name}, page {number}"
        wide, high = (float(v) for v in re.findall(r'(?:width|height)="(.*?)"', page)[:2])
        words = sorted(((*map(float, w[:4]), w[4]) for w in WORD.findall(page)), key=lambda w: w[1])
        for x0, _, x1, y1, text in words:
            if x0 < LEFT or x1 > wide - RIGHT or y1 > high - 15:
                yield f"{where}: “{text}” is outside the margins"
        for n, (x0, y0, x1, y1, text) in enumerate(words):
            for a0, b0, a1, b1, other in words[n + 1 :]:
                if b0 > y1:
                    break
                if min(x1, a1) - max(x0, a0) > 1 and min(y1, b1) - max(y0, b0) > 0.5 * min(y1 - y0, b1 - b0):
                    yield f"{where}: “{text}” and “{other}” lie over one another"
        body = [
            w[4] for w in sorted((w for w in words if HEAD < w[1] < high - FOOT), key=lambda w: (w[1], w[0]))
        ]
        if name != "blank" and number > 1 and body[:2] == ["Ngày", "……"]:
            yield f"{where}: signatures alone"


@pytest.mark.long
def test_nothing_overflows_and_no_signature_is_alone() -> None:
    """Every form empty, with long names, and with very long texts at every length that could push the signatures over."""
    faults: list[str] = []
    for form in FORMS:
        for name, context in [*papers(form), *((f"long {n}", long_texts(form, n)) for n in range(6))]:
            faults += layout_faults(form, name, context)
    assert faults == []


def long_texts(form: Form, number: int) -> PrintContext:
    """A paper whose long texts have so many lines more."""
    answers = stretched(form, sample(form, SEED))
    for item in form.answerable():
        if item.type == "longtext" and item.link_id in answers:
            answers[item.link_id] = "Người bệnh tỉnh, tiếp xúc tốt, da niêm mạc hồng. " * (4 + 3 * number)
    return PrintContext(facility="Bệnh viện", patient=LONG_NAME, answers=answers)


def test_no_word_overflows() -> None:
    """A seeded few."""
    forms = random.Random(TEST_SEED).sample(FORMS, 10)
    contexts = [(f, n, c) for f in forms for n, c in (*papers(f), ("long", long_texts(f, 2)))]
    assert [fault for f, n, c in contexts for fault in layout_faults(f, n, c)] == []


@pytest.mark.long
def test_every_page_looks_as_it_was_looked_at() -> None:
    """All pages of all forms, empty and filled."""
    assert compared(FORMS) == []
    known = {f"{f.slug}-{f.edition}-{name}.png" for f in FORMS for name in ("blank", "full")}
    assert {p.name for p in FOLDER.glob("*.png")} == known
    assert sum(p.stat().st_size for p in FOLDER.glob("*.png")) < 6_000_000


def test_pages_look_as_they_were_looked_at() -> None:
    """A seeded few."""
    assert compared(random.Random(TEST_SEED).sample(FORMS, 8)) == []


def test_a_moved_line_is_told_with_its_place() -> None:
    """The comparison names page and place: a further word in one item changes this page there only."""
    form = next(f for f in FORMS if f.code == "04/BV2")
    name, context = list(papers(form))[1]
    moved = replace(
        context, answers={**context.answers, "xu_tri": "Mổ cấp cứu ngay trong đêm nay, báo gia đình"}
    )
    found = differences(form, name, moved)
    assert len(found) == 1
    assert "page 1 differs" in found[0]
    assert differences(form, name, replace(context, answers={**context.answers, "xu_tri": "x\n" * 90})) == [
        f"{form.slug}-{form.edition}-full.png: 2 pages, the golden has 1"
    ]
