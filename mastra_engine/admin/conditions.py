"""Filters of the engine, in either notation, that grow and shrink by one condition."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from django.utils.translation import gettext_lazy as _

#: The operators of the list form that a condition may have.
OPERATORS = (
    ("eq", _("is")),
    ("ne", _("is not")),
    ("contains", _("contains")),
    ("gt", _("is greater than")),
    ("gte", _("is at least")),
    ("lt", _("is less than")),
    ("lte", _("is at most")),
    ("exists", _("exists (true or false)")),
)


class Condition(NamedTuple):
    """A condition of a filter as text, and the filter without it."""

    text: str
    rest: Any


def narrowed(filters: Any, field: str, operator: str, value: Any) -> Any:
    """Return a filter with one more condition."""
    if isinstance(filters, list):
        return [*filters, {"field": field, "operator": operator, "value": value}]
    condition = {field: value if operator == "eq" else {f"${operator}": value}}
    if not filters:
        return condition
    if isinstance(filters, dict) and field not in filters:
        return {**filters, **condition}
    return {"$and": [filters, condition]}


def conditions(filters: Any) -> Iterator[Condition]:
    """Yield the conditions of a filter that all must be true."""
    if isinstance(filters, list):
        for i, item in enumerate(filters):
            yield Condition(_text(item), filters[:i] + filters[i + 1 :])
    elif isinstance(filters, dict):
        for key, value in filters.items():
            rest = {other: filters[other] for other in filters if other != key}
            if key == "$and" and isinstance(value, list):
                for i, part in enumerate(value):
                    others = value[:i] + value[i + 1 :]
                    yield Condition(_text(part), {**rest, key: others} if others else rest)
            else:
                yield Condition(_text({key: value}), rest)


def typed(text: str, examples: list[Any]) -> Any:
    """Return the value that a text stands for: JSON, unless the examples are text.

    Postal codes and other numbers may be stored as text.
    """
    if any(isinstance(example, str) for example in examples):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def flat(value: Any) -> str:
    """Return a value as text: JSON unless it is text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _text(condition: Any) -> str:
    if isinstance(condition, dict) and condition.keys() == {"field", "operator", "value"}:
        return f"{condition['field']} {condition['operator']} {flat(condition['value'])}"
    return flat(condition)
