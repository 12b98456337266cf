"""Transactions of an engine and their connection."""

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
from mastra_engine.postgres.connections import separate_connection
from mastra_engine.postgres.errors import RETRYABLE, sqlstate, translated
from mastra_engine.postgres.prepared import allow_prepared
from mastra_engine.postgres.timeouts import set_timeout, timeout

R = TypeVar("R")

ATTEMPTS = 3
#: How often to retry when an entity is deleted between its lookup and its lock.
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
        """Django's connection of the current thread."""
        connection = connections[self.alias]
        allow_prepared(connection, self.prepared_statements)
        return connection

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise the engine's errors, and close a lost connection.

        Django would keep it until the end of the request, but a worker has no requests.
        """
        try:
            with translated():
                yield
        except Unavailable:
            self.rest()
            raise

    def rest(self) -> None:
        """Close a connection that is lost or exceeds its maximum age, as after a request."""
        connection = self.connection
        if connection.autocommit:  # Otherwise the connection is in a transaction of the caller.
            connection.close_if_unusable_or_obsolete()

    @contextmanager
    def separately(self) -> Iterator[None]:
        """Use another connection in this thread, which is not in Django's pool; close it after."""
        before = connections[self.alias]
        separate = connections[self.alias] = separate_connection(before)
        try:
            yield
        finally:
            separate.close()
            connections[self.alias] = before

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Open a transaction with a lock timeout, or a savepoint in the caller's transaction."""
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
        """Return the lock timeout for SET LOCAL, or None if the engine must not set it.

        A caller's transaction keeps its own timeout, because SET LOCAL would outlast the savepoint.
        """
        if not self.lock_timeout or not self.connection.get_autocommit():
            return None
        return timeout(self.lock_timeout)

    def after_commit(self, act: Callable[[], None]) -> None:
        """Call `act` after the current transaction is committed, or at once outside of one.

        In a transaction that the caller began with `set_autocommit(False)`, Django calls it as soon
        as autocommit is on again after the commit. It is not called if Django reports no commits.
        """
        connection = self.connection
        if connection.in_atomic_block or connection.get_autocommit():
            transaction.on_commit(act, using=self.alias)
        elif self.reports_commits():
            # Django accepts the function only in a block, which needs no statement.
            with transaction.atomic(using=self.alias, savepoint=False):
                transaction.on_commit(act, using=self.alias)

    def reports_commits(self) -> bool:
        """Return whether Django calls functions after the commit of the current transaction.

        With `AUTOCOMMIT` off in the settings it does not, since autocommit is never on again.
        """
        connection = self.connection
        begun_by_atomic = connection.in_atomic_block and connection.commit_on_exit
        usual = bool(connection.settings_dict["AUTOCOMMIT"])
        return usual or begun_by_atomic or bool(connection.get_autocommit())

    def run(
        self, operation: Callable[[], R], *, repeatable: bool = True, single: bool = False
    ) -> R:
        """Run an operation in a transaction, and again after a deadlock or serialization failure.

        It is not repeated within a caller's transaction. A `single` operation is one statement and
        needs no transaction, and within another operation no savepoint: its failure ends the
        transaction of that operation.
        """
        with self.translated():
            # An open transaction is the caller's; its earlier statements could not be repeated.
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


class SessionStore:
    """A store that runs its operations in transactions of a session."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def transact(self, operation: Callable[[], R], *, single: bool = False) -> R:
        """Run an operation atomically; one that is `single` is one statement."""
        return self.session.run(operation, single=single)

    def after_commit(self, action: Callable[[], None]) -> None:
        """Run an action after the current transaction commits, or at once outside of one."""
        self.session.after_commit(action)
