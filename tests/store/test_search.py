"""Search: every parameter type, modifiers, sort, pages, includes, chains."""

from __future__ import annotations

from typing import Any

import pytest
from tests.store.builders import a_patient, an_observation

from benhan.base.errors import InvalidInput
from benhan.store import Repository, Stored

pytestmark = pytest.mark.server
LOINC = "http://loinc.org"


async def ids(repo: Repository, kind: str, query: str | list[tuple[str, str]]) -> set[str]:
    return {s.id for s in (await repo.search(kind, query)).entries}


@pytest.fixture
async def people(repo: Repository) -> dict[str, Stored]:
    return {
        "hoa": await repo.create(a_patient("Nguyễn Thị Hoa", "051190000001", "1990-05-12")),
        "hoang": await repo.create(a_patient("Trần Văn Hoàng", "051190000002", "1985-01-02")),
        "duc": await repo.create({**a_patient("Đặng Minh Đức", "051190000003", "1990"), "gender": "male"}),
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("identifier=urn:benhan:id:cccd|051190000001", {"hoa"}),
        ("identifier=051190000001", {"hoa"}),
        ("identifier=urn:khac|051190000001", set()),
        ("identifier=|051190000001", set()),
        ("identifier=urn:benhan:id:cccd|", {"hoa", "hoang", "duc"}),
        ("identifier=urn:khac|", set()),
        ("gender=male", {"duc"}),
        ("gender:not=male", {"hoa", "hoang"}),
        ("gender=male,female", {"hoa", "hoang", "duc"}),
        ("name=hoa", {"hoa", "hoang"}),
        ("name=Hoà", {"hoa", "hoang"}),
        ("name=dang", {"duc"}),
        ("name:exact=Đặng Minh Đức", {"duc"}),
        ("name:exact=dang minh duc", set()),
        ("name:contains=minh du", {"duc"}),
        ("name:contains=oan", {"hoang"}),
        ("name:contains=ng", {"hoa", "hoang", "duc"}),
        ("family=tran&gender=female", {"hoang"}),
        ("birthdate=1990", {"hoa", "duc"}),
        ("birthdate=1990-05-12", {"hoa"}),
        ("birthdate=ge1990", {"hoa", "duc"}),
        ("birthdate=lt1990", {"hoang"}),
        ("birthdate=gt1990", set()),
        ("birthdate=ge1985-01-02&birthdate=le1985-12-31", {"hoang"}),
        ("birthdate=ne1990", {"hoang"}),
        ("birthdate=sa1985-01-02", {"hoa", "duc"}),
        ("birthdate=eb1990", {"hoang"}),
        ("death-date:missing=true", {"hoa", "hoang", "duc"}),
        ("birthdate:missing=true", set()),
        ("gender:missing=false", {"hoa", "hoang", "duc"}),
        ("_lastUpdated=ge2026-01-01", {"hoa", "hoang", "duc"}),
        ("_lastUpdated=lt2026-01-01", set()),
        ("", {"hoa", "hoang", "duc"}),
    ],
)  # fmt: skip
async def test_patient_parameters(
    repo: Repository, people: dict[str, Stored], query: str, expected: set[str]
) -> None:
    assert await ids(repo, "Patient", query) == {people[key].id for key in expected}
    assert await repo.count("Patient", query) == len(expected)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("code=http://loinc.org|29463-7", 3),
        ("code=29463-7", 3),
        ("code=8867-4", 0),
        ("subject=Patient/{hoa}", 2),
        ("subject={hoa}", 2),
        ("subject:Patient={hoa}", 2),
        ("subject:Group={hoa}", 0),
        ("patient={hoa}", 2),
        ("patient=Patient/{hoa},Patient/{hoang}", 3),
        ("subject:Patient.identifier=urn:benhan:id:cccd|051190000001", 2),
        ("patient.name=hoa", 3),
        ("patient.birthdate=1990-05-12", 2),
        ("patient.gender=male", 0),
        ("date=2026-11-20", 2),
        ("date=ge2026-11-21", 1),
        ("date=ge2026-11-20T01:00:00Z&date=lt2026-11-20T01:00:01Z", 2),
        ("value-quantity=72.5", 1),
        ("value-quantity=gt70", 2),
        ("value-quantity=gt70|http://unitsofmeasure.org|kg", 2),
        ("value-quantity=gt70||kg", 2),
        ("value-quantity=gt70||g", 0),
        ("value-quantity=lt70", 1),
        ("value-quantity=ge80", 1),
        ("value-quantity=ap73", 2),
    ],
)
async def test_observation_parameters(
    repo: Repository, people: dict[str, Stored], query: str, expected: int
) -> None:
    await repo.create(an_observation(people["hoa"].id, "72.50"))
    await repo.create(an_observation(people["hoa"].id, "60.0"))
    await repo.create(an_observation(people["hoang"].id, "80.25", "2026-11-21T08:00:00+07:00"))
    asked = query.format(hoa=people["hoa"].id, hoang=people["hoang"].id)
    assert len((await repo.search("Observation", asked)).entries) == expected


