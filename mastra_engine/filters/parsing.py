"""The two notations of filters, read into one tree.

The list form (`[Filter("price", "gte", 10)]`) and the Mongo form (`{"price": {"$gte": 10}}`)
say the same things and mean what MongoDB means by them (its manual, "Query and Projection
Operators").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from itertools import product
from typing import Any, Literal

from mastra_engine.exceptions import InvalidFilter
from mastra_engine.filters.ast import (
    ALL,
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
    Query,
    Size,
    SortKey,
    StartsWith,
    Substring,
)
from mastra_engine.types import Filter, QueryOptions, Sort
from mastra_engine.validation.inputs import count, moment
from mastra_engine.validation.jsonb import MAX_DEPTH, Path, canonical, loads, pointer, text_fault

#: How many comparisons a filter may come to, and how many keys a sort may have. A hundred thousand
#: would take the server minutes, and all of its memory.
MAX_CONDITIONS, MAX_SORT_KEYS = 1_000, 32
#: Values in all lists of a filter, and steps in all paths of its conditions. The server's time for
#: each row grows with them.
MAX_VALUES, MAX_STEPS = 50_000, 4_000
#: Characters of a field's name. A path with positions repeats them up to 16 times.
MAX_FIELD_LENGTH = 4_096
#: How many steps of a path may be read as positions: each doubles the ways to read it.
MAX_POSITIONS = 4
_POSITION = re.compile("0|[1-9][0-9]{0,8}")
#: What MongoDB takes for an operator, not for the key of a document.
_OPERATOR = re.compile(r"\$(?!(?:ref|id|db)\b)[a-zA-Z]+")


def parse_options(options: QueryOptions | Mapping[str, Any]) -> Query:
    """Parse what `get_records` takes; raises InvalidFilter that names the place."""
    if isinstance(options, Mapping):
        options = _build(QueryOptions, options, ("options",))
    if not isinstance(options, QueryOptions):
        raise InvalidFilter("must be QueryOptions or a dict of them", path="/options")
    limit = options.limit
    if limit is not None:
        limit = count(limit, "/options/limit", error=InvalidFilter)
    query = Query(
        where=parse_filter(options.filters, path=("options", "filters"), columns=RECORD_COLUMNS),
        sort=parse_sort(options.sort, path=("options", "sort"), columns=RECORD_COLUMNS),
        limit=limit,
        offset=count(options.offset, "/options/offset", error=InvalidFilter),
        cursor=options.cursor,
    )
    if query.cursor is not None and query.offset:
        raise InvalidFilter("cannot be combined with a cursor", path="/options/offset")
    return query


def parse_filter(
    filters: Any, *, path: Path = ("filter",), columns: Mapping[str, type] | None = None
) -> Node:
    """Parse a filter in either notation; raises InvalidFilter that names the place.

    One that is parsed already comes back as it is.
    """
    if isinstance(filters, Node):
        return filters
    parser = _Parser(columns or {})
    if isinstance(filters, Mapping):
        parsed: Node = parser.document(filters, path)
    elif isinstance(filters, str) or not isinstance(filters, Iterable):
        raise InvalidFilter("must be a list of filters or a mapping", path=pointer(path))
    else:
        parsed = And(tuple(parser.condition(item, (*path, i)) for i, item in enumerate(filters)))
    return _few(_read(_few(parsed, path)), path)


def parse_optional_filter(
    filters: Any, *, path: Path = ("filter",), columns: Mapping[str, type] | None = None
) -> Node:
    """Parse a filter that may be None, which everything satisfies. See parse_filter()."""
    return ALL if filters is None else parse_filter(filters, path=path, columns=columns)


def parse_sort(
    sorts: Any, *, path: Path = ("sort",), columns: Mapping[str, type] | None = None
) -> tuple[SortKey, ...]:
    """Parse sort keys; raises InvalidFilter that names the place."""
    if isinstance(sorts, str | Mapping) or not isinstance(sorts, Iterable):
        raise InvalidFilter("must be a list of sort keys", path=pointer(path))
    parser = _Parser(columns or {})
    keys = tuple(parser.sort_key(item, (*path, i)) for i, item in enumerate(sorts))
    if len(keys) > MAX_SORT_KEYS:
        raise InvalidFilter(f"has more than {MAX_SORT_KEYS} keys", path=pointer(path))
    return keys


def _few(node: Node, path: Path) -> Node:
    """Return a filter; raises InvalidFilter if it exceeds a limit of its size."""
    limits = (MAX_CONDITIONS, MAX_VALUES, MAX_STEPS)
    names = ("conditions", "values in lists", "steps in paths")
    for size, limit, name in zip(_size(node), limits, names, strict=True):
        if size > limit:
            message = f"has more than {limit:,} {name}; split the filter into several requests"
            raise InvalidFilter(message, path=pointer(path))
    return node


def _size(node: Node) -> tuple[int, int, int]:
    """Return the numbers of conditions, of values in lists and of steps in paths."""
    match node:
        case And(parts) | Or(parts):
            conditions, values, steps = 0, 0, 0
            for part in parts:
                more = _size(part)
                conditions, values, steps = (
                    conditions + more[0],
                    values + more[1],
                    steps + more[2],
                )
            return conditions, values, steps
        case Not(part):
            return _size(part)
        case ElemMatch(field, condition):
            conditions, values, steps = _size(condition)
            return conditions + 1, values, steps + len(field.path)
        case Equals(field, listed):
            return 1, len(listed), len(field.path)
    return 1, 0, len(node.field.path)


def _read(node: Node) -> Node:
    """Have each step that is a number stand for a position as well as for a key."""
    match node:
        case And(parts):
            return And(tuple(map(_read, parts)))
        case Or(parts):
            return Or(tuple(map(_read, parts)))
        case Not(part):
            return Not(_read(part))
        case ElemMatch(condition=condition):
            node = replace(node, condition=_read(condition))
    first, *others = (
        replace(node, field=replace(node.field, path=path)) for path in _readings(node.field.path)
    )
    return Or((first, *others)) if others else first


def _readings(path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    """Yield the ways to read a path. Its first step is the key of an object, which data is."""
    steps = (
        (step, int(step)) if i and _is_position(step) else (step,) for i, step in enumerate(path)
    )
    return product(*steps)


def _is_position(step: str | int) -> bool:
    return isinstance(step, str) and _POSITION.fullmatch(step) is not None


def _build(kind: type[Any], given: Mapping[str, Any], path: Path) -> Any:
    for key in given:
        if key not in kind.__slots__:
            raise InvalidFilter("is not known here", path=pointer((*path, key)))
    try:
        return kind(**given)
    except TypeError:
        missing = next(key for key in kind.__slots__ if key not in given)
        raise InvalidFilter("is missing", path=pointer((*path, missing))) from None


class _Parser:
    """Reads one filter; `depth` bounds the nesting, so that no input exhausts the stack."""

    def __init__(self, columns: Mapping[str, type], depth: int = 0) -> None:
        self.columns = columns
        self.depth = depth

    # The list form

    def condition(self, item: Any, path: Path) -> Node:
        if isinstance(item, Mapping):
            item = _build(Filter, item, path)
        if not isinstance(item, Filter):
            raise InvalidFilter("must be a Filter or a dict of one", path=pointer(path))
        if not isinstance(item.operator, str) or item.operator not in _LIST_OPERATORS:
            raise InvalidFilter(
                f"{item.operator!r} is not an operator; there are {', '.join(_LIST_OPERATORS)}",
                path=pointer((*path, "operator")),
            )
        field = self.field(item.field, (*path, "field"))
        operator = _LIST_OPERATORS[item.operator]
        return self.operation(field, operator, item.value, (*path, "value"))

    def sort_key(self, item: Any, path: Path) -> SortKey:
        if isinstance(item, Mapping):
            item = _build(Sort, item, path)
        if not isinstance(item, Sort):
            raise InvalidFilter("must be a Sort or a dict of one", path=pointer(path))
        direction = item.direction.lower() if isinstance(item.direction, str) else item.direction
        if direction not in ("asc", "desc"):
            raise InvalidFilter("must be asc or desc", path=pointer((*path, "direction")))
        return SortKey(self.field(item.field, (*path, "field")), direction == "desc")

    # The Mongo form

    def document(self, filters: Any, path: Path) -> Node:
        """A mapping of fields and logical operators; all must hold."""
        if not isinstance(filters, Mapping):
            raise InvalidFilter("must be a mapping", path=pointer(path))
        with self.level(path):
            parts = tuple(self.member(key, value, (*path, key)) for key, value in filters.items())
        return parts[0] if len(parts) == 1 else And(parts)

    def member(self, key: Any, value: Any, path: Path) -> Node:
        if isinstance(key, str) and key.startswith("$"):
            return self.logical(key, value, path)
        field = self.field(key, path)
        if _is_operators(value):
            return self.operators(field, value, path)
        return self.operation(field, "$eq", value, path)

    def logical(self, key: str, value: Any, path: Path) -> Node:
        if key not in ("$and", "$or", "$nor"):
            raise InvalidFilter(f"{key} is not a logical operator", path=pointer(path))
        if not isinstance(value, list | tuple) or not value:
            raise InvalidFilter("must be a non-empty list of filters", path=pointer(path))
        parts = tuple(self.document(part, (*path, i)) for i, part in enumerate(value))
        if key == "$and":
            return And(parts)
        return Or(parts) if key == "$or" else Not(Or(parts))

    def operators(self, field: Field, value: Mapping[Any, Any], path: Path) -> Node:
        """`{"$gte": 1, "$lt": 2}`: all must hold."""
        for key in value:
            if not isinstance(key, str) or not key.startswith("$"):
                raise InvalidFilter(f"{key} is not an operator", path=pointer((*path, key)))
        with self.level(path):
            parts = tuple(
                self.operation(field, operator, operand, (*path, operator))
                for operator, operand in value.items()
            )
        return parts[0] if len(parts) == 1 else And(parts)

    # Both

    def operation(self, field: Field, operator: Any, operand: Any, path: Path) -> Node:
        if operator not in _OPERATORS:
            raise InvalidFilter(f"{operator} is not an operator", path=pointer(path))
        if field.column is not None and operator not in _COLUMN_OPERATORS[self.kind(field)]:
            raise InvalidFilter(
                f"{operator} has no meaning for @{field.column}", path=pointer(path)
            )
        return _OPERATORS[operator](self, field, operand, path)

    def field(self, written: Any, path: Path) -> Field:
        if not isinstance(written, str):
            raise InvalidFilter("a field is named by text", path=pointer(path))
        if (fault := text_fault(written)) is not None:
            raise InvalidFilter(f"the name {fault}", path=pointer(path))
        if written.startswith("@"):
            if written[1:] not in self.columns:
                raise InvalidFilter(f"{written} is not a column", path=pointer(path))
            return Field(column=written[1:])
        if len(written) > MAX_FIELD_LENGTH:
            message = f"a field has at most {MAX_FIELD_LENGTH:,} characters, got {len(written):,}"
            raise InvalidFilter(message, path=pointer(path[:-1]))
        keys = tuple(written.split("."))
        if not all(keys) or written.startswith("$") or len(keys) > MAX_DEPTH:
            raise InvalidFilter(f"{written[:80]!r} is not a dotted path", path=pointer(path))
        if sum(map(_is_position, keys[1:])) > MAX_POSITIONS:
            message = f"{written[:80]!r} has more than {MAX_POSITIONS} numbers for steps"
            raise InvalidFilter(message, path=pointer(path))
        return Field(path=keys)

    def kind(self, field: Field) -> type:
        return self.columns[field.column or ""]

    def value(self, field: Field, value: Any, path: Path) -> Any:
        """The operand as JSON gives it back; of the column's type where a column is named."""
        if field.column is None:
            return loads(canonical(value, path, error=InvalidFilter))
        kind = self.kind(field)
        if kind is datetime:
            return moment(value, pointer(path), error=InvalidFilter)
        accepted = (int, float) if kind is int else kind
        if not isinstance(value, accepted) or isinstance(value, bool):
            wanted = "a number" if kind is int else "text"
            raise InvalidFilter(f"@{field.column} compares with {wanted}", path=pointer(path))
        return loads(canonical(value, path, error=InvalidFilter))

    def values(self, field: Field, operand: Any, path: Path) -> tuple[Any, ...]:
        if isinstance(operand, set | frozenset):  # a cursor is of one order
            operand = sorted(operand, key=repr)
        if not isinstance(operand, list | tuple):
            raise InvalidFilter("must be a list", path=pointer(path))
        return tuple(self.item(field, item, (*path, i)) for i, item in enumerate(operand))

    def item(self, field: Field, item: Any, path: Path) -> Any:
        """A value in a list, where operators are not looked for."""
        for key in item if isinstance(item, Mapping) else ():
            if isinstance(key, str) and _OPERATOR.fullmatch(key):
                raise InvalidFilter(
                    "is an operator in a list of values", path=pointer((*path, key))
                )
        return self.value(field, item, path)

    def equals(self, field: Field, operand: Any, path: Path) -> Node:
        return Equals(field, (self.value(field, operand, path),))

    def among(self, field: Field, operand: Any, path: Path) -> Node:
        return Equals(field, self.values(field, operand, path))

    def all(self, field: Field, operand: Any, path: Path) -> Node:
        if isinstance(operand, list | tuple) and operand and all(map(_is_elem_match, operand)):
            return And(
                tuple(
                    self.elem_match(field, item["$elemMatch"], (*path, i, "$elemMatch"))
                    for i, item in enumerate(operand)
                )
            )
        values = self.values(field, operand, path)
        return And(tuple(Equals(field, (value,)) for value in values)) if values else Or()

    def contains(self, field: Field, operand: Any, path: Path) -> Node:
        if isinstance(operand, list | tuple):
            parts = tuple(_held(field, value) for value in self.values(field, operand, path))
            return And(parts) if parts else Or()
        return _held(field, self.value(field, operand, path))

    def starts_with(self, field: Field, operand: Any, path: Path) -> Node:
        value = self.value(field, operand, path)
        if not isinstance(value, str):
            raise InvalidFilter("must be text", path=pointer(path))
        return StartsWith(field, value)

    def exists(self, field: Field, operand: Any, path: Path) -> Node:
        if not isinstance(operand, bool):
            raise InvalidFilter("must be true or false", path=pointer(path))
        return Exists(field) if operand else Not(Exists(field))

    def size(self, field: Field, operand: Any, path: Path) -> Node:
        return Size(field, count(operand, pointer(path), error=InvalidFilter))

    def elem_match(self, field: Field, operand: Any, path: Path) -> Node:
        if not isinstance(operand, Mapping):
            raise InvalidFilter("must be a mapping", path=pointer(path))
        inner = _Parser({}, self.depth)
        if _is_operators(operand) and not operand.keys() & {"$and", "$or", "$nor"}:
            return ElemMatch(field, inner.operators(Field(), operand, path), documents=False)
        return ElemMatch(field, inner.document(operand, path), documents=True)

    def negation(self, field: Field, operand: Any, path: Path) -> Node:
        if not _is_operators(operand):
            raise InvalidFilter("must be a mapping of operators", path=pointer(path))
        return Not(self.operators(field, operand, path))

    @contextmanager
    def level(self, path: Path) -> Iterator[None]:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise InvalidFilter(f"nests deeper than {MAX_DEPTH} levels", path=pointer(path[:8]))
        yield
        self.depth -= 1


