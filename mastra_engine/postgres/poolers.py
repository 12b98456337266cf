"""Whether the server that answers is a connection's own."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper


def is_pooled(connection: BaseDatabaseWrapper) -> bool:
    """Whether a pooler is in between, which may give each transaction to another server.

    Such a pooler cannot hand out a server's own key for cancelling, or one client would cancel
    another's query; and the key begins with the server's process id.
    """
    connection.ensure_connection()
    driver = connection.connection
    with connection.wrap_database_errors:
        (process,) = driver.execute("SELECT pg_backend_pid()").fetchone()
    return bool(process != driver.info.backend_pid)
