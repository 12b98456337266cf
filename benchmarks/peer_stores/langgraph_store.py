"""https://docs.langchain.com: PostgresStore, whose embedder is a lookup table here."""

from __future__ import annotations

from typing import Any

from langgraph.store.base import PutOp
from langgraph.store.postgres import PostgresStore

REQUIREMENTS = [
    "langgraph-checkpoint-postgres",
    "langgraph",
    "psycopg[binary]",
    "pgvector",
    "numpy",
]
SPACE = ("peer",)


class Store:
    def __init__(self, url: str, dimension: int) -> None:
        self._made: dict[str, list[float]] = {}
        self._opened = PostgresStore.from_conn_string(
            url,
            index={
                "dims": dimension,
                "embed": lambda texts: [self._made[text] for text in texts],
                "fields": ["text"],
                "distance_type": "cosine",
                "ann_index_config": {"kind": "hnsw", "m": 16, "ef_construction": 64},
            },
        )
        self._store = self._opened.__enter__()
        self._store.setup()

    def load(self, vectors: list[list[float]], metadata: list[dict[str, Any]]) -> None:
        self._made = {str(i): vector for i, vector in enumerate(vectors)}
        puts = [PutOp(SPACE, str(i), {"text": str(i), **data}) for i, data in enumerate(metadata)]
        for start in range(0, len(puts), 500):
            self._store.batch(puts[start : start + 500])

    def search(self, vector: list[float], where: dict[str, str]) -> list[int]:
        self._made["question"] = vector
        matches = self._store.search(SPACE, query="question", filter=where or None, limit=10)
        return [int(item.key) for item in matches]
