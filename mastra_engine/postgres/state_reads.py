"""Statements that read agent state.

The namespaces that begin with a prefix are one range of the key's index, because arrays are ordered
by their elements. No text is ever matched as a pattern, so `_`, `%` and `\\` are only characters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import cache
from typing import Any
from uuid import UUID

import orjson
from django.db.backends.base.base import BaseDatabaseWrapper

from mastra_engine.filters.ast import Node
from mastra_engine.postgres.compile import TRUE, Sql, both, where
from mastra_engine.postgres.pages import bounded_page
from mastra_engine.postgres.rows import read_rows
from mastra_engine.types import StateItem
from mastra_engine.validation.jsonb import loads

#: The condition that an item exists: neither deleted nor expired by the database's clock.
LIVE = "(value IS NOT NULL AND (expires_at IS NULL OR expires_at > statement_timestamp()))"

_COLUMNS = ("namespace", "key", "data", "version", "created_at", "updated_at", "expires_at")
_SELECT = "SELECT namespace, key, value AS data, version, created_at, updated_at, expires_at"
_ROW = "namespace, key, value::text, version, created_at, updated_at, expires_at"
_FROM = f"FROM mastra_engine_stateitem WHERE {LIVE}"

# The elements are parameters of their own: writing an array takes a seventh of the time of a read.
_FIND = f"SELECT {_ROW} {_FROM} AND namespace = ARRAY[{{elements}}]::text[] AND key = %s"
# LIMIT 1 leaves the planner no choice but the index of the key.
_FIND_MANY = f"""
SELECT item.* FROM json_to_recordset(%s::json) AS place (of_namespace text[], of_key text)
CROSS JOIN LATERAL (
    {_SELECT} {_FROM} AND namespace = of_namespace AND key = of_key LIMIT 1
) AS item
"""
_WITH_IDS = f"SELECT {_ROW}, id {_FROM} AND id = ANY(%s::uuid[])"

_UNINDEXED_COLUMNS = ("id", "namespace", "version", "data", "fields")
_UNINDEXED = f"SELECT id, namespace, version, value AS data, fields {_FROM} AND is_pending AND "

# Walks from one namespace to the next that has an item. A namespace that matches is cut, and the
# walk goes on after all that begin with the cut one: so it costs a lookup in the index for each
# namespace, however many items these have. As LIMIT is outside of it, PostgreSQL walks no further
# than the page needs.
_NAMESPACES = """
WITH RECURSIVE walk AS (
    (SELECT namespace, {matches} AS matches FROM mastra_engine_stateitem
     WHERE {live} AND {within} AND {after} ORDER BY namespace LIMIT 1)
    UNION ALL
    SELECT next.* FROM walk CROSS JOIN LATERAL (
        SELECT item.namespace, {matches} AS matches FROM mastra_engine_stateitem AS item
        WHERE {live} AND {within} AND item.namespace >= CASE
            WHEN walk.matches AND cardinality(walk.namespace) >= %s
            THEN walk.namespace[:%s - 1] || (walk.namespace[%s] || chr(1))
            ELSE walk.namespace || ''::text END
        ORDER BY item.namespace LIMIT 1
    ) AS next
)
SELECT namespace[:%s] FROM walk WHERE matches LIMIT %s
"""


def find(
    connection: BaseDatabaseWrapper, places: Sequence[tuple[Sequence[str], str]]
) -> tuple[list[StateItem], bool]:
    """Return the items at some places, in any order, and whether others are left out."""
    if len(places) == 1:
        ((namespace, key),) = places
        rows = read_rows(connection, _find_in(len(namespace)), [*namespace, key])
        return [item_of(row) for row in rows], False
    requested = [{"of_namespace": namespace, "of_key": key} for namespace, key in places]
    params = [orjson.dumps(requested).decode()]
    page, has_more = bounded_page(connection, _FIND_MANY, _COLUMNS, params, limit=len(places))
    return [item_of(row) for row in page], has_more


@cache  # A text that is the same object each time is found in psycopg's caches sooner.
def _find_in(elements: int) -> str:
    return _FIND.format(elements=", ".join(["%s"] * elements))


def find_by_id(connection: BaseDatabaseWrapper, ids: Sequence[UUID]) -> dict[UUID, StateItem]:
    """Return items by the ids of their keys."""
    rows = read_rows(connection, _WITH_IDS, [list(ids)])
    return {row[-1]: item_of(row[:-1]) for row in rows}


def list_items(
    connection: BaseDatabaseWrapper,
    condition: Sql,
    *,
    after: tuple[Sequence[str], str] | None,
    limit: int,
) -> tuple[list[StateItem], bool]:
    """Return a page of items ordered by namespace and key, and whether others follow."""
    if after is not None:
        namespace, key = after
        beyond = "(namespace, key) > (%s::text[], %s)", [list(namespace), key]
        condition = both(condition, beyond)
    return _page(connection, condition, "namespace, key", limit)


def list_latest(connection: BaseDatabaseWrapper, condition: Sql, *, limit: int) -> list[StateItem]:
    """Return the items that were written last, the latest first."""
    return _page(connection, condition, "updated_at DESC, namespace, key", limit)[0]


def list_unindexed(
    connection: BaseDatabaseWrapper, condition: Sql, *, limit: int
) -> tuple[list[tuple[Any, ...]], bool]:
    """Return rows of (id, namespace, version, value, fields) of items that wait to be indexed."""
    sql, params = condition
    rows = f"{_UNINDEXED}{sql} ORDER BY namespace LIMIT {limit + 1}"
    data = _UNINDEXED_COLUMNS.index("data")
    page, has_more = bounded_page(
        connection, rows, _UNINDEXED_COLUMNS, params, limit=limit, one_plan=False
    )
    return [(*row[:data], loads(row[data]), *row[data + 1 :]) for row in page], has_more


def list_namespaces(
    connection: BaseDatabaseWrapper,
    within: Sql,
    matches: Sql,
    *,
    max_depth: int | None,
    after: Sequence[str] | None,
    limit: int,
) -> list[tuple[str, ...]]:
    """Return distinct namespaces, cut to `max_depth`, in order, after one that was cut alike."""
    depth = max_depth or 2**31 - 1
    beyond: Sql = TRUE
    if after is not None:
        beyond = "namespace >= %s::text[]", [_following(after, depth)]
    sql = _NAMESPACES.format(live=LIVE, within=within[0], after=beyond[0], matches=matches[0])
    once = [*matches[1], *within[1]]
    params = [*once, *beyond[1], *once, depth, depth, depth, depth, limit]
    return [tuple(row[0]) for row in read_rows(connection, sql, params, one_plan=False)]


def in_scope(prefix: Sequence[str], resource_ids: Collection[str] | None) -> Sql:
    """Return the condition that a namespace begins with a prefix; an empty one needs a scope."""
    if prefix:
        return _under(prefix)
    if resource_ids is None:
        return TRUE
    if not resource_ids:
        return "FALSE", []
    ranges = [_under([resource_id]) for resource_id in sorted(resource_ids)]
    sql = " OR ".join(sql for sql, _ in ranges)
    return f"({sql})", [param for _, params in ranges for param in params]


def on_value(node: Node) -> Sql:
    """Return the condition of a filter on an item's value."""
    return where(node, {"data": "value"})


