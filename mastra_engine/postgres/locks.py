"""The advisory locks that the engine takes, each held until its transaction ends."""

from __future__ import annotations

from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper

#: These keep the locks of each kind apart from one another, and from those of others.
_ENTITIES, _INDEX_NAMES, BUILDERS = 0x6D617374, 0x6E616D65, 0x76656374


def lock_entity(connection: BaseDatabaseWrapper, id: UUID) -> None:
    """Wait for the lock under which an entity's records are written; taking it writes nothing."""
    _wait(connection, str(id), _ENTITIES)


def lock_index_name(connection: BaseDatabaseWrapper, name: str) -> None:
    """Wait until nobody else makes or deletes a vector index of this name."""
    _wait(connection, name, _INDEX_NAMES)


def try_lock_call(connection: BaseDatabaseWrapper, id: UUID) -> bool:
    """Take the lock of a call under an idempotency key, or return False when another has it."""
    with connection.cursor() as cursor:
        number = int.from_bytes(id.bytes[:8], signed=True)
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number])
        return bool(cursor.fetchone()[0])


def _wait(connection: BaseDatabaseWrapper, key: str, kind: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, %s))", [key, kind])