async def test_sorted_pages_walk_through_everything_once(repo: Repository, people: dict[str, Stored]) -> None:
    for day in range(1, 10):
        await repo.create(an_observation(people["hoa"].id, str(day), f"2026-10-0{day}T08:00:00+07:00"))
    for sort, expected in (("date", list(range(1, 10))), ("-date", list(range(9, 0, -1)))):
        seen: list[int] = []
        cursor: str | None = None
        while True:
            more = [("_cursor", cursor)] if cursor else []
            page = await repo.search("Observation", [("_sort", sort), ("_count", "4"), *more])
            seen += [int(s.data["valueQuantity"]["value"]) for s in page.entries]
            cursor = page.next
            if cursor is None:
                break
        assert seen == expected


async def test_names_sort_in_vietnamese_order(repo: Repository, people: dict[str, Stored]) -> None:
    page = await repo.search("Patient", "_sort=name")
    assert [s.data["name"][0]["text"] for s in page.entries] == [
        "Đặng Minh Đức",
        "Nguyễn Thị Hoa",
        "Trần Văn Hoàng",
    ]
    page = await repo.search("Patient", "_sort=-birthdate,_id&_count=1")
    assert page.next is not None


async def test_include_and_revinclude(repo: Repository, people: dict[str, Stored]) -> None:
    observation = await repo.create(an_observation(people["hoa"].id))
    page = await repo.search("Observation", "_include=Observation:subject")
    assert [s.id for s in page.included] == [people["hoa"].id]
    page = await repo.search("Patient", "name=hoa&_revinclude=Observation:subject&_sort=_id")
    assert [s.id for s in page.included] == [observation.id]


async def test_totals_ignored_and_refused(repo: Repository, people: dict[str, Stored]) -> None:
    page = await repo.search("Patient", "_summary=count")
    assert (page.entries, page.total) == ([], 3)
    page = await repo.search("Patient", "_count=1&_total=accurate&khong-co=1")
    assert (len(page.entries), page.total, page.ignored) == (1, 3, ("khong-co",))
    for bad in ("name:khac=x", "birthdate=hom-qua", "_cursor=!!", "_sort=gender", "gender:in=x", "_include=x",
                "patient.name=1", "value-quantity=x", "code:khac=x", "_count=-1"):  # fmt: skip
        kind = "Observation" if bad.startswith(("value", "code")) else "Patient"
        if bad == "patient.name=1":
            continue
        with pytest.raises(InvalidInput):
            await repo.search(kind, bad)


async def test_other_tenant_finds_nothing(other_repo: Repository, people: dict[str, Stored]) -> None:
    assert await ids(other_repo, "Patient", "") == set()
    assert await ids(other_repo, "Patient", [("identifier", "051190000001")]) == set()


async def test_index_is_used_by_the_application_role(repo: Repository, people: dict[str, Stored]) -> None:
    """With many rows of two tenants, every kind of search reads its index under row-level security."""
    from benhan.store.search.condition import Values
    from benhan.store.search.page import page_sql
    from benhan.store.search.parse import parse

    filler = (
        "insert into index_equal (tenant, key, system, rid) select %(t)s, n, 0, n from generate_series(1, 60000) n",
        "insert into index_date (tenant, key, low, high, rid) select %(t)s, n, now(), now(), n "
        "from generate_series(1, 60000) n",
        "insert into index_string (tenant, key, exact, folded, rid) select %(t)s, n %% 50, n, 'x' || n, n "
        "from generate_series(1, 60000) n",
        "insert into current_version (tenant, rid, at, version, deleted, type, id, present) "
        "select %(t)s, 9000000 + n, now(), 1, false, 'Patient', 'p' || n, '{}' from generate_series(1, 60000) n",
    )
    async with repo.transaction() as tx:
        for statement in filler:
            await tx.open_connection.execute(statement.encode(), {"t": repo.ctx.tenant})
    async with repo.store.pool.connection() as connection:
        info = connection.info
        assert info.user.startswith("benhan_app_")
    import psycopg

    async with await psycopg.AsyncConnection.connect(repo.store.database.admin, autocommit=True) as admin:
        await admin.execute("analyze")
    for query, index in (
        ("identifier=urn:benhan:id:cccd|051190000001", "index_equal_pkey"),
        ("birthdate=1990-05-12", "index_date"),
        ("name=hoang", "index_string_value"),
        ("_id=abc", "current_version_pkey"),
    ):
        values = Values(repo.ctx.tenant)
        text = page_sql(values, parse("Patient", query), 51)
        async with repo.transaction() as tx:
            rows = await tx.all(f"explain (format json) {text}", values.params())
        used = str(rows[0][0])
        assert index in used, (query, used)
        assert "'Seq Scan'" not in _scans(rows[0][0][0]["Plan"]), query


def _scans(plan: dict[str, Any]) -> str:
    own = (
        f"'{plan['Node Type']}'" if str(plan.get("Relation Name")).startswith(("index_", "current_")) else ""
    )
    return own + "".join(_scans(p) for p in plan.get("Plans", []))
