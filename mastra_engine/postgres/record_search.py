"""How far vector indexes are with the change feeds of entities."""

from __future__ import annotations

from collections.abc import Collection

from django.db.backends.base.base import BaseDatabaseWrapper

from mastra_engine.types import COUNTED, Indexing

# Only entities that have changed are looked into, each by the index on (entity, rev).
_INDEXING = f"""
SELECT count(*), count(*) FILTER (WHERE mark.complete),
       coalesce(sum(waiting.number), 0)::bigint, min(waiting.since)
FROM mastra_engine_entity AS entity
LEFT JOIN mastra_engine_indexprogress AS mark
    ON mark.entity_id = entity.id
    AND mark.vector_index_id = (SELECT id FROM mastra_engine_vectorindex WHERE name = %s)
LEFT JOIN LATERAL (
    SELECT count(*) AS number, min(updated_at) AS since
    FROM (
        SELECT record.updated_at
        FROM mastra_engine_record AS record
        WHERE record.entity_id = entity.id
          AND record.rev > coalesce(mark.rev, 0) AND record.rev >= 0
        ORDER BY record.rev
        LIMIT {COUNTED}
    ) AS first
) AS waiting ON entity.rev > coalesce(mark.rev, 0)
WHERE entity.name = %s AND (%s::text[] IS NULL OR entity.connection_id = ANY(%s))
"""


def read_indexing(
    connection: BaseDatabaseWrapper, entity: str, index: str, among: Collection[str] | None = None
) -> Indexing:
    """Return how far an index is with the entities of a name, of some connections or of all."""
    wanted = None if among is None else list(among)
    with connection.cursor() as cursor:
        cursor.execute(_INDEXING, [index, entity, wanted, wanted])
        connections, complete, pending, since = cursor.fetchone()
    return Indexing(
        entity=entity,
        index=index,
        connections=connections,
        complete=complete,
        pending=pending,
        waiting_since=since,
    )
