"""The filter tree as SQL: the only place where filters and sort keys become SQL.

A condition on a document becomes a `jsonpath` in lax mode, which looks into arrays as MongoDB does
and compares within a type only; a GIN index with `jsonb_path_ops` serves its equalities. Paths and
values are bound as parameters: inside a `jsonpath` they are JSON strings and numbers.
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

#: How many characters `like_regex` is given at most: to compile one takes their number squared,
#: 10 s for 30,000. Short ones are planned better, for the planner tries them on its statistics.
_LONGEST_REGEX = 256

#: How many tests of a `jsonpath` are joined at once.
_TOGETHER = 100

#: In MongoDB's order.
_KINDS = ("null", "number", "string", "object", "array", "boolean")

#: What everything satisfies; where conditions are joined by AND it is left out.
TRUE: Sql = ("TRUE", [])
_FALSE: Sql = ("FALSE", [])


def where(node: Node, columns: Mapping[str, str]) -> Sql:
    """Return a condition; `columns` maps "data" and the columns a filter may name to SQL."""
    return _Compiler(columns, root=columns["data"]).condition(node)


def on_metadata(node: Node, *others: Sql) -> Sql:
    """Return the condition of a filter on a table's column `metadata`, and of others."""
    return both(where(node, {"data": "metadata"}), *others)


def order_by(key: SortKey, columns: Mapping[str, str]) -> list[Sql]:
    """Return the expressions that a sort key sorts by, each in the key's direction."""
    if key.field.column is not None:
        return [(columns[key.field.column], [])]
    value = _value(key.field, columns["data"])
    return [_rank(value), _scalar(value), _text(value)]


def after(position: Position, sort: tuple[SortKey, ...], columns: Mapping[str, str]) -> Sql:
    """Return the condition that a row comes after the position: keyset paging."""
    beyond, tied = _FALSE, TRUE
    for key, (rank, value) in zip(sort, position.keys, strict=True):
        further, equal = _versus(key, rank, value, columns)
        beyond = _either(beyond, both(tied, further))
        tied = both(tied, equal)
    last = (f"{columns['external_id']} > %s", [position.external_id])
    return _either(beyond, both(tied, last))


@dataclass(frozen=True, slots=True)
class _Compiler:
    """Compiles conditions on `root`, the document or, `depth` levels in, an array's member."""

    columns: Mapping[str, str]
    root: str
    depth: int = 0

    def condition(self, node: Node) -> Sql:
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
            case Substring(field, text) if len(text) > _LONGEST_REGEX:
                return self.substring(field, text)
            case _:
                return self.found(_jsonpath(node))

    def found(self, path: str) -> Sql:
        return f"({self.root} @? %s::jsonpath)", [path]

    def equals(self, node: Equals) -> Sql:
        containers = [value for value in node.values if isinstance(value, dict | list)]
        scalars = [value for value in node.values if not isinstance(value, dict | list)]
        options = [self.equals_container(node.field, value) for value in containers]
        if scalars:
            options.append(self.found(_any_member(node.field, "==", *scalars)))
        if None in scalars:
            options += [self.found(path) for path in _missing(node.field)]
        return _joined(" OR ", options, _FALSE)

    def equals_container(self, field: Field, value: Any) -> Sql:
        """The value equals the array or object; or, unless it is a member itself, a member does."""
        found, member, json = f"v{self.depth}", f"m{self.depth}", _literal(value)
        query = f"jsonb_path_query({self.root}, %s::jsonpath) {found}"
        whole = f"EXISTS (SELECT FROM {query} WHERE {found} = %s::jsonb)", [_path(field.path), json]
        if _is_member(field):
            return whole
        members = (
            f"EXISTS (SELECT FROM {query}, {_members(found)} {member} WHERE {member} = %s::jsonb)"
        )
        return _either(whole, (members, [_path(field.path), json]))

    def substring(self, field: Field, text: str) -> Sql:
        """The whole value is text that holds another."""
        found = f"v{self.depth}"
        query = f"jsonb_path_query({self.root}, %s::jsonpath) {found}"
        holding = _holding(f"({found} #>> '{{}}')")
        exists = (
            f"EXISTS (SELECT FROM {query} WHERE jsonb_typeof({found}) = 'string' AND {holding})"
        )
        return exists, [_path(field.path), text]

    def elem_match(self, node: ElemMatch) -> Sql:
        found, member, condition = f"v{self.depth}", f"m{self.depth}", node.condition
        root = f"d{self.depth}" if node.documents else member
        sql, params = _Compiler(self.columns, root=root, depth=self.depth + 1).condition(condition)
        tables = f"jsonb_path_query({self.root}, %s::jsonpath) {found}, {_members(found)} {member}"
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
            return _holding(column), [text]
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
    """The value or, of an array, a member; but not a member's own members.

    Lax mode unwraps an array twice, once for the filter and once for the comparison.
    """

    def test(here: str) -> str:
        tests = _any_of([f"{here} {operator} {_literal(operand)}" for operand in operands])
        return f'{here}.type() != "array" && {tests}'

    return _whole(field, test) if _is_member(field) else f"{_path(field.path)} ? ({test('@')})"


