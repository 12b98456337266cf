"""Methods to load the same vectors into a partition."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from pgvector.psycopg import register_vector
from uuid_utils.compat import uuid7

from benchmarks.database import connect
from benchmarks.harness import Timings, progress, rotated, seconds
from benchmarks.vectors_data import Matrix
from mastra_engine import engine
from mastra_engine.models import VectorIndex
from mastra_engine.postgres.partitions import Partition

FLAT, FILLED, BUILT = "no HNSW", "into an HNSW", "then build the HNSW"
FLOOR = "raw COPY"
NEW_IDS, GIVEN_IDS, LISTS = "upsert, numpy", "upsert, numpy and new ids", "upsert, lists"
SCRATCH = "scratch"


def partition_of(name: str) -> Partition:
    """Return the partition of an index."""
    from django.db import connection

    return Partition(connection, VectorIndex.objects.get(name=name).to_definition())


class RawCopy:
    """Load by one binary COPY from NumPy into such a table; ids are generated before."""

    def __init__(self, vectors: Matrix) -> None:
        self._connection = connect()
        register_vector(self._connection)
        self._vectors = vectors
        self._keys = [(uuid7(), str(uuid7())) for _ in vectors]

    def __call__(self, rows: int, *, build: bool = False) -> None:
        partition = partition_of(SCRATCH)
        index_id = partition.index.id
        sql = (
            f"COPY {partition.table} (index_id, row_id, namespace, id, metadata, embedding) "
            "FROM STDIN (FORMAT BINARY)"
        )
        types = ["int4", "uuid", "text", "text", "jsonb", "vector"]
        with self._connection.cursor() as cursor, cursor.copy(sql) as copy:
            copy.set_types(types)
            for (key, id), vector in zip(self._keys, self._vectors[:rows], strict=False):
                copy.write_row((index_id, key, "", id, "{}", vector))
        if build:
            self._connection.execute(partition._create_structure(""))


def upsert(vectors: Any, *, ids: list[str] | None = None, build: bool = False) -> None:
    loading = engine.vectors.bulk_load(index_name=SCRATCH) if build else nullcontext()
    with loading:
        engine.vectors.upsert(index_name=SCRATCH, vectors=vectors, ids=ids)


def measure(vectors: Matrix, *, rounds: int, rows: int, rows_into_hnsw: int) -> Timings:
    """Measure every method in every round, each with an index of its own."""
    few, ids = vectors[:rows_into_hnsw], [f"key-{i}" for i in range(rows)]
    lists, raw = vectors[:rows].tolist(), RawCopy(vectors[:rows])
    some = vectors[:rows]
    ways: list[tuple[str, str, Callable[[], None]]] = [
        (FLOOR, FLAT, lambda: raw(rows)),
        (NEW_IDS, FLAT, lambda: upsert(some)),
        (GIVEN_IDS, FLAT, lambda: upsert(some, ids=ids)),
        (LISTS, FLAT, lambda: upsert(lists)),
        (FLOOR, FILLED, lambda: raw(len(few))),
        (NEW_IDS, FILLED, lambda: upsert(few)),
        (FLOOR, BUILT, lambda: raw(rows, build=True)),
        (NEW_IDS, BUILT, lambda: upsert(some, build=True)),
    ]
    timings = Timings()
    for round, (method, phase, work) in rotated(ways, rounds):
        progress(f"round {round + 1} of {rounds}: {method}, {phase}")
        plain = phase == FLAT or (method, phase) == (FLOOR, BUILT)
        engine.vectors.create_index(
            index_name=SCRATCH,
            dimension=vectors.shape[1],
            index_type="flat" if plain and phase == FLAT else "hnsw",
        )
        if plain and phase == BUILT:
            partition_of(SCRATCH).drop_structure()
        timings.add(method, phase, round=round, duration=seconds(work))
        engine.vectors.delete_index(index_name=SCRATCH)
    return timings
