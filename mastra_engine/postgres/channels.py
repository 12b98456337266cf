"""Channels that wake the followers of an entity, by LISTEN and NOTIFY."""

from __future__ import annotations

from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper


def notify(connection: BaseDatabaseWrapper, entity_id: UUID) -> None:
    """Wake the listeners of an entity after the transaction is committed.

    PostgreSQL serializes the commits of transactions that notify, and each of them waits for the
    disk. Call it in a transaction without other writes, because that one does not wait.
    """
    _execute(connection, f"NOTIFY {_channel(entity_id)}")


def listen(connection: BaseDatabaseWrapper, entity_id: UUID) -> None:
    """Register the connection for the changes of an entity that are committed from now on."""
    _execute(connection, f"LISTEN {_channel(entity_id)}")


def forget_notices(connection: BaseDatabaseWrapper) -> None:
    """Discard the notifications that the connection has received, without waiting."""
    with connection.wrap_database_errors:
        for _ in connection.connection.notifies(timeout=0):
            pass


def _channel(entity_id: UUID) -> str:
    return f"mastra_engine_{entity_id.hex}"


def _execute(connection: BaseDatabaseWrapper, sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)