def _any_of(tests: list[str]) -> str:
    """Some at a time, for each is within the one before it, and the server's stack has an end."""
    groups = [tests[i : i + _TOGETHER] for i in range(0, len(tests), _TOGETHER)]
    joined = [f"({' || '.join(group)})" for group in groups]
    return joined[0] if len(joined) == 1 else _any_of(joined)


def _is_member(field: Field) -> bool:
    """Whether what it leads to is a member of an array, by its position or as in `$elemMatch`."""
    return not field.path or isinstance(field.path[-1], int)


def _whole(field: Field, test: Callable[[str], str]) -> str:
    """The value itself: in lax mode that takes a test on the object which holds it."""
    if not field.path:
        return f"strict $ ? ({test('@')})"
    last = max(i for i, step in enumerate(field.path) if isinstance(step, str))
    holds, here = _held(field.path[last:])
    return f"{_path(field.path[:last])} ? ({holds} && {test(here)})"


def _missing(field: Field) -> list[str]:
    """Where a path ends early: at an object without the key, or at a scalar."""
    paths = []
    for i, (step, after) in enumerate(zip_longest(field.path, field.path[1:])):
        if isinstance(step, str):
            here, key = _path(field.path[:i]), _key(step)
            paths.append(f'{here} ? (@.type() == "object" && !exists(@{key}))')
            if isinstance(after, str):
                scalar = f'@{key}.type() != "object" && @{key}.type() != "array"'
                paths.append(f'{here} ? (@.type() == "object" && {scalar})')
    return paths


def _path(steps: tuple[str | int, ...]) -> str:
    """A path whose positions are those of arrays: to lax mode any value is an array of itself."""
    path = "$"
    for i, step in enumerate(steps):
        if isinstance(step, str):
            positions = tuple(takewhile(lambda after: isinstance(after, int), steps[i + 1 :]))
            holds, here = _held((step, *positions))
            path += f" ? ({holds}){here[1:]}" if positions else here[1:]
    return path


def _held(steps: tuple[str | int, ...]) -> tuple[str, str]:
    """What is to be true of an object with something at a key and then positions, and that path."""
    key, *positions = steps
    holds, here = '@.type() == "object"', f"@{_key(str(key))}"
    for position in positions:
        holds += f' && {here}.type() == "array"'
        here += f"[{position}]"
    return holds, here


def _key(key: str) -> str:
    return f".{_literal(key)}"


def _literal(value: Any) -> str:
    """JSON, whose scalars are jsonpath literals too."""
    return orjson.dumps(value).decode()


# SQL


def _holding(text: str) -> str:
    """That it holds a parameter, in whatever case."""
    return f'(strpos(lower({text} COLLATE "default"), lower(%s)) > 0)'


def _members(array: str) -> str:
    """The members of an array, and nothing for any other value."""
    return f"jsonb_path_query({array}, 'strict $[*]', '{{}}', true)"


def _document(member: str) -> str:
    """An object, an array as the object that it is in BSON, and NULL for any other value."""
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
    """Return the conditions of coming after a key's value and of being equal to it."""
    further = "<" if key.descending else ">"
    if key.field.column is not None:
        column = columns[key.field.column]
        return (f"{column} {further} %s", [value]), (f"{column} = %s", [value])
    document_value = _value(key.field, columns["data"])
    kind, kind_params = _rank(document_value)
    beyond_kind = f"{kind} {further} %s", [*kind_params, rank]
    same_kind = f"{kind} = %s", [*kind_params, rank]
    if value is None:
        return beyond_kind, same_kind
    text = isinstance(value, str)
    content, params = _text(document_value) if text else _scalar(document_value)
    operand, bound = ("%s", value) if text else ("%s::jsonb", _literal(value))
    beyond_value = f"{content} {further} {operand}", [*params, bound]
    same_value = f"{content} = {operand}", [*params, bound]
    return _either(beyond_kind, both(same_kind, beyond_value)), both(same_kind, same_value)


def _joined(separator: str, parts: list[Sql], empty: Sql) -> Sql:
    parts = [part for part in parts if part != empty]
    if not parts:
        return empty
    sql = separator.join(sql for sql, _ in parts)
    return f"({sql})", [param for _, params in parts for param in params]


def both(*parts: Sql) -> Sql:
    return _joined(" AND ", list(parts), TRUE)


def _either(*parts: Sql) -> Sql:
    return _joined(" OR ", list(parts), _FALSE)
