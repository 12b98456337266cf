"""Values that belong to no noun: pages, scopes, and the mark of an argument that was not passed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, TypeVar, overload

T = TypeVar("T")
Order = Literal["asc", "desc"]
#: Pending work is counted up to this number, because counting all of it could take long.
COUNTED = 10_000


class Unset(Enum):
    """The type of UNSET, the default of arguments for which None is a value of its own."""

    UNSET = 0  # not text, because enum members with text are accepted as text

    def __repr__(self) -> str:
        return self.name


UNSET: Final = Unset.UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The owners that an engine is restricted to, as `engine.within()` takes them.

    None does not restrict; an empty set allows nothing.
    """

    resource_ids: frozenset[str] | None = None
    connection_ids: frozenset[str] | None = None
    namespaces: frozenset[str] | None = None


class Items(Sequence[T]):
    """The base of values that are read like the list of their `items`: by position, by slice."""

    __slots__ = ()

    items: list[T]

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> list[T]: ...

    def __getitem__(self, index: int | slice) -> T | list[T]:
        return self.items[index]

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True)
class Page(Items[T]):
    """The items of one page, and the cursor of the next page; None on the last page.

    A page is a sequence of its items: `page[0]`, `page[-3:]`, `len(page)`.
    """

    items: list[T]
    next_cursor: str | None = None
