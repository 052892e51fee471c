"""Comparing people: explained scores, partial dates, tones and typing faults."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest

from benhan.base.errors import InvalidInput
from benhan.catalogue import systems
from benhan.identity import (
    PersonInput,
    Reason,
    decide,
    face_of,
    patient_resource,
    person_of,
    score,
    threshold,
)
from benhan.identity import compare as compare_faces

BASE = PersonInput(
    name="Nguyễn Thị Hồng Hạnh", birth_date="1988-04-08", sex="female", commune_code="21028", phone="0905123456",
    address="Thôn 2, xã Ví Dụ",
)  # fmt: skip


def compare(one: PersonInput, other: PersonInput) -> list[Reason]:
    return compare_faces(face_of(one), face_of(other))


def points(**over: str) -> float:
    return score(compare(BASE, replace(BASE, **over)))


def verdict(one: PersonInput, other: PersonInput) -> str:
    return decide(compare(one, other))


def test_same_person_scores_as_duplicate() -> None:
    """The same person, typed without tones or decomposed, is a duplicate."""
    assert points() > threshold("duplicate")
    assert points(name="nguyen thi hong hanh") > threshold("duplicate")
    assert points(name=unicodedata.normalize("NFD", BASE.name)) == points()


def test_typing_faults_lower_the_score_and_still_warn() -> None:
    """A missing middle name, day and month swapped: lower, still a duplicate."""
    assert threshold("duplicate") < points(name="Nguyễn Hồng Hạnh") < points()
    assert threshold("duplicate") < points(birth_date="1988-08-04") < points()


def test_other_person_is_no_candidate() -> None:
    """Another name, year and sex do not even reach possible."""
    other = PersonInput(name="Trần Văn Kiên", birth_date="1960-01-01", sex="male")
    assert score(compare(BASE, other)) < threshold("possible")


def test_year_only_speaks_as_a_year() -> None:
    """A known year supports weakly and never contradicts."""
    year = {r.field: r for r in compare(BASE, PersonInput(name=BASE.name, birth_date="1988"))}["birth_date"]
    assert year.level == "same_year"
    assert 0 < year.weight < 10


def test_common_names_say_less_than_rare_ones() -> None:
    """A name that thousands bear is weaker evidence than one that hardly anybody has."""
    common, rare = PersonInput(name="Y Pưi"), PersonInput(name="Khổng Thụy Uyển")
    assert score(compare(common, common)) < score(compare(rare, rare))


def test_same_number_links_though_typed_otherwise() -> None:
    """Name without tones and middle name, moved house, the number the same: one human."""
    known = replace(BASE, cccd="051188000020")
    typed = replace(known, name="nguyen hong hanh", commune_code="23293", phone="", address="")
    assert verdict(known, typed) == "link"


def test_alike_without_numbers_is_linked_only_when_name_and_birth_agree() -> None:
    """No number on one side: same name, birth, village and phone link; a wrong day goes to the steward."""
    known = replace(BASE, cccd="051188000020")
    assert verdict(known, BASE) == "link"
    assert verdict(known, replace(BASE, birth_date="1988-04-09")) == "review"


def test_twins_are_never_linked() -> None:
    """One day, one house, one phone, names a letter apart: two numbers tell them apart, without numbers a steward does."""
    one = replace(BASE, name="Đinh Văn Anh", sex="male", cccd="051088000021")
    other = replace(one, name="Đinh Văn Ánh", cccd="051088000734")
    assert verdict(one, other) == "different"
    unknown = replace(other, cccd="", name="Đinh Văn An")
    assert verdict(one, unknown) == "review"


def test_father_and_son_of_one_name_are_not_linked() -> None:
    """Same name, house and phone, another birth: not by itself."""
    father = PersonInput(
        name="A Blơi", birth_date="1961", sex="male", commune_code="23293", phone="0905", address="Thôn 2"
    )
    assert verdict(father, replace(father, birth_date="1990-03-02")) != "link"


def test_borrowed_number_goes_to_the_steward() -> None:
    """A number that agrees with quite another name and birth is not believed."""
    known = replace(BASE, cccd="051188000020")
    other = PersonInput(name="Trần Văn Kiên", birth_date="1960-01-01", sex="male", cccd="051188000020")
    assert verdict(known, other) == "review"


@pytest.mark.parametrize(
    ("typed", "level"),
    [
        ("NGUYỄN THỊ HỒNG HẠNH", "exact"),
        ("Nguyen Thi Hong Hanh", "same_folded"),
        ("Hạnh Nguyễn Thị Hồng", "same_words"),
        ("Nguyễn Thị Hồng Hạn", "near"),
        ("Nguyễn Hạnh", "no_middle"),
        ("Nguyễn Thị Mỹ Hạnh", "same_ends"),
        ("Lê Thị Hồng Hạnh", "different"),
    ],
)
def test_names_agree_by_degrees(typed: str, level: str) -> None:
    """Tones, order, a letter, a middle name: each has its own weight."""
    assert {r.field: r.level for r in compare(BASE, replace(BASE, name=typed))}["name"] == level


def test_every_point_is_explained() -> None:
    """The score is the sum of its reasons, each in Vietnamese."""
    reasons = compare(BASE, BASE)
    assert score(reasons) == pytest.approx(sum(r.weight for r in reasons))
    assert all(r.text and r.field for r in reasons)


def test_partial_birth_date_keeps_its_precision() -> None:
    """1975 stays 1975, 1975-03 stays 1975-03."""
    for given in ("1975", "1975-03", "1975-03-02"):
        assert patient_resource(PersonInput(name="A Blơi", birth_date=given))["birthDate"] == given


def test_person_survives_the_resource() -> None:
    """Person → Patient → person is the same person."""
    person = replace(BASE, cccd="051188000020", bhyt="GD4515100000001", ethnicity="01", occupation="Giáo viên",
                     nationality="Việt Nam", workplace="Trường THCS", contact_name="Lê Văn B", contact_phone="0905",
                     status="verified", province_code="51")  # fmt: skip
    assert person_of(patient_resource(person)) == person


def test_faults_are_said_all_at_once() -> None:
    """No name, impossible date, short number: three issues."""
    with pytest.raises(InvalidInput) as error:
        patient_resource(PersonInput(birth_date="1975-13", cccd="05107500003"))
    assert {i.expression for i in error.value.issues} == {"name", "birth_date", "cccd"}


def test_newborn_and_unknown_have_no_invented_number() -> None:
    """Their number is visibly temporary."""
    baby = patient_resource(PersonInput(status="newborn", mother_id="m1", birth_order=1), temporary="TMP-1")
    assert [i["system"] for i in baby["identifier"]] == [systems.TMP]
    assert baby["name"][0]["text"] == "Con bà (chưa đặt tên)"
    assert baby["multipleBirthInteger"] == 1
