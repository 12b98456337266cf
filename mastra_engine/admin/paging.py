"""Pages of lists of any length, without counting them; beyond COUNTED, filters lead further."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any, cast

from django.core.paginator import Paginator
from django.db import connections
from django.db.models import Model, QuerySet

from mastra_engine.types import COUNTED

_ROWS = "SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(%s)"


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts up to COUNTED rows. Beyond that `count` is the planner's estimate, rounded."""

    @cached_property
    def count(self) -> int:
        queryset = cast("QuerySet[Any]", self.object_list).order_by()
        found = queryset[: COUNTED + 1].count()
        return found if found <= COUNTED else max(found, estimate(queryset))

    @property
    def num_pages(self) -> int:
        return max(1, -(-min(self.count, COUNTED) // self.per_page))


def counted(queryset: QuerySet[Any]) -> str:
    """Return how many rows there are, up to COUNTED, as text."""
    found = queryset.order_by()[: COUNTED + 1].count()
    return f"{found:,}" if found <= COUNTED else f"more than {COUNTED:,}"


def estimate(queryset: QuerySet[Any]) -> int:
    """Return how many rows the planner expects of a query, to two digits."""
    (plan,) = json.loads(queryset.explain(format="json"))
    return rounded(plan["Plan"]["Plan Rows"])


def table_rows(model: type[Model], using: str) -> int:
    """Return how many rows a table had when it was last analyzed; 0 before that."""
    with connections[using].cursor() as cursor:
        cursor.execute(_ROWS, [model._meta.db_table])
        row = cursor.fetchone()
    return max(0, row[0] or 0) if row else 0


def rounded(number: int) -> int:
    """Return a number whose digits beyond the second are zeros, as an estimate should look."""
    return int(float(f"{number:.2g}"))
