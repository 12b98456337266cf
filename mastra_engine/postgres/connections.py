"""Connections that the engine opens besides Django's own."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper


def separate_connection(connection: BaseDatabaseWrapper) -> BaseDatabaseWrapper:
    """Return a closed connection to the same database, in autocommit mode and in no pool.

    A thread that holds a connection of Django's pool must not wait for another one of it: as many
    such threads as the pool has places would wait for each other.
    """
    separate = connection.copy()
    separate.settings_dict["AUTOCOMMIT"] = True
    separate.settings_dict["OPTIONS"].pop("pool", None)
    return separate
