"""How far vector indexes have read the change feeds of entities."""

from __future__ import annotations

from collections.abc import Collection

from django.db.backends.base.base import BaseDatabaseWrapper

from mastra_engine.types import COUNTED, Indexing

# Records are counted only for entities with pending changes, by the index on (entity, rev).
_INDEXING = f"""
SELECT count(*), count(*) FILTER (WHERE progress.complete),
       coalesce(sum(waiting.number), 0)::bigint, min(waiting.since)
FROM mastra_engine_entity AS entity
LEFT JOIN mastra_engine_indexprogress AS progress
    ON progress.entity_id = entity.id
    AND progress.vector_index_id = (SELECT id FROM mastra_engine_vectorindex WHERE name = %s)
LEFT JOIN LATERAL (
    SELECT count(*) AS number, min(updated_at) AS since
    FROM (
        SELECT record.updated_at
        FROM mastra_engine_record AS record
        WHERE record.entity_id = entity.id
          AND record.rev > coalesce(progress.rev, 0) AND record.rev >= 0
        ORDER BY record.rev
        LIMIT {COUNTED}
    ) AS first
) AS waiting ON entity.rev > coalesce(progress.rev, 0)
WHERE entity.name = %s AND (%s::text[] IS NULL OR entity.connection_id = ANY(%s))
"""


def read_indexing(
    connection: BaseDatabaseWrapper,
    entity: str,
    index: str,
    connection_ids: Collection[str] | None = None,
) -> Indexing:
    """Return the progress of an index with the entities of a name.

    `connection_ids` restricts them; None counts those of all connections.
    """
    ids = None if connection_ids is None else list(connection_ids)
    with connection.cursor() as cursor:
        cursor.execute(_INDEXING, [index, entity, ids, ids])
        connections, complete, pending, since = cursor.fetchone()
    return Indexing(
        entity=entity,
        index=index,
        connections=connections,
        complete=complete,
        pending=pending,
        waiting_since=since,
    )
