"""The fields of documents that a query returns, as SQL. See `filters/projection.py`."""

from __future__ import annotations

from typing import Any

from mastra_engine.filters.ast import FieldTree
from mastra_engine.postgres.compile import Sql


def projected(document: str, fields: FieldTree, depth: int = 0) -> Sql:
    """Return the expression of an object that has only the keys of the tree.

    `jsonb_each` decompresses a large document once; `->` would do so for each key. `OFFSET 0`
    keeps the planner from merging a subquery into the query that reads its column twice: it would
    copy the expression of the column at each level, and plan a deep path forever.
    """
    pair, value = f"p{depth}", f"p{depth}.value"
    cases, params = "", list[Any]()
    for key, nested in fields.items():
        if nested is not None:
            sql, nested_params = _nested(value, nested, depth + 1)
            cases += f" WHEN %s::text THEN {sql}"
            params += [key, *nested_params]
    if cases:
        value = f"CASE {pair}.key{cases} ELSE {value} END"
    # A value is NULL, other than JSON's null, if a path does not go on in it.
    sql = (
        f"(SELECT coalesce(jsonb_object_agg(key, value) FILTER (WHERE value IS NOT NULL), '{{}}') "
        f"FROM (SELECT {pair}.key, {value} AS value FROM jsonb_each({document}) AS {pair} "
        f"WHERE {pair}.key = ANY(%s::text[]) OFFSET 0) AS f{depth})"
    )
    return sql, [*params, list(fields)]


def _nested(value: str, fields: FieldTree, depth: int) -> Sql:
    """Return the expression of the fields of an object, or of each object in an array."""
    member = f"m{depth}"
    sql, params = projected(member, fields, depth)
    # In lax mode, `$[*]` are the members of an array, and any other value itself.
    nested_sql = (
        f"(SELECT CASE jsonb_typeof({value}) "
        f"WHEN 'array' THEN coalesce(jsonb_agg({member}), '[]') "
        f"WHEN 'object' THEN jsonb_agg({member}) -> 0 END "
        f"FROM (SELECT {sql} AS {member} FROM jsonb_path_query({value}, '$[*]') AS {member} "
        f"WHERE jsonb_typeof({member}) = 'object' OFFSET 0) AS o{depth})"
    )
    return nested_sql, params
