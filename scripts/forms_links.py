"""Propose anew which items stand for which entry of the reference; read the difference before committing it.

Usage: python scripts/forms_links.py [code …]. Links that stand and still hold are kept; only new ones are proposed.
"""

from __future__ import annotations

import sys

import orjson

from benhan.forms import reference
from benhan.forms.audit import link, links, surplus
from benhan.forms.catalogue_index import catalogue


def main() -> None:
    """Write ``links.json``."""
    out = dict(links())
    for form in catalogue().all():
        if form.code not in reference.sources() or (sys.argv[1:] and form.code not in sys.argv[1:]):
            continue
        fresh = link(form)
        kept = out.get(form.code, {"entries": {}})["entries"]
        for uid, found in fresh["entries"].items():
            if kept.get(uid) and all(i in form or i.startswith("s-") for i in kept[uid]):
                found[:] = kept[uid]
        used = {i for found in fresh["entries"].values() for i in found}
        fresh["own"] = [i.link_id for i in form.items() if i.link_id not in used]
        fresh["printed"] = surplus(form)
        out[form.code] = fresh
    path = reference.FOLDER / "links.json"
    path.write_bytes(orjson.dumps(out, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")


if __name__ == "__main__":
    main()
