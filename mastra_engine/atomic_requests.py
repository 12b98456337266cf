"""What views of the API and of the admin have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.db import connections, transaction

V = TypeVar("V", bound=Callable[..., Any])


def non_atomic(view: V) -> V:
    """Have `ATOMIC_REQUESTS` open no transaction around a view, and return it.

    What it does is one of the engine's: that one waits for locks no longer than is set, begins anew
    after a deadlock, and where the database is away the view can say so. A build is in none.
    """
    for alias in connections:
        transaction.non_atomic_requests(using=alias)(view)
    return view
