"""The pages of 8 KiB that the methods of agent state read, for `python -m benchmarks state`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

from benchmarks.harness import Target, table

Plan = dict[str, Any]

_DATA = ("SELECT", "WITH", "INSERT", "UPDATE")
# As the engine indexes items without an embedder, but a hundred times as fast. Every item has one
# word of all, one of a hundredth, and one of a ten-thousandth.
_INDEX = """
    INSERT INTO mastra_engine_embedding
        (index_id, row_id, id, namespace, document, metadata, embedding, words, word_count)
    SELECT vectors.id, gen_random_uuid(), item.id::text, namespace[1], document,
        jsonb_build_object('@item_id', item.id, '@version', version,
            '@prefixes', ARRAY[array_to_json(namespace)::text]),
        '[0]', to_tsvector('english', document), 3
    FROM mastra_engine_stateitem AS item
    JOIN mastra_engine_vectorindex AS vectors ON vectors.name = 'state'
    CROSS JOIN LATERAL (SELECT substr(key, 5)::int AS number) AS key
    CROSS JOIN LATERAL (
        SELECT format('tea cups%%s orders%%s', number %% 100, number %% 10000) AS document
    ) AS text
    WHERE key LIKE 'key %%' AND number BETWEEN %s AND %s
"""


def index_items(start: int, stop: int) -> None:
    """Store words of the items from number `start` to `stop`."""
    from django.db import connection

    from mastra_engine import engine

    if start == 0:  # the first search creates the index
        engine.state.put(namespace=("first",), key="item", value={"text": "tea"})
        engine.state.search(namespace_prefix=("first",), query="tea")
    with connection.cursor() as cursor:
        cursor.execute(_INDEX, [start, stop - 1])
        cursor.execute("VACUUM ANALYZE mastra_engine_embedding")


def pages_read() -> dict[str, int]:
    """Return how many pages each call reads, the second time that it is made."""
    pages = {}
    for name, call in _calls().items():
        call()
        with _explained() as plans:
            call()
        pages[name] = sum(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] for plan in plans)
    return pages


def pages_table(pages: Mapping[int, Mapping[str, int]]) -> str:
    """Return a table of the pages by call and number of items."""
    rows = [(name, *(of_size[name] for of_size in pages.values())) for name in _calls()]
    headers = ["", *(f"{size:,} items" for size in pages)]
    return table("Pages of 8 KiB read by a call", headers, rows)


def page_targets(few: Mapping[str, int], many: Mapping[str, int]) -> list[Target]:
    """Return the targets that calls read as many pages among many items as among few."""
    return [
        Target(
            name=f"pages of {name}, among many / among few",
            value=many[name] / few[name],
            relation="<=",
            limit=2,
        )
        for name in few
    ]


def _calls() -> dict[str, Callable[[], Any]]:
    from mastra_engine import engine

    state, numbers = engine.state, count()
    user: Sequence[str] = ("user 7",)
    item: Any = {"namespace": ("user 7", "prefs"), "key": "key 777"}

    def put_new() -> Any:
        return state.put(
            namespace=("pages",), key=f"key{next(numbers)}", value={"n": 1}, index=False
        )

    return {
        "get": lambda: state.get(**item),
        "put replacing": lambda: state.put(**item, value={"n": 1}, index=False),
        "put new": put_new,
        "list 100": lambda: state.list_items(namespace_prefix=user),
        "list with a filter": lambda: state.list_items(namespace_prefix=user, filter={"cups": 2}),
        "latest 10": lambda: state.search(namespace_prefix=user),
        "search, a rare word": lambda: state.search(namespace_prefix=user, query="orders750"),
        "search, a common word": lambda: state.search(namespace_prefix=user, query="tea"),
        "list_namespaces of an owner": lambda: state.list_namespaces(prefix=user),
        "first elements": lambda: state.list_namespaces(max_depth=1, limit=10),
    }


@contextmanager
def _explained() -> Iterator[list[Plan]]:
    """Collect the plans of statements on data; each is run twice, and the first time undone."""
    from django.db import connection, transaction

    plans: list[Plan] = []

    def explain(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.split(maxsplit=1)[0] in _DATA and "mastra_engine_" in sql:
            with transaction.atomic():
                execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", params, many, context)
                ((plan,),) = context["cursor"].fetchall()
                transaction.set_rollback(True)
            plans.append((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        yield plans
