"""Cursors that bind parameters on the server, and prepare repeated statements where it is safe."""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.postgresql.base import DatabaseWrapper
from psycopg import Connection, Cursor
from psycopg.abc import Params
from psycopg.pq import Format

from mastra_engine.postgres.poolers import is_pooled

#: The attribute of Django's connection that says whether the engine may prepare statements on it.
_ALLOWED = "_mastra_engine_prepares"
#: Cursors of a connection after which it is examined for a pooler. A connection that is closed
#: earlier would not profit from prepared statements.
_EXAMINED_AFTER = 5

#: The number of cursors that each connection of the driver has had.
_cursors: WeakKeyDictionary[Connection[Any], int] = WeakKeyDictionary()


class _UnpreparedCursor(Cursor[Any]):
    """A cursor that never prepares statements, so each one is planned for its parameters."""

    def execute(self, query: Any, params: Params | None = None, **_: Any) -> Any:
        return super().execute(query, params, prepare=False)


def allow_prepared(connection: BaseDatabaseWrapper, allowed: bool) -> None:
    """Set whether statements may be prepared on a connection: `PREPARED_STATEMENTS` of an engine.

    Engines that share a connection may differ, so each sets it before it uses the connection.
    """
    vars(connection)[_ALLOWED] = allowed


def server_cursor(
    connection: BaseDatabaseWrapper, *, format: Format = Format.TEXT, one_plan: bool = True
) -> Any:
    """Return a cursor of Django's connection that binds parameters on the server.

    Django's own cursors write them as text into the statement, which takes longer than everything
    else that the client does for a search. `one_plan` says that the statement has one good plan,
    whatever its parameters, so that it may be prepared. Django's wrappers log and count the
    statements as those of its own cursors.
    """
    if type(connection) is DatabaseWrapper:
        connection.close_if_health_check_failed()
        connection.ensure_connection()
    else:  # Another backend may do more when it opens a cursor, such as set a tenant's schema.
        connection.cursor().close()
    driver = connection.connection
    # While Django logs queries, it takes the text of a statement from the driver, which has it for
    # unprepared statements only.
    logged = connection.queries_logged
    preparing = _preparing() if vars(connection).get(_ALLOWED, True) else None
    cursor: Any
    if preparing is None or logged:
        cursor = _UnpreparedCursor(driver)
    elif not one_plan:
        cursor = preparing.PlannedCursor.of(connection)
    else:
        _examine(connection, preparing)
        cursor = preparing.PreparingCursor.of(connection)
    cursor.format = format
    return connection.make_debug_cursor(cursor) if logged else connection.make_cursor(cursor)


@cache
def _preparing() -> ModuleType | None:
    """Return the module that prepares statements, or None if psycopg has an unsupported version."""
    try:
        from mastra_engine.postgres import preparing
    except (ImportError, AttributeError):
        return None
    return preparing if preparing.is_supported() else None


def _examine(connection: BaseDatabaseWrapper, preparing: ModuleType) -> None:
    """Count a connection's cursors, and let it prepare statements after `_EXAMINED_AFTER` of them.

    Django disables prepared statements (`prepare_threshold` is None), because behind a pooler the
    server may not know the statement, or know another client's statement of the same name.
    """
    driver = connection.connection
    if driver.prepare_threshold is not None:
        return
    _cursors[driver] = _cursors.get(driver, 0) + 1
    if _cursors[driver] == _EXAMINED_AFTER and _is_safe(connection):
        preparing.prepare_repeated(driver)


def _is_safe(connection: BaseDatabaseWrapper) -> bool:
    """Return whether there is no pooler, and the project does not set `prepare_threshold`."""
    decided = "prepare_threshold" in connection.settings_dict["OPTIONS"]
    return not decided and not is_pooled(connection)
