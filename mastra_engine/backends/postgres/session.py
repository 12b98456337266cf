"""Transactions, and where an engine's connection comes from."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import TypeVar

from django.db import connections, transaction

from mastra_engine.exceptions import Unavailable
from mastra_engine.postgres.errors import RETRYABLE, sqlstate, translated

R = TypeVar("R")

ATTEMPTS = 3
#: How often an entity may vanish between being found and being locked.
RACES = 20


class Session:
    """The engine's use of one Django database alias."""

    def __init__(self, alias: str, *, lock_timeout: float) -> None:
        self.alias = alias
        self.lock_timeout = lock_timeout

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise the engine's errors, and give up a connection that is lost.

        Django keeps it until the end of a request, and a worker has no requests.
        """
        try:
            with translated():
                yield
        except Unavailable:
            connection = connections[self.alias]
            if connection.autocommit:  # or else a transaction of the caller's is under way
                connection.close_if_unusable_or_obsolete()
            raise

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction whose lock waits are bounded, or a savepoint in the caller's.

        A caller's own transaction keeps its own bounds: SET LOCAL would outlast the savepoint.
        """
        connection = connections[self.alias]
        outermost = connection.get_autocommit()
        with transaction.atomic(using=self.alias):
            if outermost and self.lock_timeout:
                with connection.cursor() as cursor:
                    bound = f"{round(self.lock_timeout * 1000)}ms"
                    cursor.execute("SELECT set_config('lock_timeout', %s, true)", [bound])
            yield

    def run(self, operation: Callable[[], R], *, repeatable: bool = True) -> R:
        """Run a transaction; begin anew when it lost to another one, unless it is the caller's."""
        with self.translated():
            # A transaction under way is the caller's: what it did before could not be done again.
            alone = repeatable and connections[self.alias].get_autocommit()
        for attempt in count(1):
            try:
                with self.translated(), self.transaction():
                    return operation()
            except Unavailable as error:
                if not alone or attempt == ATTEMPTS or sqlstate(error) not in RETRYABLE:
                    raise
            time.sleep(random.uniform(0.01, 0.1) * attempt)  # noqa: S311 - jitter
        raise AssertionError
