"""One filter language: its syntax tree, and the order in which values sort.

`filterinputs.py` reads the tree from two notations, `postgres/compile.py` makes SQL of it, and
`backends/mock/match.py` a predicate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

#: The columns of a record that a filter or a sort may name, and what they hold.
RECORD_COLUMNS: Mapping[str, type] = {
    "external_id": str,
    "rev": int,
    "created_at": datetime,
    "updated_at": datetime,
}


@dataclass(frozen=True, slots=True)
class Field:
    """A place in a document; `column` instead when it is a column beside the document.

    A step of the path is the key of an object, or the position of a member in an array. An empty
    path is the value itself, as inside `$elemMatch`.
    """

    path: tuple[str | int, ...] = ()
    column: str | None = None


@dataclass(frozen=True, slots=True)
class And:
    """Every part holds; with no parts, always."""

    parts: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Or:
    """Some part holds; with no parts, never."""

    parts: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Node


@dataclass(frozen=True, slots=True)
class Equals:
    """The value, or a member of it, is one of `values`; null stands for a missing field too."""

    field: Field
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Compare:
    """The value, or a member of it, is of the operand's type and on that side of it."""

    field: Field
    operator: Literal["<", "<=", ">", ">="]
    value: Any


@dataclass(frozen=True, slots=True)
class Substring:
    """The value is text that holds `text`, in whatever case."""

    field: Field
    text: str


@dataclass(frozen=True, slots=True)
class StartsWith:
    """The value, or a member of it, is text that begins with `text`."""

    field: Field
    text: str


@dataclass(frozen=True, slots=True)
class Exists:
    """The field is there, be it null."""

    field: Field


@dataclass(frozen=True, slots=True)
class Size:
    """The value is an array of that many members."""

    field: Field
    size: int


@dataclass(frozen=True, slots=True)
class ElemMatch:
    """The value is an array, and one member satisfies the whole condition.

    `documents` says that the condition names fields, so that only objects can satisfy it, and
    arrays, whose fields are their positions.
    """

    field: Field
    condition: Node
    documents: bool


Node = And | Or | Not | Equals | Compare | Substring | StartsWith | Exists | Size | ElemMatch

#: The filter that everything satisfies.
ALL: Node = And()


@dataclass(frozen=True, slots=True)
class SortKey:
    """A sort key, parsed."""

    field: Field
    descending: bool


@dataclass(frozen=True, slots=True)
class Query:
    """`QueryOptions`, parsed."""

    where: Node = ALL
    sort: tuple[SortKey, ...] = ()
    limit: int | None = None
    offset: int = 0
    cursor: str | None = None


def sort_value(data: Any, path: tuple[str | int, ...]) -> tuple[int, Any]:
    """Return (type rank, scalar) of a field: what MongoDB's order of types sorts it by.

    Ranks: missing 0, null 1, number 2, text 3, object 4, array 5, boolean 6. Objects and arrays
    are equal among themselves. Arrays are not looked into.
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
