"""Values of facts that an agent has learned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

FactAction = Literal["remembered", "superseded", "retracted", "unchanged"]


@dataclass(frozen=True, slots=True)
class FactSource:
    """A message or a record that a fact rests on, with the text that it quotes."""

    message_id: str | None = None
    record_id: UUID | None = None
    quote: str = ""


SourceLike = FactSource | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FactInput:
    """A fact to remember. A dict with the same keys is accepted too.

    `valid_from=None` stands for the time of remembering, `valid_to=None` for no end. With `many`
    the subject may have several objects at once, as in "speaks"; without it a new object supersedes
    the one before.
    """

    subject: str
    predicate: str
    object: str
    valid_from: datetime | str | None = None
    valid_to: datetime | str | None = None
    sources: Iterable[SourceLike] = ()
    confidence: float = 1.0
    aliases: Iterable[str] = ()
    pinned: bool = False
    many: bool = False


FactLike = FactInput | Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A version of a claim: it is true from `valid_from` up to `valid_to`, which is excluded.

    It was remembered at `created_at`. `superseded_at` is the time at which another version of the
    claim was remembered, and `retracted_at` the time of its retraction, which `reason` explains.
    The current version of a claim has neither.
    """

    id: UUID
    resource_id: str
    subject: str
    predicate: str
    object: str
    valid_from: datetime
    valid_to: datetime | None
    created_at: datetime
    superseded_at: datetime | None
    retracted_at: datetime | None
    reason: str
    confidence: float
    aliases: tuple[str, ...]
    pinned: bool
    many: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FactMatch:
    """A fact that a search has found; `score`, `similarity` and `lexical` are those of `Match`."""

    fact: Fact
    score: float
    similarity: float | None
    lexical: float


@dataclass(frozen=True, slots=True)
class Retraction:
    """A claim that no longer holds: all its objects, or the one that `object` names."""

    subject: str
    predicate: str
    object: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FactChange:
    """The effect of one answer of a FactExtractor: the action, and the fact that came of it.

    "superseded" is a fact that replaced the current version of its claim, "unchanged" a fact that
    was known already.
    """

    action: FactAction
    fact: Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class FactDuplicate:
    """Two current facts with similar texts; `similarity` is that of their vectors.

    If they were merged, `fact` was kept and `duplicate` was retracted. Otherwise `fact` is the one
    that was remembered first.
    """

    fact: Fact
    duplicate: Fact
    similarity: float
    merged: bool
