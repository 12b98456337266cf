"""https://developers.llamaindex.ai: PGVectorStore, which creates its HNSW before the first row."""

from __future__ import annotations

from typing import Any

from llama_index.core.schema import TextNode
from llama_index.core.vector_stores import (
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
)
from llama_index.vector_stores.postgres import PGVectorStore

REQUIREMENTS = ["llama-index-vector-stores-postgres", "psycopg2-binary", "numpy"]


class Store:
    def __init__(self, url: str, dimension: int) -> None:
        self._store = PGVectorStore.from_params(
            connection_string=url.replace("://", "+psycopg2://", 1),
            async_connection_string=url.replace("://", "+asyncpg://", 1),
            table_name="peer",
            embed_dim=dimension,
            use_jsonb=True,
            hnsw_kwargs={
                "hnsw_m": 16,
                "hnsw_ef_construction": 64,
                "hnsw_ef_search": 100,
                "hnsw_dist_method": "vector_cosine_ops",
            },
        )

    def load(self, vectors: list[list[float]], metadata: list[dict[str, Any]]) -> None:
        nodes = [
            TextNode(id_=str(i), text=str(i), embedding=vector, metadata=data)
            for i, (vector, data) in enumerate(zip(vectors, metadata, strict=True))
        ]
        self._store.add(nodes)

    def search(self, vector: list[float], where: dict[str, str]) -> list[int]:
        filters = [MetadataFilter(key=key, value=value) for key, value in where.items()]
        query = VectorStoreQuery(
            query_embedding=vector,
            similarity_top_k=10,
            filters=MetadataFilters(filters=filters) if filters else None,
        )
        return [int(id) for id in self._store.query(query).ids]
