"""The statements that an engine sends."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

Plan = dict[str, Any]

#: What Django sends around the statements proper.
TRANSACTION = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")


def statements(call: Callable[[], Any]) -> list[str]:
    """Return the SQL that a call sends, with its parameters, but for transaction control.

    COPY is among it as of Django's `CursorDebugWrapper.copy()`, without its rows.
    """
    with CaptureQueriesContext(
        connection,
    ) as captured:
        call()
    sent = (query["sql"].strip() for query in captured.captured_queries)
    return [sql for sql in sent if not sql.startswith(TRANSACTION)]


@contextmanager
def explained(part: str) -> Iterator[list[Plan]]:
    """Collect the plans of statements with `part`, each explained as it is sent.

    To be explained it is run once more, and what it did is undone.
    """
    plans: list[Plan] = []

    def explain(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if part in sql:
            explaining = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}"
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.cursor.execute(explaining, params)
                ((plan,),) = cursor.fetchall()
                transaction.set_rollback(True)
            plans.append((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        yield plans


@contextmanager
def counted_reads(table: str) -> Iterator[Callable[[], int]]:
    """Count the rows that this transaction reads from a table, also within functions.

    A scan of the table counts as many rows as the table has.
    """

    def read() -> int:
        with connection.cursor() as cursor:
            cursor.execute(_READS, [table])
            ((rows,),) = cursor.fetchall()
        return int(rows)

    before = read()
    yield lambda: read() - before


_READS = """
SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = %s
"""


@contextmanager
def plans() -> Iterator[list[str]]:
    """Collect the plan of each search, explained on the same connection just before it runs."""
    items: list[str] = []

    def explain(execute: Any, statement: str, params: Any, many: bool, context: Any) -> Any:
        if " AS distance" in statement:
            execute(f"EXPLAIN {statement}", params, many, context)
            items.append("\n".join(line for (line,) in context["cursor"].fetchall()))
        return execute(statement, params, many, context)

    with connection.execute_wrapper(explain):
        yield items


def plan_of(sql: str) -> list[dict[str, Any]]:
    """Return the nodes of a statement's plan, the topmost first."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}")
        ((explained,),) = cursor.fetchall()
    if isinstance(explained, str):
        explained = json.loads(explained)
    return list(nodes_of(explained[0]["Plan"]))


def nodes_of(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from nodes_of(child)
