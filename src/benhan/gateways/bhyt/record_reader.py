"""A đợt while its claim is read from the record: what was fetched is remembered."""

from __future__ import annotations

from dataclasses import dataclass, field

from benhan.base.errors import BenhanError
from benhan.base.json_door import JsonObject
from benhan.catalogue import systems
from benhan.records import Case
from benhan.store import Repository


@dataclass(slots=True)
class Reader:
    """One đợt being read; remembers what was fetched."""

    repo: Repository
    here: Case
    encounter: JsonObject
    facility: str
    cache: dict[str, JsonObject] = field(default_factory=dict)

    async def get(self, reference: str) -> JsonObject:
        """A resource by reference; empty when there is none."""
        kind, _, resource_id = reference.partition("/")
        if not resource_id:
            return {}
        if reference not in self.cache:
            try:
                self.cache[reference] = (await self.repo.read(kind, resource_id)).data
            except BenhanError:
                self.cache[reference] = {}
        return self.cache[reference]

    async def licence(self, reference: JsonObject | str | None) -> str:
        """Number of the practising licence behind a reference."""
        if isinstance(reference, str):
            reference = {"reference": reference}
        if not reference:
            return ""
        named = reference.get("identifier", {})
        if named.get("system") == systems.CCHN:
            return str(named["value"])
        person = await self.get(str(reference.get("reference", "")))
        return identifier(person, systems.CCHN)


def identifier(resource: JsonObject, system: str) -> str:
    """First identifier with this system."""
    return next((str(i["value"]) for i in resource.get("identifier", []) if i.get("system") == system), "")
