"""Transactions, and where an engine's connection comes from."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import count
from typing import TypeVar

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from mastra_engine.exceptions import EngineConfigError, Unavailable
from mastra_engine.postgres.errors import RETRYABLE, sqlstate, translated
from mastra_engine.postgres.prepared import allow_prepared
from mastra_engine.postgres.timeouts import set_timeout, timeout

R = TypeVar("R")

ATTEMPTS = 3
#: How often an entity may vanish between being found and being locked.
RACES = 20


class Session:
    """The engine's use of one Django database alias."""

    def __init__(
        self, alias: str, *, lock_timeout: float, prepared_statements: bool = True
    ) -> None:
        if not isinstance(prepared_statements, bool):
            raise EngineConfigError(
                f"PREPARED_STATEMENTS must be True or False, got {prepared_statements!r}"
            )
        self.alias = alias
        self.lock_timeout = lock_timeout
        self.prepared_statements = prepared_statements
        #: Whether this thread is in a transaction that `run` began.
        self._own = threading.local()

    @property
    def connection(self) -> BaseDatabaseWrapper:
        """Django's connection; each thread has one of its own."""
        connection = connections[self.alias]
        allow_prepared(connection, self.prepared_statements)
        return connection

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise the engine's errors, and give up a connection that is lost.

        Django keeps it until the end of a request, and a worker has no requests.
        """
        try:
            with translated():
                yield
        except Unavailable:
            self.rest()
            raise

    def rest(self) -> None:
        """Let go of a connection that is lost or as old as it may be, as after a request."""
        connection = self.connection
        if connection.autocommit:  # or else a transaction of the caller's is under way
            connection.close_if_unusable_or_obsolete()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction whose lock waits are bounded, or a savepoint in the caller's."""
        bound = self.lock_wait()
        with transaction.atomic(using=self.alias):
            if bound is not None:
                set_timeout(self.connection, "lock_timeout", bound)
            yield

    @contextmanager
    def _own_transaction(self) -> Iterator[None]:
        self._own.began = True
        try:
            with self.transaction():
                yield
        finally:
            self._own.began = False

    def lock_wait(self) -> str | None:
        """Return the bound of lock waits, for SET LOCAL, where it is the engine's to set.

        A caller's own transaction keeps its own: SET LOCAL would outlast the savepoint.
        """
        if not self.lock_timeout or not self.connection.get_autocommit():
            return None
        return timeout(self.lock_timeout)

    def after_commit(self, act: Callable[[], None]) -> None:
        """Act once what was written is there for others, at once if it is."""
        connection = self.connection
        # With autocommit off and no atomic(), nobody learns of the commit: it is left undone.
        if connection.in_atomic_block or connection.get_autocommit():
            transaction.on_commit(act, using=self.alias)

    def run(
        self, operation: Callable[[], R], *, repeatable: bool = True, single: bool = False
    ) -> R:
        """Run a transaction; begin anew when it lost to another one, unless it is the caller's.

        A `single` operation is one statement, which needs no transaction around it, and within
        another operation no savepoint: its failure ends that operation's transaction.
        """
        with self.translated():
            # A transaction under way is the caller's: what it did before could not be done again.
            alone = self.connection.get_autocommit()
        if single and (alone or getattr(self._own, "began", False)):
            around: Callable[[], AbstractContextManager[None]] = nullcontext
        else:
            around = self._own_transaction if alone else self.transaction
        for attempt in count(1):
            try:
                with self.translated(), around():
                    return operation()
            except Unavailable as error:
                losing = sqlstate(error) in RETRYABLE and attempt < ATTEMPTS
                if not (alone and repeatable and losing):
                    raise
            time.sleep(random.uniform(0.01, 0.1) * attempt)  # noqa: S311 - jitter
        raise AssertionError
