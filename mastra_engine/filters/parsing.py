"""The parser of filters and sorts.

Filters have two equivalent notations: the list form (`[Filter("price", "gte", 10)]`) and the Mongo
form (`{"price": {"$gte": 10}}`). The semantics are MongoDB's (its manual, "Query and Projection
Operators").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from typing import Any, Literal

from mastra_engine.exceptions import InvalidFilter, quoted
from mastra_engine.filters.ast import (
    ALL,
    RECORD_COLUMNS,
    And,
    ColumnType,
    Compare,
    ElemMatch,
    Equals,
    Exists,
    Field,
    FieldTree,
    Node,
    Not,
    Or,
    Query,
    Size,
    SortKey,
    StartsWith,
    Substring,
)
from mastra_engine.filters.limits import MAX_FIELD_LENGTH, MAX_RETURNED_STEPS, within_limits
from mastra_engine.filters.projection import tree_of
from mastra_engine.types import Filter, QueryOptions, Sort, Unset
from mastra_engine.validation.inputs import count, moment
from mastra_engine.validation.jsonb import (
    MAX_DEPTH,
    Path,
    canonical,
    loads,
    plain_text,
    pointer,
    text_fault,
)
from mastra_engine.validation.suggestions import unknown

#: The largest number of keys in a sort.
MAX_SORT_KEYS = 32
#: The largest number of numeric steps in a path. Each is a key or a position, which doubles the
#: number of conditions.
MAX_POSITIONS = 4
_POSITION = re.compile("0|[1-9][0-9]{0,8}")
#: The keys that MongoDB parses as operators rather than as keys of a document.
_OPERATOR = re.compile(r"\$(?!(?:ref|id|db)\b)[a-zA-Z]+")


def parse_options(options: QueryOptions | Mapping[str, Any], *, limit: int | None = None) -> Query:
    """Parse the options of `get_records`; raises InvalidFilter with the path of the fault.

    `limit` is used if the options have none.
    """
    if isinstance(options, Mapping):
        options = _build(QueryOptions, options, ("options",))
    if not isinstance(options, QueryOptions):
        raise InvalidFilter(
            f"must be QueryOptions or a dict, not {type(options).__name__}", path="/options"
        )
    if not isinstance(options.limit, Unset):
        limit = options.limit
    if limit is not None:
        limit = count(limit, "/options/limit", error=InvalidFilter)
    query = Query(
        where=parse_filter(options.filters, path=("options", "filters"), columns=RECORD_COLUMNS),
        sort=parse_sort(options.sort, path=("options", "sort"), columns=RECORD_COLUMNS),
        limit=limit,
        offset=count(options.offset, "/options/offset", error=InvalidFilter),
        cursor=options.cursor,
        fields=parse_fields(options.fields, path=("options", "fields")),
    )
    if query.cursor is not None and query.offset:
        raise InvalidFilter("cannot be combined with cursor", path="/options/offset")
    return query


def parse_filter(
    filters: Any, *, path: Path = ("filter",), columns: Mapping[str, ColumnType] | None = None
) -> Node:
    """Parse a filter in either notation; raises InvalidFilter with the path of the fault.

    A parsed filter is returned unchanged.
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
    return within_limits(_with_positions(within_limits(parsed, path)), path)


def parse_optional_filter(
    filters: Any, *, path: Path = ("filter",), columns: Mapping[str, ColumnType] | None = None
) -> Node:
    """Parse a filter or None, which every row satisfies. See parse_filter()."""
    return ALL if filters is None else parse_filter(filters, path=path, columns=columns)


def parse_sort(
    sorts: Any, *, path: Path = ("sort",), columns: Mapping[str, ColumnType] | None = None
) -> tuple[SortKey, ...]:
    """Parse sort keys; raises InvalidFilter with the path of the fault."""
    if isinstance(sorts, str | Mapping) or not isinstance(sorts, Iterable):
        raise InvalidFilter("must be a list of sort keys", path=pointer(path))
    parser = _Parser(columns or {})
    keys = tuple(parser.sort_key(item, (*path, i)) for i, item in enumerate(sorts))
    if len(keys) > MAX_SORT_KEYS:
        raise InvalidFilter(
            f"must have at most {MAX_SORT_KEYS} keys, got {len(keys)}", path=pointer(path)
        )
    return keys


