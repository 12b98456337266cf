"""Statements that read entities and records.

Those without a filter have one good plan and are prepared. A filter is planned for its values,
because the planner's estimate of how many records match decides which index is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, NamedTuple
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper

from mastra_engine.filters.ast import ALL, RECORD_COLUMNS, Node, Query, SortKey
from mastra_engine.filters.cursors import Position
from mastra_engine.postgres import compile
from mastra_engine.postgres.compile import TRUE, Sql, both
from mastra_engine.postgres.pages import bounded_page
from mastra_engine.postgres.projection import projected
from mastra_engine.postgres.rows import as_values, columns_of, read_rows
from mastra_engine.types import Entity, Record

#: The fields of a record that are its entity's, and so the same in all rows of a read.
_OF_ENTITY = ("entity_id", "entity_type")
_OWN_FIELDS = tuple(name for name in Record.__slots__ if name not in _OF_ENTITY)
_DATA = _OWN_FIELDS.index("data")
_BEFORE_DATA, _AFTER_DATA = ", ".join(_OWN_FIELDS[:_DATA]), ", ".join(_OWN_FIELDS[_DATA + 1 :])
_COLUMNS = {name: name for name in ("data", *RECORD_COLUMNS)}
_ENTITY = columns_of(Entity)
_RECORD = columns_of(Record, without=_OF_ENTITY)
_ENTITY_FIELDS = len(fields(Entity))

_FIND_ENTITY = f"SELECT {_ENTITY} FROM mastra_engine_entity WHERE id = %s"
_NAMED_ENTITY = f"""
SELECT {_ENTITY} FROM mastra_engine_entity WHERE connection_id = %s AND name = %s
"""

_FIND_OWN_RECORD = f"""
SELECT {_RECORD} FROM mastra_engine_record
WHERE entity_id = %s AND external_id = %s AND deleted_at IS NULL
"""

# One statement for both: a record is looked up by its key's index, once its entity is there.
_FIND_RECORD = f"""
SELECT {", ".join(f"entity.{name}" for name in Entity.__slots__)}, record.*
FROM mastra_engine_entity AS entity
LEFT JOIN LATERAL (
    SELECT {_RECORD} FROM mastra_engine_record
    WHERE entity_id = entity.id AND external_id = %s AND deleted_at IS NULL
) AS record ON TRUE
WHERE entity.id = %s
"""

_FROM_LIVE = "FROM mastra_engine_record WHERE entity_id = %s AND deleted_at IS NULL"

# The entity's revisions are read by the statement that reads the records, and so in its snapshot:
# once, because the subqueries depend on no row. The index on
# (entity_id, rev) is partial. Without `rev >= 0` the planner cannot prove that it may use it,
# because `after` is a parameter.
_CHANGES = """
SELECT *,
       (SELECT rev FROM mastra_engine_entity WHERE id = %s) AS entity_rev,
       (SELECT purged_rev FROM mastra_engine_entity WHERE id = %s) AS purged_rev
FROM mastra_engine_record WHERE entity_id = %s AND rev > %s AND rev >= 0
ORDER BY rev LIMIT (SELECT %s::bigint)
"""
_OF_CHANGE = (*_OWN_FIELDS, "created_rev", "entity_rev", "purged_rev")
_FEED_ENTITY = f"SELECT {_ENTITY}, purged_rev FROM mastra_engine_entity WHERE id = %s"


class ReadChanges(NamedTuple):
    """A page of a change feed: records with the `rev` of their creation, and their entity."""

    entity: Entity
    rev: int
    purged_rev: int
    rows: list[tuple[Record, int]]
    has_more: bool


def find_entity(connection: BaseDatabaseWrapper, id: UUID) -> Entity | None:
    """Return an entity, or None if it does not exist."""
    return next(iter(as_values(Entity, read_rows(connection, _FIND_ENTITY, [id]))), None)


def find_named_entity(
    connection: BaseDatabaseWrapper, name: str, connection_id: str
) -> Entity | None:
    """Return the entity of a name and connection, or None if it does not exist."""
    rows = read_rows(connection, _NAMED_ENTITY, [connection_id, name])
    return next(iter(as_values(Entity, rows)), None)


def find_record(
    connection: BaseDatabaseWrapper, entity_id: UUID, external_id: str, entity: Entity | None
) -> tuple[Entity | None, Record | None]:
    """Return an entity and one of its live records, None for each that does not exist.

    `entity` is the entity as it was read at some time. It is not read again if it has the record.
    """
    if entity is not None:
        rows = read_rows(connection, _FIND_OWN_RECORD, [entity_id, external_id])
        if rows:
            return entity, _records(rows, entity)[0]
    rows = read_rows(connection, _FIND_RECORD, [external_id, entity_id])
    if not rows:
        return None, None
    (row,) = rows
    (entity,) = as_values(Entity, [row[:_ENTITY_FIELDS]])
    record = row[_ENTITY_FIELDS:]
    if record[0] is None:
        return entity, None
    return entity, _records([record], entity)[0]


def read_records(
    connection: BaseDatabaseWrapper, entity: Entity, query: Query, after: Position | None
) -> list[Record]:
    """Return live records in the query's order, ties by `external_id`."""
    (sql, params), one_plan = _selection(entity, query, after, as_text=True)
    return _records(read_rows(connection, sql, params, one_plan=one_plan), entity)


