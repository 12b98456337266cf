"""The database connection of the threads in which LangGraph calls a checkpointer.

A synchronous graph stores its checkpoints in threads of an executor, with a copy of the context of
the thread that called the graph. A connection of Django belongs to one thread. So the rows that
such a thread stores would be outside of the caller's transaction, and its connection would stay
open when the thread has ended.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from itertools import count
from typing import Any, NamedTuple

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import Atomic

from mastra_engine.exceptions import Unavailable
from mastra_engine.postgres.errors import RETRYABLE, sqlstate, translated

ATTEMPTS = 3


class Transaction(NamedTuple):
    """The transaction of a thread that called a graph."""

    connection: weakref.ref[BaseDatabaseWrapper]
    outermost: Atomic
    lock: threading.RLock


#: The transaction in which this context began, by the alias of its database.
_transactions: ContextVar[dict[str, Transaction]] = ContextVar("mastra_langgraph_transactions")


@contextmanager
def joined_connection(using: str) -> Iterator[BaseDatabaseWrapper]:
    """Yield this thread's connection, or that of the caller of the graph if it is in a transaction.

    The caller's connection is also `connections[using]` of this thread meanwhile.
    """
    own = connections[using]
    remember_transaction(using)
    if not own.in_atomic_block and (transaction := _active_transaction(using)):
        connection, lock = transaction
        with lock, _shared(using, own, connection):
            yield connection
    else:
        if own.connection is None:
            _close_at_thread_end(own)
        yield own


def execute(
    connection: BaseDatabaseWrapper, statement: str, parameters: Mapping[str, Any]
) -> Sequence[Any]:
    """Execute a statement and return its rows; raises the engine's errors.

    Outside of a transaction it is executed again after a deadlock, and on a new connection if the
    old one is lost. An agent may wait for its model for longer than a connection may be idle, and
    no requests have Django replace it. Each statement may be executed twice with one effect.
    """
    for attempt in count(1):
        was_open = connection.connection is not None
        try:
            with translated(), connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                return cursor.fetchall() if cursor.description else ()
        except Unavailable as error:
            if not connection.autocommit:
                raise
            connection.close_if_unusable_or_obsolete()
            is_lost = was_open and connection.connection is None
            if attempt == ATTEMPTS or not (is_lost or sqlstate(error) in RETRYABLE):
                raise
    raise AssertionError("The loop ends with a result or an error")


def remember_transaction(using: str) -> None:
    """Let threads that copy this context join this thread's transaction, if it is in one."""
    connection, transactions = connections[using], _transactions.get({})
    if (outermost := _outermost(connection)) is None:
        return
    last = transactions.get(using)
    if not last or last.connection() is not connection or last.outermost is not outermost:
        current = Transaction(weakref.ref(connection), outermost, threading.RLock())
        _transactions.set({**transactions, using: current})


def _active_transaction(using: str) -> tuple[BaseDatabaseWrapper, threading.RLock] | None:
    """Return the connection of the context's transaction and its lock, unless it has ended."""
    transaction = _transactions.get({}).get(using)
    connection = transaction.connection() if transaction else None
    if transaction and connection and _outermost(connection) is transaction.outermost:
        return connection, transaction.lock
    return None


def _outermost(connection: BaseDatabaseWrapper) -> Atomic | None:
    return connection.atomic_blocks[0] if connection.atomic_blocks else None


@contextmanager
def _shared(
    using: str, own: BaseDatabaseWrapper, connection: BaseDatabaseWrapper
) -> Iterator[None]:
    # psycopg executes the statements of two threads one after the other.
    connection.inc_thread_sharing()
    connections[using] = connection
    try:
        yield
    finally:
        connections[using] = own
        connection.dec_thread_sharing()


class _Closing:
    """Closes connections when the thread that holds this object ends."""

    def __init__(self) -> None:
        self.connections: list[BaseDatabaseWrapper] = []

    def __del__(self) -> None:
        for connection in self.connections:
            connection.close()


_thread = threading.local()


def _close_at_thread_end(connection: BaseDatabaseWrapper) -> None:
    # Django closes the connections of threads that serve requests; of others nothing does.
    if threading.current_thread() is not threading.main_thread():
        if not hasattr(_thread, "closing"):
            _thread.closing = _Closing()
        if connection not in _thread.closing.connections:
            _thread.closing.connections.append(connection)


class CallersMethod:
    """A method that joins the transaction of the thread that looked it up.

    A graph looks up `put_writes` in the thread that called it. It calls the method when a task is
    done, in a thread that lacks the caller's context if tasks ran in parallel.
    """

    def __init__(self, method: Callable[..., None]) -> None:
        self.method = method

    def __get__(self, checkpointer: Any, owner: type) -> Callable[..., None]:
        if checkpointer is None:
            return self.method
        bound = self.method.__get__(checkpointer, owner)
        remember_transaction(checkpointer.using)
        transactions = _transactions.get({})

        @wraps(bound)
        def call(*args: Any, **kwargs: Any) -> None:
            token = _transactions.set(transactions)
            try:
                bound(*args, **kwargs)
            finally:
                _transactions.reset(token)

        return call
