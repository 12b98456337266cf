"""The subjects of new facts: a name may be an alias of a subject that is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from mastra_engine.backends.base.facts.arguments import NewFact
from mastra_engine.backends.base.facts.claims import SINGLE, Claim, Subject, name_key


class Target(NamedTuple):
    """The claim and the subject of a new fact, and the keys of names that are now its aliases."""

    claim: Claim
    subject: Subject
    alias_keys: frozenset[UUID]


class Subjects:
    """The subjects of a resource, with the aliases that the facts of one call add.

    `by_alias` are the subjects by the keys of their aliases. The first subject to have an alias
    keeps it. Aliases never lead in a circle: they are added to subjects that are no aliases
    themselves.
    """

    def __init__(self, resource_id: str, by_alias: Mapping[UUID, Subject]) -> None:
        self._resource_id = resource_id
        self._by_alias = by_alias
        self._added: dict[UUID, Subject] = {}

    def target_of(self, new: NewFact) -> Target:
        """Return the claim and the subject of a new fact, and learn the fact's aliases."""
        subject = self.resolve(new.subject)
        keys = {self._key(alias) for alias in new.aliases} - {subject.key}
        # Not the subjects are compared, but their keys: a subject may have several spellings.
        free = {key for key in keys if (self._find(key) or subject).key == subject.key}
        for key in free - self._by_alias.keys():
            self._added.setdefault(key, subject)
        claim = claim_of(self._resource_id, subject.key, new)
        return Target(claim, subject, frozenset(free))

    def resolve(self, name: str) -> Subject:
        """Return the subject that a name stands for, which is the name itself if it is no alias."""
        key = self._key(name)
        return self._find(key) or Subject(key, name)

    def _find(self, key: UUID) -> Subject | None:
        subject = self._by_alias.get(key)
        while (added := self._added.get(subject.key if subject else key)) is not None:
            subject = added
        return subject

    def _key(self, name: str) -> UUID:
        return name_key(self._resource_id, name)


def claim_of(resource_id: str, subject_key: UUID, new: NewFact) -> Claim:
    """Return the claim of a new fact about a subject."""
    object_key = name_key(resource_id, new.object) if new.many else SINGLE
    return Claim(subject_key, name_key(resource_id, new.predicate), object_key)


def keys_of(resource_id: str, facts: Sequence[NewFact]) -> set[UUID]:
    """Return the keys of the subjects and aliases of new facts."""
    return {name_key(resource_id, name) for new in facts for name in (new.subject, *new.aliases)}