def parse_fields(fields: Any, *, path: Path = ("fields",)) -> FieldTree | None:
    """Parse the fields to return, or None for all; raises InvalidFilter with the fault's path."""
    if fields is None:
        return None
    if isinstance(fields, str | Mapping) or not isinstance(fields, Iterable):
        message = f"must be a list of dotted paths, not {type(fields).__name__}"
        raise InvalidFilter(message, path=pointer(path))
    parser = _Parser(RECORD_COLUMNS)
    parsed = [parser.field(field, (*path, i)) for i, field in enumerate(fields)]
    for i, field in enumerate(parsed):
        if field.column is not None:
            message = f"must be a path into data; @{field.column} is returned with every record"
            raise InvalidFilter(message, path=pointer((*path, i)))
    if (steps := sum(len(field.path) for field in parsed)) > MAX_RETURNED_STEPS:
        message = f"must have at most {MAX_RETURNED_STEPS:,} steps in paths, got {steps:,}"
        raise InvalidFilter(message, path=pointer(path))
    return tree_of(field.path for field in parsed)


def _with_positions(node: Node) -> Node:
    """Return a filter in which each numeric step of a path means a key or a position."""
    match node:
        case And(parts):
            return And(tuple(map(_with_positions, parts)))
        case Or(parts):
            return Or(tuple(map(_with_positions, parts)))
        case Not(part):
            return Not(_with_positions(part))
        case ElemMatch(condition=condition):
            node = replace(node, condition=_with_positions(condition))
    first, *others = (
        replace(node, field=replace(node.field, path=path)) for path in _readings(node.field.path)
    )
    return Or((first, *others)) if others else first


