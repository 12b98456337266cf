"""Hybrid search of messages, in which the words of a message count for its neighbours too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from heapq import nlargest
from operator import attrgetter

from mastra_engine.backends.base.vectors.candidates import Candidate
from mastra_engine.backends.base.vectors.search import (
    POSITION,
    THREAD,
    MessageScope,
    VectorQuery,
    VectorScope,
)
from mastra_engine.backends.base.vectors.store import VectorStore
from mastra_engine.types import Part
from mastra_engine.validation.vectors import AnyVector

#: A thread's id and a position in it.
Place = tuple[str, int]

#: The weight of a neighbour's lexical score beside that of a message's own. Measured in
#: docs/explanation/retrieval.md.
NEIGHBOUR = 0.4
#: The neighbours of so many messages, the best by words, become candidates.
_SPREADING = 30


@dataclass(frozen=True, slots=True)
class MessageSearch:
    """A search in the messages of one resource."""

    vectors: VectorStore
    scope: VectorScope
    query: VectorQuery
    target: AnyVector | None

    def run(self) -> list[Candidate]:
        """Return the candidates, with the parts that their neighbours add to their scores."""
        candidates = self.vectors.find(
            self.scope, self.query, self.target, limit=self.query.candidates
        )
        if self.query.hybrid is None:
            return candidates
        by_place = {_place(candidate): candidate for candidate in candidates}
        candidates += self._beside_the_best(by_place)
        for candidate in candidates:
            candidate.context = list(_context(candidate, by_place))
        return candidates

    def _beside_the_best(self, by_place: Mapping[Place, Candidate]) -> list[Candidate]:
        """Return the messages beside those with the best words, unless they were found already.

        In a conversation a question names its subject, and the answer often does not.
        """
        if self.target is None:
            return []
        with_words = [candidate for candidate in by_place.values() if candidate.words]
        best = nlargest(_SPREADING, with_words, key=attrgetter("lexical"))
        places = {place for message in best for place in _neighbours(_place(message))}
        if not (unseen := frozenset(places - by_place.keys())):
            return []
        scope = replace(self.scope, source=MessageScope(unseen))
        matches = self.vectors.compare(scope, self.target)
        return [Candidate.of(match) for match in matches if self.query.admits(match.score)]


def _context(candidate: Candidate, by_place: Mapping[Place, Candidate]) -> Iterator[Part]:
    """Yield the parts of a message's neighbours that share words with the query."""
    for place in _neighbours(_place(candidate)):
        neighbour = by_place.get(place)
        if neighbour is not None and neighbour.words:
            yield Part(
                name="neighbour",
                value=neighbour.lexical,
                weight=NEIGHBOUR,
                words=neighbour.words,
                message_id=neighbour.id,
            )


def _place(candidate: Candidate) -> Place:
    return candidate.metadata[THREAD], candidate.metadata[POSITION]


def _neighbours(place: Place) -> tuple[Place, Place]:
    thread_id, position = place
    return (thread_id, position - 1), (thread_id, position + 1)
