"""An oracle of facts, written from their documentation and without code of the engines.

It remembers the whole timeline after every event: which versions were believed then, and from when
to when each was true. So the knowledge of a time is looked up instead of computed. Times are those
of `fact_model`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.property.fact_model import EVENT, NEVER, Time


class Told(NamedTuple):
    """A fact as it is passed to an engine."""

    subject: str
    predicate: str
    object: str
    many: bool = False
    start: Time | None = None
    end: Time | None = None
    aliases: Sequence[str] = ()
    pinned: bool = False
    sources: Sequence[int] = ()


@dataclass
class Version:
    """A version; `names` are its aliases that stand for its subject."""

    number: int
    event: int
    claim: tuple[str, ...]
    subject: str
    predicate: str
    object: str
    start: Time
    end: Time
    superseded: int | None = None
    retracted: int | None = None
    pinned: bool = False
    aliases: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    sources: list[int] = field(default_factory=list)

    @property
    def shown(self) -> tuple[object, ...]:
        return (
            self.number,
            self.subject,
            self.predicate,
            self.object,
            self.start,
            self.end,
            self.event,
            self.superseded,
            self.retracted,
            tuple(self.aliases),
            self.pinned,
        )


class FactOracle:
    """The facts of one resource."""

    def __init__(self) -> None:
        self.versions: dict[int, Version] = {}
        self.timelines: dict[int, dict[int, tuple[Time, Time]]] = {}
        self.event = self.count = 0

    def remember(self, facts: Iterable[Told]) -> list[Version]:
        self.event += 1
        versions = [self._remember(fact) for fact in facts]
        self._note()
        return versions

    def _remember(self, fact: Told) -> Version:
        subject = self.subject_of(fact.subject)
        claim = [folded(subject), folded(fact.predicate)] + [folded(fact.object)] * fact.many
        start = fact.start or (EVENT, self.event)
        own = self.history(tuple(claim))
        version = next((v for v in own if v.superseded is None and v.retracted is None), None)
        if version is None or version.object != fact.object or version.end <= start:
            for old in own:
                old.end = min(old.end, start)
            if version is not None:
                version.superseded = self.event
            version = Version(
                number=self.count,
                event=self.event,
                claim=tuple(claim),
                subject=subject,
                predicate=fact.predicate,
                object=fact.object,
                start=start,
                end=fact.end or NEVER,
            )
            self.versions[self.count] = version
            self.count += 1
        version.pinned |= fact.pinned
        version.sources += [source for source in fact.sources if source not in version.sources]
        free = [a for a in fact.aliases if folded(self.subject_of(a)) in (folded(a), claim[0])]
        for alias in fact.aliases:
            if folded(alias) not in map(folded, (subject, *version.aliases)):
                version.aliases.append(alias)
                version.names += [folded(alias)] * (alias in free)
        return version

    def subject_of(self, name: str) -> str:
        owners = (v.subject for v in self.versions.values() if folded(name) in v.names)
        owner = next(owners, None)
        return name if owner is None else self.subject_of(owner)

    def retract(self, number: int, at: Time | None) -> Version:
        self.event += 1
        version = self.versions[number]
        if version.retracted is None:
            version.retracted = self.event
            version.end = min(version.end, at or (EVENT, self.event))
        self._note()
        return version

    def forget(self, number: int) -> int:
        versions = self.history(self.versions[number].claim)
        for version in versions:
            del self.versions[version.number]
        return len(versions)

    def delete_source(self, source: int) -> None:
        for version in list(self.versions.values()):
            if source in version.sources:
                version.sources.remove(source)
                if not version.sources:
                    del self.versions[version.number]

    def history(self, claim: tuple[str, ...]) -> list[Version]:
        return [version for version in self.versions.values() if version.claim == claim]

    def listed(self, valid: Time, known: int | None) -> list[Version]:
        """Return the versions that were true at a time, as was known after an event."""
        timeline = self.timelines.get(self.event if known is None else known, {})
        numbers = [n for n, (start, end) in timeline.items() if start <= valid < end]
        return [self.versions[number] for number in numbers if number in self.versions]

    def _note(self) -> None:
        self.timelines[self.event] = {v.number: (v.start, v.end) for v in self.versions.values()}


def folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()
