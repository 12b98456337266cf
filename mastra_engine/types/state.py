"""Values of agent state."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class StateItem:
    """A JSON document that an agent keeps under a namespace and a key.

    `version` counts the writes of the key. It goes on after the item was deleted, so that the
    version of a deleted item is never that of a new one. At `expires_at` the item disappears.
    """

    namespace: tuple[str, ...]
    key: str
    value: dict[str, Any]
    version: int
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StateMatch:
    """An item that a search has found; `score`, `similarity` and `lexical` are those of `Match`.

    Without a query nothing is compared, and the score is 0.
    """

    item: StateItem
    score: float = 0.0
    similarity: float | None = None
    lexical: float = 0.0
