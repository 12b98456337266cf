"""Helpers of the adapters that store documents as vectors."""

from __future__ import annotations

from typing import Any

from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.exceptions import InvalidFilter
from mastra_engine.filters.ast import And, ElemMatch, Equals, Field, Node, Not, Or
from mastra_engine.types import Page, StoredVector
from mastra_engine.validation.jsonb import Path, canonical, loads

#: Vectors that are read at once.
_PAGE = 1_000


def list_all(vectors: Vectors, **selection: Any) -> list[StoredVector]:
    """Return the vectors of all pages of `list_vectors`."""
    rows: list[StoredVector] = []
    page = Page[StoredVector]([], next_cursor="")
    while page.next_cursor is not None:
        cursor = page.next_cursor or None
        page = vectors.list_vectors(**selection, limit=_PAGE, cursor=cursor)
        rows += page
    return rows


def operand(value: Any, path: Path) -> Any:
    """Return an operand of a filter as JSON returns it; raises InvalidFilter."""
    return loads(canonical(value, path, error=InvalidFilter))


def equals(field: Field, *values: Any) -> Node:
    """Return the condition that the whole value of a field is one of several; None is missing.

    Equality of the engine's own holds for a member of an array, too, as in MongoDB.
    """
    scalars = tuple(value for value in values if not isinstance(value, dict | list))
    others = [(value,) for value in values if isinstance(value, dict | list)]
    return Or(
        tuple(
            And((Equals(field, group), Not(has_member(field, Equals(Field(), group)))))
            for group in [scalars, *others]
            if group
        )
    )


def has_member(field: Field, condition: Node) -> Node:
    """Return the condition that the value is an array with such a member."""
    return ElemMatch(field, condition, documents=False)
