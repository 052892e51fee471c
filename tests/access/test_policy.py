"""`AccessPolicy` and SMART scopes: what the store is told on every path."""

from __future__ import annotations

from uuid import UUID

import pytest

from benhan.access import AccessPolicy
from benhan.access.roles import LETTERS, role_rights, role_table
from benhan.access.scopes import narrow, parse, rights_of_scopes
from benhan.base.errors import NotAllowed, NotFound
from benhan.fhir import RESOURCE_TYPES
from benhan.store import Action, Actor, Ctx, Scope

CTX = Ctx(UUID(int=1), Actor("Patient/p1", "Người bệnh", "person"))
OWN = {"resourceType": "Observation", "id": "o1", "subject": {"reference": "Patient/p1"}}
OTHER = {"resourceType": "Observation", "id": "o2", "subject": {"reference": "Patient/p2"}}


@pytest.mark.parametrize("role", sorted(role_table()))
def test_every_role_type_and_action_is_decided_by_the_table(role: str) -> None:
    """check and scope agree with the table for all types and actions; absent is refused."""
    policy, rights = AccessPolicy.of_roles([role]), role_rights(role)
    for kind in RESOURCE_TYPES:
        for action in Action:
            allowed = action in rights.get(kind, frozenset())
            assert (policy.scope(CTX, action, kind) == Scope.ALL) is allowed
            if allowed:
                policy.check(CTX, action, kind, None)
            else:
                with pytest.raises(NotAllowed):
                    policy.check(CTX, action, kind, None)


def test_nothing_is_allowed_without_a_role() -> None:
    """No role, an unknown role, or a pending session: everything is refused."""
    for policy in (AccessPolicy(), AccessPolicy.nothing(), AccessPolicy.of_roles(["khong_co"])):
        for kind in RESOURCE_TYPES:
            assert policy.scope(CTX, Action.SEARCH, kind) == Scope.NONE


def test_patient_reaches_own_compartment_only() -> None:
    """A patient's own resources are read; another's look absent; searches are cut to the own compartment."""
    policy = AccessPolicy.of_roles(["nguoi_benh"], "p1")
    policy.check(CTX, Action.READ, "Observation", OWN)
    policy.check(CTX, Action.READ, "Patient", {"resourceType": "Patient", "id": "p1"})
    for kind, resource in (
        ("Observation", OTHER),
        ("Patient", {"resourceType": "Patient", "id": "p2"}),
        ("Observation", {"resourceType": "Observation", "id": "o3"}),
        ("Observation", {"resourceType": "Observation", "subject": {"reference": "Group/p1"}}),
    ):
        with pytest.raises(NotFound):
            policy.check(CTX, Action.READ, kind, resource)
    assert policy.scope(CTX, Action.SEARCH, "Observation") == Scope.patients(frozenset({"p1"}))
    assert policy.scope(CTX, Action.INCLUDE, "Observation") == Scope.patients(frozenset({"p1"}))
    with pytest.raises(NotAllowed):
        policy.check(CTX, Action.UPDATE, "Observation", OWN)


def test_patient_role_without_patient_id_sees_nothing_personal() -> None:
    """The role alone, on another type of account, would open all: account types forbid that pair."""
    assert role_table()["nguoi_benh"].kind == "patient"


SCOPES = [
    ("system/Observation.rs", {"Observation": "rs"}),
    ("system/Patient.c system/Patient.u", {"Patient": "cu"}),
    ("system/Encounter.d", {"Encounter": "d"}),
    ("system/Observation.rsx system/Patient.x", {"Observation": "rsx", "Patient": "x"}),
    ("system/AuditEvent.rs", {}),
    ("system/MessageHeader.cruds", {}),
    ("system/NoSuchType.cruds", {}),
]


@pytest.mark.parametrize(("scopes", "letters"), SCOPES)
def test_scope_gives_its_letters_and_no_more(scopes: str, letters: dict[str, str]) -> None:
    """scope × type × action, fully enumerated over all resource types."""
    rights = rights_of_scopes(scopes)
    for kind in RESOURCE_TYPES:
        wanted: set[Action] = set()
        for letter in letters.get(kind, ""):
            wanted |= LETTERS[letter]
        if {"r", "s"} <= set(letters.get(kind, "")):
            wanted.add(Action.INCLUDE)
        assert rights.get(kind, frozenset()) == wanted, kind


def test_star_reaches_all_but_trail_and_plumbing() -> None:
    """``system/*`` never opens the access trail or makes this node call out."""
    rights = rights_of_scopes("system/*.cruds")
    assert "Observation" in rights
    assert not {"AuditEvent", "Parameters", "MessageHeader"} & set(rights)


BAD_SCOPES = [
    "patient/Observation.rs", "user/*.rs", "system/*.read", "system/Observation.*",
    "system/Observation.rs?category=x", "system/Observation.", "system/observation.rs",
    "system/Observation.sr",
    "system/*", "openid", "", "system/../*.r",
]  # fmt: skip


@pytest.mark.parametrize("scope", BAD_SCOPES)
def test_scopes_that_cannot_be_enforced_are_not_granted(scope: str) -> None:
    """A scope that is not understood gives nothing."""
    assert parse(scope) is None
    assert narrow(scope, "system/*.cruds") == ""


@pytest.mark.parametrize(
    ("wanted", "allowed", "granted"),
    [
        ("system/Observation.rs", "system/*.rs", "system/Observation.rs"),
        ("system/Observation.cruds", "system/*.rs", "system/Observation.rs"),
        ("system/Observation.c", "system/*.rs", ""),
        (
            "system/*.cruds",
            "system/Patient.rs system/Observation.c",
            "system/Patient.rs system/Observation.c",
        ),
        ("system/*.rs", "system/*.rs system/Patient.cruds", "system/*.rs"),
        ("system/*.cruds", "system/*.rs system/Patient.cruds", "system/*.rs system/Patient.cruds"),
        ("system/Patient.rs openid", "system/Patient.rs", "system/Patient.rs"),
        ("system/*.rs", "system/*.rsx", "system/*.rsx"),  # Bulk Data clients ask for rs
        ("system/Patient.r", "system/*.rsx", "system/Patient.r"),
        ("system/*.rsx", "system/*.cruds", "system/*.rs"),
    ],
)
def test_narrowing(wanted: str, allowed: str, granted: str) -> None:
    """What is granted is what was asked and is registered."""
    assert narrow(wanted, allowed) == granted


def test_narrowing_never_widens() -> None:
    """Whatever is asked, the rights granted lie within those registered and those asked."""
    pool = [
        "system/*.rs",
        "system/*.cruds",
        "system/Patient.cru",
        "system/Observation.s",
        "system/Patient.d",
        "x",
    ]
    for first in pool:
        for second in pool:
            for allowed in pool:
                asked = f"{first} {second}"
                got = rights_of_scopes(narrow(asked, allowed))
                for kind, actions in got.items():
                    assert actions <= rights_of_scopes(allowed).get(kind, frozenset())
                    assert actions <= rights_of_scopes(asked).get(kind, frozenset())
