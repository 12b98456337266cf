"""LlamaIndex's filters as those of the engine.

They have the meaning of LlamaIndex's store in memory. A missing value satisfies `!=` and `nin`
only, and equality is that of whole values.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)

from mastra_engine.contrib.stored_vectors import equals, has_member, operand
from mastra_engine.exceptions import InvalidFilter
from mastra_engine.filters.ast import ALL, And, Compare, Field, Node, Not, Or, Substring
from mastra_engine.filters.limits import within_limits
from mastra_engine.validation.jsonb import MAX_DEPTH, Path, pointer

_ROOT = ("filters",)
#: Keys that LlamaIndex gives the metadata of every node, and the fields that they stand for here.
_KEYS = {
    **dict.fromkeys(("doc_id", "document_id", "ref_doc_id"), Field(("ref_doc_id",))),
    "_node_type": Field(("node_type",)),
}


def parse_filters(filters: MetadataFilters | None) -> Node:
    """Return a filter of nodes; raises InvalidFilter for one without an equivalent."""
    return ALL if filters is None else within_limits(_parsed(filters, _ROOT), _ROOT)


def _parsed(filters: MetadataFilters, path: Path) -> Node:
    if len(path) > 2 * MAX_DEPTH:
        message = f"must be nested at most {MAX_DEPTH} levels deep"
        raise InvalidFilter(message, path=pointer(path[:8]))
    parts = tuple(
        _parsed(part, (*path, "filters", i))
        if isinstance(part, MetadataFilters)
        else _condition(part, (*path, "filters", i))
        for i, part in enumerate(filters.filters)
    )
    match filters.condition or FilterCondition.AND:
        case _ if not parts:
            return ALL
        case FilterCondition.AND:
            return And(parts)
        case FilterCondition.OR:
            return Or(parts)
        case FilterCondition.NOT:
            return Not(Or(parts))
        case condition:
            message = f"condition {condition!r} is not supported"
            raise InvalidFilter(message, path=pointer((*path, "condition")))


def _condition(filter: MetadataFilter, path: Path) -> Node:
    field = _KEYS.get(filter.key) or Field(("metadata", filter.key))
    if filter.operator not in _OPERATORS:
        message = f"operator {filter.operator!r} is not supported"
        raise InvalidFilter(message, path=pointer((*path, "operator")))
    place = (*path, "value")
    return _OPERATORS[filter.operator](field, operand(filter.value, place), place)


# Operators


def _equal(field: Field, value: Any, path: Path) -> Node:
    return Or() if value is None else equals(field, value)


def _one_of(field: Field, values: Any, path: Path) -> Node:
    return equals(field, *_list(values, path, "in and nin"))


def _ordered(side: Literal["<", "<=", ">", ">="], field: Field, value: Any, path: Path) -> Node:
    if isinstance(value, list) or value is None:
        message = f"{side} compares numbers and text, not {value!r:.80}"
        raise InvalidFilter(message, path=pointer(path))
    return Compare(field, side, value)


def _contains(field: Field, value: Any, path: Path) -> Node:
    """Return the condition that a list has a member, or a text a part."""
    member = has_member(field, equals(Field(), value))
    if not isinstance(value, str):
        return member
    return Or((member, Substring(field, value, case_sensitive=True)))


def _any(field: Field, values: Any, path: Path) -> Node:
    return Or(tuple(_contains(field, value, path) for value in _list(values, path, "any")))


def _all(field: Field, values: Any, path: Path) -> Node:
    parts = (_contains(field, value, path) for value in _list(values, path, "all"))
    return And((Not(equals(field, None)), *parts))


def _text(case_sensitive: bool, field: Field, value: Any, path: Path) -> Node:
    if not isinstance(value, str):
        message = f"text_match compares text, not {value!r:.80}"
        raise InvalidFilter(message, path=pointer(path))
    return Substring(field, value, case_sensitive=case_sensitive)


def _empty(field: Field, value: Any, path: Path) -> Node:
    return equals(field, None, "", [])


def _negated(operator: Callable[[Field, Any, Path], Node]) -> Callable[[Field, Any, Path], Node]:
    return lambda field, value, path: Not(operator(field, value, path))


def _list(values: Any, path: Path, operator: str) -> list[Any]:
    if not isinstance(values, list):
        message = f"must be a list for {operator}, not {type(values).__name__}"
        raise InvalidFilter(message, path=pointer(path))
    return values


_OPERATORS: dict[FilterOperator, Callable[[Field, Any, Path], Node]] = {
    FilterOperator.EQ: _equal,
    FilterOperator.NE: _negated(_equal),
    FilterOperator.GT: partial(_ordered, ">"),
    FilterOperator.GTE: partial(_ordered, ">="),
    FilterOperator.LT: partial(_ordered, "<"),
    FilterOperator.LTE: partial(_ordered, "<="),
    FilterOperator.IN: _one_of,
    FilterOperator.NIN: _negated(_one_of),
    FilterOperator.CONTAINS: _contains,
    FilterOperator.ANY: _any,
    FilterOperator.ALL: _all,
    FilterOperator.TEXT_MATCH: partial(_text, True),
    FilterOperator.TEXT_MATCH_INSENSITIVE: partial(_text, False),
    FilterOperator.IS_EMPTY: _empty,
}
