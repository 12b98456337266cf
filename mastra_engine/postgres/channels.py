"""Channels by which the server wakes those who follow an entity: LISTEN and NOTIFY."""

from __future__ import annotations

from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper


def notify(connection: BaseDatabaseWrapper, entity_id: UUID) -> None:
    """Wake those who listen, once the transaction is committed.

    Transactions that notify commit one after the other, each waiting for the disk: it is for one
    that does nothing else, and so has nothing to wait for.
    """
    _execute(connection, f"NOTIFY {_channel(entity_id)}")


def listen(connection: BaseDatabaseWrapper, entity_id: UUID) -> None:
    """Have the connection told of what is committed from now on."""
    _execute(connection, f"LISTEN {_channel(entity_id)}")


def forget_notices(connection: BaseDatabaseWrapper) -> None:
    """Take in what the connection was told so far, without waiting."""
    with connection.wrap_database_errors:
        for _ in connection.connection.notifies(timeout=0):
            pass


def _channel(entity_id: UUID) -> str:
    return f"mastra_engine_{entity_id.hex}"


def _execute(connection: BaseDatabaseWrapper, sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)
