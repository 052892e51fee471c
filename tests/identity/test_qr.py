"""QR texts of CCCD and BHYT card: every sample, and whatever a broken scanner may send."""

from __future__ import annotations

import csv
import unicodedata
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benhan.base.errors import InvalidInput
from benhan.identity import CardScan, parse_qr, person_from_scan

DATA = Path(__file__).parent / "data"
TODAY = date(2026, 11, 22)


def samples() -> list[tuple[str, str, str]]:
    """(id, expected, payload) of both files, escapes decoded."""
    out = []
    for name in ("cccd_qr.csv", "bhyt_qr.csv"):
        with (DATA / name).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                text = (
                    row["payload"]
                    .replace("\\r\\n", "\r\n")
                    .replace("\\u202e", "\u202e")
                    .replace("\\u0000", "\0")
                )
                out.append((row["id"], row["expected"], text))
    return out


SAMPLES = samples()
REFUSED = {
    "cccd-14": "identity.qr-number",
    "cccd-16": "identity.qr-date",
    "cccd-17": "identity.qr-broken-text",
    "cccd-18": "identity.qr-fields",
    "cccd-21": "identity.qr-characters",
    "cccd-22": "identity.qr-fields",
    "bhyt-09": "identity.qr-cut",
    "bhyt-10": "identity.qr-hex",
    "bhyt-11": "identity.qr-hex",
    "bhyt-12": "identity.qr-number",
    "bhyt-14": "identity.qr-characters",
}


@pytest.mark.parametrize(("sample", "expected", "payload"), SAMPLES, ids=[s[0] for s in SAMPLES])
def test_sample_is_read_or_refused_as_its_list_says(sample: str, expected: str, payload: str) -> None:
    """Invalid and must-reject samples are refused with their reason; all others are read."""
    if sample in REFUSED:
        assert "invalid" in expected or "rejected" in expected
        with pytest.raises(InvalidInput) as error:
            parse_qr(payload, on=TODAY)
        assert error.value.code == REFUSED[sample]
    else:
        assert "invalid" not in expected.split(":")[0]
        scan = parse_qr(payload, on=TODAY)
        assert scan.name == unicodedata.normalize("NFC", scan.name)
        assert len(scan.number) in (10, 12, 15)


def scan_of(sample: str) -> CardScan:
    return parse_qr(next(p for s, _, p in SAMPLES if s == sample), on=TODAY)


def test_cccd_fields_are_read() -> None:
    """Number, old number, name, dates and sex; extra fields stay raw."""
    scan = scan_of("cccd-01")
    assert (scan.number, scan.old_number, scan.name) == ("051075000031", "396508142", "NGUYỄN VĂN MẪU")
    assert (scan.birth_date, scan.sex, scan.issued_on) == ("1975-09-27", "male", "2021-03-15")
    assert scan.warnings == ()
    assert len(scan_of("cccd-11").raw_fields) == 11


def test_decomposed_vietnamese_reads_the_same() -> None:
    """NFD from a phone and NFC from a scanner are one person."""
    payload = next(p for s, _, p in SAMPLES if s == "cccd-01")
    assert parse_qr(unicodedata.normalize("NFD", payload)).name == "NGUYỄN VĂN MẪU"


def test_number_that_disagrees_warns_only() -> None:
    """Year and sex against the number are warnings: no check digit exists."""
    assert len(scan_of("cccd-15").warnings) == 2


def test_bhyt_fields_are_read() -> None:
    """Hex names, facility joined to five characters, validity, five years, guardian."""
    scan = scan_of("bhyt-01")
    assert (scan.number, scan.name, scan.registered_at) == ("GD4510000000001", "NGUYỄN VĂN MẪU", "51Z01")
    assert (scan.valid_from, scan.valid_to, scan.five_years_from) == (
        "2026-01-01",
        "2026-12-31",
        "2030-01-01",
    )
    assert scan_of("bhyt-05").guardian
    assert scan_of("bhyt-04").birth_date == "1975"


def test_expired_card_warns() -> None:
    """An expired card is read, with a warning."""
    assert "Thẻ BHYT đã hết hạn." in scan_of("bhyt-07").warnings


def test_markup_in_a_name_is_kept_verbatim() -> None:
    """What looks like HTML or SQL is a name like any other; the page escapes it."""
    assert scan_of("cccd-19").name == "<img src=x onerror=alert(1)>"
    assert scan_of("cccd-20").name == "ROBERT'); DROP TABLE patient;--"


def test_endless_field_is_refused() -> None:
    """A megabyte in a field is no card."""
    with pytest.raises(InvalidInput) as error:
        parse_qr("051075000031||" + "A" * 1048576 + "|27091975|Nam|x|15032021")
    assert error.value.code == "identity.qr-too-long"


def test_person_of_a_card_has_its_numbers() -> None:
    """A 15-character card gives the card and the lifelong BHXH number."""
    person = person_from_scan(scan_of("bhyt-01"))
    assert (person.bhyt, person.bhxh, person.cccd) == ("GD4510000000001", "0000000001", "")
    assert person_from_scan(scan_of("bhyt-03")).bhxh == "5100000001"


def assert_words(text: str) -> None:
    assert text.endswith(".")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    """Whatever is scanned: a card or an InvalidInput, never another error."""
    try:
        parse_qr(text, on=TODAY)
    except InvalidInput as error:
        assert_words(error.text)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.text(st.characters(exclude_characters="|", exclude_categories=["Cs"]), max_size=20),
        min_size=5,
        max_size=17,
    )
)
def test_any_fields_are_read_or_refused_in_words(fields: list[str]) -> None:
    """The same for texts that have the separators of a card."""
    for text in ("|".join(["051075000031", *fields]), "|".join(["GD4510000000001", *fields]) + "$"):
        try:
            parse_qr(text, on=TODAY)
        except InvalidInput as error:
            assert_words(error.text)
