"""A child is registered from its mother's đợt: time of birth, tie to the mother, her address; then the admission form."""

from __future__ import annotations

import importlib.util
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from benhan.base.clock import local
from benhan.identity import person_of
from benhan.store import SystemPolicy

_BUILDERS = Path(__file__).parents[1] / "records" / "builders.py"


def _builders() -> Any:
    name = "records_builders"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, _BUILDERS)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


async def test_a_child_is_registered_from_its_mothers_page(as_person: Any, house: Any) -> None:
    build = _builders()
    repo = house.store.repo(build.ctx(house.tenant), SystemPolicy())
    mother = await build.a_patient(repo, name="Đinh Thị Mẫu", sex="female", cccd="051190000044")
    encounter = (await build.an_admission(repo, mother)).encounter.id
    desk = await as_person("tiepdon")
    assert "Đăng ký con mới sinh" in await desk.see(f"/dot/{encounter}")
    await desk.see(f"/dot/{encounter}/con")
    at = local(repo.clock.now() - timedelta(minutes=10))
    text = await desk.press(f"/dot/{encounter}/con", 400, born="01/01/2020 08:00", sex="female")
    assert "trong đợt của mẹ" in text
    await desk.press(f"/dot/{encounter}/con", born=f"{at:%d/%m/%Y %H:%M}", sex="female", order="1")
    assert desk.where().startswith("/tiep-don/nhap-vien/")
    child = person_of((await repo.read("Patient", desk.where().rsplit("/", 1)[-1])).data)
    assert (child.birth_time, child.birth_date) == (f"{at:%H:%M}", f"{at:%Y-%m-%d}")
    assert (child.status, child.mother_id, child.birth_order) == ("newborn", mother.id, 1)
    assert (child.address, child.contact_name) == ("Thôn 1", "Đinh Thị Mẫu")


async def test_a_father_has_no_such_page(as_person: Any, house: Any) -> None:
    build = _builders()
    repo = house.store.repo(build.ctx(house.tenant), SystemPolicy())
    encounter = (await build.an_admission(repo)).encounter.id
    desk = await as_person("tiepdon")
    assert "Đăng ký con mới sinh" not in await desk.see(f"/dot/{encounter}")
    await desk.see(f"/dot/{encounter}/con")
    assert "người mẹ" in await desk.press(f"/dot/{encounter}/con", 400, born="01/01/2020 08:00")
