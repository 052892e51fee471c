"""Pick lists: what a typed word may mean, by name without accents, abbreviation or code. No patient is in the question."""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from benhan.base.text import fold
from benhan.catalogue import (
    communes_search,
    drugs_search,
    ethnic_groups,
    facilities,
    icd10_search,
    labs_search,
    provinces,
)
from benhan.web import lists
from benhan.web.frame import Visit, page

Found = list[tuple[str, str]]
LIMIT = 15


def _among(pairs: list[tuple[str, str]], text: str) -> Found:
    words = fold(text).split()
    return [(code, title) for code, title in pairs if all(w in fold(f"{code} {title}") for w in words)][
        :LIMIT
    ]


SEARCHES: dict[str, Callable[[str], Found]] = {
    "icd10": lambda text: [(e.key, e.title) for e in icd10_search(text, LIMIT)],
    "thuoc": lambda text: [(d.code, f"{d.title}, {d.form}, {d.route}") for d in drugs_search(text, LIMIT)],
    "xet-nghiem": lambda text: [(i.code, i.name) for i in labs_search(text, LIMIT)],
    "xa": lambda text: [(c.code, c.full_name) for c in communes_search(text, LIMIT)],
    "tinh": lambda text: _among([(p.code, p.full_name) for p in provinces()], text),
    "dan-toc": lambda text: _among(sorted(ethnic_groups().items()), text),
    "co-so": lambda text: _among([(f.code, f.name) for f in facilities()], text),
    "khoa": lambda text: _among(list(lists.listed("khoa")), text),
}


@page()
async def pick(visit: Visit) -> Response:
    """Codes and titles that fit, as JSON; an unknown list gives nothing."""
    search = SEARCHES.get(visit.path("name"))
    text = visit.request.query_params.get("q", "")[:100]
    found = search(text) if search and text.strip() else []
    return JSONResponse(
        [{"code": code, "title": title} for code, title in found],
        headers={"Cache-Control": "private, max-age=300"},
    )


ROUTES = [Route("/tra/{name}", pick, methods=["GET"])]
