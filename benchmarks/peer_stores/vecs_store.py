"""https://supabase.github.io/vecs/: collections, with the index created after loading."""

from __future__ import annotations

from typing import Any

import vecs

REQUIREMENTS = ["vecs", "psycopg2-binary", "numpy"]


class Store:
    def __init__(self, url: str, dimension: int) -> None:
        client = vecs.create_client(url.replace("://", "+psycopg2://", 1))
        self._collection = client.get_or_create_collection("peer", dimension=dimension)

    def load(self, vectors: list[list[float]], metadata: list[dict[str, Any]]) -> None:
        rows = zip(map(str, range(len(vectors))), vectors, metadata, strict=True)
        self._collection.upsert(records=list(rows))
        self._collection.create_index(
            method=vecs.IndexMethod.hnsw,
            measure=vecs.IndexMeasure.cosine_distance,
            index_arguments=vecs.IndexArgsHNSW(m=16, ef_construction=64),
        )

    def search(self, vector: list[float], where: dict[str, str]) -> list[int]:
        filters = {key: {"$eq": value} for key, value in where.items()} or None
        matches = self._collection.query(data=vector, limit=10, filters=filters, ef_search=100)
        return [int(id) for id in matches]
