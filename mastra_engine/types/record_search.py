"""Values of searches over synced records."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mastra_engine.types.records import Record
from mastra_engine.types.vectors import Explanation


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordMatch:
    """A record that matches a search, with the `text` of its best matching chunk.

    `score`, `similarity`, `lexical` and `explanation` are those of the chunk: see `Match`.

    `chunk` is the chunk's position in the record, from 0, and `index` the vector index that holds
    it. `metadata` is computed by the `metadata` function of the index's declaration. `start` and
    `end` delimit the chunk in the record's text, in characters, if the chunker reports offsets.
    """

    record: Record
    score: float
    text: str
    index: str
    chunk: int
    start: int | None = None
    end: int | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    similarity: float | None = None
    lexical: float = 0.0
    explanation: Explanation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexing:
    """The progress of a declared index over the records of an entity.

    `connections` is the number of connections that have the entity; for `complete` of them the
    index has covered all records at least once. `pending` records have changed since, counted up
    to 10,000 per connection; the oldest of these changes is from `waiting_since`.
    """

    entity: str
    index: str
    connections: int
    complete: int
    pending: int
    waiting_since: datetime | None
