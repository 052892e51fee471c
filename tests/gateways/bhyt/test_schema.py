"""The schemas accept what the program writes and refuse what breaks the structure; lxml judges."""

from __future__ import annotations

from datetime import date

import pytest
from lxml import etree

from benhan.gateways.bhyt import make_row, schema
from benhan.gateways.bhyt.package import write_table
from benhan.gateways.bhyt.samples import Story, package_of, stories
from benhan.gateways.bhyt.tables import tables

DAY = date(2026, 8, 5)


@pytest.mark.parametrize("story", stories(), ids=lambda s: s.key)
def test_every_story_fits_the_schemas(story: Story) -> None:
    for name, rows in package_of(story, 1).rows.items():
        judge = etree.XMLSchema(etree.fromstring(schema(name, DAY)))
        judge.assertValid(etree.fromstring(write_table(name, rows)))


@pytest.mark.parametrize("name", list(tables()))
def test_every_table_has_a_schema_that_a_judge_reads(name: str) -> None:
    judge = etree.XMLSchema(etree.fromstring(schema(name, DAY)))
    table = tables(DAY)[name]
    assert not judge.validate(etree.Element(table.path[0])) or table.repeating


def test_a_broken_tag_is_refused() -> None:
    row = package_of(stories()[0], 1).table("XML1")[0]
    judge = etree.XMLSchema(etree.fromstring(schema("XML1", DAY)))
    for change in ({"T_THUOC": "1,5"}, {"HO_TEN": ""}, {"NGAY_VAO": "hôm qua"}, {"MA_LK": "x" * 101}):
        raw = write_table("XML1", (make_row("XML1", 1, {**row.values, **change}),))
        assert not judge.validate(etree.fromstring(raw)), change
