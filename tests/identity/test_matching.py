"""Comparing people: explained scores, partial dates, tones and typing faults."""

from __future__ import annotations

import unicodedata

import pytest

from benhan.base.errors import InvalidInput
from benhan.catalogue import systems
from benhan.identity import PersonInput, compare, patient_resource, person_of, score, threshold

BASE = PersonInput(
    name="Nguyễn Thị Hồng Hạnh", birth_date="1988-04-08", sex="female", commune_code="21028", phone="0905123456",
    address="Thôn 2, xã Ví Dụ",
)  # fmt: skip


def points(**over: str) -> float:
    from dataclasses import replace

    return score(compare(BASE, replace(BASE, **over)))


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
    assert 0 < year.weight < 4


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
    from dataclasses import replace

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
