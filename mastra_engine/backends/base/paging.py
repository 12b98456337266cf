"""Reading lists and iterators to their end, some items at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice
from typing import Any, TypeVar

from asgiref.sync import sync_to_async

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


def batches(items: Iterator[T], *, size: int = PAGE) -> Iterator[list[T]]:
    """Yield the items of an iterator in lists of `size`."""
    while batch := [*islice(items, size)]:
        yield batch


async def aiter_items(items: Iterator[T], *, size: int = PAGE) -> AsyncIterator[T]:
    """Yield the items of an iterator, which the database thread advances by `size` at once."""
    while batch := await sync_to_async(lambda: [*islice(items, size)])():
        for item in batch:
            yield item
