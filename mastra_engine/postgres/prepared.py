"""Cursors that bind on the server, and prepare what is asked often where nothing forbids it."""

from __future__ import annotations

from typing import Any, Self
from weakref import WeakKeyDictionary

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.postgresql.base import DatabaseWrapper
from psycopg import Connection, Cursor
from psycopg._preparing import Key, Prepare, PrepareManager
from psycopg._queries import PostgresQuery
from psycopg.abc import Params
from psycopg.errors import FeatureNotSupported
from psycopg.pq import Format, TransactionStatus

from mastra_engine.postgres.poolers import is_pooled

#: Where Django's connection keeps a cursor.
_KEPT = "_mastra_engine_cursor"
#: How many cursors a connection has had when it is seen whether anything may be prepared on it.
_OFTEN = 5

#: How many cursors a connection of the driver has had: short-lived ones are not looked into.
_cursors: WeakKeyDictionary[Connection[Any], int] = WeakKeyDictionary()


class _Repeated(PostgresQuery):
    """A statement with one good plan, whatever its parameters."""


class _Preparing(Cursor[Any]):
    """Prepares what is repeated, where it may, and is used again.

    A new cursor finds out anew how each type is read: a tenth of what 20 messages take.
    """

    _query_cls = _Repeated
    #: Django's connection, which keeps it while nobody uses it.
    keeper: BaseDatabaseWrapper

    @classmethod
    def of(cls, connection: BaseDatabaseWrapper) -> Self:
        """Return the one that is kept; a new one where that is in use, or of a former session."""
        cursor: Self | None = vars(connection).pop(_KEPT, None)
        if cursor is None or cursor.connection is not connection.connection:
            cursor = cls(connection.connection)
            cursor.keeper = connection
        return cursor

    def close(self) -> None:
        """Let go of what was found, which may be large, and be there for the next statement."""
        self._reset()
        self._tx.set_pgresult(None)
        vars(self.keeper)[_KEPT] = self

    def execute(self, query: Any, params: Params | None = None, **options: Any) -> Any:
        try:
            return super().execute(query, params, **options)
        except FeatureNotSupported:
            # A plan whose columns are of other types by now, which the server does not begin with.
            # Where a transaction has failed of it, the rollback discards what is prepared.
            if self.connection.info.transaction_status != TransactionStatus.IDLE:
                raise
            self.connection._prepared.clear()
            return super().execute(query, params, **options)


class _Prepared(PrepareManager):
    """Counts no statement but ours.

    Psycopg's own keeps the text of the last hundred of anybody's, and has no setting for that. In
    those of Django's cursors all parameters are written out: with whole documents in them, that
    may be a gigabyte. Private to psycopg; in 3.2 and 3.3, which are allowed, it is as needed here.
    """

    def maybe_add_to_cache(self, query: PostgresQuery, prep: Prepare, name: bytes) -> Key | None:
        if prep is Prepare.NO and not isinstance(query, _Repeated):
            # Not kept, but looked at when it is done: a DROP or ROLLBACK discards what is prepared.
            return self.key(query)
        return super().maybe_add_to_cache(query, prep, name)


class _PlannedEachTime(Cursor[Any]):
    """Prepares nothing."""

    def execute(self, query: Any, params: Params | None = None, **_: Any) -> Any:
        return super().execute(query, params, prepare=False)


def server_cursor(
    connection: BaseDatabaseWrapper, *, format: Format = Format.TEXT, one_plan: bool = True
) -> Any:
    """Return a cursor of Django's connection that binds parameters on the server.

    Django's own writes them as text into the statement, which takes longer than all else the
    client does for a search. `one_plan` says that the statement has one good plan whatever its
    parameters: then it may be prepared. Being wrapped alike, it is logged and counted alike.
    """
    if type(connection) is DatabaseWrapper:
        connection.close_if_health_check_failed()
        connection.ensure_connection()
    else:  # a backend of the project's may do more first: name the schema of a tenant, for one
        connection.cursor().close()
    driver = connection.connection
    if driver.prepare_threshold is None:
        _cursors[driver] = _cursors.get(driver, 0) + 1
        if _cursors[driver] == _OFTEN and _may_prepare(connection):
            driver._prepared = _Prepared()
    logged = connection.queries_logged  # by their text, which the driver keeps of unprepared ones
    keeps = one_plan and not logged
    cursor: Any = _Preparing.of(connection) if keeps else _PlannedEachTime(driver)
    cursor.format = format
    return connection.make_debug_cursor(cursor) if logged else connection.make_cursor(cursor)


def _may_prepare(connection: BaseDatabaseWrapper) -> bool:
    """Whether prepared statements are safe here, and the project has not decided about them.

    Django prepares nothing by default, for behind a pooler a statement of that name may be missing
    or somebody else's.
    """
    decided = "prepare_threshold" in connection.settings_dict["OPTIONS"]
    return not decided and not is_pooled(connection)
