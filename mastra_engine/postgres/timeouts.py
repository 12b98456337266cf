"""Timeouts as the server takes them, and set for one transaction."""

from __future__ import annotations

from math import ceil

from django.db.backends.base.base import BaseDatabaseWrapper

#: Milliseconds: the settings are of four bytes.
_LONGEST = 2**31 - 1


def timeout(seconds: float) -> str:
    """Return a timeout of the server's; what is too long for it is cut, and only 0 is none."""
    return f"{min(ceil(seconds * 1000), _LONGEST)}ms"


def set_timeout(connection: BaseDatabaseWrapper, setting: str, value: str) -> None:
    """Set a timeout until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT set_config('{setting}', %s, true)", [value])
