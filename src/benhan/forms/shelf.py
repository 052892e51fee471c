"""A facility's own forms and editions, kept as the YAML that was loaded: draft → published → retired.

A published text is never changed: another edition is another row. Reading a form file needs a folder for its own
includes; here only the shipped common parts can be included.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Literal
from uuid import UUID

from benhan.base.errors import Conflict, NotFound
from benhan.forms.catalogue_index import adopt
from benhan.forms.loader import load_form
from benhan.forms.model import Form
from benhan.store import Repository

State = Literal["draft", "published", "retired"]
_COLUMNS = "code, edition, state, title, source_text, valid_from, valid_to, at, by"
_LIST = f"select {_COLUMNS} from form_template where tenant = %s order by code, valid_from"  # noqa: S608 - constant
_ONE = f"select {_COLUMNS} from form_template where tenant = %s and code = %s and edition = %s for update"  # noqa: S608
_PUT = (
    f"insert into form_template (tenant, {_COLUMNS}) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "  # noqa: S608
    "on conflict (tenant, code, edition) do update set title = excluded.title, source_text = excluded.source_text, "
    "valid_from = excluded.valid_from, valid_to = excluded.valid_to, at = excluded.at, by = excluded.by"
)
_MOVE = (
    "update form_template set state = %s, valid_to = coalesce(%s, valid_to) "
    "where tenant = %s and code = %s and edition = %s"
)
_FRESH_FOR_S = 15.0
_seen: dict[UUID, float] = {}


@dataclass(frozen=True, slots=True)
class Template:
    """One edition of a facility's form."""

    code: str
    edition: str
    state: State
    title: str
    text: str
    valid_from: date
    valid_to: date | None
    at: datetime
    by: str

    def form(self) -> Form:
        """The form that its text says."""
        return read(self.text)


def read(text: str) -> Form:
    """A form from its YAML text. Raises: ``InvalidInput`` forms.bad-file, every fault with its line."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bieu-mau.yaml"
        path.write_text(text, encoding="utf-8")
        return load_form(path)


async def templates(repo: Repository) -> list[Template]:
    """The facility's own forms, every edition."""
    async with repo.transaction() as tx:
        return [Template(*row) for row in await tx.all(_LIST, (repo.ctx.tenant,))]


async def load(repo: Repository, text: str) -> Template:
    """Keep a draft; its code begins with the facility's, so that no two facilities share one.

    Raises: ``InvalidInput`` forms.bad-file; ``Conflict`` forms.edition-published, forms.code-not-ours.
    """
    form = read(text)
    house = next((t.code for t in await repo.store.tenants() if t.id == repo.ctx.tenant), "")
    if not form.code.startswith(f"CS{house}/"):
        raise Conflict(
            "forms.code-not-ours",
            f"Mã biểu mẫu của cơ sở bắt đầu bằng CS{house}/, ví dụ CS{house}/SANG-LOC; tệp ghi {form.code}.",
        )
    async with repo.transaction() as tx:
        before = await tx.one(_ONE, (repo.ctx.tenant, form.code, form.edition))
        if before is not None and before[2] != "draft":
            raise Conflict(
                "forms.edition-published", f"Bản {form.edition} của {form.code} đã ban hành; hãy ghi bản mới."
            )
        row = (form.code, form.edition, "draft", form.title, text, form.valid_from, form.valid_to)
        await tx.open_connection.execute(
            _PUT, (repo.ctx.tenant, *row, repo.clock.now(), repo.ctx.actor.reference)
        )
    return await find(repo, form.code, form.edition)


async def refresh(repo: Repository, *, now: bool = False) -> None:
    """Bring this process's catalogue up to the facility's published and retired forms; asks every few seconds."""
    tenant = repo.ctx.tenant
    if not now and time.monotonic() - _seen.get(tenant, -_FRESH_FOR_S) < _FRESH_FOR_S:
        return
    forms = []
    for one in await templates(repo):
        if one.state != "draft":
            forms.append(replace(one.form(), valid_to=one.valid_to))
    adopt(str(tenant), forms)
    _seen[tenant] = time.monotonic()


async def find(repo: Repository, code: str, edition: str) -> Template:
    """One edition. Raises: ``NotFound`` forms.no-such-template."""
    async with repo.transaction() as tx:
        row = await tx.one(_ONE, (repo.ctx.tenant, code, edition))
    if row is None:
        raise NotFound("forms.no-such-template", f"Cơ sở không có biểu mẫu {code}, bản {edition}.")
    return Template(*row)


async def publish(repo: Repository, code: str, edition: str) -> None:
    """A draft comes into force on its own date. Raises: ``Conflict`` forms.not-a-draft, forms.editions-overlap."""
    async with repo.transaction() as tx:
        draft = await find(tx, code, edition)
        if draft.state != "draft":
            raise Conflict("forms.not-a-draft", "Chỉ bản nháp mới ban hành được.")
        for other in await templates(tx):
            if other.code == code and other.state != "draft" and _overlap(other, draft):
                raise Conflict(
                    "forms.editions-overlap", f"Thời hạn chồng với bản {other.edition}; ngừng bản đó trước."
                )
        await tx.open_connection.execute(_MOVE, ("published", None, repo.ctx.tenant, code, edition))
    await refresh(repo, now=True)


async def retire(repo: Repository, code: str, edition: str, last_day: date) -> None:
    """A published edition ends; records made on it keep it. Raises: ``Conflict`` forms.not-published."""
    async with repo.transaction() as tx:
        here = await find(tx, code, edition)
        if here.state != "published":
            raise Conflict("forms.not-published", "Chỉ bản đã ban hành mới ngừng được.")
        ended = replace(here, valid_to=last_day)
        for other in await templates(tx):
            if (
                other.code == code
                and other.edition != edition
                and other.state != "draft"
                and _overlap(other, ended)
            ):
                raise Conflict("forms.editions-overlap", f"Ngày này đã thuộc bản {other.edition}.")
        await tx.open_connection.execute(_MOVE, ("retired", last_day, repo.ctx.tenant, code, edition))
    await refresh(repo, now=True)


def _overlap(a: Template, b: Template) -> bool:
    far = date.max
    return a.valid_from <= (b.valid_to or far) and b.valid_from <= (a.valid_to or far)


def differences(old: Form, new: Form) -> list[str]:
    """What changed between two editions, in words, in the order of the new one."""
    before, after = ({i.link_id: i for i in form.items()} for form in (old, new))
    out = [f"Bỏ mục {i.label} ({key})" for key, i in before.items() if key not in after]
    for key, item in after.items():
        if key not in before:
            out.append(f"Thêm mục {item.label} ({key})")
        elif before[key] != item:
            parts = [
                name
                for name in (
                    "label",
                    "type",
                    "choices",
                    "unit",
                    "range",
                    "required_at",
                    "populate",
                    "computed",
                    "layout",
                )
                if getattr(before[key], name) != getattr(item, name)
            ]
            out.append(f"Sửa mục {item.label} ({key}): {', '.join(parts) or 'mục con'}")
    return out
