"""Timeouts of the server: their format, and their value in one transaction."""

from __future__ import annotations

from math import ceil

from django.db.backends.base.base import BaseDatabaseWrapper

#: The longest timeout in milliseconds, because the settings have four bytes.
_LONGEST = 2**31 - 1


def timeout(seconds: float) -> str:
    """Return a timeout as a setting, at most the longest possible; only 0 disables it."""
    return f"{min(ceil(seconds * 1000), _LONGEST)}ms"


def set_timeout(connection: BaseDatabaseWrapper, setting: str, value: str) -> None:
    """Set a timeout until the transaction ends."""
    with connection.cursor() as cursor:
        # Unlike SELECT set_config(), this is not planned, which takes a third of its time.
        cursor.execute(f"SET LOCAL {setting} = '{value}'")
