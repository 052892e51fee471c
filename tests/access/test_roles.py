"""The tables of roles and permissions: every role × every permission, decided here a second time."""

from __future__ import annotations

import csv
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from benhan.access import AccessPolicy, Account, HeldRole, SignedIn, may, permissions, require, roles
from benhan.access.roles import groups, role_rights, role_table
from benhan.base.errors import NotAllowed
from benhan.store import Action, Actor, Ctx

NOW = datetime(2026, 11, 22, 7, 0, tzinfo=UTC)
MATRIX = Path(__file__).with_name("permission_matrix.csv")
PRACTICE_A12 = {
    "bac_si", "dieu_duong", "ho_sinh", "y_si", "ky_thuat_vien", "duoc_si", "thu_ngan", "dieu_duong_truong",
    "truong_khoa", "phong_khth", "lanh_dao", "quan_ly_chat_luong", "dinh_duong", "hoc_vien", "giam_dinh_bhxh",
    "cntt", "so_y_te", "tiep_don", "nguoi_benh",
}  # fmt: skip


def signed_in(*held: tuple[str, str | None], pending: str = "", overrides: dict | None = None) -> SignedIn:
    """A person holding roles in khoa."""
    account = Account(uuid4(), "an", "Practitioner/1", "BS. An", "staff", "active", False, True, None)
    ctx = Ctx(UUID(int=1), Actor("Practitioner/1", "BS. An", "person"), frozenset(r for r, _ in held))
    return SignedIn(
        ctx,
        AccessPolicy.of_roles([r for r, _ in held]),
        account,
        tuple(HeldRole(r, k, "standing", NOW, None) for r, k in held),
        "csrf",
        NOW + timedelta(hours=8),
        pending=pending,  # type: ignore[arg-type]
        overrides=overrides or {},
    )


def expected() -> dict[tuple[str, str], str]:
    """(permission, role) → scope, as reviewed in the CSV beside this test."""
    with MATRIX.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        return {
            (row["permission"], role): row[role] for row in reader for role in row if role != "permission"
        }


def test_roles_are_those_of_practice_a12() -> None:
    """Every role of the ward's practice is there, with a Vietnamese title and a type of account."""
    assert {r.code for r in roles()} == PRACTICE_A12
    assert all(r.title and r.kind in ("staff", "admin", "external", "patient") for r in roles())


def test_matrix_names_every_role_and_permission() -> None:
    """A new role or permission must be entered in the reviewed matrix."""
    assert {p for p, _ in expected()} == set(permissions())
    assert {r for _, r in expected()} == PRACTICE_A12
    for permission in permissions().values():
        assert set(permission.roles) <= PRACTICE_A12, permission.name
        assert permission.title


@pytest.mark.parametrize("role", sorted(PRACTICE_A12))
def test_each_role_has_exactly_the_permissions_of_the_matrix(role: str) -> None:
    """Own khoa, other khoa and the whole facility are decided as the matrix says; absent is refused."""
    for (permission, who), scope in expected().items():
        if who != role:
            continue
        in_k01, everywhere = signed_in((role, "K01")), signed_in((role, None))
        assert may(in_k01, permission, khoa="K01") is (scope != ""), permission
        assert may(in_k01, permission, khoa="K02") is (scope == "facility"), permission
        assert may(everywhere, permission, khoa="K02") is (scope != ""), permission


def test_administrators_and_the_department_have_no_clinical_view() -> None:
    """CNTT and Sở Y tế reach no type that carries a person's content."""
    content = ("person", "visit", "coverage", "clinical", "orders", "results", "doses", "papers", "money")
    personal = {kind for group in content for kind in groups()[group]}
    for role in ("cntt", "so_y_te"):
        assert not personal & set(role_rights(role)), role
        assert not may(signed_in((role, None)), "record.read")
    assert may(signed_in(("so_y_te", None)), "record.status")


def test_auditor_and_insurer_and_learner_write_nothing() -> None:
    """Giám định viên, học viên, quản lý chất lượng and the patient only read."""
    writes = {Action.CREATE, Action.UPDATE, Action.DELETE}
    for role in ("giam_dinh_bhxh", "hoc_vien", "quan_ly_chat_luong", "nguoi_benh", "so_y_te"):
        assert not any(writes & actions for actions in role_rights(role).values()), role


def test_no_role_deletes() -> None:
    """Nothing is deleted through a role: correction is a new version."""
    for role in role_table():
        assert not any(Action.DELETE in actions for actions in role_rights(role).values()), role


def test_every_resource_type_lies_in_one_group() -> None:
    """A type in no group would be refused to every person; a type in two would be decided twice."""
    from benhan.fhir import RESOURCE_TYPES

    listed = [t for types in groups().values() for t in types]
    assert len(listed) == len(set(listed))
    assert set(listed) >= RESOURCE_TYPES, RESOURCE_TYPES - set(listed)


def test_require_says_why_in_vietnamese() -> None:
    """A refusal names the permission's title, and the code is stable."""
    with pytest.raises(NotAllowed) as caught:
        require(signed_in(("dieu_duong", "K01")), "record.close")
    assert caught.value.code == "access.not-permitted"
    assert "Đóng hồ sơ" in caught.value.text
    require(signed_in(("phong_khth", None)), "record.close")


def test_unknown_permission_is_a_fault_of_the_program() -> None:
    """A misspelt permission never passes."""
    with pytest.raises(KeyError):
        require(signed_in(("bac_si", None)), "record.opne")


def test_pending_session_may_nothing() -> None:
    """Before the password is changed or TOTP enrolled, nothing else is allowed."""
    for pending, code in (("password", "access.must-change-password"), ("totp", "access.must-enrol-totp")):
        with pytest.raises(NotAllowed) as caught:
            require(signed_in(("bac_si", "K01"), pending=pending), "record.open", khoa="K01")
        assert caught.value.code == code


def test_facility_override_narrows_and_widens() -> None:
    """A facility's own table wins, in both directions."""
    narrowed = signed_in(("bac_si", "K01"), overrides={("record.open", "bac_si"): "none"})
    assert not may(narrowed, "record.open", khoa="K01")
    widened = signed_in(("thu_ngan", None), overrides={("claim.send", "thu_ngan"): "facility"})
    assert may(widened, "claim.send")


def test_roles_in_several_khoa_add_up() -> None:
    """A doctor of K01 on duty in K02 orders in both, not in K03."""
    doctor = signed_in(("bac_si", "K01"), ("bac_si", "K02"))
    assert [may(doctor, "order.write", khoa=k) for k in ("K01", "K02", "K03")] == [True, True, False]
    assert doctor.khoa == ("K01", "K02")


def test_permission_names_used_in_the_program_exist() -> None:
    """Every literal permission passed to require, may or authorize is in the table."""
    source = Path(__file__).parents[2] / "src" / "benhan"
    used = set()
    for path in source.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        used |= {
            (m, path.name)
            for m in re.findall(r"\b(?:require|may)\(\s*[\w.]+,\s*\"([a-z_]+\.[a-z_]+)\"", text)
        }
        used |= {(m, path.name) for m in re.findall(r"\bauthorize\(\s*\"([a-z_]+\.[a-z_]+)\"", text)}
    assert {(name, file) for name, file in used if name not in permissions()} == set()
