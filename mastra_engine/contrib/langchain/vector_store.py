"""A LangChain vector store over `engine.vectors`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self
from uuid import uuid4

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

import mastra_engine
from mastra_engine import MastraEngine
from mastra_engine.exceptions import IndexNotFound
from mastra_engine.retrieval.fusion import maximal_marginal_relevance
from mastra_engine.types import Match, StoredVector


class EngineVectorStore(VectorStore):
    """Stores documents in one namespace of a vector index.

    The index is created when the first documents are added, unless it exists. Searches accept
    `filter` and the other options of `engine.vectors.query()`: `hybrid`, `min_score`, `reranker`
    and so on. A score is that of the engine: the larger, the closer.
    """

    def __init__(
        self,
        embedding: Embeddings,
        *,
        index_name: str,
        namespace: str = "",
        engine: MastraEngine | None = None,
    ) -> None:
        self.embedding = embedding
        self.index_name = index_name
        self.namespace = namespace
        self.engine = mastra_engine.engine if engine is None else engine

    @property
    def embeddings(self) -> Embeddings:
        """The embedding model."""
        return self.embedding

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Return a store with these texts; `kwargs` are the arguments of the class."""
        store = cls(embedding, **kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    @classmethod
    async def afrom_texts(
        cls,
        texts: Iterable[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> Self:
        """See from_texts()."""
        store = cls(embedding, **kwargs)
        await store.aadd_texts(texts, metadatas, ids=ids)
        return store

    # Writing

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: Sequence[dict[str, Any] | None] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **_: Any,  # LangChain's indexing passes options of other stores, such as `batch_size`
    ) -> list[str]:
        """Embed texts and insert or replace them, all or none; return their ids."""
        documents = list(texts)
        if not documents:
            return []
        embedded = self.embedding.embed_documents(documents)
        rows = self._rows(documents, embedded, metadatas, ids)
        try:
            return self.engine.vectors.upsert(**rows)
        except IndexNotFound:
            self.engine.vectors.create_index(**self._definition(embedded))
            return self.engine.vectors.upsert(**rows)

    async def aadd_texts(
        self,
        texts: Iterable[str],
        metadatas: Sequence[dict[str, Any] | None] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **_: Any,
    ) -> list[str]:
        """See add_texts()."""
        documents = list(texts)
        if not documents:
            return []
        embedded = await self.embedding.aembed_documents(documents)
        rows = self._rows(documents, embedded, metadatas, ids)
        try:
            return await self.engine.vectors.aupsert(**rows)
        except IndexNotFound:
            await self.engine.vectors.acreate_index(**self._definition(embedded))
            return await self.engine.vectors.aupsert(**rows)

    def delete(self, ids: Sequence[str] | None = None, *, filter: Any = None, **_: Any) -> bool:
        """Delete documents by id or by metadata; without either, all of the namespace."""
        vectors = self.engine.vectors
        try:
            if ids is None and filter is None:
                scoped = vectors.within(namespaces=[self.namespace])
                scoped.truncate_index(index_name=self.index_name)
            else:
                vectors.delete_vectors(**self._place(), ids=_listed(ids), filter=filter)
        except IndexNotFound:
            pass  # it is created with its first documents
        return True

    async def adelete(
        self, ids: Sequence[str] | None = None, *, filter: Any = None, **_: Any
    ) -> bool:
        """See delete()."""
        vectors = self.engine.vectors
        try:
            if ids is None and filter is None:
                scoped = vectors.within(namespaces=[self.namespace])
                await scoped.atruncate_index(index_name=self.index_name)
            else:
                await vectors.adelete_vectors(**self._place(), ids=_listed(ids), filter=filter)
        except IndexNotFound:
            pass
        return True

    # Reading

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return documents in the order of their ids, without those that do not exist."""
        try:
            stored = self.engine.vectors.get_vectors(**self._place(), ids=list(ids))
        except IndexNotFound:
            return []
        return list(map(_document, stored))

    async def aget_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """See get_by_ids()."""
        try:
            stored = await self.engine.vectors.aget_vectors(**self._place(), ids=list(ids))
        except IndexNotFound:
            return []
        return list(map(_document, stored))

    def similarity_search(self, query: str, k: int = 4, **options: Any) -> list[Document]:
        """Return the `k` documents that are closest to a text."""
        return _documents(self.similarity_search_with_score(query, k, **options))

    async def asimilarity_search(self, query: str, k: int = 4, **options: Any) -> list[Document]:
        """See similarity_search()."""
        return _documents(await self.asimilarity_search_with_score(query, k, **options))

    def similarity_search_with_score(
        self, query: str, k: int = 4, **options: Any
    ) -> list[tuple[Document, float]]:
        """Return the `k` documents that are closest to a text, with their scores."""
        embedded = self.embedding.embed_query(query)
        return _scored(self._matches(embedded, query_text=query, top_k=k, **options))

    async def asimilarity_search_with_score(
        self, query: str, k: int = 4, **options: Any
    ) -> list[tuple[Document, float]]:
        """See similarity_search_with_score()."""
        embedded = await self.embedding.aembed_query(query)
        return _scored(await self._amatches(embedded, query_text=query, top_k=k, **options))

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, **options: Any
    ) -> list[Document]:
        """Return the `k` documents that are closest to a vector."""
        return list(map(_document, self._matches(embedding, top_k=k, **options)))

    async def asimilarity_search_by_vector(
        self, embedding: list[float], k: int = 4, **options: Any
    ) -> list[Document]:
        """See similarity_search_by_vector()."""
        return list(map(_document, await self._amatches(embedding, top_k=k, **options)))

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **options: Any
    ) -> list[Document]:
        """Select `k` of the `fetch_k` closest documents that differ from one another."""
        return self.max_marginal_relevance_search_by_vector(
            self.embedding.embed_query(query), k, fetch_k, lambda_mult, query_text=query, **options
        )

    async def amax_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **options: Any
    ) -> list[Document]:
        """See max_marginal_relevance_search()."""
        embedded = await self.embedding.aembed_query(query)
        return await self.amax_marginal_relevance_search_by_vector(
            embedded, k, fetch_k, lambda_mult, query_text=query, **options
        )

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **options: Any,
    ) -> list[Document]:
        """Select `k` of the `fetch_k` closest documents that differ from one another."""
        matches = self._matches(embedding, top_k=fetch_k, include_vector=True, **options)
        selected = maximal_marginal_relevance(matches, top_k=k, relevance=lambda_mult)
        return list(map(_document, selected))

    async def amax_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **options: Any,
    ) -> list[Document]:
        """See max_marginal_relevance_search_by_vector()."""
        matches = await self._amatches(embedding, top_k=fetch_k, include_vector=True, **options)
        selected = maximal_marginal_relevance(matches, top_k=k, relevance=lambda_mult)
        return list(map(_document, selected))

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return _relevance

    def _matches(self, embedded: list[float], **options: Any) -> list[Match]:
        try:
            return self.engine.vectors.query(**self._place(), query_vector=embedded, **options)
        except IndexNotFound:
            return []

    async def _amatches(self, embedded: list[float], **options: Any) -> list[Match]:
        query = self.engine.vectors.aquery
        try:
            return await query(**self._place(), query_vector=embedded, **options)
        except IndexNotFound:
            return []

    def _place(self) -> dict[str, Any]:
        return {"index_name": self.index_name, "namespace": self.namespace}

    def _definition(self, embedded: list[list[float]]) -> dict[str, Any]:
        return {"index_name": self.index_name, "dimension": len(embedded[0])}

    def _rows(
        self,
        documents: list[str],
        embedded: list[list[float]],
        metadatas: Sequence[dict[str, Any] | None] | None,
        ids: Sequence[str | None] | None,
    ) -> dict[str, Any]:
        """Return the arguments of an upsert; some documents may have an id and others none."""
        return {
            **self._place(),
            "documents": documents,
            "vectors": embedded,
            "metadata": metadatas and [metadata or {} for metadata in metadatas],
            "ids": ids and [id or str(uuid4()) for id in ids],
        }


def _document(row: Match | StoredVector) -> Document:
    return Document(id=row.id, page_content=row.document or "", metadata=row.metadata)


def _documents(scored: Iterable[tuple[Document, float]]) -> list[Document]:
    return [document for document, _ in scored]


def _scored(matches: Iterable[Match]) -> list[tuple[Document, float]]:
    return [(_document(match), match.score) for match in matches]


def _listed(ids: Sequence[str] | None) -> list[str] | None:
    return None if ids is None else list(ids)


def _relevance(score: float) -> float:
    """Return a score as LangChain's relevance from 0 to 1: opposite vectors are not relevant."""
    return min(max(score, 0.0), 1.0)
