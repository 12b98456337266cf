"""The search structures and counts of all vector indexes, read from the catalogs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.backends.base.base import BaseDatabaseWrapper

from mastra_engine.postgres.locks import BUILDERS
from mastra_engine.types import IndexStatus, IndexType

_ALL = """
SELECT v.id, v.name, v.index_type, v.has_words, i.indisvalid, built.share, held.objid IS NOT NULL,
       CASE WHEN t.reltuples >= 0 THEN t.reltuples::bigint
            WHEN pg_relation_size(t.oid) = 0 THEN 0 END,
       coalesce(pg_total_relation_size(t.oid), 0)
FROM mastra_engine_vectorindex v
JOIN pg_class t ON t.oid = to_regclass('mastra_engine_embedding_' || v.id)
LEFT JOIN pg_index i ON i.indexrelid = to_regclass(t.relname || '_nearest') AND i.indrelid = t.oid
LEFT JOIN (
    SELECT relid, max(coalesce(blocks_done::float / nullif(blocks_total, 0), 0)) AS share
    FROM pg_stat_progress_create_index GROUP BY relid
) built ON built.relid = t.oid
LEFT JOIN (
    SELECT DISTINCT objid FROM pg_locks
    WHERE locktype = 'advisory' AND classid = %s AND objsubid = 2
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
) held ON held.objid = t.oid
ORDER BY v.name
"""

_COUNT = """
SELECT index_id, count(*) FROM mastra_engine_embedding
WHERE index_id = ANY(%s::int[]) GROUP BY index_id
"""
#: Indexes per statement: each takes entries of the server's lock table, which has a fixed size.
_BATCH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """The state of an index. `vectors` is the planner's estimate, None before the first ANALYZE.

    `progress`, from 0 to 1, is set during a build of the search structure. Without `has_words`,
    lexical search does not find the documents that an earlier release stored.
    """

    id: int
    name: str
    status: IndexStatus
    progress: float | None
    vectors: int | None
    bytes: int
    has_words: bool


def read_structures(connection: BaseDatabaseWrapper) -> list[Structure]:
    """Return the state of every vector index, by name."""
    with connection.cursor() as cursor:
        cursor.execute(_ALL, [BUILDERS])
        rows = cursor.fetchall()
    structures = []
    for id, name, index_type, has_words, valid, share, locked, vectors, size in rows:
        status, progress = status_of(index_type, valid=valid, share=share, locked=locked)
        structure = Structure(
            id=id,
            name=name,
            status=status,
            progress=progress,
            vectors=vectors,
            bytes=size,
            has_words=has_words,
        )
        structures.append(structure)
    return structures


def count_vectors(connection: BaseDatabaseWrapper, index_ids: Sequence[int]) -> dict[int, int]:
    """Return the number of vectors by index id; empty indexes are left out."""
    counts: dict[int, int] = {}
    with connection.cursor() as cursor:
        for start in range(0, len(index_ids), _BATCH):
            cursor.execute(_COUNT, [list(index_ids[start : start + _BATCH])])
            counts.update(cursor.fetchall())
    return counts


def status_of(
    index_type: IndexType, *, valid: bool | None, share: float | None, locked: bool
) -> tuple[IndexStatus, float | None]:
    """Return the status of a search structure and, during a build, its progress from 0 to 1.

    `valid` is None if the structure does not exist. A build that has just begun holds the lock and
    reports no `share` yet.
    """
    if valid or index_type == "flat":
        return "ready", None
    if locked or share is not None:
        return "building", share or 0.0
    return ("missing" if valid is None else "invalid"), None
