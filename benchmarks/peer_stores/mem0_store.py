"""https://docs.mem0.ai: its pgvector store alone, without the language model."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from mem0.vector_stores.pgvector import PGVector

REQUIREMENTS = ["mem0ai", "psycopg[binary,pool]", "numpy"]


class Store:
    def __init__(self, url: str, dimension: int) -> None:
        self._store = PGVector(
            dbname="",
            collection_name="peer",
            embedding_model_dims=dimension,
            user="",
            password="",
            host="",
            port=0,
            diskann=False,
            hnsw=True,
            connection_string=url,
        )

    def load(self, vectors: list[list[float]], metadata: list[dict[str, Any]]) -> None:
        ids = [str(UUID(int=i)) for i in range(len(vectors))]
        self._store.insert(vectors, payloads=metadata, ids=ids)

    def search(self, vector: list[float], where: dict[str, str]) -> list[int]:
        matches = self._store.search("", vectors=vector, top_k=10, filters=where or None)
        return [UUID(match.id).int for match in matches]
