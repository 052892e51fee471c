"""The invented register of cards of the simulated portal: the cards of the samples, and one card for each refusal.

``python -m benhan.gateways.bhyt.sample_cards FILE`` writes it; the same bytes every time.
"""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

from benhan.gateways.bhyt.claim import CardFacts
from benhan.gateways.bhyt.samples import facts_of, stories
from benhan.gateways.bhyt.tables import codes

_COLUMNS = ("maThe", "hoTen", "ngaySinh", "gioiTinh", "maDKBD", "gtTheTu", "gtTheDen", "maKetQua", "maTheMoi")
#: answers that follow from a card itself, not from the account, the parameters or the name told
_OF_THE_CARD = (
    "001",
    "002",
    "003",
    "004",
    "010",
    "052",
    "053",
    "100",
    "110",
    "120",
    "121",
    "122",
    "123",
    "124",
    "130",
)


def register() -> str:
    """The register as CSV."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for number, story in enumerate(stories(), 1):
        for card in facts_of(story, number).cards:
            writer.writerow(_row(card, story.name, story.born, story.sex))
    for number, code in enumerate(_OF_THE_CARD, 1):
        title = codes("API.KET_QUA_TRA_THE")[code].title
        row = dict.fromkeys(_COLUMNS, "") | {
            "maThe": f"DN4519{number:09d}",
            "hoTen": f"Người Mẫu {code}",
            "ngaySinh": "01/01/1990",
            "gioiTinh": "Nam",
            "maDKBD": "51Z07",
            "gtTheTu": "01/01/2026",
            "gtTheDen": "31/12/2026",
            "maKetQua": code,
        }
        if "cấp thẻ mới" in title:
            row["maTheMoi"] = f"DN4518{number:09d}"
        writer.writerow(row)
    return out.getvalue()


def _row(card: CardFacts, name: str, born: str, sex: str) -> dict[str, str]:
    day, month = born[6:8], born[4:6]
    return {
        "maThe": card.card,
        "hoTen": name,
        "ngaySinh": born[:4] if "00" in (day, month) else f"{day}/{month}/{born[:4]}",
        "gioiTinh": "Nam" if sex == "1" else "Nữ",
        "maDKBD": card.registered_at,
        "gtTheTu": card.valid_from.strftime("%d/%m/%Y"),
        "gtTheDen": card.valid_to.strftime("%d/%m/%Y") if card.valid_to else "",
        "maKetQua": "000",
        "maTheMoi": "",
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(register(), encoding="utf-8")
