"""How templates are drawn: the Jinja environment of a language, with the words and figures pages use."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from benhan.access import CSRF_FIELD, roles
from benhan.base.json_door import dumps
from benhan.catalogue import systems
from benhan.records import state_title
from benhan.web import assets, show
from benhan.web.i18n import LANGUAGES, Translate, translator
from benhan.web.lists import khoa_title

TEMPLATES = Path(__file__).parent / "templates"


def icon(name: str) -> Markup:
    """One symbol of ``icons.svg``; always beside a word."""
    return Markup('<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>').format(
        assets.static_url("icons.svg"), name
    )


def _role_title(code: str, translate: Translate) -> str:
    return translate(next((r.title for r in roles() if r.code == code), code))


@cache
def environment(language: str) -> Environment:
    """Jinja for a language."""
    env = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.do"],
    )
    translate = translator(language)
    env.globals.update(
        _=translate,
        static=assets.static_url,
        icon=icon,
        languages=LANGUAGES,
        language=language,
        systems=systems,
        csrf_field=CSRF_FIELD,
        age=lambda born, on: show.age(born, on, translate),
        name_of=show.name_of,
        identifiers=show.identifiers,
        address_of=show.address_of,
        phone_of=show.phone_of,
        band=show.band,
    )
    env.filters.update(
        moment=show.moment,
        day=show.day,
        number=show.number,
        money=show.money,
        unit=show.unit,
        sex=lambda code: translate(show.SEX.get(str(code or "unknown"), "Chưa rõ")),
        t=translate,
        q=lambda text: quote(str(text), safe=""),
        khoa_name=khoa_title,
        role_title=lambda code: _role_title(str(code), translate),
        state_title=lambda state: translate(state_title(str(state))),
        json=lambda value: dumps(value).decode(),
    )
    return env
