"""Reading within a time limit."""

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
    """Read in one transaction with the `statement_timeout` of the admin's settings.

    Raises Unavailable when a statement takes longer, and for other errors of the database.
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
            f"The database needed longer than the limit of {seconds:g} seconds. "
            "A narrower search, or one by another field, may be faster."
        ) from error
