"""Paging through lists of any length without counting all rows."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any, cast

from django.core.paginator import Paginator
from django.db import connections
from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _

from mastra_engine.admin.wording import number_text
from mastra_engine.types import COUNTED

_ROWS = "SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(%s)"


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """A paginator that counts up to COUNTED rows; beyond, `count` is the planner's estimate.

    Pages end at COUNTED rows: a filter leads to later ones.
    """

    @cached_property
    def count(self) -> int:
        queryset = cast("QuerySet[Any]", self.object_list).order_by().values("pk")
        number = queryset[: COUNTED + 1].count()
        return number if number <= COUNTED else max(number, estimate(queryset))

    @property
    def num_pages(self) -> int:
        return max(1, -(-min(self.count, COUNTED) // self.per_page))


def counted(queryset: QuerySet[Any]) -> str:
    """Return the number of rows as text, exact up to COUNTED."""
    number = queryset.order_by()[: COUNTED + 1].count()
    return (
        number_text(number)
        if number <= COUNTED
        else _("more than %(number)s") % {"number": number_text(COUNTED)}
    )


def bounded_count(queryset: QuerySet[Any]) -> str:
    """Return the number of rows as text, exact up to COUNTED, then the planner's estimate."""
    number = BoundedPaginator(queryset, 1).count
    text = number_text(number)
    return text if number <= COUNTED else _("about %(number)s") % {"number": text}


def estimate(queryset: QuerySet[Any]) -> int:
    """Return the planner's estimate of the rows of a query, rounded to two digits."""
    (plan,) = json.loads(queryset.explain(format="json"))
    return rounded(plan["Plan"]["Plan Rows"])


def table_rows(model: type[Model], using: str) -> int:
    """Return the rows of a table at the last ANALYZE; 0 before the first."""
    with connections[using].cursor() as cursor:
        cursor.execute(_ROWS, [model._meta.db_table])
        row = cursor.fetchone()
    return max(0, row[0] or 0) if row else 0


def rounded(number: int) -> int:
    """Round a number to two digits, to show that it is an estimate."""
    return int(float(f"{number:.2g}"))
