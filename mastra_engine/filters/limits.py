"""Limits on the size of filters, which bound the server's time and memory per row."""

from __future__ import annotations

from mastra_engine.exceptions import InvalidFilter
from mastra_engine.filters.ast import And, ElemMatch, Equals, Node, Not, Or
from mastra_engine.validation.jsonb import Path, pointer

#: The largest number of comparisons in a filter. A hundred thousand would keep the server busy for
#: minutes and exhaust its memory.
MAX_CONDITIONS = 1_000
#: The largest number of values in all lists of a filter, and of steps in all paths of its
#: conditions. The server's time per row grows with them.
MAX_VALUES, MAX_STEPS = 50_000, 4_000
#: The largest number of steps in all paths of the fields to return. Each is planned as a subquery.
MAX_RETURNED_STEPS = 500
#: The largest number of characters of a field's name. A path with positions repeats them up to 16
#: times.
MAX_FIELD_LENGTH = 4_096


def within_limits(node: Node, path: Path) -> Node:
    """Return a filter; raises InvalidFilter if it exceeds a limit of its size."""
    limits = (MAX_CONDITIONS, MAX_VALUES, MAX_STEPS)
    names = ("conditions", "values in lists", "steps in paths")
    for size, limit, name in zip(_size(node), limits, names, strict=True):
        if size > limit:
            message = (
                f"must have at most {limit:,} {name}, got {size:,}; split the filter into several "
                "requests"
            )
            raise InvalidFilter(message, path=pointer(path))
    return node


def _size(node: Node) -> tuple[int, int, int]:
    """Return the numbers of conditions, of values in lists and of steps in paths."""
    match node:
        case And(parts) | Or(parts):
            conditions, values, steps = 0, 0, 0
            for part in parts:
                size = _size(part)
                conditions += size[0]
                values += size[1]
                steps += size[2]
            return conditions, values, steps
        case Not(part):
            return _size(part)
        case ElemMatch(field, condition):
            conditions, values, steps = _size(condition)
            return conditions + 1, values, steps + len(field.path)
        case Equals(field, listed):
            return 1, len(listed), len(field.path)
    return 1, 0, len(node.field.path)
