"""Paper: 01/BV1 set as PDF/A against Typst alone on a page without data."""

from __future__ import annotations

from datetime import date
from functools import partial

import typst

from benhan.bench.measure import Result, cost, seconds
from benhan.forms import PrintContext, get, pdf
from benhan.store import Store

RUNS = 7
BARE = b'#set page("a4")\n#set document(title: "Khong co du lieu")\n#for n in range(4) [ #lorem(400) #pagebreak(weak: true) ]\n'


async def pdf_bench(_: Store) -> Result:
    """ms for 01/BV1 of several pages, each time with other content; limit: Typst setting four pages of filler as PDF/A-2b."""
    form = get("01/BV1", date(2026, 11, 22))
    pdf(form, PrintContext())
    ours, bare = [], []
    for number in range(RUNS):
        context = PrintContext(answers={"ly_do": f"Lý do {number}"})
        source = BARE + b"#lorem(%d)" % (number + 1)
        ours.append(seconds(partial(pdf, form, context)) * 1000)
        bare.append(seconds(partial(typst.compile, source, pdf_standards=["a-2b"])) * 1000)
    return cost("pdf", "ms", ours, bare)
