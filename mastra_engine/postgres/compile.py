"""The filter tree as SQL: the only place where filters and sort keys become SQL.

A condition on a document becomes a `jsonpath` in lax mode, which looks into arrays as MongoDB does
and compares only values of one type. A GIN index with `jsonb_path_ops` serves its equalities. Paths
and values are bound as parameters; inside a `jsonpath` they are JSON strings and numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from mastra_engine.filters.ast import (
    RECORD_COLUMNS,
    And,
    Compare,
    ElemMatch,
    Equals,
    Exists,
    Field,
    Node,
    Not,
    Or,
    SortKey,
    StartsWith,
    Substring,
)
from mastra_engine.filters.cursors import Position
from mastra_engine.postgres import jsonpath

Sql = tuple[str, list[Any]]

#: Characters up to which `like_regex` is used. Compiling a regular expression takes time that grows
#: with the square of its length: 10 s for 30,000 characters. Below this length it is preferred,
#: because the planner can try it on its statistics.
_MAX_REGEX = 256

#: Scalars up to which a list is compared by one `jsonpath`, which a GIN index serves. Executing it
#: takes time for each scalar; beyond, PostgreSQL looks values up in a hash table of the list.
_MAX_SCALARS = 100
#: Equalities of one field that AND or OR joins, from which on they are compared as one list.
_MIN_MERGED = 8

#: The types of JSON values in the order in which MongoDB sorts them.
_KINDS = ("null", "number", "string", "object", "array", "boolean")

#: The condition that every row satisfies. It is left out of conditions that AND joins.
TRUE: Sql = ("TRUE", [])
_FALSE: Sql = ("FALSE", [])


def where(node: Node, columns: Mapping[str, str]) -> Sql:
    """Return a condition; `columns` maps "data" and the columns a filter may name to SQL."""
    return _Compiler(columns, root=columns["data"]).condition(node)


def on_metadata(node: Node, *others: Sql) -> Sql:
    """Return the condition of a filter on the column `metadata`, joined with `others` by AND."""
    return both(where(node, {"data": "metadata"}), *others)


def order_by(key: SortKey, columns: Mapping[str, str]) -> list[Sql]:
    """Return the expressions that a sort key sorts by, each in the key's direction."""
    if key.field.column is not None:
        return [(columns[key.field.column], [])]
    value = _value(key.field, columns["data"])
    return [_rank(value), _scalar(value), _text(value)]


def after(position: Position, sort: tuple[SortKey, ...], columns: Mapping[str, str]) -> Sql:
    """Return the condition that a row comes after a position, for keyset paging."""
    after_keys, equal_keys = _FALSE, TRUE
    for key, (rank, value) in zip(sort, position.keys, strict=True):
        after_key, equal_key = _versus(key, rank, value, columns)
        after_keys = _either(after_keys, both(equal_keys, after_key))
        equal_keys = both(equal_keys, equal_key)
    after_id = (f"{columns['external_id']} > %s", [position.external_id])
    return _either(after_keys, both(equal_keys, after_id))


