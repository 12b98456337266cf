"""Helpers of the adapters that store documents as vectors."""

from __future__ import annotations

from typing import Any

from mastra_engine.exceptions import InvalidFilter
from mastra_engine.filters.ast import And, ElemMatch, Equals, Field, Node, Not, Or
from mastra_engine.validation.jsonb import Path, canonical, loads


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
