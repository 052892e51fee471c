"""Learn the matcher's weights from a generated province and write them into the package.

    python scripts/learn_weights.py [PEOPLE] [SEED]

The seed differs from the one that the bench judges by. A province that has its own register learns from that instead:
the functions are those of ``benhan.identity.learning``.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import yaml

from benhan.bench.province import registrations
from benhan.identity import face_of, learning

DATA = Path(__file__).parent.parent / "src" / "benhan" / "identity" / "data"
PROVINCE = 2_200_000
HEAD = """\
# Fellegi-Sunter weights: field -> level -> [m, u]; written by scripts/learn_weights.py, {people} invented people, seed {seed}.
# thresholds are bits for a register of `people`. Confidence low: to be learned again from the province's own register.
"""


def main() -> None:
    """Generate, learn, write ``weights.yaml`` and ``name_shares.csv``."""
    given = [int(a) for a in sys.argv[1:3]]
    people, seed = (given + [1_000_000, 11][len(given) :])[:2]
    faces = [face_of(one.person) for one in registrations(people, seed)]
    linker = learning.linker_of(learning.table_of(faces))
    learned = learning.train(linker)
    fields = {name: {level: list(pair) for level, pair in found.items()} for name, found in learned.items()}
    fields["document"] = {"same": [0.9, 1e-8]}
    table = {
        "people": PROVINCE,
        "thresholds": learning.thresholds_of(PROVINCE),
        "rarest_name": learning.RAREST_NAME,
        "fields": fields,
    }
    with (DATA / "weights.yaml").open("w", encoding="utf-8") as file:
        file.write(HEAD.format(people=people, seed=seed))
        yaml.safe_dump(table, file, sort_keys=False, default_flow_style=None)
    with (DATA / "name_shares.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", "share"])
        writer.writerows((name, f"{share:.3g}") for name, share in learning.shares_of(faces).items())


if __name__ == "__main__":
    main()
