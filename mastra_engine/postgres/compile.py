"""The filter tree as SQL: the only place where filters and sort keys become SQL.

A condition on a document becomes a `jsonpath` in lax mode, which looks into arrays as MongoDB does
and compares within a type only; a GIN index with `jsonb_path_ops` serves its equalities. Paths and
values are bound as parameters: inside a `jsonpath` they are JSON strings and numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from mastra_engine.cursors import Position
from mastra_engine.filters import (
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

Sql = tuple[str, list[Any]]

#: In MongoDB's order.
_KINDS = ("null", "number", "string", "object", "array", "boolean")

_TRUE: Sql = ("TRUE", [])
_FALSE: Sql = ("FALSE", [])


def where(node: Node, columns: Mapping[str, str]) -> Sql:
    """Return a condition; `columns` maps "data" and the columns a filter may name to SQL."""
    return _Compiler(columns, root=columns["data"]).condition(node)


def order_by(key: SortKey, columns: Mapping[str, str]) -> list[Sql]:
    """Return the expressions that a sort key sorts by, each in the key's direction."""
    if key.field.column is not None:
        return [(columns[key.field.column], [])]
    value = _value(key.field, columns["data"])
    return [_rank(value), _scalar(value), _text(value)]


def after(position: Position, sort: tuple[SortKey, ...], columns: Mapping[str, str]) -> Sql:
    """Return the condition that a row comes after the position: keyset paging."""
    beyond, tied = _FALSE, _TRUE
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
                return _joined(" AND ", [self.condition(part) for part in parts], _TRUE)
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
            case _:
                return self.found(_jsonpath(node))

    def found(self, path: str) -> Sql:
        return f"({self.root} @? %s::jsonpath)", [path]

    def equals(self, node: Equals) -> Sql:
        containers = [value for value in node.values if isinstance(value, dict | list)]
        scalars = [value for value in node.values if not isinstance(value, dict | list)]
        options = [self.equals_container(node.field, value) for value in containers]
        if scalars:
            options.append(self.found(_any_member(node.field, "@ == {}", *scalars)))
        if None in scalars:
            options += [self.found(path) for path in _missing(node.field)]
        return _joined(" OR ", options, _FALSE)

    def equals_container(self, field: Field, value: Any) -> Sql:
        """The whole value equals the array or object; or, unless it is a member, a member does."""
        found, member, json = f"v{self.depth}", f"m{self.depth}", _literal(value)
        query = f"jsonb_path_query({self.root}, %s::jsonpath) {found}"
        whole = f"EXISTS (SELECT FROM {query} WHERE {found} = %s::jsonb)", [_path(field), json]
        if not field.path:
            return whole
        members = (
            f"EXISTS (SELECT FROM {query}, {_members(found)} {member} WHERE {member} = %s::jsonb)"
        )
        return _either(whole, (members, [_path(field), json]))

    def elem_match(self, node: ElemMatch) -> Sql:
        found, member = f"v{self.depth}", f"m{self.depth}"
        inner = _Compiler(self.columns, root=member, depth=self.depth + 1)
        sql, params = inner.condition(node.condition)
        objects = f"jsonb_typeof({member}) = 'object' AND " if node.documents else ""
        tables = f"jsonb_path_query({self.root}, %s::jsonpath) {found}, {_members(found)} {member}"
        exists = f"EXISTS (SELECT FROM {tables} WHERE {objects}{sql})"
        return exists, [_path(node.field), *params]


def _on_column(node: Node, column: str) -> Sql:
    match node:
        case Equals(_, values) if values:
            return f"({column} IN ({', '.join(['%s'] * len(values))}))", list(values)
        case Equals():
            return _FALSE
        case Compare(_, operator, value):
            return f"({column} {operator} %s)", [value]
        case Substring(_, text):
            folded = f'lower({column} COLLATE "default")'
            return f"(strpos({folded}, lower(%s)) > 0)", [text]
        case StartsWith(_, text):
            return f"starts_with({column}, %s)", [text]
        case Exists():
            return _TRUE
        case _:
            raise AssertionError(node)


# jsonpath


def _jsonpath(node: Node) -> str:
    match node:
        case Compare(field, operator, value):
            return _any_member(field, f"@ {operator} {{}}", value)
        case StartsWith(field, text):
            return _any_member(field, "@ starts with {}", text)
        case Substring(field, text):
            like = f'{{0}}.type() == "string" && {{0}} like_regex {_braced(text)} flag "iq"'
            return _whole(field, like)
        case Size(field, size):
            return _whole(field, f'{{0}}.type() == "array" && {{0}}.size() == {size}')
        case Exists(field):
            return _path(field)
        case _:
            raise AssertionError(node)


def _any_member(field: Field, template: str, *operands: Any) -> str:
    """The value or, of an array, a member; but not a member's own members.

    Lax mode unwraps an array twice, once for the filter and once for the comparison.
    """
    tests = " || ".join(template.format(_literal(operand)) for operand in operands)
    mode = "" if field.path else "strict "
    return f'{mode}{_path(field)} ? (@.type() != "array" && ({tests}))'


def _whole(field: Field, template: str) -> str:
    """The value itself: in lax mode that takes a test on the object which holds it."""
    if not field.path:
        return f"strict $ ? ({template.format('@')})"
    held = template.format(f"@{_key(field.path[-1])}")
    return f'{_path(field, -1)} ? (@.type() == "object" && {held})'


def _missing(field: Field) -> list[str]:
    """Where a dotted path ends early: at an object without the key, or at a scalar."""
    paths = []
    for i, key in enumerate(map(_key, field.path)):
        here = _path(field, i)
        paths.append(f'{here} ? (@.type() == "object" && !exists(@{key}))')
        if i + 1 < len(field.path):
            scalar = f'@{key}.type() != "object" && @{key}.type() != "array"'
            paths.append(f'{here} ? (@.type() == "object" && {scalar})')
    return paths


def _path(field: Field, end: int | None = None) -> str:
    return "$" + "".join(map(_key, field.path[:end]))


def _key(key: str) -> str:
    return f".{_literal(key)}"


def _literal(value: Any) -> str:
    """JSON, whose scalars are jsonpath literals too."""
    return orjson.dumps(value).decode()


def _braced(text: str) -> str:
    return _literal(text).replace("{", "{{").replace("}", "}}")


# SQL


def _members(array: str) -> str:
    """The members of an array, and nothing for any other value."""
    return f"jsonb_path_query({array}, 'strict $[*]', '{{}}', true)"


def _value(field: Field, data: str) -> Sql:
    return f"jsonb_path_query_first({data}, %s::jsonpath, '{{}}', true)", [f"strict {_path(field)}"]


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
    if not parts:
        return empty
    sql = separator.join(sql for sql, _ in parts)
    return f"({sql})", [param for _, params in parts for param in params]


def both(*parts: Sql) -> Sql:
    return _joined(" AND ", list(parts), _TRUE)


def _either(*parts: Sql) -> Sql:
    return _joined(" OR ", list(parts), _FALSE)
