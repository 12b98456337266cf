"""The syntax tree of filters, and the sort order of JSON values.

`filters/parsing.py` parses two notations into the tree, `postgres/compile.py` compiles it to SQL,
and `backends/mock/match.py` evaluates it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

ColumnType = Literal["text", "integer", "time"]
#: The columns of a record that filters and sorts may use as `@column`, with their types.
RECORD_COLUMNS: Mapping[str, ColumnType] = {
    "external_id": "text",
    "rev": "integer",
    "created_at": "time",
    "updated_at": "time",
}


@dataclass(frozen=True, slots=True)
class Field:
    """A path into a document, or a column of the row if `column` is set.

    A step of the path is a key of an object (text) or a position in an array (an integer). An
    empty path is the value itself, as in `$elemMatch`.
    """

    path: tuple[str | int, ...] = ()
    column: str | None = None


@dataclass(frozen=True, slots=True)
class And:
    """True if all parts are true, and if there are no parts."""

    parts: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Or:
    """True if at least one part is true."""

    parts: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    """True if the part is false."""

    part: Node


@dataclass(frozen=True, slots=True)
class Equals:
    """True if the value or one of its members is in `values`; null equals a missing field."""

    field: Field
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Compare:
    """True if the value or a member has the operand's type and compares that way with it."""

    field: Field
    operator: Literal["<", "<=", ">", ">="]
    value: Any


@dataclass(frozen=True, slots=True)
class Substring:
    """True if the value is text that contains `text`.

    Case counts in the filters of adapters only; the two notations have no operator for it.
    """

    field: Field
    text: str
    case_sensitive: bool = False


@dataclass(frozen=True, slots=True)
class StartsWith:
    """True if the value or a member is text that starts with `text`."""

    field: Field
    text: str


@dataclass(frozen=True, slots=True)
class Exists:
    """True if the field exists, even if it is null."""

    field: Field


@dataclass(frozen=True, slots=True)
class Size:
    """True if the value is an array of exactly `size` members."""

    field: Field
    size: int


@dataclass(frozen=True, slots=True)
class ElemMatch:
    """True if the value is an array and one member satisfies the whole condition.

    If `documents` is true, the condition names fields, so only objects can satisfy it, and arrays,
    because their positions are fields too.
    """

    field: Field
    condition: Node
    documents: bool


Node = And | Or | Not | Equals | Compare | Substring | StartsWith | Exists | Size | ElemMatch

#: The keys of an object that a query returns, each with the keys of its value, or None for the
#: whole value.
FieldTree = Mapping[str, "FieldTree | None"]

#: The filter that every row satisfies.
ALL: Node = And()


@dataclass(frozen=True, slots=True)
class SortKey:
    """A parsed sort key."""

    field: Field
    descending: bool


@dataclass(frozen=True, slots=True)
class Query:
    """Parsed `QueryOptions`; `fields` is None for whole documents."""

    where: Node = ALL
    sort: tuple[SortKey, ...] = ()
    limit: int | None = None
    offset: int = 0
    cursor: str | None = None
    fields: FieldTree | None = None


def sort_value(data: Any, path: tuple[str | int, ...]) -> tuple[int, Any]:
    """Return (type rank, scalar), the sort key of a field in MongoDB's order of types.

    Ranks: missing 0, null 1, number 2, text 3, object 4, array 5, boolean 6. All objects sort
    equal, and so do all arrays; members of arrays are not considered.
    """
    for key in path:
        if not isinstance(data, dict) or key not in data:
            return 0, None
        data = data[key]
    match data:
        case None:
            return 1, None
        case bool():
            return 6, data
        case int() | float():
            return 2, data
        case str():
            return 3, data
        case dict():
            return 4, None
        case _:
            return 5, None
