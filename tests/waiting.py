"""Waiting for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.db import connection

#: Longer than any wait that ends well, shorter than the patience of whoever runs the suite.
PATIENCE = 120  # seconds


def wait_until(holds: Callable[[], Any]) -> None:
    """Return once it holds; raises AssertionError if it does not in time."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_until_gone(*backend_pids: int) -> None:
    """Return when the server has noticed that these clients are dead.

    Until then it may still carry out what they sent last, a COMMIT for instance.
    """
    sql = "SELECT FROM pg_stat_activity WHERE pid = ANY(%s)"

    def are_gone() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(sql, [[*backend_pids]])
            return cursor.rowcount == 0

    wait_until(are_gone)
