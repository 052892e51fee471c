"""A Questionnaire becomes a form: our own come back the same, foreign ones as near as the language can say."""

from __future__ import annotations

import random
from typing import Any

import pytest

from benhan.base.errors import InvalidInput
from benhan.base.json_door import dumps, loads_object
from benhan.fhir import validate
from benhan.forms import Form, PrintContext, catalogue, print_form, sample, shelf, yaml_of

FORMS = list(catalogue().all())


def exported(form: Form) -> Any:
    """The Questionnaire as it leaves the house."""
    return loads_object(dumps(form.questionnaire()))


def back(forms: list[Form]) -> list[str]:
    """Codes of the forms whose Questionnaire does not come back the same."""
    return [f.code for f in forms if exported(shelf.read(yaml_of(exported(f)))) != exported(f)]


@pytest.mark.long
def test_every_questionnaire_of_ours_comes_back_the_same() -> None:
    """Export, import, export: not one item, choice, condition, limit, formula or signer is lost."""
    assert back(FORMS) == []


def test_our_questionnaires_come_back_the_same() -> None:
    """A seeded few."""
    assert back(random.Random(20261123).sample(FORMS, 12)) == []


def coding(code: str, display: str) -> dict[str, Any]:
    return {"valueCoding": {"system": "http://loinc.org", "code": code, "display": display}}


FOREIGN: dict[str, Any] = {
    "resourceType": "Questionnaire",
    "status": "active",
    "url": "http://example.org/Questionnaire/sang-loc",
    "version": "2.1",
    "title": "Sàng lọc nguy cơ té ngã",
    "date": "2026-02-03",
    "item": [
        {"linkId": "/q.1", "text": "Họ tên", "type": "string", "required": True, "maxLength": 80},
        {"linkId": "Q 2", "text": "Đã ngã trong 12 tháng", "type": "boolean"},
        {
            "linkId": "3", "text": "Khám", "type": "group",
            "item": [
                {"linkId": "3.1", "text": "Dáng đi", "type": "choice",
                 "answerOption": [coding("LA1", "Vững"), coding("LA2", "Yếu")]},
                {"linkId": "3.2", "text": "Số lần ngã", "type": "integer",
                 "enableWhen": [{"question": "Q 2", "operator": "=", "answerBoolean": True}],
                 "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/minValue", "valueInteger": 1}]},
                {"linkId": "3.3", "text": "Mức đau", "type": "choice", "answerValueSet": "http://example.org/vs/dau"},
                {"linkId": "3.4", "text": "Ảnh", "type": "attachment"},
                {"linkId": "3.5", "text": "Vì sao nhiều lần", "type": "text",
                 "enableWhen": [{"question": "3.2", "operator": ">", "answerInteger": 3}]},
                {"linkId": "3.6", "text": "Nhiệt độ", "type": "quantity"},
                {"linkId": "3.7", "text": "Thuốc đang dùng", "type": "group", "repeats": True, "item": [
                    {"linkId": "3.7.1", "text": "Tên", "type": "string"},
                    {"linkId": "3.7.2", "text": "Uống từ", "type": "date"}]},
            ],
        },
    ],
}  # fmt: skip


def test_a_foreign_questionnaire_becomes_a_form_that_can_be_used() -> None:
    """Its questions stand in its order; what the language cannot say is told to the administrator, not lost silently."""
    form = shelf.read(yaml_of(FOREIGN, code="CS51Z01/TE-NGA"))
    assert (form.code, form.edition, form.valid_from.isoformat()) == ("CS51Z01/TE-NGA", "2.1", "2026-02-03")
    labels = [i.label for i in form.items()]
    assert labels == [
        "Họ tên", "Đã ngã trong 12 tháng", "Dáng đi", "Số lần ngã", "Mức đau", "Ảnh", "Vì sao nhiều lần",
        "Nhiệt độ", "Thuốc đang dùng", "Tên", "Uống từ",
    ]  # fmt: skip
    items = {i.label: i for i in form.items()}
    assert [c.code for c in items["Dáng đi"].choices] == ["LA1", "LA2"]
    assert items["Số lần ngã"].enabled_when is not None
    assert items["Số lần ngã"].enabled_when.item == items["Đã ngã trong 12 tháng"].link_id
    assert items["Họ tên"].required_at == "sign"
    unsure = {label for label, i in items.items() if i.unconfirmed}
    assert unsure == {"Mức đau", "Ảnh", "Vì sao nhiều lần", "Nhiệt độ"}
    assert "http://example.org/vs/dau" in str(items["Mức đau"].unconfirmed)
    validate(form.questionnaire())
    assert print_form(form, PrintContext(answers=sample(form, 1))).pages == 1


@pytest.mark.parametrize(
    "wrong", [{}, {"resourceType": "Patient"}, {"resourceType": "Questionnaire", "item": []}]
)
def test_what_is_no_questionnaire_is_refused(wrong: dict[str, Any]) -> None:
    """One clear sentence."""
    with pytest.raises(InvalidInput) as caught:
        yaml_of(wrong)
    assert caught.value.code == "forms.not-a-questionnaire"