def matching(prefix: Sequence[str | None], suffix: Sequence[str | None]) -> Sql:
    """Return the condition that a namespace begins and ends with elements; None is any."""
    conditions: list[Sql] = [
        ("cardinality(namespace) >= %s", [max(len(prefix), len(suffix))]),
        *_elements("namespace[%s]", prefix),
        *_elements("namespace[cardinality(namespace) - %s]", suffix, start=1 - len(suffix), by=-1),
    ]
    return both(*conditions)


def vectors_of_items(node: Node, *, keys: tuple[str, str]) -> Sql:
    """Return the condition that a vector is of the indexed version of an item that exists.

    `keys` are the metadata keys of the item's id and of that version. The item's value satisfies
    the filter.
    """
    sql, params = on_value(node)
    exists = (
        f"EXISTS (SELECT {_FROM} AND mastra_engine_stateitem.id = (metadata ->> %s)::uuid "
        f"AND version = (metadata ->> %s)::bigint AND {sql})"
    )
    return exists, [*keys, *params]


def _elements(
    element: str, pattern: Sequence[str | None], *, start: int = 1, by: int = 1
) -> Iterator[Sql]:
    """Yield the condition of each element that is not None; positions count from `start`."""
    for number, value in enumerate(pattern):
        if value is not None:
            yield f"{element} = %s", [by * (start + number), value]


def _under(prefix: Sequence[str]) -> Sql:
    # No text lies between an element and the same with U+0001 after it, the lowest character.
    after = [*prefix[:-1], prefix[-1] + "\x01"]
    return "(namespace >= %s::text[] AND namespace < %s::text[])", [list(prefix), after]


def _following(namespace: Sequence[str], depth: int) -> list[str]:
    """Return the lowest namespace after one, and after those below it if it was cut."""
    if len(namespace) < depth:
        return [*namespace, ""]
    return [*namespace[: depth - 1], namespace[depth - 1] + "\x01"]


def _page(
    connection: BaseDatabaseWrapper, condition: Sql, order: str, limit: int
) -> tuple[list[StateItem], bool]:
    sql, params = condition
    rows = f"{_SELECT} {_FROM} AND {sql} ORDER BY {order} LIMIT {limit + 1}"
    page, has_more = bounded_page(connection, rows, _COLUMNS, params, limit=limit, one_plan=False)
    return [item_of(row) for row in page], has_more


def item_of(row: Sequence[Any]) -> StateItem:
    """Return a row of the columns of an item, with its value as JSON text, as an item."""
    namespace, key, value, version, created_at, updated_at, expires_at = row
    return StateItem(
        namespace=tuple(namespace),
        key=key,
        value=loads(value),
        version=version,
        created_at=created_at,
        updated_at=updated_at,
        expires_at=expires_at,
    )
