"""The advisory locks of the engine; each is held until its transaction ends."""

from __future__ import annotations

from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper

# The kinds of locks have different seeds, so that their keys differ from each other's and from
# those of other applications in the same database.
_ENTITIES, _INDEX_NAMES, BUILDERS = 0x6D617374, 0x6E616D65, 0x76656374

# The key is the same as that of `lock_entity`. The lock function runs for the selected row only.
_LOCK_NAMED_ENTITY = """
SELECT id, pg_advisory_xact_lock(hashtextextended(id::text, %s))
FROM mastra_engine_entity
WHERE name = %s AND connection_id = %s
"""


def lock_entity(connection: BaseDatabaseWrapper, id: UUID) -> None:
    """Wait for the lock that writers of an entity's records hold; locking writes no row."""
    _wait(connection, str(id), _ENTITIES)


def lock_named_entity(
    connection: BaseDatabaseWrapper, name: str, connection_id: str
) -> UUID | None:
    """Wait for the lock of a named entity and return its id, or None if it does not exist.

    The entity may have been deleted while the lock was awaited.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_NAMED_ENTITY, [_ENTITIES, name, connection_id])
        row = cursor.fetchone()
    return None if row is None else row[0]


def lock_index_name(connection: BaseDatabaseWrapper, name: str) -> None:
    """Wait for the lock that creating and deleting a vector index of this name takes."""
    _wait(connection, name, _INDEX_NAMES)


def try_lock_call(connection: BaseDatabaseWrapper, id: UUID) -> bool:
    """Acquire the lock of a call with an idempotency key; return False if it is held."""
    with connection.cursor() as cursor:
        number = int.from_bytes(id.bytes[:8], signed=True)
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number])
        return bool(cursor.fetchone()[0])


def _wait(connection: BaseDatabaseWrapper, key: str, kind: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, %s))", [key, kind])
