"""Files of protocols that no room of this round speaks: every door that exists refuses them, none breaks."""

from __future__ import annotations

from pathlib import Path

import pytest

from benhan.base import json_door, xml_door
from benhan.base.errors import BenhanError

CORPUS = Path(__file__).resolve().parents[1] / "data" / "parser-attack-corpus"
FOREIGN = sorted([*CORPUS.glob("*.hl7"), *CORPUS.glob("*.bin")])


@pytest.mark.parametrize("path", FOREIGN, ids=lambda p: p.name)
@pytest.mark.parametrize("door", [json_door.loads, xml_door.parse])
def test_hl7_and_mllp_files_are_refused_at_every_door(path, door) -> None:
    """Hostile HL7 v2 and MLLP bytes get a clear refusal where JSON or XML is expected."""
    with pytest.raises(BenhanError):
        door(path.read_bytes())


def test_there_are_such_files() -> None:
    """The corpus holds them, so that the test above cannot pass by being empty."""
    assert len(FOREIGN) >= 6
