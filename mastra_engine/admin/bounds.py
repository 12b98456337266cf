"""Reading that comes to an end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections, transaction

from mastra_engine.conf import admin_settings
from mastra_engine.exceptions import Unavailable
from mastra_engine.postgres.errors import CANCELLED, sqlstate, translated
from mastra_engine.postgres.timeouts import set_timeout, timeout


@contextmanager
def bounded(alias: str) -> Iterator[None]:
    """Read in one transaction, each of whose statements may take as long as the settings say.

    Raises Unavailable where one took longer, and in place of other errors of the database.
    """
    seconds = admin_settings().statement_timeout
    try:
        with translated(), transaction.atomic(using=alias):
            if seconds:
                set_timeout(connections[alias], "statement_timeout", timeout(seconds))
            yield
    except Unavailable as error:
        if sqlstate(error) != CANCELLED:
            raise
        raise Unavailable(
            f"This took the database longer than {seconds:g} seconds. "
            "A search for less, or by another field, may be faster."
        ) from error
