"""Exempts the views of the API and the admin from `ATOMIC_REQUESTS`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.db import connections, transaction

V = TypeVar("V", bound=Callable[..., Any])


def non_atomic(view: V) -> V:
    """Return a view around which `ATOMIC_REQUESTS` opens no transaction on any database.

    The engine opens its own transactions, because it bounds their lock waits, retries them after a
    deadlock and reports an unavailable database. An index build must not run in a transaction.
    """
    for alias in connections:
        transaction.non_atomic_requests(using=alias)(view)
    return view
