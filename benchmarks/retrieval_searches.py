"""The searches that the retrieval benchmark compares, for each kind of text.

Chunks of documents are searched by `vectors.query`, tickets by `search_records`, and messages by
`memory.recall`. BM25 outside of the engine is that of bm25s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from benchmarks.retrieval_data import LabelledSet, Text

if TYPE_CHECKING:
    from mastra_engine import PostgresEngine

#: Takes a query, `top_k`, and the `resource_id` if a case has one; returns the best first.
Search = Callable[..., Iterable[Any]]

VECTORS, LEXICAL, HYBRID = "vectors", "lexical", "hybrid"
OUTSIDE = "BM25 (bm25s)"
RERANKED = "{}, reranked"
DIMENSION = 256
#: Chunks that are requested, so that enough documents are among them.
CHUNKS = 50


def searches(engine: PostgresEngine, labelled: LabelledSet) -> dict[str, Search]:
    """Store the texts and return the searches by name."""
    load = {"reference": _documents, "identifiers": _documents, "tickets": _tickets}
    stored = load.get(labelled.name, _messages)(engine, labelled)
    return {OUTSIDE: OutsideSearch(labelled.texts), **stored}


class BagOfWords:
    """BM25 of bm25s over texts, with English stems and stop words."""

    def __init__(self, texts: Sequence[str]) -> None:
        import bm25s
        import Stemmer

        self._tokenize, self._stemmer = bm25s.tokenize, Stemmer.Stemmer("english")
        self._number = len(texts)
        self._retriever = bm25s.BM25(k1=1.2, b=0.75)
        self._retriever.index(self._tokens(texts), show_progress=False)

    def scores(self, query: str) -> Any:
        """Return an array with the score of each text."""
        import numpy as np

        (words,) = self._tokens([query])
        return self._retriever.get_scores(words) if words else np.zeros(self._number)

    def _tokens(self, texts: Sequence[str]) -> Any:
        return self._tokenize(
            list(texts),
            stopwords="en_plus",
            stemmer=self._stemmer,
            return_ids=False,
            show_progress=False,
        )


class OutsideSearch:
    """BM25 outside of the engine, in each conversation by itself."""

    def __init__(self, texts: Sequence[Text]) -> None:
        self._groups: dict[str | None, tuple[BagOfWords, list[str]]] = {}
        for owner, group in groupby(texts, key=lambda text: text.resource_id):
            members = list(group)
            ids = [text.id for text in members]
            self._groups[owner] = BagOfWords([text.text for text in members]), ids

    def __call__(self, query: str, *, top_k: int, resource_id: str | None = None) -> list[str]:
        """Return the ids of the texts that share a word with the query, the best first."""
        words, ids = self._groups[resource_id]
        scores = words.scores(query)
        best = (-scores).argsort(kind="stable")[: max(top_k, CHUNKS)]
        return [ids[number] for number in best if scores[number] > 0]


def _documents(engine: PostgresEngine, labelled: LabelledSet) -> dict[str, Search]:
    engine.vectors.create_index(index_name=labelled.name, dimension=DIMENSION, index_type="flat")
    engine.vectors.upsert(
        index_name=labelled.name,
        ids=[str(number) for number in range(len(labelled.texts))],
        documents=[text.text for text in labelled.texts],
        metadata=[{"document": text.id} for text in labelled.texts],
    )

    def search(query: str, *, top_k: int, **options: Any) -> list[str]:
        matches = engine.vectors.query(
            index_name=labelled.name, query_text=query, top_k=max(top_k, CHUNKS), **options
        )
        return [match.metadata["document"] for match in matches]

    return {**_weighted(search), **_reranked(search)}


def _tickets(engine: PostgresEngine, labelled: LabelledSet) -> dict[str, Search]:
    from mastra_engine.registry import index_records

    index_records(entity="Tickets", index="tickets", text=lambda data: str(data["text"]))
    engine.sync_records(
        name="Tickets",
        connection_id="shop",
        records=[{"external_id": text.id, "data": {"text": text.text}} for text in labelled.texts],
    )

    def search(query: str, *, top_k: int, **options: Any) -> Iterable[Any]:
        return engine.search_records(query=query, connection_id="shop", top_k=top_k, **options)

    return {**_weighted(search), **_reranked(search)}


def _messages(engine: PostgresEngine, labelled: LabelledSet) -> dict[str, Search]:
    for (owner, thread), group in groupby(
        labelled.texts, key=lambda text: (text.resource_id, text.thread_id)
    ):
        assert thread is not None
        engine.memory.save_memory(
            thread_id=thread,
            resource_id=owner,
            messages=[{"id": text.id, "role": "user", "content": text.text} for text in group],
        )

    def search(query: str, *, top_k: int, resource_id: str, **options: Any) -> Iterable[Any]:
        return engine.memory.recall(
            query=query, resource_id=resource_id, top_k=top_k, message_range=(0, 0), **options
        )

    return _weighted(search)


def _weighted(search: Search) -> dict[str, Search]:
    weights: dict[str, Any] = {VECTORS: False, LEXICAL: 0.0, HYBRID: True}
    return {name: _with(search, hybrid=weight) for name, weight in weights.items()}


def _reranked(search: Search) -> dict[str, Search]:
    return {
        RERANKED.format(name): _with(search, hybrid=hybrid, reranker=True)
        for name, hybrid in ((VECTORS, False), (HYBRID, True))
    }


def _with(search: Search, **fixed: Any) -> Search:
    return lambda query, **options: search(query, **options, **fixed)