@dataclass(frozen=True, slots=True)
class _Compiler:
    """Compiles conditions on `root`: the document, or a member of an array `depth` levels deep."""

    columns: Mapping[str, str]
    root: str
    depth: int = 0

    def condition(self, node: Node) -> Sql:
        """Return the condition of a filter."""
        match node:
            case And(parts):
                rest, merged = _equalities(parts)
                conditions = [self.condition(part) for part in rest]
                conditions += [self.has_all(field, values) for field, values in merged]
                return _joined(" AND ", conditions, TRUE)
            case Or(parts):
                rest, merged = _equalities(parts)
                parts = (*rest, *(Equals(field, tuple(values)) for field, values in merged))
                return _joined(" OR ", [self.condition(part) for part in parts], _FALSE)
            case Not(part):
                sql, params = self.condition(part)
                return f"NOT {sql}", params
            case _ if node.field.column is not None:
                return _on_column(node, self.columns[node.field.column])
            case ElemMatch():
                return self.elem_match(node)
            case Equals():
                return self.equals(node)
            case Substring() if len(node.text) > _MAX_REGEX:
                return self.substring(node)
            case _:
                return self.exists(jsonpath.condition(node))

    def exists(self, path: str) -> Sql:
        """Return the condition that a `jsonpath` leads to a value."""
        return f"({self.root} @? %s::jsonpath)", [path]

    def equals(self, node: Equals) -> Sql:
        """Return the condition that the value, or a member of it, is one of several."""
        scalars = [value for value in node.values if not isinstance(value, dict | list)]
        options = []
        if len(scalars) > _MAX_SCALARS or len(scalars) < len(node.values):
            options.append(self.in_list(node.field, node.values))
        elif scalars:
            options.append(self.exists(jsonpath.any_member(node.field, "==", *scalars)))
        if None in scalars and any(isinstance(step, str) for step in node.field.path):
            options.append(self.exists(jsonpath.missing(node.field)))
        return _joined(" OR ", options, _FALSE)

    def in_list(self, field: Field, values: Sequence[Any]) -> Sql:
        """Return the condition that the value, or a member of it, is in a list of JSON values.

        The list is a constant array. From nine values on PostgreSQL makes a hash table of it once
        for each statement, so the cost for a row does not depend on the length of the list.
        """
        sql, params = self.candidates(field)
        equal = f"c{self.depth} = ANY(%s::jsonb[])"
        return f"EXISTS (SELECT FROM ({sql}) l{self.depth} WHERE {equal})", [
            *params,
            _array(values),
        ]

    def has_all(self, field: Field, values: Sequence[Any]) -> Sql:
        """Return the condition that each of the values is the value or a member of it.

        It counts the distinct values of the list that a row has. The number of distinct values of
        the list itself does not depend on the row, so PostgreSQL computes it once.
        """
        sql, params = self.candidates(field)
        candidate, array = f"c{self.depth}", _array(values)
        present = (
            f"SELECT count(DISTINCT {candidate}) FROM ({sql}) l{self.depth} "
            f"WHERE {candidate} = ANY(%s::jsonb[])"
        )
        required = "SELECT count(DISTINCT value) FROM unnest(%s::jsonb[]) value"
        return f"(({present}) = ({required}))", [*params, array, array]

    def candidates(self, field: Field) -> Sql:
        """Return a query for the value at a path and, unless it is a member itself, its members."""
        at_path, candidate, path = f"v{self.depth}", f"c{self.depth}", jsonpath.path_to(field.path)
        query = f"jsonb_path_query({self.root}, %s::jsonpath) {at_path}"
        if jsonpath.is_member(field):
            return f"SELECT {at_path} AS {candidate} FROM {query}", [path]
        member = f"m{self.depth}"
        value = f"SELECT {at_path} AS {candidate} FROM {query}"
        members = f"SELECT {member} FROM {query}, {_members(at_path)} {member}"
        return f"{value} UNION ALL {members}", [path, path]

    def substring(self, node: Substring) -> Sql:
        """Return the condition that the value is text that contains another."""
        at_path = f"v{self.depth}"
        query = f"jsonb_path_query({self.root}, %s::jsonpath) {at_path}"
        contains = _contains(f"({at_path} #>> '{{}}')", node)
        exists = (
            f"EXISTS (SELECT FROM {query} WHERE jsonb_typeof({at_path}) = 'string' AND {contains})"
        )
        return exists, [jsonpath.path_to(node.field.path), node.text]

    def elem_match(self, node: ElemMatch) -> Sql:
        """Return the condition that a member of an array satisfies another condition."""
        at_path, member, condition = f"v{self.depth}", f"m{self.depth}", node.condition
        root = f"d{self.depth}" if node.documents else member
        sql, params = _Compiler(self.columns, root=root, depth=self.depth + 1).condition(condition)
        tables = (
            f"jsonb_path_query({self.root}, %s::jsonpath) {at_path}, {_members(at_path)} {member}"
        )
        if node.documents:
            tables += f", LATERAL (SELECT {_document(member)} AS {root}) AS {root}_of"
            sql = f"{root} IS NOT NULL AND {sql}"
        return f"EXISTS (SELECT FROM {tables} WHERE {sql})", [
            jsonpath.path_to(node.field.path),
            *params,
        ]


def _equalities(parts: Sequence[Node]) -> tuple[list[Node], list[tuple[Field, list[Any]]]]:
    """Split conditions into those to compile one by one, and equalities to compile as lists.

    A list has the values of all equalities of a field, if they are many. Null is not among them,
    because it also matches a missing field.
    """
    by_field: dict[Field, list[Any]] = {}
    for part in parts:
        if _is_mergeable(part):
            by_field.setdefault(part.field, []).append(part.values[0])
    merged = {field: values for field, values in by_field.items() if len(values) >= _MIN_MERGED}
    rest = [part for part in parts if not (_is_mergeable(part) and part.field in merged)]
    return rest, list(merged.items())


def _is_mergeable(part: Node) -> TypeGuard[Equals]:
    return (
        isinstance(part, Equals)
        and part.field.column is None
        and len(part.values) == 1
        and part.values[0] is not None
    )


def _array(values: Sequence[Any]) -> list[str]:
    """Return values as the parameter of an array of jsonb."""
    return [jsonpath.literal(value) for value in values]


