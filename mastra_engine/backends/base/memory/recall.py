"""Semantic recall: messages close in meaning to a query, with the messages around them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import reduce
from typing import Any

from mastra_engine.backends.base.memory.message_index import MessageIndex
from mastra_engine.backends.base.memory.scope import MemoryContext, MemoryScope
from mastra_engine.backends.base.memory.store import MessageRange
from mastra_engine.backends.base.steps import Steps, in_steps
from mastra_engine.backends.base.vectors.engine_index import OtherModel
from mastra_engine.backends.base.vectors.search import (
    POSITION,
    THREAD,
    validated_query_text,
    vector_query,
)
from mastra_engine.exceptions import InvalidInput
from mastra_engine.types import Match, Message, RecalledMessage
from mastra_engine.validation.inputs import count
from mastra_engine.validation.sizes import MAX_PAGE_BYTES

logger = logging.getLogger("mastra_engine")

#: How many pending messages a recall embeds before it searches.
CATCH_UP = 1_024
MAX_RANGE = 1_000
#: The weight of similarities in a hybrid recall. The words of conversations, names and dates among
#: them, say more than those of documents. Measured in docs/explanation/retrieval.md.
DEFAULT_WEIGHT = 0.4


class Recall:
    """Finds messages by meaning, within a thread or a resource and never beyond it."""

    def __init__(self, context: MemoryContext, scope: MemoryScope, index: MessageIndex) -> None:
        self._store = context.store
        self._scope = scope
        self._index = index

    def recall_steps(
        self,
        *,
        query: str,
        resource_id: str | None = None,
        thread_id: str | None = None,
        top_k: int = 4,
        message_range: tuple[int, int] = (1, 1),
        min_score: float | None = None,
        filter: Any = None,
        hybrid: bool | float = True,
        explain: bool = False,
    ) -> Steps[list[RecalledMessage]]:
        """Return the `top_k` messages that answer `query` best, with the messages around them.

        `message_range` is the number of messages before and after each hit. Ranges that touch are
        joined; the range with the best hit comes first, and each is in the thread's order. With
        `(0, 0)` the hits alone are returned, the best first. `filter` applies to metadata. With
        `thread_id` only that thread is searched, otherwise all threads of the resource.

        `hybrid`, `min_score` and `explain` are those of `vectors.query()`; the default weight of
        the similarity is 0.4. In a hybrid recall the words of the messages directly before and
        after a message count for it, too.

        The messages end with the one that brings them to 8 MiB of JSON: all hits come before
        neighbours, and those of a better hit, and nearer to it, before the others.

        Messages that were embedded by another model are not found until reembed() has embedded them
        again; a warning is logged. Raises ThreadNotFound, InvalidFilter, and
        InvalidInput when there is no embedder.
        """
        resource, thread = self._scope.resolve(resource_id, thread_id)
        request = vector_query(
            query_text=validated_query_text(query, "/query"),
            top_k=top_k,
            filter=filter,
            min_score=min_score,
            hybrid=DEFAULT_WEIGHT if hybrid is True else hybrid,
            explain=explain,
        )
        before, after = _checked_range(message_range)
        try:
            yield from self._index.embed(resource, thread, limit=CATCH_UP)
            matches = yield from self._index.search(request, resource, thread)
        except OtherModel as error:  # An agent goes on without memories until they are embedded.
            logger.warning("A recall finds no messages: %s", error.message)
            return []
        return self._with_neighbours(matches, before, after, resource)

    recall = in_steps(recall_steps)

    def _with_neighbours(
        self, matches: Sequence[Match], before: int, after: int, resource_id: str
    ) -> list[RecalledMessage]:
        """Return the messages in ranges around matches, the range with the best match first."""
        ranges = _ranges(matches, before, after)
        hits = {match.id: match for match in matches}
        messages = self._store.read_ranges(
            ranges, resource_id, hit_ids=list(hits), max_bytes=MAX_PAGE_BYTES
        )
        recalled = [_recalled(message, hits.get(message.id)) for message in messages]
        return sorted(recalled, key=lambda message: (_rank(message, ranges), message.position))


def _checked_range(message_range: Any) -> tuple[int, int]:
    if not isinstance(message_range, list | tuple) or len(message_range) != 2:
        raise InvalidInput(
            "must be two numbers, of messages before and after a hit", path="/message_range"
        )
    before, after = (
        count(number, f"/message_range/{i}", most=MAX_RANGE)
        for i, number in enumerate(message_range)
    )
    return before, after


def _ranges(matches: Sequence[Match], before: int, after: int) -> list[MessageRange]:
    """Return the ranges around matches, which are ordered by score; those that touch are joined.

    Matches alone are not, since they are in the order of their scores.
    """
    ranges: list[MessageRange] = []
    for rank, match in enumerate(matches):
        position = match.metadata[POSITION]
        first, last = position - before, position + after
        new = MessageRange(match.metadata[THREAD], first, last, position, rank)
        touching = [other for other in ranges if (before or after) and other.touches(new)]
        apart = [other for other in ranges if other not in touching]
        ranges = [*apart, reduce(MessageRange.joined, touching, new)]
    return ranges


def _rank(message: Message, ranges: Sequence[MessageRange]) -> int:
    place = (message.thread_id, message.position)
    return next(range.rank for range in ranges if range.contains(*place))


def _recalled(message: Message, hit: Match | None) -> RecalledMessage:
    fields = {field: getattr(message, field) for field in Message.__slots__}
    if hit is None:
        return RecalledMessage(**fields)
    return RecalledMessage(
        **fields,
        score=hit.score,
        similarity=hit.similarity,
        lexical=hit.lexical,
        explanation=hit.explanation,
    )
