"""A plain model of facts, written from their documentation and without the engines' code.

Times are symbols that sort: days of the past, then the numbered events, then days of the future.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

Time = tuple[int, int]
PAST, EVENT, FUTURE = 0, 1, 2
NEVER: Time = (3, 0)
NOW: Time = (EVENT, 10**9)


def past(day: int) -> Time:
    return PAST, day


def future(day: int) -> Time:
    return FUTURE, day


@dataclass
class Version:
    """A fact; `cuts` are the ends of its validity with the event at which each became known."""

    number: int
    event: int
    subject: str
    predicate: str
    object: str
    many: bool
    start: Time
    cuts: list[tuple[int, Time]]
    superseded: int | None = None
    retracted: int | None = None
    pinned: bool = False
    aliases: list[str] = field(default_factory=list)
    own_aliases: set[str] = field(default_factory=set)
    sources: list[tuple[str, str]] = field(default_factory=list)

    @property
    def claim(self) -> tuple[str, ...]:
        claim = (self.subject.lower(), self.predicate.lower())
        return (*claim, self.object.lower()) if self.many else claim

    @property
    def is_current(self) -> bool:
        return self.superseded is None and self.retracted is None

    def end(self, known: int = 10**9) -> Time:
        return min([end for event, end in self.cuts if event <= known], default=NEVER)

    def cut(self, event: int, end: Time) -> None:
        if end < self.end():
            self.cuts.append((event, end))

    def shown(self) -> tuple[object, ...]:
        return (
            self.number,
            self.subject,
            self.predicate,
            self.object,
            self.start,
            self.end(),
            self.event,
            self.superseded,
            self.retracted,
            tuple(self.aliases),
            self.pinned,
        )


class FactModel:
    """The facts of one resource."""

    def __init__(self) -> None:
        self.versions: list[Version] = []
        self.event = 0
        self.count = 0

    def remember(
        self,
        subject: str,
        predicate: str,
        object: str,
        *,
        many: bool,
        start: Time | None,
        end: Time | None,
        aliases: Iterable[str],
        pinned: bool,
        sources: Iterable[tuple[str, str]],
    ) -> Version:
        """Remember a fact as the next event."""
        self.event += 1
        name = self.subject_of(subject)
        begins = (EVENT, self.event) if start is None else start
        new = Version(self.count, self.event, name, predicate, object, many, begins, [])
        new.pinned = pinned
        if end is not None:
            new.cuts.append((self.event, end))
        same = [version for version in self.versions if version.claim == new.claim]
        current = next((version for version in same if version.is_current), None)
        if current is not None and current.object == object and begins < current.end():
            new = current
            new.pinned = current.pinned or pinned
        else:
            for version in same:
                version.cut(self.event, begins)
            if current is not None:
                current.superseded = self.event
            self.versions.append(new)
            self.count += 1
        new.sources += [source for source in dict.fromkeys(sources) if source not in new.sources]
        self.add_aliases(new, aliases)
        return new

    def add_aliases(self, version: Version, aliases: Iterable[str]) -> None:
        for alias in aliases:
            known = {name.lower() for name in (version.subject, *version.aliases)}
            if alias.lower() in known:
                continue
            version.aliases.append(alias)
            owner = self.owner_of(alias)
            if owner is None or self.subject_of(alias).lower() == version.subject.lower():
                version.own_aliases.add(alias.lower())

    def owner_of(self, name: str) -> str | None:
        """Return the subject that has a name as an alias."""
        owners = [v.subject for v in self.versions if name.lower() in v.own_aliases]
        return owners[0] if owners else None

    def subject_of(self, name: str) -> str:
        owner = self.owner_of(name)
        return name if owner is None else self.subject_of(owner)

    def retract(self, version: Version, at: Time | None) -> None:
        self.event += 1
        if version.retracted is None:
            version.cut(self.event, at or (EVENT, self.event))
            version.retracted = self.event

    def retract_claim(self, name: str, predicate: str, object: str | None) -> list[Version]:
        """Retract the current versions of a claim, or those with an object, as one event."""
        self.event += 1
        claim = self.subject_of(name).lower(), predicate.lower()
        retracted = [
            version
            for version in self.versions
            if version.is_current and version.claim[:2] == claim
            if object is None or version.object.lower() == object.lower()
        ]
        for version in retracted:
            version.cut(self.event, (EVENT, self.event))
            version.retracted = self.event
        return retracted

    def forget(self, version: Version) -> int:
        gone = [other for other in self.versions if other.claim == version.claim]
        self.versions = [other for other in self.versions if other not in gone]
        return len(gone)

    def delete_source(self, source: tuple[str, str]) -> None:
        for version in list(self.versions):
            if source in version.sources:
                version.sources.remove(source)
                if not version.sources:
                    self.versions.remove(version)

    def listed(
        self, *, valid: Time = NOW, known: int = 10**9, everything: bool = False
    ) -> list[Version]:
        return [
            version
            for version in self.versions
            if version.event <= known
            if everything or version.start <= valid < version.end(known)
        ]
