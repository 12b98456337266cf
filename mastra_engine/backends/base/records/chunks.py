"""Records given to a write operation, validated and divided into chunks."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain
from typing import Any

from mastra_engine.exceptions import InvalidInput
from mastra_engine.validation.inputs import record_chunks

#: Canonical JSON by external id.
Chunk = dict[str, bytes]


class Chunks:
    """The chunks of an iterable of records; the first one is read and validated at once.

    Nothing is locked while a short input is validated. A list can be iterated again, which lets
    a backend repeat a transaction; an iterator cannot.
    """

    def __init__(self, records: Any) -> None:
        self._records = records
        self._entity_name: str | None = None
        self._early_types: list[tuple[str, str]] = []
        self.repeatable = not isinstance(records, Iterator)
        #: Whether the caller could see that there are no records: an empty list says so, but an
        #: iterator or an upload may be empty because its source failed.
        self.sized = isinstance(records, Collection)
        self._first_pass: Iterator[Chunk] | None = self._read()

    def of(self, entity_name: str) -> Iterator[Chunk]:
        """Iterate over the chunks; raises InvalidInput for a record of another entity type.

        The entity's name may become known only under its lock, after the first chunk was read:
        types of records read before are checked here.
        """
        self._entity_name = entity_name
        for entity_type, path in self._early_types:
            self._check_type(entity_type, path)
        first_pass, self._first_pass = self._first_pass, None
        return first_pass if first_pass is not None else self._read()

    def _read(self) -> Iterator[Chunk]:
        chunks = record_chunks(self._records, check_type=self._check_type)
        first = next(chunks, None)
        return iter(()) if first is None else chain((first,), chunks)

    def _check_type(self, entity_type: str, path: str) -> None:
        if self._entity_name is None:
            if not self._early_types or self._early_types[-1][0] != entity_type:
                self._early_types.append((entity_type, path))
        elif entity_type != self._entity_name:
            raise InvalidInput(
                f"is {entity_type!r}, but the records are written to the entity "
                f"{self._entity_name!r}",
                path=path,
            )