def _readings(path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    """Yield the readings of a path. The first step is always a key, because data is an object."""
    steps = (
        (step, int(step)) if i and _is_position(step) else (step,) for i, step in enumerate(path)
    )
    return product(*steps)


def _is_position(step: str | int) -> bool:
    return isinstance(step, str) and _POSITION.fullmatch(step) is not None


def _build(kind: type[Any], values: Mapping[str, Any], path: Path) -> Any:
    """Return a dataclass of a mapping; raises InvalidFilter for unknown and missing fields."""
    for key in map(plain_text, values):
        if key not in kind.__slots__:
            message = unknown("field", key, kind.__slots__)
            raise InvalidFilter(message, path=pointer((*path, key)))
    values = {plain_text(key): value for key, value in values.items()}
    try:
        return kind(**values)
    except TypeError:
        missing = next(key for key in kind.__slots__ if key not in values)
        raise InvalidFilter("is missing", path=pointer((*path, missing))) from None


class _Parser:
    """Parses one filter. `depth` limits the nesting, so that no input exhausts the stack."""

    def __init__(self, columns: Mapping[str, ColumnType], depth: int = 0) -> None:
        self.columns = columns
        self.depth = depth

    # The list form

    def condition(self, item: Any, path: Path) -> Node:
        if isinstance(item, Mapping):
            item = _build(Filter, item, path)
        if not isinstance(item, Filter):
            raise InvalidFilter(
                f"must be a Filter or a dict, not {type(item).__name__}", path=pointer(path)
            )
        name = plain_text(item.operator)
        if not isinstance(name, str) or name not in _LIST_OPERATORS:
            message = unknown("operator", name, _LIST_OPERATORS)
            raise InvalidFilter(message, path=pointer((*path, "operator")))
        field = self.field(item.field, (*path, "field"))
        return self.operation(field, _LIST_OPERATORS[name], item.value, (*path, "value"))

    def sort_key(self, item: Any, path: Path) -> SortKey:
        if isinstance(item, Mapping):
            item = _build(Sort, item, path)
        if not isinstance(item, Sort):
            raise InvalidFilter(
                f"must be a Sort or a dict, not {type(item).__name__}", path=pointer(path)
            )
        direction = plain_text(item.direction)
        direction = direction.lower() if isinstance(direction, str) else direction
        if direction not in ("asc", "desc"):
            message = f"must be asc or desc, got {item.direction!r:.80}"
            raise InvalidFilter(message, path=pointer((*path, "direction")))
        return SortKey(self.field(item.field, (*path, "field")), direction == "desc")

    # The Mongo form

    def document(self, filters: Any, path: Path) -> Node:
        """Parse a mapping of fields and logical operators; all must be true."""
        if not isinstance(filters, Mapping):
            raise InvalidFilter(
                f"must be a mapping, not {type(filters).__name__}", path=pointer(path)
            )
        with self.level(path):
            parts = tuple(self.member(key, value, (*path, key)) for key, value in filters.items())
        return parts[0] if len(parts) == 1 else And(parts)

    def member(self, key: Any, value: Any, path: Path) -> Node:
        key = plain_text(key)
        if isinstance(key, str) and key.startswith("$"):
            return self.logical(key, value, path)
        field = self.field(key, path)
        if _is_operators(value):
            return self.operators(field, value, path)
        return self.operation(field, "$eq", value, path)

    def logical(self, key: str, value: Any, path: Path) -> Node:
        if key == "$not":
            if not isinstance(value, Mapping) or not value:
                raise InvalidFilter("must be a non-empty filter to negate", path=pointer(path))
            return Not(self.document(value, path))
        if key not in _LOGICAL_OPERATORS:
            raise InvalidFilter(
                unknown("logical operator", key, (*_LOGICAL_OPERATORS, "$not")), path=pointer(path)
            )
        if not isinstance(value, list | tuple) or not value:
            raise InvalidFilter("must be a non-empty list of filters", path=pointer(path))
        parts = tuple(self.document(part, (*path, i)) for i, part in enumerate(value))
        if key == "$and":
            return And(parts)
        return Or(parts) if key == "$or" else Not(Or(parts))

    def operators(self, field: Field, value: Mapping[Any, Any], path: Path) -> Node:
        """Parse `{"$gte": 1, "$lt": 2}`; all conditions must be true."""
        for key in map(plain_text, value):
            if not isinstance(key, str) or not key.startswith("$"):
                message = "is not an operator, and cannot be combined with operators"
                raise InvalidFilter(message, path=pointer((*path, key)))
        with self.level(path):
            parts = tuple(
                self.operation(field, operator, operand, (*path, operator))
                for operator, operand in value.items()
            )
        return parts[0] if len(parts) == 1 else And(parts)

    # Both

    def operation(self, field: Field, operator: Any, operand: Any, path: Path) -> Node:
        operator = plain_text(operator)
        if operator not in _OPERATORS:
            raise InvalidFilter(unknown("operator", operator, _MONGO_OPERATORS), path=pointer(path))
        if field.column is not None and operator not in _COLUMN_OPERATORS[self.column_type(field)]:
            supported = ", ".join(sorted(_COLUMN_OPERATORS[self.column_type(field)]))
            message = f"{operator} is not supported for @{field.column}. Supported: {supported}"
            raise InvalidFilter(message, path=pointer(path))
        return _OPERATORS[operator](self, field, operand, path)

    def field(self, name: Any, path: Path) -> Field:
        name = plain_text(name)
        if not isinstance(name, str):
            message = f"a field name must be text, not {type(name).__name__}"
            raise InvalidFilter(message, path=pointer(path))
        if (fault := text_fault(name)) is not None:
            raise InvalidFilter(f"the field name {fault}", path=pointer(path))
        if name.startswith("@"):
            if name[1:] not in self.columns:
                columns = [f"@{column}" for column in self.columns]
                raise InvalidFilter(unknown("column", name, columns), path=pointer(path))
            return Field(column=name[1:])
        if len(name) > MAX_FIELD_LENGTH:
            message = f"a field has at most {MAX_FIELD_LENGTH:,} characters, got {len(name):,}"
            raise InvalidFilter(message, path=pointer(path[:-1]))
        keys = tuple(name.split("."))
        if not all(keys) or name.startswith("$") or len(keys) > MAX_DEPTH:
            message = f"{quoted(name)} is not a path of 1 to {MAX_DEPTH} keys separated by dots"
            raise InvalidFilter(message, path=pointer(path))
        if sum(map(_is_position, keys[1:])) > MAX_POSITIONS:
            message = f"{quoted(name)} has more than {MAX_POSITIONS} numeric steps"
            raise InvalidFilter(message, path=pointer(path))
        return Field(path=keys)

    def column_type(self, field: Field) -> ColumnType:
        return self.columns[field.column or ""]

    def value(self, field: Field, value: Any, path: Path) -> Any:
        """Return an operand as JSON returns it, or as the column's type if a column is named."""
        if field.column is None:
            return loads(canonical(value, path, error=InvalidFilter))
        column_type = self.column_type(field)
        if column_type == "time":
            return moment(value, pointer(path), error=InvalidFilter)
        value = plain_text(value)
        accepted = (int, float) if column_type == "integer" else str
        if not isinstance(value, accepted) or isinstance(value, bool):
            required = "a number" if column_type == "integer" else "text"
            message = f"must be {required} to compare with @{field.column}"
            raise InvalidFilter(message, path=pointer(path))
        return loads(canonical(value, path, error=InvalidFilter))

    def values(self, field: Field, operand: Any, path: Path) -> tuple[Any, ...]:
        if isinstance(operand, set | frozenset):  # sorted, so that equal filters have equal cursors
            operand = sorted(operand, key=repr)
        if not isinstance(operand, list | tuple):
            raise InvalidFilter(f"must be a list, not {type(operand).__name__}", path=pointer(path))
        return tuple(self.item(field, item, (*path, i)) for i, item in enumerate(operand))

    def item(self, field: Field, item: Any, path: Path) -> Any:
        """Return a value of a list, where operators are not allowed."""
        for key in map(plain_text, item if isinstance(item, Mapping) else ()):
            if isinstance(key, str) and _OPERATOR.fullmatch(key):
                message = "operators are not allowed in a list of values"
                raise InvalidFilter(message, path=pointer((*path, key)))
        return self.value(field, item, path)

    def equals(self, field: Field, operand: Any, path: Path) -> Node:
        return Equals(field, (self.value(field, operand, path),))

    def among(self, field: Field, operand: Any, path: Path) -> Node:
        return Equals(field, self.values(field, operand, path))

    def all(self, field: Field, operand: Any, path: Path) -> Node:
        if isinstance(operand, list | tuple) and operand and all(map(_is_elem_match, operand)):
            return And(
                tuple(
                    self.elem_match(field, next(iter(item.values())), (*path, i, "$elemMatch"))
                    for i, item in enumerate(operand)
                )
            )
        values = self.values(field, operand, path)
        return And(tuple(Equals(field, (value,)) for value in values)) if values else Or()

    def contains(self, field: Field, operand: Any, path: Path) -> Node:
        if isinstance(operand, list | tuple):
            parts = tuple(_contained(field, value) for value in self.values(field, operand, path))
            return And(parts) if parts else Or()
        return _contained(field, self.value(field, operand, path))

    def starts_with(self, field: Field, operand: Any, path: Path) -> Node:
        value = self.value(field, operand, path)
        if not isinstance(value, str):
            raise InvalidFilter(f"must be text, not {type(value).__name__}", path=pointer(path))
        return StartsWith(field, value)

    def exists(self, field: Field, operand: Any, path: Path) -> Node:
        if not isinstance(operand, bool):
            raise InvalidFilter(
                f"must be true or false, not {type(operand).__name__}", path=pointer(path)
            )
        return Exists(field) if operand else Not(Exists(field))

    def size(self, field: Field, operand: Any, path: Path) -> Node:
        return Size(field, count(operand, pointer(path), error=InvalidFilter))

    def elem_match(self, field: Field, operand: Any, path: Path) -> Node:
        if not isinstance(operand, Mapping):
            raise InvalidFilter(
                f"must be a mapping, not {type(operand).__name__}", path=pointer(path)
            )
        inner = _Parser({}, self.depth)
        if _is_operators(operand) and not {*_LOGICAL_OPERATORS}.intersection(
            map(plain_text, operand)
        ):
            return ElemMatch(field, inner.operators(Field(), operand, path), documents=False)
        return ElemMatch(field, inner.document(operand, path), documents=True)

    def negation(self, field: Field, operand: Any, path: Path) -> Node:
        if not _is_operators(operand):
            raise InvalidFilter(
                'must be a mapping of operators, such as {"$gt": 1}', path=pointer(path)
            )
        return Not(self.operators(field, operand, path))

    @contextmanager
    def level(self, path: Path) -> Iterator[None]:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            message = f"must be nested at most {MAX_DEPTH} levels deep"
            raise InvalidFilter(message, path=pointer(path[:8]))
        yield
        self.depth -= 1


_Operation = Callable[[_Parser, Field, Any, Path], Node]


def _comparison(operator: Literal["<", "<=", ">", ">="]) -> _Operation:
    def compare(parser: _Parser, field: Field, operand: Any, path: Path) -> Node:
        value = parser.value(field, operand, path)
        if value is None:  # MongoDB: null equals null, and is neither greater nor less
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
    # Only the list form has these: MongoDB has no such operators.
    "not_contains": _opposite(_Parser.contains),
    "starts_with": _Parser.starts_with,
}

_MONGO_OPERATORS = [operator for operator in _OPERATORS if operator.startswith("$")]
_LOGICAL_OPERATORS = ("$and", "$or", "$nor")

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
_COLUMN_OPERATORS: Mapping[ColumnType, set[str]] = {
    "integer": _ORDERED,
    "time": _ORDERED,
    "text": _ORDERED | {"$contains", "not_contains", "starts_with"},
}


def _contained(field: Field, value: Any) -> Node:
    """Return the condition that the value is a member of the field, or a substring of its text."""
    member = Equals(field, (value,))
    return Or((Substring(field, value), member)) if isinstance(value, str) else member


def _is_elem_match(value: Any) -> bool:
    return isinstance(value, Mapping) and [*map(plain_text, value)] == ["$elemMatch"]


def _is_operators(value: Any) -> bool:
    """Return whether a value is a mapping of operators rather than a document to compare with."""
    return isinstance(value, Mapping) and any(
        isinstance(key, str) and key.startswith("$") for key in map(plain_text, value)
    )
