"""Prepared statements through psycopg's private API, as of psycopg 3.2 and 3.3.

Import this module only through `prepared.py`, which does without it if the installed psycopg has
another private API. `is_supported` checks the parts that no import statement checks.
"""

from __future__ import annotations

import inspect
from typing import Any, Self

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import Connection, Cursor
from psycopg._preparing import Key, Prepare, PrepareManager
from psycopg._queries import PostgresQuery
from psycopg.abc import Params
from psycopg.adapt import Transformer
from psycopg.errors import FeatureNotSupported
from psycopg.pq import TransactionStatus


class _RepeatedQuery(PostgresQuery):
    """Marks a statement that has one good plan, whatever its parameters."""


class _ReusedCursor(Cursor[Any]):
    """A cursor that is used again instead of closed.

    A new cursor looks up the loader of each type again, which takes a tenth of the time of reading
    20 messages.
    """

    #: The attribute of Django's connection that holds an idle cursor for the next statement.
    idle_attribute: str
    #: Django's connection, which holds this cursor between two statements.
    django_connection: BaseDatabaseWrapper

    @classmethod
    def of(cls, connection: BaseDatabaseWrapper) -> Self:
        """Return the idle cursor of a connection, or a new one if it has none in this session."""
        cursor: Self | None = vars(connection).pop(cls.idle_attribute, None)
        if cursor is None or cursor.connection is not connection.connection:
            cursor = cls(connection.connection)
            cursor.django_connection = connection
        return cursor

    def close(self) -> None:
        """Release the result, which may be large, and keep the cursor for the next statement."""
        self._reset()
        self._tx.set_pgresult(None)
        vars(self.django_connection)[self.idle_attribute] = self


class PlannedCursor(_ReusedCursor):
    """Never prepares statements, so each one is planned for its parameters."""

    idle_attribute = "_mastra_engine_planned_cursor"

    def execute(self, query: Any, params: Params | None = None, **options: Any) -> Any:
        return super().execute(query, params, **{**options, "prepare": False})


class PreparingCursor(_ReusedCursor):
    """Prepares statements that are repeated."""

    _query_cls = _RepeatedQuery
    idle_attribute = "_mastra_engine_preparing_cursor"

    def execute(self, query: Any, params: Params | None = None, **options: Any) -> Any:
        try:
            return super().execute(query, params, **options)
        except FeatureNotSupported:
            # The server refuses a prepared statement if the types of its result columns have
            # changed, before it runs any of it. A failed transaction cannot go on; its rollback
            # deallocates the statement.
            if self.connection.info.transaction_status != TransactionStatus.IDLE:
                raise
            self.connection._prepared.clear()
            return super().execute(query, params, **options)


class _EngineStatementsOnly(PrepareManager):
    """Counts and keeps the statements of `PreparingCursor` only.

    Psycopg's own manager keeps the text of the last hundred statements of a connection, and this
    number cannot be set to zero. Django writes all parameters into the text: with whole documents
    in them, that would be up to a gigabyte.
    """

    def maybe_add_to_cache(self, query: PostgresQuery, prep: Prepare, name: bytes) -> Key | None:
        if prep is Prepare.NO and not isinstance(query, _RepeatedQuery):
            # The statement is not kept. Returning its key makes psycopg look at its result: a DROP
            # or a ROLLBACK deallocates prepared statements.
            return self.key(query)
        return super().maybe_add_to_cache(query, prep, name)


def is_supported() -> bool:
    """Return whether the installed psycopg has the private methods that this module overrides."""
    signature = inspect.signature(PrepareManager.maybe_add_to_cache)
    return (
        list(signature.parameters) == ["self", "query", "prep", "name"]
        and all(hasattr(PrepareManager, name) for name in ("key", "clear"))
        and all(hasattr(Cursor, name) for name in ("_query_cls", "_reset"))
        and hasattr(Transformer, "set_pgresult")
    )


def prepare_repeated(driver: Connection[Any]) -> None:
    """Let a connection prepare the statements of `PreparingCursor` from their sixth use on."""
    if isinstance(getattr(driver, "_prepared", None), PrepareManager):
        driver._prepared = _EngineStatementsOnly()
