"""The revisions at which entities were at a time, without an index on times."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper

# A change assigns the entity's next revision and the time while it holds the entity's lock, so the
# times of an entity's records ascend with their revisions. A binary search over the index of the
# revisions finds the first record of a time in about 20 steps for a million records. The condition
# `rev >= 0` always holds; it is that of the index.
_REVISIONS = """
SELECT entity.id, found.low
FROM mastra_engine_entity AS entity, LATERAL (
    WITH RECURSIVE search (low, high) AS (
        SELECT 0::bigint, entity.rev + 1
        UNION ALL
        SELECT
            CASE WHEN probe.updated_at < %(time)s THEN probe.rev + 1 ELSE search.low END,
            CASE WHEN probe.updated_at < %(time)s THEN search.high
                 ELSE (search.low + search.high) / 2 END
        FROM search LEFT JOIN LATERAL (
            SELECT rev, updated_at FROM mastra_engine_record
            WHERE entity_id = entity.id AND rev >= 0 AND rev >= (search.low + search.high) / 2
            ORDER BY rev LIMIT 1
        ) AS probe ON true
        WHERE search.low < search.high
    )
    SELECT low FROM search WHERE low >= high
) AS found
WHERE entity.id = ANY(%(entities)s)
"""


def revisions_at(
    connection: BaseDatabaseWrapper, entity_ids: Collection[UUID], time: datetime
) -> dict[UUID, int]:
    """Return the first revision of each entity at or after a time; no earlier record has it."""
    with connection.cursor() as cursor:
        cursor.execute(_REVISIONS, {"time": time, "entities": list(entity_ids)})
        return dict(cursor.fetchall())
