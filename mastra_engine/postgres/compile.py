"""The filter tree as SQL: the only place where filters and sort keys become SQL.

A condition on a document becomes a `jsonpath` in lax mode, which looks into arrays as MongoDB does
and compares only values of one type. A GIN index with `jsonb_path_ops` serves its equalities. Paths
and values are bound as parameters; inside a `jsonpath` they are JSON strings and numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import takewhile, zip_longest
from typing import Any

import orjson

from mastra_engine.filters.ast import (
    And,
    Compare,
    ElemMatch,
    Equals,
    Exists,
    Field,
    Node,
    Not,
    Or,
    Size,
    SortKey,
    StartsWith,
    Substring,
)
from mastra_engine.filters.cursors import Position

Sql = tuple[str, list[Any]]

#: Characters up to which `like_regex` is used. Compiling a regular expression takes time that grows
#: with the square of its length: 10 s for 30,000 characters. Below this length it is preferred,
#: because the planner can try it on its statistics.
_MAX_REGEX = 256

#: Tests of a `jsonpath` that one group joins. See _any_of().
_GROUP = 100

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
                return _joined(" AND ", [self.condition(part) for part in parts], TRUE)
            case Or(parts):
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
            case Substring(field, text) if len(text) > _MAX_REGEX:
                return self.substring(field, text)
            case _:
                return self.exists(_jsonpath(node))

    def exists(self, path: str) -> Sql:
        """Return the condition that a `jsonpath` leads to a value."""
        return f"({self.root} @? %s::jsonpath)", [path]

    def equals(self, node: Equals) -> Sql:
        """Return the condition that the value, or a member of it, is one of several."""
        containers = [value for value in node.values if isinstance(value, dict | list)]
        scalars = [value for value in node.values if not isinstance(value, dict | list)]
        options = [self.equals_container(node.field, value) for value in containers]
        if scalars:
            options.append(self.exists(_any_member(node.field, "==", *scalars)))
        if None in scalars:
            options += [self.exists(path) for path in _missing(node.field)]
        return _joined(" OR ", options, _FALSE)

    def equals_container(self, field: Field, value: Any) -> Sql:
        """Return the condition that the value, or a member of it, equals an array or an object."""
        at_path, member, json = f"v{self.depth}", f"m{self.depth}", _literal(value)
        query = f"jsonb_path_query({self.root}, %s::jsonpath) {at_path}"
        whole = (
            f"EXISTS (SELECT FROM {query} WHERE {at_path} = %s::jsonb)",
            [_path(field.path), json],
        )
        if _is_member(field):
            return whole
        members = (
            f"EXISTS (SELECT FROM {query}, {_members(at_path)} {member} WHERE {member} = %s::jsonb)"
        )
        return _either(whole, (members, [_path(field.path), json]))

    def substring(self, field: Field, text: str) -> Sql:
        """Return the condition that the value is text that contains another, ignoring case."""
        at_path = f"v{self.depth}"
        query = f"jsonb_path_query({self.root}, %s::jsonpath) {at_path}"
        contains = _contains(f"({at_path} #>> '{{}}')")
        exists = (
            f"EXISTS (SELECT FROM {query} WHERE jsonb_typeof({at_path}) = 'string' AND {contains})"
        )
        return exists, [_path(field.path), text]

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
        return f"EXISTS (SELECT FROM {tables} WHERE {sql})", [_path(node.field.path), *params]


def _on_column(node: Node, column: str) -> Sql:
    match node:
        case Equals(_, values) if values:
            return f"({column} IN ({', '.join(['%s'] * len(values))}))", list(values)
        case Equals():
            return _FALSE
        case Compare(_, operator, value):
            return f"({column} {operator} %s)", [value]
        case Substring(_, text):
            return _contains(column), [text]
        case StartsWith(_, text):
            return f"starts_with({column}, %s)", [text]
        case Exists():
            return TRUE
        case _:
            raise AssertionError(node)


# jsonpath


def _jsonpath(node: Node) -> str:
    match node:
        case Compare(field, operator, value):
            return _any_member(field, operator, value)
        case StartsWith(field, text):
            return _any_member(field, "starts with", text)
        case Substring(field, text):
            like = f'like_regex {_literal(text)} flag "iq"'
            return _whole(field, lambda here: f'{here}.type() == "string" && {here} {like}')
        case Size(field, size):
            return _whole(
                field, lambda here: f'{here}.type() == "array" && {here}.size() == {size}'
            )
        case Exists(field):
            return _path(field.path)
        case _:
            raise AssertionError(node)


def _any_member(field: Field, operator: str, *operands: Any) -> str:
    """Return the path to a value, or to a member of an array, that satisfies a comparison.

    Lax mode unwraps arrays twice, once for the filter and once for the comparison. The test of the
    type prevents the second time, which would look at the members of a member.
    """

    def test(here: str) -> str:
        tests = _any_of([f"{here} {operator} {_literal(operand)}" for operand in operands])
        return f'{here}.type() != "array" && {tests}'

    return _whole(field, test) if _is_member(field) else f"{_path(field.path)} ? ({test('@')})"


def _any_of(tests: list[str]) -> str:
    """Join tests by OR, in groups.

    The server parses `a || b || c` as nested pairs, and thousands of them exceed its stack.
    """
    groups = [tests[i : i + _GROUP] for i in range(0, len(tests), _GROUP)]
    joined = [f"({' || '.join(group)})" for group in groups]
    return joined[0] if len(joined) == 1 else _any_of(joined)


def _is_member(field: Field) -> bool:
    """Return whether the path ends at a member of an array, by position or in `$elemMatch`."""
    return not field.path or isinstance(field.path[-1], int)


def _whole(field: Field, test: Callable[[str], str]) -> str:
    """Return the path to a value that satisfies a test, without unwrapping it if it is an array.

    In lax mode this takes a test on the object that has the value.
    """
    if not field.path:
        return f"strict $ ? ({test('@')})"
    last = max(i for i, step in enumerate(field.path) if isinstance(step, str))
    exists, here = _at_positions(field.path[last:])
    return f"{_path(field.path[:last])} ? ({exists} && {test(here)})"


def _missing(field: Field) -> list[str]:
    """Return the paths to places where a path ends early: objects without a key, and scalars."""
    paths = []
    for i, (step, following) in enumerate(zip_longest(field.path, field.path[1:])):
        if isinstance(step, str):
            here, key = _path(field.path[:i]), _key(step)
            paths.append(f'{here} ? (@.type() == "object" && !exists(@{key}))')
            if isinstance(following, str):
                scalar = f'@{key}.type() != "object" && @{key}.type() != "array"'
                paths.append(f'{here} ? (@.type() == "object" && {scalar})')
    return paths


def _path(steps: tuple[str | int, ...]) -> str:
    """Return the `jsonpath` of steps, with positions that apply to arrays only.

    Lax mode would take any other value for an array of one member.
    """
    path = "$"
    for i, step in enumerate(steps):
        if isinstance(step, str):
            positions = tuple(
                takewhile(lambda following: isinstance(following, int), steps[i + 1 :])
            )
            exists, here = _at_positions((step, *positions))
            path += f" ? ({exists}){here[1:]}" if positions else here[1:]
    return path


def _at_positions(steps: tuple[str | int, ...]) -> tuple[str, str]:
    """Return the test that an object has a value at a key and positions, and the path to it."""
    key, *positions = steps
    exists, here = '@.type() == "object"', f"@{_key(str(key))}"
    for position in positions:
        exists += f' && {here}.type() == "array"'
        here += f"[{position}]"
    return exists, here


def _key(key: str) -> str:
    return f".{_literal(key)}"


def _literal(value: Any) -> str:
    """Return a value as JSON. The scalars of JSON are literals of `jsonpath`, too."""
    return orjson.dumps(value).decode()


# SQL


def _contains(text: str) -> str:
    """Return the condition that text contains a parameter, ignoring case."""
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
    path = f"strict {_path(field.path)}"
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
    operand, bound = ("%s", value) if text else ("%s::jsonb", _literal(value))
    after_value = f"{content} {after} {operand}", [*params, bound]
    same_value = f"{content} = {operand}", [*params, bound]
    return _either(after_kind, both(same_kind, after_value)), both(same_kind, same_value)


def _joined(separator: str, parts: list[Sql], empty: Sql) -> Sql:
    parts = [part for part in parts if part != empty]
    if not parts:
        return empty
    sql = separator.join(sql for sql, _ in parts)
    return f"({sql})", [param for _, params in parts for param in params]


def both(*parts: Sql) -> Sql:
    """Return conditions joined by AND."""
    return _joined(" AND ", list(parts), TRUE)


def _either(*parts: Sql) -> Sql:
    return _joined(" OR ", list(parts), _FALSE)
