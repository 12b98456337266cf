"""The arguments of queries, which are text or JSON, and values of JavaScript."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

from mastra_engine.api.parsers import strict_loads
from mastra_engine.backends.base.paging import PAGE
from mastra_engine.conf import api_settings
from mastra_engine.exceptions import InvalidInput
from mastra_engine.validation.inputs import count
from mastra_engine.validation.jsonb import pointer

T = TypeVar("T")
Query = Mapping[str, Any]

_DIGITS = re.compile("[0-9]{1,18}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Paging:
    """A page of a list: its number, from 0, and its size; None is all."""

    page: int
    size: int | None

    @classmethod
    def of(cls, query: Query, *, usual: int) -> Paging:
        """Return the page that a query asks for; raises InvalidInput."""
        most = api_settings().max_page
        everything = query.get("perPage") == "false"
        size = None if everything else integer(query, "perPage", min(usual, most), most=most)
        return cls(integer(query, "page", 0), size)

    @property
    def skipped(self) -> int:
        """The number of items on earlier pages."""
        return self.page * (self.size or 0)

    @property
    def last(self) -> int | None:
        """The number of items up to the end of the page; None is all."""
        return None if self.size is None else self.skipped + self.size

    @property
    def limit(self) -> int:
        """The number of items to read from the engine at once."""
        return min(self.last or PAGE, PAGE)

    def select(self, items: Iterable[T]) -> Iterator[T]:
        """Return the items of the page."""
        return islice(items, self.skipped, self.last)

    def info(self, *, total: int, size: int) -> dict[str, Any]:
        """Return the fields of a response that describe the page, which has `size` items."""
        return {
            "total": total,
            "page": self.page,
            "perPage": False if self.size is None else self.size,
            "hasMore": bool(self.size) and self.skipped + size < total,
        }


def integer(query: Query, name: str, default: int, *, most: int = 2**31) -> int:
    """Return an integer of a query string; raises InvalidInput."""
    text = query.get(name)
    if text is None:
        return default
    if not _DIGITS.fullmatch(text):
        raise InvalidInput("must be an integer of at least 0", path=pointer((name,)))
    return count(int(text), pointer((name,)), most=most)


def json_object(query: Query, name: str) -> dict[str, Any]:
    """Return a JSON object of a query string, empty without one; raises InvalidInput."""
    value = json_value(query, name)
    if value is not None and not isinstance(value, dict):
        raise InvalidInput("must be a JSON object", path=pointer((name,)))
    return value or {}


def json_value(query: Query, name: str) -> Any:
    """Return a value that a query string holds as JSON, or None; raises InvalidInput."""
    text = query.get(name)
    if text is None:
        return None
    return strict_loads(text.encode("utf-8", "surrogatepass"), path=pointer((name,)))


def ordering(query: Query, *fields: str) -> tuple[str, str] | None:
    """Return the field and the direction, ASC or DESC, to order by; None if a query has none.

    Clients write `orderBy[field]` and `orderBy[direction]`, `orderBy` as JSON, or, in earlier
    versions, `orderBy` as the field and `sortDirection`.
    """
    text = query.get("orderBy", "")
    if text.startswith("{"):
        order = json_object(query, "orderBy")
    else:
        order = {
            "field": query.get("orderBy[field]", text or None),
            "direction": query.get("orderBy[direction]", query.get("sortDirection")),
        }
    field, direction = order.get("field"), order.get("direction")
    if field is None and direction is None:
        return None
    return (
        _choice(field, "/orderBy/field", fields),
        _choice(direction, "/orderBy/direction", ("DESC", "ASC")),
    )


def _choice(value: Any, path: str, allowed: tuple[str, ...]) -> str:
    """Return a value if it is allowed, and the first of `allowed` for None."""
    if value is None:
        return allowed[0]
    if value not in allowed:
        raise InvalidInput(f"must be one of {', '.join(allowed)}, got {value!r:.80}", path=path)
    return str(value)


def moment(value: Any, path: str) -> datetime | None:
    """Return a time as JavaScript's Date reads it: ISO 8601, or milliseconds since 1970."""
    if value is None:
        return None
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _EPOCH + timedelta(milliseconds=value)
        time = datetime.fromisoformat(value)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        message = "must be a time in ISO 8601, such as 2026-01-31T12:00:00.000Z"
        raise InvalidInput(message, path=path) from None


def date_text(time: datetime) -> str:
    """Return a time as JavaScript writes it, with milliseconds and `Z`."""
    return f"{time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
