"""What is scanned or loaded at the desks is data: hostile files are refused with a sentence, never with a broken page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CORPUS = Path(__file__).parents[1] / "data" / "parser-attack-corpus"


async def test_card_field_and_portal_list_refuse_hostile_files(as_person: Any) -> None:
    clerk, officer = await as_person("tiepdon"), await as_person("khth")
    for path in sorted(CORPUS.iterdir()):
        if path.suffix not in (".xml", ".json"):
            continue
        text = path.read_bytes().decode("utf-8", "replace").replace("\x00", "")[:20_000]
        await clerk.see("/tiep-don")
        answer = await clerk.post("/tiep-don/quet", data={"csrf": clerk.csrf(), "quet": text})
        assert answer.status_code in (200, 400, 422), (path.name, answer.status_code)
        assert "<script>alert" not in answer.text, path.name
        await officer.see("/bhyt")
        form = {"csrf": officer.csrf(), "thang": "202608"}
        answer = await officer.post(
            "/bhyt/doi-soat", data=form, files={"tep": (path.name, path.read_bytes())}
        )
        assert answer.status_code in (400, 422), (path.name, answer.status_code)
        assert "root:" not in answer.text
