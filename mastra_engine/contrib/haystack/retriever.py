"""A Haystack retriever over the document store."""

from __future__ import annotations

from typing import Any, Self

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.document_stores.types import FilterPolicy, apply_filter_policy

from mastra_engine.contrib.haystack.document_store import EngineDocumentStore


@component
class EngineEmbeddingRetriever:
    """Retrieves the documents that are closest to a query, by its embedding and its words."""

    def __init__(
        self,
        document_store: EngineDocumentStore,
        *,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        min_score: float | None = None,
        filter_policy: FilterPolicy = FilterPolicy.REPLACE,
    ) -> None:
        self.document_store = document_store
        self.filters = filters
        self.top_k = top_k
        self.min_score = min_score
        self.filter_policy = filter_policy

    def to_dict(self) -> dict[str, Any]:
        """Return the component as a dictionary."""
        serialized: dict[str, Any] = default_to_dict(
            self,
            document_store=self.document_store.to_dict(),
            filters=self.filters,
            top_k=self.top_k,
            min_score=self.min_score,
            filter_policy=self.filter_policy.value,
        )
        return serialized

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Return the component of a dictionary."""
        parameters = dict(data["init_parameters"])
        parameters["document_store"] = EngineDocumentStore.from_dict(parameters["document_store"])
        parameters["filter_policy"] = FilterPolicy.from_str(parameters["filter_policy"])
        retriever: Self = default_from_dict(cls, {**data, "init_parameters": parameters})
        return retriever

    @component.output_types(documents=list[Document])  # type: ignore[untyped-decorator]
    def run(
        self,
        query_embedding: list[float],
        query: str | None = None,
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
    ) -> dict[str, list[Document]]:
        """Return the closest documents; with the text of the query, by its words too."""
        search = self._search(query, filters, top_k)
        return {"documents": self.document_store.embedding_retrieval(query_embedding, **search)}

    @component.output_types(documents=list[Document])  # type: ignore[untyped-decorator]
    async def run_async(
        self,
        query_embedding: list[float],
        query: str | None = None,
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
    ) -> dict[str, list[Document]]:
        """See run()."""
        search = self._search(query, filters, top_k)
        retrieve = self.document_store.embedding_retrieval_async
        return {"documents": await retrieve(query_embedding, **search)}

    def _search(
        self, query: str | None, filters: dict[str, Any] | None, top_k: int | None
    ) -> dict[str, Any]:
        return {
            "query": query,
            "filters": apply_filter_policy(self.filter_policy, self.filters, filters),
            "top_k": self.top_k if top_k is None else top_k,
            "min_score": self.min_score,
        }
