"""Forms in a real browser: what is marked on a drawing by mouse is kept as data."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from benhan import records
from benhan.forms import Form, catalogue

pytestmark = pytest.mark.browser
PASSWORD = "Mat-khau-kiem-thu-2026"


def _live() -> Any:
    name = "web_live"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / "live.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


live = _live()


def written_whole() -> list[Form]:
    """Forms that are written as one page; running sheets are written line by line and have a test of their own."""
    return [
        f
        for f in catalogue().all()
        if f.valid_to is None and not any(p.per_entry for p in f.signatures) and list(f.answerable())
    ]


FORMS = written_whole()


async def test_drawing_is_marked_by_mouse(house: Any, page: tuple[Page, Any]) -> None:
    """A click is a point, a drag is a line; both are kept as data."""
    form = next(f for f in FORMS if any(i.type == "drawing" and not i.repeats for i in f.answerable()))
    item = next(i for i in form.answerable() if i.type == "drawing")
    screen, server = page
    paper = await live.opened(house, form)
    await screen.goto(f"{server.url}/giay/{paper}")
    figure = screen.locator(f'.bf-drawing[data-link-id="{item.link_id}"] svg').first
    await figure.scroll_into_view_if_needed()
    box = await figure.bounding_box()
    assert box is not None
    await screen.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    await screen.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 4)
    await screen.mouse.down()
    await screen.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 4, steps=4)
    await screen.mouse.up()
    await screen.wait_for_selector('[data-saving][data-state="saved"]')
    await screen.keyboard.press("Control+s")
    await screen.wait_for_url("**xong=da-luu")
    marks = (await records.paper_answers(house.repo, paper))[item.link_id]["marks"]
    assert [m["shape"] for m in marks] == ["point", "line"]
    assert abs(float(marks[0]["x"]) - 0.5) < 0.02
    assert abs(float(marks[1]["x"]) - 0.25) < 0.02
    assert len(marks[1]["points"]) >= 2
