"""Errors and their tracebacks, as loggers write them, quote neither statements nor content."""

from __future__ import annotations

import traceback

import pytest

from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.exceptions import EngineError, InvalidInput, Unavailable

SECRET = "kept to ourselves"
MANY_WORDS = " ".join(f"{SECRET} {i}" for i in range(200_000))


@pytest.mark.parametrize(
    ("sql", "params", "expected", "state", "timeout"),
    [
        (
            "SELECT to_tsvector('simple', %s)",
            [MANY_WORDS],
            InvalidInput,
            "54000",
            "0",
        ),
        ("SELECT %s, pg_sleep(10)", [SECRET], Unavailable, "57014", "100"),
    ],
    ids=["too large", "cancelled"],
)
def test_translated_errors_quote_nothing(
    engine: PostgresEngine,
    sql: str,
    params: list[str],
    expected: type[EngineError],
    state: str,
    timeout: str,
) -> None:
    def work() -> None:
        with engine.session.connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = %s", [timeout])
            cursor.execute(sql, params)

    with pytest.raises(expected) as caught:
        engine.session.run(work)
    logged = "".join(traceback.format_exception(caught.value))
    assert SECRET not in logged
    assert state in logged
