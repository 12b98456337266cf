"""https://github.com/langchain-ai/langchain-postgres: a table with a column for each key."""

from __future__ import annotations

from typing import Any

from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_postgres import Column, PGEngine, PGVectorStore
from langchain_postgres.v2.indexes import HNSWIndex, HNSWQueryOptions

REQUIREMENTS = ["langchain-postgres", "psycopg[binary]", "numpy"]
KEYS = ["p1", "p10"]


class Store:
    def __init__(self, url: str, dimension: int) -> None:
        engine = PGEngine.from_connection_string(url.replace("://", "+psycopg://", 1))
        engine.init_vectorstore_table(
            table_name="peer",
            vector_size=dimension,
            metadata_columns=[Column(key, "TEXT") for key in KEYS],
            id_column=Column("langchain_id", "TEXT", nullable=False),
        )
        self._store = PGVectorStore.create_sync(
            engine,
            embedding_service=DeterministicFakeEmbedding(size=dimension),  # it is never called
            table_name="peer",
            metadata_columns=KEYS,
            index_query_options=HNSWQueryOptions(ef_search=100),
        )

    def load(self, vectors: list[list[float]], metadata: list[dict[str, Any]]) -> None:
        ids = list(map(str, range(len(vectors))))
        self._store.add_embeddings(ids, vectors, metadata, ids)
        self._store.apply_vector_index(HNSWIndex(m=16, ef_construction=64))

    def search(self, vector: list[float], where: dict[str, str]) -> list[int]:
        matches = self._store.similarity_search_by_vector(vector, k=10, filter=where or None)
        return [int(document.page_content) for document in matches]
