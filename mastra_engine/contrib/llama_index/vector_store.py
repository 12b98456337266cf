"""A LlamaIndex vector store over `engine.vectors`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Self

from asgiref.sync import sync_to_async
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.indices.query.embedding_utils import get_top_k_mmr_embeddings
from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)

import mastra_engine
from mastra_engine import MastraEngine, engines
from mastra_engine.backends.base.paging import all_items
from mastra_engine.backends.base.scope import UNRESTRICTED
from mastra_engine.backends.base.vectors.search import MAX_TOP_K
from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.contrib.llama_index.filters import parse_filters
from mastra_engine.contrib.llama_index.nodes import node_of, upserted
from mastra_engine.contrib.stored_vectors import equals
from mastra_engine.exceptions import EngineConfigError, IndexNotFound, InvalidInput
from mastra_engine.filters.ast import ALL, And, Exists, Field, Node
from mastra_engine.types import Match, Metric

#: Nodes of which maximal marginal relevance selects: per requested node, and at least.
_MMR_PER_NODE, _MMR_LEAST = 4, 200
#: The condition that a vector is a node: others may have stored vectors there, too.
_IS_NODE = Exists(Field(("node",)))
_WORDS = (VectorStoreQueryMode.TEXT_SEARCH, VectorStoreQueryMode.SPARSE)


class EngineVectorStore(BasePydanticVectorStore):
    """Stores nodes in one namespace of a vector index.

    The index is created with the first nodes, unless it exists.
    """

    stores_text: bool = True
    index_name: str
    dimension: int
    namespace: str = ""
    metric: Metric = "cosine"
    _engine: Any = PrivateAttr()

    def __init__(
        self,
        *,
        index_name: str,
        dimension: int,
        namespace: str = "",
        metric: Metric = "cosine",
        engine: MastraEngine | None = None,
        **fields: Any,  # of a serialized store
    ) -> None:
        super().__init__(
            index_name=index_name, dimension=dimension, namespace=namespace, metric=metric, **fields
        )
        self._engine = mastra_engine.engine if engine is None else engine

    @classmethod
    def class_name(cls) -> str:
        """Return the name that serialized stores carry."""
        return "EngineVectorStore"

    @property
    def client(self) -> Vectors:
        """The vectors of the engine."""
        vectors: Vectors = self._engine.vectors
        return vectors

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """Return the store as a dictionary, with the alias of its engine.

        Raises EngineConfigError if the engine is restricted by `within()`, since the dictionary
        would not be.
        """
        if self._engine.scope != UNRESTRICTED:
            raise EngineConfigError("A vector store of a scoped engine cannot be serialized")
        return {**super().to_dict(**kwargs), "engine": self._engine.alias}

    @classmethod
    def from_dict(cls, data: dict[str, Any], **kwargs: Any) -> Self:
        """Return the store of a dictionary; its engine is looked up by its alias."""
        store: Self = super().from_dict({**data, "engine": engines[data["engine"]]}, **kwargs)
        return store

    # Writing

    def add(self, nodes: Sequence[BaseNode], **_: Any) -> list[str]:
        """Insert or replace nodes, all or none, and return their ids."""
        if not nodes:
            return []
        rows = {**self._place(), **upserted(nodes)}
        try:
            return self.client.upsert(**rows)
        except IndexNotFound:
            self.client.create_index(
                index_name=self.index_name, dimension=self.dimension, metric=self.metric
            )
            return self.client.upsert(**rows)

    def delete(self, ref_doc_id: str, **_: Any) -> None:
        """Delete the nodes of a source document."""
        self._delete(equals(Field(("ref_doc_id",)), ref_doc_id))

    def delete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **_: Any,
    ) -> None:
        """Delete the nodes of these ids that satisfy the filters; without either, all nodes."""
        self._delete(_selection(node_ids, filters))

    def clear(self) -> None:
        """Delete all nodes."""
        self._delete(ALL)

    # Reading

    def get_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """Return the nodes of these ids that satisfy the filters, ordered by id."""
        where = And((_IS_NODE, _selection(node_ids, filters)))
        try:
            rows = all_items(self.client.list_vectors, **self._place(), filter=where)
            return list(map(node_of, rows))
        except IndexNotFound:
            return []

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Return the nodes that are closest to a query, with scores.

        The mode MMR takes `mmr_threshold` and `mmr_prefetch_k`, the number of closest nodes of
        which it selects. Raises InvalidInput for modes that the engine does not have.
        """
        match query.mode:
            case VectorStoreQueryMode.DEFAULT:
                return _result(self._matches(query))
            case VectorStoreQueryMode.MMR:
                return self._diverse(query, **kwargs)
            case VectorStoreQueryMode.HYBRID:
                weight = True if query.alpha is None else float(query.alpha)
                limit = query.hybrid_top_k or query.similarity_top_k
                return _result(self._matches(query, limit=limit, hybrid=weight))
            case mode if mode in _WORDS:
                matches = self._matches(query, hybrid=0.0)
                return _result([match for match in matches if match.lexical > 0])
        modes = ", ".join(["default", "hybrid", "mmr", *(mode.value for mode in _WORDS)])
        message = f"{query.mode.value} is not supported; supported modes: {modes}"
        raise InvalidInput(message, path="/mode")

    # Async variants, in Django's database thread

    async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """See add()."""
        return await sync_to_async(self.add)(nodes, **kwargs)

    async def adelete(self, ref_doc_id: str, **kwargs: Any) -> None:
        """See delete()."""
        await sync_to_async(self.delete)(ref_doc_id, **kwargs)

    async def adelete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **kwargs: Any,
    ) -> None:
        """See delete_nodes()."""
        await sync_to_async(self.delete_nodes)(node_ids, filters, **kwargs)

    async def aclear(self) -> None:
        """See clear()."""
        await sync_to_async(self.clear)()

    async def aget_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """See get_nodes()."""
        return await sync_to_async(self.get_nodes)(node_ids, filters)

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """See query()."""
        return await sync_to_async(self.query)(query, **kwargs)

    def _place(self) -> dict[str, Any]:
        return {"index_name": self.index_name, "namespace": self.namespace}

    def _delete(self, where: Node) -> None:
        with suppress(IndexNotFound):  # it is created with its first nodes
            self.client.delete_vectors(**self._place(), filter=And((_IS_NODE, where)))

    def _matches(
        self, query: VectorStoreQuery, *, limit: int | None = None, **options: Any
    ) -> list[Match]:
        # Retrievers pass an empty list of ids for all nodes, if the store has their text.
        where = [_IS_NODE, _selection(query.node_ids or None, query.filters)]
        if query.doc_ids:
            where.append(equals(Field(("ref_doc_id",)), *query.doc_ids))
        try:
            return self.client.query(
                **self._place(),
                query_vector=query.query_embedding,
                query_text=query.query_str,
                # LlamaIndex returns all nodes if none is the number.
                top_k=limit or query.similarity_top_k or MAX_TOP_K,
                filter=And(tuple(where)),
                **options,
            )
        except IndexNotFound:
            return []

    def _diverse(
        self,
        query: VectorStoreQuery,
        *,
        mmr_threshold: float | None = None,
        mmr_prefetch_k: int | None = None,
        **_: Any,
    ) -> VectorStoreQueryResult:
        """Select as LlamaIndex does: each node differs from the one that was selected before."""
        limit = query.similarity_top_k
        prefetch = mmr_prefetch_k or max(_MMR_PER_NODE * limit, _MMR_LEAST)
        matches = self._matches(query, limit=prefetch, include_vector=True)
        by_id = {match.id: match for match in matches}
        scores, ids = get_top_k_mmr_embeddings(
            query.query_embedding,
            [match.vector for match in matches],
            similarity_top_k=limit,
            embedding_ids=list(by_id),
            mmr_threshold=query.mmr_threshold if mmr_threshold is None else mmr_threshold,
        )
        return VectorStoreQueryResult([node_of(by_id[id]) for id in ids], scores, ids)


def _selection(node_ids: list[str] | None, filters: MetadataFilters | None) -> Node:
    where = parse_filters(filters)
    return where if node_ids is None else And((equals(Field(("node_id",)), *node_ids), where))


def _result(matches: list[Match]) -> VectorStoreQueryResult:
    return VectorStoreQueryResult(
        nodes=list(map(node_of, matches)),
        similarities=[match.score for match in matches],
        ids=[match.id for match in matches],
    )
