"""Reading the beginnings of long values, so that the memory of a page is bounded.

A value may have many megabytes, and PostgreSQL cuts it before it is sent.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.db.models import F, JSONField, Model, QuerySet, TextField, Value
from django.db.models.functions import Cast, Coalesce, Left, Length

from mastra_engine.admin.wording import left_out

#: The most characters of a value that a page reads; the filter `pretty` shows more.
LONGEST = 40_000


def as_text(name: str, model: type[Model]) -> Any:
    """Return the expression of a column as text."""
    field = model._meta.get_field(name)
    return Cast(F(name), TextField()) if isinstance(field, JSONField) else F(name)


def size_of(model: type[Model], *names: str) -> Any:
    """Return the expression of the characters that columns have together."""
    total: Any = Value(0)
    for name in names:
        total = total + Coalesce(Length(as_text(name, model)), Value(0))
    return total


def read_beginnings(
    rows: QuerySet[Any], names: Sequence[str], *, longest: int = LONGEST
) -> dict[str, Any]:
    """Return columns of the one row of a query; long values are cut.

    A long value is the text that it begins with, with a note of how many characters follow.
    """
    model = rows.model
    expressions: dict[str, Any] = {}
    for name in names:
        expressions[f"{name}_size"] = Length(as_text(name, model))
        expressions[f"{name}_start"] = Left(as_text(name, model), longest)
    columns = rows.order_by().values(**expressions).first() or {}
    return {
        name: _value(
            columns.get(f"{name}_start"),
            columns.get(f"{name}_size") or 0,
            is_json=isinstance(model._meta.get_field(name), JSONField),
        )
        for name in names
    }


def _value(start: str | None, size: int, *, is_json: bool) -> Any:
    if start is not None and size > len(start):
        return f"{start}\n{left_out(size - len(start))}"
    return json.loads(start) if start is not None and is_json else start
