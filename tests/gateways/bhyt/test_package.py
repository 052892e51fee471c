"""Write and read back; real spellings; refusals with their place; money."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from benhan.base import json_door
from benhan.base.errors import BenhanError, RuleViolation
from benhan.fhir import validate
from benhan.gateways.bhyt import check, dropped, from_fhir, make_row, read_package, to_fhir, write_package
from benhan.gateways.bhyt.money import drug_amounts, money, service_amounts, split
from benhan.gateways.bhyt.package import Package, Row
from benhan.gateways.bhyt.samples import Story, package_of, stories, write_all
from benhan.gateways.bhyt.tables import tables

SAMPLES = Path(__file__).parents[3] / "src/benhan/gateways/bhyt/data/samples"
CORPUS = Path(__file__).parents[2] / "data/parser-attack-corpus"


def _changed(package: Package, table: str, line: int, **values: str) -> Package:
    rows = list(package.table(table))
    rows[line - 1] = make_row(table, line, {**rows[line - 1].values, **values})
    return Package(package.facility, package.made_on, {**package.rows, table: tuple(rows)})


@pytest.fixture
def outpatient() -> Package:
    return package_of(stories()[0], 1)


def test_every_table_has_its_tags() -> None:
    counts = {name: len(table.fields) for name, table in tables().items()}
    assert (counts["XML1"], counts["XML2"], counts["XML3"], counts["XML7"]) == (66, 39, 47, 26)
    assert sum(counts.values()) == 444


def test_samples_are_reproducible_and_clean(tmp_path: Path) -> None:
    made = write_all(tmp_path)
    assert len(made) == 20
    for path in made:
        assert path.read_bytes() == (SAMPLES / path.name).read_bytes()
        assert [f for f in check(read_package(path.read_bytes())) if f.severity == "error"] == []


def test_written_package_reads_back(outpatient: Package) -> None:
    back = read_package(write_package(outpatient))
    assert back == outpatient
    assert back.leniencies == ()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("18-bom", {"bom"}),
        ("19-hai-lop-base64", {"base64-whole"}),
        ("20-dao-the", {"missing", "extra", "order"}),
    ],
)
def test_real_spellings_are_read_and_noted(name: str, expected: set[str]) -> None:
    package = read_package((SAMPLES / f"{name}.xml").read_bytes())
    assert {n.code for n in package.leniencies} == expected


def test_nested_xml_is_read(outpatient: Package) -> None:
    raw = write_package(outpatient)
    start, end = raw.index(b"<NOIDUNGFILE>") + 13, raw.index(b"</NOIDUNGFILE>")
    inner = base64.b64decode(raw[start:end]).split(b"?>", 1)[1]
    package = read_package(raw[:start] + inner + raw[end:])
    assert package == outpatient
    assert {n.code for n in package.leniencies} == {"nested"}


def test_unknown_tags_are_kept(outpatient: Package) -> None:
    changed = _changed(outpatient, "XML2", 1, THE_RIENG="a & <b>")
    back = read_package(write_package(changed))
    assert back.table("XML2")[0].get("THE_RIENG") == "a & <b>"


@pytest.mark.parametrize(
    ("table", "tag", "value", "code"),
    [
        ("XML1", "NGAY_RA", "", "bhyt.required"),
        ("XML1", "NGAY_RA", "202613010000", "bhyt.type"),
        ("XML1", "HO_TEN", "x" * 256, "bhyt.length"),
        ("XML1", "KET_QUA_DTRI", "9", "bhyt.code"),
        ("XML1", "T_TONGCHI_BV", "1.00", "bhyt.total"),
        ("XML1", "MA_THE_BHYT", "DN45100", "bhyt.card"),
        ("XML2", "MA_LK", "KHAC", "bhyt.ma-lk"),
        ("XML2", "DON_GIA", "1,5", "bhyt.type"),
        ("XML2", "THANH_TIEN_BV", "1.00", "bhyt.amount"),
        ("XML2", "T_BNCCT", "0.00", "bhyt.sum"),
        ("XML3", "MA_GIUONG", "12", "bhyt.bed"),
        ("XML3", "NGAY_TH_YL", "202608030700", "bhyt.order"),
    ],
)
def test_a_fault_is_found_at_its_place(
    outpatient: Package, table: str, tag: str, value: str, code: str
) -> None:
    line = 2 if table == "XML3" else 1
    found = check(_changed(outpatient, table, line, **{tag: value}))
    assert (code, f"{table}/dòng {line}") in {(f.code, f.place.rsplit("/", 1)[0]) for f in found}
    if code not in ("bhyt.sum", "bhyt.order"):
        assert f"{table}/dòng {line}/{tag}" in {f.place for f in found if f.code == code}


def test_percent_of_four_characters_only_since_july_2026() -> None:
    package = package_of(stories()[14], 15)
    assert [f for f in check(package) if f.severity == "error"] == []
    assert "bhyt.length" in {f.code for f in check(package, date(2026, 6, 30))}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda r: r.replace(b"<LOAIHOSO>XML2", b"<LOAIHOSO>XML99"), "gói/LOAIHOSO"),
        (lambda r: r.replace(b"<NOIDUNGFILE>", b"<NOIDUNGFILE>***", 1), "XML1/NOIDUNGFILE"),
        (lambda r: r.replace(b"GIAMDINHHS", b"LA"), "gói"),
        (lambda r: b"khong phai xml", "gói"),
        (lambda r: r.replace(b"<LOAIHOSO>XML2", b"<LOAIHOSO>XML3"), "XML3"),
    ],
)
def test_refusal_names_the_place(outpatient: Package, change: Any, place: str) -> None:
    with pytest.raises(BenhanError) as caught:
        read_package(change(write_package(outpatient)))
    assert caught.value.issues[0].expression == place


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.xml")), ids=lambda p: p.name)
def test_attacks_are_refused(path: Path, outpatient: Package) -> None:
    raw = path.read_bytes()
    with pytest.raises(BenhanError):
        read_package(raw)
    whole = write_package(outpatient)
    start, end = whole.index(b"<NOIDUNGFILE>") + 13, whole.index(b"</NOIDUNGFILE>")
    with pytest.raises(BenhanError):
        read_package(whole[:start] + base64.b64encode(raw) + whole[end:])


def test_lines_of_the_reference_example() -> None:
    first = split(*drug_amounts(Decimal(20), Decimal("350.5"), Decimal(100)), Decimal(80))
    assert [money(v) for v in (first.bv, first.bncct, first.bhtt)] == ["7010.00", "1402.00", "5608.00"]
    second = split(*drug_amounts(Decimal(2), Decimal(15000), Decimal(50)), Decimal(80))
    assert [money(v) for v in (second.bntt, second.bncct, second.bhtt)] == ["15000.00", "3000.00", "12000.00"]
    third = service_amounts(Decimal(1), Decimal(36500), Decimal(36500), Decimal(100), Decimal(100))
    assert money(split(*third, Decimal(80)).bhtt) == "29200.00"


amounts = st.decimals(min_value=0, max_value=10_000_000, places=2)


@given(
    bv=amounts,
    share=st.integers(0, 100),
    percent=st.sampled_from(["0", "32", "47.5", "80", "95", "100"]),
    cut=amounts,
)
@hypothesis_settings(max_examples=60, derandomize=True)
def test_shares_always_add_up(bv: Decimal, share: int, percent: str, cut: Decimal) -> None:
    _, bh = drug_amounts(Decimal(1), bv, Decimal(share))
    other = min(cut, bv)
    parts = split(bv, bh, Decimal(percent), other)
    assert parts.bntt + parts.bncct + parts.bhtt + parts.other == bv
    assert min(parts.bntt, parts.bncct, parts.bhtt) >= 0


def test_others_cannot_pay_more_than_the_line() -> None:
    with pytest.raises(RuleViolation):
        split(Decimal(10), Decimal(10), Decimal(80), Decimal(11))


def test_lines_follow_the_card_of_their_day() -> None:
    package = package_of(stories()[3], 4)
    assert {r.get("MUC_HUONG") for r in package.table("XML3")} == {"80", "100"}
    assert package.table("XML1")[0].get("MA_THE_BHYT").count(";") == 1


texts = st.text(
    st.characters(min_codepoint=9, max_codepoint=0x1F64F, exclude_categories=("Cs", "Cc")), max_size=30
).filter(lambda t: not t.isspace())
own_tags = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ_", min_size=1, max_size=8).map("RIENG".__add__)
_FIXED = {"MA_LK", "NGAY_VAO", "NGAY_RA", "MA_BN", "MA_CSKCB"}


@st.composite
def packages(draw: st.DrawFn) -> Package:
    """A package with any tables, any number of lines, any text in any tag but those that tie it together."""
    base = package_of(stories()[0], 1)
    head = base.table("XML1")[0].values
    rows: dict[str, tuple[Row, ...]] = {}
    for name, table in tables().items():
        count = 1 if name == "XML1" else draw(st.integers(0, 2 if table.repeating else 1))
        made = []
        for line in range(1, count + 1 if name != "XML0" else 1):
            fixed = {tag: head[tag] for tag in _FIXED if name == "XML1" or tag == "MA_LK"}
            free = [tag for tag in table.names() if tag not in fixed]
            values = draw(st.dictionaries(st.sampled_from(free), texts, max_size=12))
            more = draw(st.dictionaries(own_tags, texts, max_size=2))
            made.append(make_row(name, line, {**values, **more, **fixed}))
        if made:
            rows[name] = tuple(made)
    return Package(base.facility, base.made_on, rows)


def _identity(package: Package) -> None:
    raw = write_package(package)
    assert read_package(raw) == package
    bundle = to_fhir(read_package(raw))
    assert write_package(from_fhir(json_door.loads(json_door.dumps(bundle)))) == raw
    for entry in bundle["entry"]:
        validate(entry["resource"])


@given(package=packages())
@hypothesis_settings(max_examples=25, derandomize=True, deadline=None)
def test_xml_to_fhir_to_xml_is_identity(package: Package) -> None:
    _identity(package)


@pytest.mark.parametrize(
    "odd", ["1E999", "2" + "0" * 19, "-9E-99999", "NaN", "Infinity", "1" * 60, "0." + "3" * 60, "1_000", "١٢"]
)
def test_odd_numbers_stay_text(odd: str) -> None:
    """What is a number to Python but not to a table is carried as it stands."""
    package = _changed(package_of(stories()[1], 2), "XML2", 1, SO_LUONG=odd)
    package = _changed(package, "XML4", 1, GIA_TRI=odd)
    _identity(_changed(package, "XML1", 1, T_TONGCHI_BV=odd))


def test_signs_that_turn_text_are_left_out_and_told() -> None:
    """A name written backwards to the eye is not taken over as it looks."""
    raw = write_package(_story_with_name("Nguyễn Thị \u2066Mẫu"))
    package = read_package(raw)
    assert package.table("XML1")[0].get("HO_TEN") == "Nguyễn Thị Mẫu"
    assert "character" in {note.code for note in package.leniencies}


def _story_with_name(name: str) -> Package:
    package = package_of(stories()[0], 1)
    head = package.table("XML1")[0]
    return replace(
        package, rows={**package.rows, "XML1": (replace(head, values={**head.values, "HO_TEN": name}),)}
    )


@pytest.mark.long
@given(package=packages())
@hypothesis_settings(max_examples=1000, deadline=None)
def test_xml_to_fhir_to_xml_is_identity_at_length(package: Package) -> None:
    _identity(package)


@pytest.mark.parametrize("story", stories(), ids=lambda s: s.key)
def test_every_story_comes_back_from_fhir(story: Story) -> None:
    _identity(package_of(story, 1))


@given(package=packages(), number=st.integers(0, 2**16))
@hypothesis_settings(max_examples=20, deadline=None)
def test_what_fhir_says_beyond_the_tables_is_listed_and_gone_after_one_way(
    package: Package, number: int
) -> None:
    """FHIR → XML → FHIR → XML: the first way drops what has no tag and names it, the second drops nothing."""
    bundle = to_fhir(package)
    assert dropped(bundle) == []
    resources = [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] != "Provenance"]
    chosen = resources[number % len(resources)]
    chosen["language"] = "vi"
    stranger = {"resourceType": "Flag", "id": f"la-{number}", "status": "active"}
    bundle["entry"].append({"resource": stranger})
    assert dropped(bundle) == [f"{chosen['resourceType']}/{chosen['id']}.language", f"Flag/la-{number}"]
    once = from_fhir(bundle)
    again = to_fhir(once)
    assert dropped(again) == []
    assert write_package(from_fhir(again)) == write_package(once) == write_package(package)
