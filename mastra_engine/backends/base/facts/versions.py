"""Which versions of its claim a new fact ends, and from when on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from uuid_utils.compat import uuid7

from mastra_engine.backends.base.facts.arguments import NewFact, later
from mastra_engine.backends.base.facts.claims import Claim, name_key
from mastra_engine.backends.base.facts.store import FactWrite
from mastra_engine.backends.base.facts.subjects import Target
from mastra_engine.types import Fact, FactAction, FactSource


@dataclass(slots=True)
class _Change:
    """The parts of a version that a call adds."""

    claim: Claim | None = None
    alias_keys: list[UUID] = field(default_factory=list)
    ends: list[datetime] = field(default_factory=list)
    sources: list[FactSource] = field(default_factory=list)


class Versions:
    """The versions of some claims of a resource while one call changes them.

    `moment` is the time of all changes. It is never earlier than that of a version, even if the
    server's clock was set back: so the version that is remembered last is the latest one.
    """

    def __init__(
        self, resource_id: str, moment: datetime, stored: Sequence[tuple[Claim, Fact]]
    ) -> None:
        self.resource_id = resource_id
        self.moment = max([moment, *(fact.created_at for _, fact in stored)])
        self.facts: dict[UUID, Fact] = {}
        self._by_claim: dict[Claim, list[UUID]] = {}
        self._changes: dict[UUID, _Change] = {}
        for claim, fact in stored:
            self._add(claim, fact)

    def remember(self, new: NewFact, target: Target) -> tuple[FactAction, UUID]:
        """Remember a fact; return the effect, and the id of the version that holds it now.

        The same object again is a new version only if the current one has ended by then.
        """
        start = new.valid_from or self.moment
        if new.valid_to is not None:
            later(new.valid_to, start, f"{new.path}/valid_to")
        current = self._current(target.claim)
        if current is not None and current.object == new.object and _is_valid_after(current, start):
            self._confirm(current, new, target)
            return "unchanged", current.id
        for id in self._by_claim.get(target.claim, ()):
            self._end(id, start)
        if current is not None:
            self._put(replace(self.facts[current.id], superseded_at=self.moment))
        action: FactAction = "remembered" if current is None else "superseded"
        return action, self._create(new, target, start)

    def retract(self, id: UUID, reason: str, at: datetime | None) -> bool:
        """End a version for good; return False if it was retracted before."""
        if self.facts[id].retracted_at is not None:
            return False
        self._end(id, at or self.moment)
        self._put(replace(self.facts[id], retracted_at=self.moment, reason=reason))
        return True

    def merge(self, id: UUID, duplicate_id: UUID, sources: Sequence[FactSource]) -> None:
        """Retract a duplicate of a version, which gets its sources and its pin."""
        self.retract(duplicate_id, f"Duplicate of the fact {id}", None)
        if self.facts[duplicate_id].pinned:
            self._put(replace(self.facts[id], pinned=True))
        self._change(id).sources += sources

    def writes(self) -> list[FactWrite]:
        """Return the changes to store."""
        return [
            FactWrite(
                fact=self.facts[id],
                claim=change.claim,
                alias_keys=change.alias_keys,
                ends=change.ends,
                known_at=self.moment,
                sources=list(dict.fromkeys(change.sources)),
            )
            for id, change in self._changes.items()
        ]

    def _add(self, claim: Claim, fact: Fact) -> None:
        self.facts[fact.id] = fact
        self._by_claim.setdefault(claim, []).append(fact.id)

    def _current(self, claim: Claim) -> Fact | None:
        facts = (self.facts[id] for id in self._by_claim.get(claim, ()))
        return next((fact for fact in facts if is_current(fact)), None)

    def _create(self, new: NewFact, target: Target, start: datetime) -> UUID:
        fact = Fact(
            id=uuid7(),
            resource_id=self.resource_id,
            subject=target.subject.name,
            predicate=new.predicate,
            object=new.object,
            valid_from=start,
            valid_to=new.valid_to,
            created_at=self.moment,
            superseded_at=None,
            retracted_at=None,
            reason="",
            confidence=new.confidence,
            aliases=(),
            pinned=new.pinned,
            many=new.many,
        )
        self._add(target.claim, fact)
        change = self._change(fact.id)
        change.claim = target.claim
        change.ends += [new.valid_to] if new.valid_to else []
        change.sources += new.sources
        self._add_aliases(fact, new, target)
        return fact.id

    def _confirm(self, current: Fact, new: NewFact, target: Target) -> None:
        """Add the sources and the aliases of a fact that is known, and its pin."""
        self._add_aliases(current, new, target)
        if new.pinned and not current.pinned:
            self._put(replace(self.facts[current.id], pinned=True))
        if new.sources:
            self._change(current.id).sources += new.sources

    def _add_aliases(self, fact: Fact, new: NewFact, target: Target) -> None:
        """Add names that are not known to be the fact's subject or its aliases."""
        names = {name_key(self.resource_id, alias): alias for alias in reversed(new.aliases)}
        for alias in (target.subject.name, *fact.aliases):
            names.pop(name_key(self.resource_id, alias), None)
        if names:
            added = tuple(reversed(names.values()))
            self._put(replace(self.facts[fact.id], aliases=(*fact.aliases, *added)))
            self._change(fact.id).alias_keys += sorted(names.keys() & target.alias_keys)

    def _end(self, id: UUID, at: datetime) -> None:
        """End a version, unless it ended earlier."""
        if _is_valid_after(self.facts[id], at):
            self._put(replace(self.facts[id], valid_to=at))
            self._change(id).ends.append(at)

    def _put(self, fact: Fact) -> None:
        self.facts[fact.id] = fact
        self._change(fact.id)

    def _change(self, id: UUID) -> _Change:
        return self._changes.setdefault(id, _Change())


def is_current(fact: Fact) -> bool:
    """Return whether no other version and no retraction has replaced a version."""
    return fact.superseded_at is None and fact.retracted_at is None


def _is_valid_after(fact: Fact, moment: datetime) -> bool:
    return fact.valid_to is None or fact.valid_to > moment