_Operation = Callable[[_Parser, Field, Any, Path], Node]


def _comparison(operator: Literal["<", "<=", ">", ">="]) -> _Operation:
    def compare(parser: _Parser, field: Field, operand: Any, path: Path) -> Node:
        value = parser.value(field, operand, path)
        if value is None:  # MongoDB: null is neither above nor below itself
            return Equals(field, (None,)) if "=" in operator else Or()
        if isinstance(value, dict | list):
            raise InvalidFilter("must be a number, text or a boolean", path=pointer(path))
        return Compare(field, operator, value)

    return compare


def _opposite(operation: _Operation) -> _Operation:
    return lambda parser, field, operand, path: Not(operation(parser, field, operand, path))


_OPERATORS: Mapping[Any, _Operation] = {
    "$eq": _Parser.equals,
    "$ne": _opposite(_Parser.equals),
    "$gt": _comparison(">"),
    "$gte": _comparison(">="),
    "$lt": _comparison("<"),
    "$lte": _comparison("<="),
    "$in": _Parser.among,
    "$nin": _opposite(_Parser.among),
    "$all": _Parser.all,
    "$elemMatch": _Parser.elem_match,
    "$size": _Parser.size,
    "$exists": _Parser.exists,
    "$contains": _Parser.contains,
    "$not": _Parser.negation,
    # Reached by the list form only: MongoDB has no such operators.
    "not_contains": _opposite(_Parser.contains),
    "starts_with": _Parser.starts_with,
}

_LIST_OPERATORS = {
    "eq": "$eq",
    "ne": "$ne",
    "gt": "$gt",
    "gte": "$gte",
    "lt": "$lt",
    "lte": "$lte",
    "in": "$in",
    "not_in": "$nin",
    "contains": "$contains",
    "not_contains": "not_contains",
    "starts_with": "starts_with",
    "exists": "$exists",
}

_ORDERED = {"$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$not"}
_COLUMN_OPERATORS: Mapping[type, set[str]] = {
    int: _ORDERED,
    datetime: _ORDERED,
    str: _ORDERED | {"$contains", "not_contains", "starts_with"},
}


def _held(field: Field, value: Any) -> Node:
    """The value is a member; or, of text, a part."""
    member = Equals(field, (value,))
    return Or((Substring(field, value), member)) if isinstance(value, str) else member


def _is_elem_match(value: Any) -> bool:
    return isinstance(value, Mapping) and [*value] == ["$elemMatch"]


def _is_operators(value: Any) -> bool:
    """Whether a mapping holds operators rather than being a document to compare with."""
    return isinstance(value, Mapping) and any(
        isinstance(key, str) and key.startswith("$") for key in value
    )
