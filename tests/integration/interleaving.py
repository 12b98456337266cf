"""Something happens on another connection between two statements of an engine's method."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections

from mastra_engine.backends.postgres import PostgresEngine


@contextmanager
def just_before(
    part: str, *actions: Callable[[], Any], on: PostgresEngine | None = None
) -> Iterator[None]:
    """Do the actions, one each, just before the statements that contain `part`."""
    remaining = list(actions)

    def step_in(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if part in sql and remaining:
            remaining.pop(0)()
        return execute(sql, params, many, context)

    with connections[on.session.alias if on else "default"].execute_wrapper(step_in):
        yield
    assert not remaining, f"Too few statements with {part!r}"
