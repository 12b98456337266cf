"""How far vector indexes are with the change feeds of entities."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db.backends.base.base import BaseDatabaseWrapper

# Only entities that have changed are looked into, each by the index on (entity, rev).
_PENDING = """
SELECT count(*), count(*) FILTER (WHERE mark.complete),
       coalesce(sum(waiting.number), 0)::bigint, min(waiting.since)
FROM mastra_engine_entity AS entity
LEFT JOIN mastra_engine_bookmark AS mark
    ON mark.entity_id = entity.id
    AND mark.vector_index_id = (SELECT id FROM mastra_engine_vectorindex WHERE name = %s)
LEFT JOIN LATERAL (
    SELECT count(*) AS number, min(record.updated_at) AS since
    FROM mastra_engine_record AS record
    WHERE record.entity_id = entity.id
      AND record.rev > coalesce(mark.rev, 0) AND record.rev >= 0
) AS waiting ON entity.rev > coalesce(mark.rev, 0)
WHERE entity.name = %s AND (%s::text[] IS NULL OR entity.connection_id = ANY(%s))
"""


def count_pending(
    connection: BaseDatabaseWrapper,
    entity_name: str,
    index_name: str,
    among: Collection[str] | None,
) -> tuple[int, int, int, datetime | None]:
    """Return how many entities there are, of how many the index has been complete, how many
    records wait to be read by it, and since when the first of them does."""
    wanted = None if among is None else list(among)
    with connection.cursor() as cursor:
        cursor.execute(_PENDING, [index_name, entity_name, wanted, wanted])
        row: tuple[int, int, int, datetime | None] = cursor.fetchone()
    return row
