"""Reading lists of the engine to their end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from mastra_engine.types import Page

T = TypeVar("T")

#: Items that are read at once.
PAGE = 1_000


def all_items(list_page: Callable[..., Page[T]], *, limit: int = PAGE, **query: Any) -> Iterator[T]:
    """Yield the items of all pages of a list method of the engine, `limit` to a page."""
    cursor = None
    while True:
        page = list_page(**query, limit=limit, cursor=cursor)
        yield from page.items
        if (cursor := page.next_cursor) is None:
            return
