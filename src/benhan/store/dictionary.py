"""Trains the compression dictionary of the log from invented resources: ``python -m benhan.store.dictionary N``.

Run once per dictionary; the result is shipped as ``data/fhir-N.zdict`` and never changed, because rows name it. The
templates are ``data/samples.ndjson``: the kinds of resources a ward writes most, with ``$placeholders``.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Callable
from pathlib import Path

import zstandard

_DATA = Path(__file__).parent / "data"
_SIZE = 48_000
_SAMPLES = 4000
_PLACEHOLDER = re.compile(r"\$([a-z_]+\d?)")
_FAMILY = (
    "Nguyễn",
    "Trần",
    "Lê",
    "Phạm",
    "Hoàng",
    "Phan",
    "Vũ",
    "Đặng",
    "Bùi",
    "Đỗ",
    "Hồ",
    "Ngô",
    "Dương",
    "Lý",
)
_GIVEN = (
    "Văn An",
    "Thị Bình",
    "Minh Châu",
    "Quốc Dũng",
    "Thị Hà",
    "Hữu Khánh",
    "Ngọc Lan",
    "Đức Mạnh",
    "Thu Nga",
)
_LABS = (
    ("718-7", "Hemoglobin", "g/L"),
    ("6690-2", "Bạch cầu", "10*9/L"),
    ("2160-0", "Creatinin", "umol/L"),
    ("2345-7", "Glucose", "mmol/L"),
    ("8867-4", "Mạch", "/min"),
    ("8310-5", "Nhiệt độ", "Cel"),
    ("8480-6", "Huyết áp tâm thu", "mm[Hg]"),
    ("9279-1", "Nhịp thở", "/min"),
    ("2708-6", "SpO2", "%"),
    ("29463-7", "Cân nặng", "kg"),
)
_ICD = (
    ("J18.9", "Viêm phổi, không xác định"),
    ("I10", "Tăng huyết áp vô căn"),
    ("E11.9", "Đái tháo đường típ 2"),
    ("K35.8", "Viêm ruột thừa cấp"),
    ("A90", "Sốt xuất huyết Dengue"),
)


def sample(pick: random.Random, templates: list[str]) -> bytes:
    """One invented resource."""
    lab, icd = pick.choice(_LABS), pick.choice(_ICD)
    day = f"2026-{pick.randint(1, 12):02}-{pick.randint(1, 28):02}T{pick.randint(0, 23):02}:{pick.randint(0, 59):02}"
    make: dict[str, Callable[[], str]] = {
        "uid": lambda: _uid(pick),
        "at": lambda: f"{day}:00.000+07:00",
        "instant": lambda: f"{day}:12.345Z",
        "version": lambda: str(pick.randint(1, 3)),
        "lab_code": lambda: lab[0],
        "lab_name": lambda: lab[1],
        "unit": lambda: lab[2],
        "icd_code": lambda: icd[0],
        "icd_name": lambda: icd[1],
        "value": lambda: str(round(pick.uniform(1, 180), 1)),
        "family": lambda: pick.choice(_FAMILY),
        "given": lambda: pick.choice(_GIVEN),
        "born": lambda: f"19{pick.randint(40, 99)}-0{pick.randint(1, 9)}-1{pick.randint(0, 9)}",
        "digits6": lambda: f"{pick.randrange(10**6):06}",
        "digits8": lambda: f"{pick.randrange(10**8):08}",
        "digits9": lambda: f"{pick.randrange(10**9):09}",
    }
    return _PLACEHOLDER.sub(lambda m: make[m[1]](), pick.choice(templates)).encode()


def _uid(pick: random.Random) -> str:
    bits = f"0199{pick.getrandbits(28):07x}7{pick.getrandbits(12):03x}8{pick.getrandbits(60):016x}"
    return "-".join((bits[:8], bits[8:12], bits[11:15], bits[15:19], bits[19:31]))


def train(seed: int = 1) -> bytes:
    """The dictionary, the same for the same seed and library."""
    pick = random.Random(seed)
    templates = (_DATA / "samples.ndjson").read_text(encoding="utf-8").splitlines()
    samples: list[bytes | bytearray | memoryview[int]] = [sample(pick, templates) for _ in range(_SAMPLES)]
    return zstandard.train_dictionary(_SIZE, samples).as_bytes()


def main() -> None:
    """Write a new dictionary; an existing one is never overwritten."""
    with (_DATA / f"fhir-{int(sys.argv[1])}.zdict").open("xb") as file:
        file.write(train())


if __name__ == "__main__":
    main()
