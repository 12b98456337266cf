"""Seconds as the server's settings take them."""

from __future__ import annotations

from math import ceil

#: Milliseconds: the settings are of four bytes.
_LONGEST = 2**31 - 1


def timeout(seconds: float) -> str:
    """Return a timeout of the server's; what is too long for it is cut, and only 0 is none."""
    return f"{min(ceil(seconds * 1000), _LONGEST)}ms"
