"""`AccessPolicy`: what the store asks on every path, made anew for each request from roles or machine scopes.

Default deny. A patient reaches the own compartment only, and what lies outside looks absent. At the hub a
machine's rows are narrowed further by row-level security (custodian ∪ grants) through ``ctx.reader``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from benhan.access.roles import rights_of
from benhan.access.scopes import rights_of_scopes
from benhan.base.errors import NotAllowed, NotFound
from benhan.base.json_door import JsonObject
from benhan.fhir import patient_of
from benhan.store import Action, Ctx, Scope

#: Types without personal data, which a patient may read beside the own compartment.
OPEN_TYPES = frozenset(rights_of(frozenset({"so_y_te"}))) - {"Measure", "MeasureReport"}


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """Rights of one caller: resource type → actions; ``patient`` set: only that person's compartment."""

    rights: Mapping[str, frozenset[Action]] = field(default_factory=dict)
    patient: str | None = None

    @classmethod
    def of_roles(cls, roles: Iterable[str], patient: str | None = None) -> AccessPolicy:
        """Policy of a person; ``patient`` is the person's own Patient id when signed in as a patient."""
        return cls(rights_of(frozenset(roles)), patient)

    @classmethod
    def of_scopes(cls, scopes: str) -> AccessPolicy:
        """Policy of a machine from granted SMART v2 system scopes."""
        return cls(rights_of_scopes(scopes))

    @classmethod
    def nothing(cls) -> AccessPolicy:
        """Refuses everything."""
        return cls()

    @property
    def by_type(self) -> bool:
        """True for who is bound to no compartment: what a resource holds decides nothing."""
        return self.patient is None

    def check(self, ctx: Ctx, action: Action, resource_type: str, resource: JsonObject | None) -> None:
        """Raise `NotAllowed` when the type and action are not granted, `NotFound` when it is another's."""
        if action not in self.rights.get(resource_type, frozenset()):
            raise NotAllowed(
                "access.resource-refused",
                "Tài khoản không có quyền làm việc này.",
                diagnostics=f"{action} {resource_type}",
            )
        if self.patient is None or resource is None or resource_type in OPEN_TYPES:
            return
        if _compartment(resource_type, resource) != self.patient:
            raise NotFound("access.not-found", "Không có tài liệu này.")

    def scope(self, ctx: Ctx, action: Action, resource_type: str) -> Scope:
        """What of a type a search, count, history, include or export may show."""
        if action not in self.rights.get(resource_type, frozenset()):
            return Scope.NONE
        if self.patient is None or resource_type in OPEN_TYPES:
            return Scope.ALL
        return Scope.patients(frozenset({self.patient}))


def _compartment(resource_type: str, resource: JsonObject) -> str | None:
    if resource_type == "Patient":
        own = resource.get("id")
        return own if isinstance(own, str) else None
    return patient_of(resource)