def read_page(
    connection: BaseDatabaseWrapper,
    entity: Entity,
    query: Query,
    after: Position | None,
    *,
    limit: int,
) -> tuple[list[Record], bool]:
    """Return a page of the records that read_records() returns, and whether others follow."""
    query = replace(query, limit=limit + 1)
    (sql, params), one_plan = _selection(entity, query, after, as_text=False)
    page, has_more = bounded_page(
        connection, sql, _OWN_FIELDS, params, limit=limit, one_plan=one_plan
    )
    return _records(page, entity), has_more


def _selection(
    entity: Entity, query: Query, after: Position | None, *, as_text: bool
) -> tuple[Sql, bool]:
    """Return the statement of a query, and whether it has one good plan."""
    condition = _condition(query.where)
    if after is not None:
        condition = both(condition, compile.after(after, query.sort, _COLUMNS))
    data, params = ("data", []) if query.fields is None else projected("data", query.fields)
    document = f"{data}::text" if as_text else data
    columns = f"{_BEFORE_DATA}, {document} AS data, {_AFTER_DATA}"
    if query.sort and query.sort[0].field.column == "rev":
        condition = both(condition, ("rev >= 0", []))  # of the partial index that has this order
    live, live_params = _live(entity, condition)
    sql, params = f"SELECT {columns} {live}", [*params, *live_params]
    order, order_params = _order(query.sort)
    sql, params = f"{sql} ORDER BY {order}", [*params, *order_params]
    # In the order of the key's index one plan is right for every page. A subquery hides the limit
    # from the planner, which might otherwise plan small and large pages differently.
    one_plan = query.where == ALL and not query.sort and query.fields is None
    if query.limit is not None:
        limit = "(SELECT %s::bigint)" if one_plan else "%s"
        sql, params = f"{sql} LIMIT {limit}", [*params, query.limit]
    if query.offset:
        sql, params = f"{sql} OFFSET %s", [*params, query.offset]
    return (sql, params), one_plan


def count_records(connection: BaseDatabaseWrapper, entity: Entity, where: Node) -> int:
    """Return the number of live records that satisfy a filter."""
    live, params = _live(entity, _condition(where))
    ((number,),) = read_rows(connection, f"SELECT count(*) {live}", params, one_plan=where == ALL)
    return int(number)


def read_changes(
    connection: BaseDatabaseWrapper,
    entity_id: UUID,
    entity: Entity | None,
    *,
    after: int,
    limit: int,
) -> ReadChanges | None:
    """Return a page of an entity's records after a `rev`, in that order; None without the entity.

    `entity` is the entity as it was read at some time. It is not read again if there are records.
    """
    params = [entity_id, entity_id, entity_id, after, limit + 1]
    rows, has_more = bounded_page(connection, _CHANGES, _OF_CHANGE, params, limit=limit)
    if entity is None or not rows:
        # The entity is read last, so that its `purged_rev` covers every purge that removed
        # tombstones before the records were read.
        entities = read_rows(connection, _FEED_ENTITY, [entity_id])
        if not entities:
            return None
        ((*values, purged_rev),) = entities
        (entity,) = as_values(Entity, [values])
        rev = entity.rev
    if rows:
        rev, purged_rev = rows[0][-2:]
    records = zip(_records(rows, entity), (row[-3] for row in rows), strict=True)
    return ReadChanges(entity, rev, purged_rev, list(records), has_more)


def _records(rows: Sequence[tuple[Any, ...]], entity: Entity) -> list[Record]:
    return as_values(Record, rows, entity_id=entity.id, entity_type=entity.name)


def _condition(where: Node) -> Sql:
    return TRUE if where == ALL else compile.where(where, _COLUMNS)


def _live(entity: Entity, condition: Sql) -> Sql:
    """Return the part of a statement that selects live records which satisfy a condition."""
    if condition == TRUE:
        return _FROM_LIVE, [entity.id]
    return f"{_FROM_LIVE} AND {condition[0]}", [entity.id, *condition[1]]


def _order(sort: tuple[SortKey, ...]) -> tuple[str, list[Any]]:
    parts: list[str] = []
    params: list[Any] = []
    for key in sort:
        direction = " DESC" if key.descending else ""
        for sql, values in compile.order_by(key, _COLUMNS):
            parts.append(f"{sql}{direction}")
            params += values
    return ", ".join([*parts, "external_id"]), params