def _on_column(node: Node, column: str) -> Sql:
    match node:
        case Equals(field, values):
            return _in_column(field, values, column)
        case Compare(_, operator, value):
            return f"({column} {operator} %s)", [value]
        case Substring():
            return _contains(column, node), [node.text]
        case StartsWith(_, text):
            return f"starts_with({column}, %s)", [text]
        case Exists():
            return TRUE
        case _:
            raise AssertionError(node)


def _in_column(field: Field, values: Sequence[Any], column: str) -> Sql:
    """Return the condition that a column is one of several values of its type."""
    column_type = RECORD_COLUMNS[field.column or ""]
    if (
        column_type == "integer"
    ):  # a column of 64-bit integers equals no fraction and no larger number
        integers = [int(value) for value in values if value == int(value)]
        values = [value for value in integers if -(2**63) <= value < 2**63]
    type = {"integer": "bigint", "time": "timestamptz", "text": "text"}[column_type]
    return (f"({column} = ANY(%s::{type}[]))", [list(values)]) if values else _FALSE


# SQL


def _contains(text: str, node: Substring) -> str:
    """Return the condition that text contains a parameter."""
    if node.case_sensitive:
        return f"(strpos({text}, %s) > 0)"
    return f'(strpos(lower({text} COLLATE "default"), lower(%s)) > 0)'


def _members(array: str) -> str:
    """Return a set of the members of an array; it is empty for any other value."""
    return f"jsonb_path_query({array}, 'strict $[*]', '{{}}', true)"


def _document(member: str) -> str:
    """Return a value as an object: an array by position, as in BSON, and NULL for a scalar."""
    return (
        f"CASE jsonb_typeof({member}) WHEN 'object' THEN {member} WHEN 'array' THEN ("
        f"SELECT coalesce(jsonb_object_agg(i - 1, v), '{{}}') "
        f"FROM jsonb_array_elements({member}) WITH ORDINALITY AS of(v, i)) END"
    )


def _value(field: Field, data: str) -> Sql:
    path = f"strict {jsonpath.path_to(field.path)}"
    return f"jsonb_path_query_first({data}, %s::jsonpath, '{{}}', true)", [path]


def _rank(value: Sql) -> Sql:
    sql, params = value
    ranks = " ".join(f"WHEN '{kind}' THEN {rank}" for rank, kind in enumerate(_KINDS, start=1))
    return f"(CASE jsonb_typeof({sql}) {ranks} ELSE 0 END)", params


def _scalar(value: Sql) -> Sql:
    sql, params = value
    return f"(CASE WHEN jsonb_typeof({sql}) IN ('number', 'boolean') THEN {sql} END)", params * 2


def _text(value: Sql) -> Sql:
    sql, params = value
    text = f"CASE jsonb_typeof({sql}) WHEN 'string' THEN {sql} #>> '{{}}' END"
    return f'(({text}) COLLATE "C")', params * 2


def _versus(key: SortKey, rank: int, value: Any, columns: Mapping[str, str]) -> tuple[Sql, Sql]:
    """Return the conditions that a row comes after a value of a sort key, and that it equals it."""
    after = "<" if key.descending else ">"
    if key.field.column is not None:
        column = columns[key.field.column]
        return (f"{column} {after} %s", [value]), (f"{column} = %s", [value])
    document_value = _value(key.field, columns["data"])
    kind, kind_params = _rank(document_value)
    after_kind = f"{kind} {after} %s", [*kind_params, rank]
    same_kind = f"{kind} = %s", [*kind_params, rank]
    if value is None:
        return after_kind, same_kind
    text = isinstance(value, str)
    content, params = _text(document_value) if text else _scalar(document_value)
    operand, bound = ("%s", value) if text else ("%s::jsonb", jsonpath.literal(value))
    after_value = f"{content} {after} {operand}", [*params, bound]
    same_value = f"{content} = {operand}", [*params, bound]
    return _either(after_kind, both(same_kind, after_value)), both(same_kind, same_value)


def _joined(separator: str, parts: list[Sql], empty: Sql) -> Sql:
    parts = [part for part in parts if part != empty]
    if not parts:
        return empty
    sql = separator.join(sql for sql, _ in parts)
    return f"({sql})", [param for _, params in parts for param in params]


def statement(*parts: Sql | str) -> Sql:
    """Return a statement of consecutive parts; those with parameters are pairs."""
    pairs = [(part, []) if isinstance(part, str) else part for part in parts]
    return "".join(sql for sql, _ in pairs), [param for _, params in pairs for param in params]


def both(*parts: Sql) -> Sql:
    """Return conditions joined by AND."""
    return _joined(" AND ", list(parts), TRUE)


def _either(*parts: Sql) -> Sql:
    return _joined(" OR ", list(parts), _FALSE)
