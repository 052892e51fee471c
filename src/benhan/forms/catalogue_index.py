"""Which forms are shipped, and which edition holds on a day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from benhan.base.errors import ConfigurationError, NotFound
from benhan.forms.loader import DATA, load_form
from benhan.forms.model import Form


class FormIndex:
    """Forms by code; each code has one edition or several that follow each other without overlap."""

    def __init__(self, forms: list[Form]) -> None:
        self._editions: dict[str, list[Form]] = {}
        for form in sorted(forms, key=lambda f: (f.code, f.valid_from)):
            self._editions.setdefault(form.code, []).append(form)
        for code, editions in self._editions.items():
            for earlier, later in pairwise(editions):
                if earlier.valid_to is None or earlier.valid_to >= later.valid_from:
                    raise ConfigurationError(
                        "forms.editions-overlap", f"Hai bản của biểu mẫu {code} có thời hạn chồng nhau."
                    )
        self._names = {a: f.code for f in forms for a in (f.code, f.slug, *f.aliases)}

    def codes(self) -> list[str]:
        """All codes, sorted."""
        return sorted(self._editions)

    def all(self) -> Iterator[Form]:
        """Every edition of every form."""
        for editions in self._editions.values():
            yield from editions

    def editions(self, code: str) -> list[Form]:
        """Editions of one form, oldest first; empty when unknown."""
        return list(self._editions.get(self._names.get(code, code), ()))

    def get(self, code: str, on: date) -> Form:
        """The edition valid on that day; ``code`` may be an alias or the slug.

        Raises: ``NotFound`` forms.no-such-form.
        """
        for form in self.editions(code):
            if form.valid_from <= on and (form.valid_to is None or on <= form.valid_to):
                return form
        raise NotFound("forms.no-such-form", f"Không có biểu mẫu {code} còn hiệu lực ngày {on:%d/%m/%Y}.")

    def with_forms(self, extra: list[Form]) -> FormIndex:
        """An index that also holds a facility's own forms."""
        return FormIndex([*self.all(), *extra])


_own: dict[str, list[Form]] = {}


def adopt(tenant: str, forms: list[Form]) -> None:
    """Put a facility's own forms beside the shipped ones, in the place of those it had."""
    if _own.get(tenant, []) != forms:
        _own[tenant] = forms
        _whole.cache_clear()


def foreign(form: Form, tenant: str) -> bool:
    """Whether the form belongs to another facility than this one."""
    return any(form in forms for owner, forms in _own.items() if owner != tenant)


def catalogue() -> FormIndex:
    """The shipped forms and those that facilities published (``benhan.forms.shelf``)."""
    return _whole()


@lru_cache(maxsize=1)
def _whole() -> FormIndex:
    extra = [form for forms in _own.values() for form in forms]
    return shipped().with_forms(extra) if extra else shipped()


@lru_cache(maxsize=1)
def shipped() -> FormIndex:
    """The shipped forms: every ``*.yaml`` directly in ``forms/data``."""
    return FormIndex([load_form(path) for path in sorted(DATA.glob("*.yaml"))])


def get(code: str, on: date) -> Form:
    """The shipped form ``code`` as valid on that day. Raises ``NotFound`` forms.no-such-form."""
    return catalogue().get(code, on)


def load_folder(folder: Path) -> list[Form]:
    """A facility's own forms: every ``*.yaml`` directly in the folder."""
    return [load_form(path) for path in sorted(folder.glob("*.yaml"))]
