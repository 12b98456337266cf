"""Which records a full sync has seen."""

from __future__ import annotations

from collections.abc import Iterable


class SeenRevisions:
    """The records that a full sync has seen, by `rev`; a million records take 125 kB.

    Records that the sync writes, or that others write meanwhile, have a `rev` above `start`.
    Records that it finds unchanged are added as one bit each, in PostgreSQL's bit order for
    `bytea`.
    """

    def __init__(self, start: int) -> None:
        self.start = start
        self.bits = bytearray(start // 8 + 1)

    def add(self, revs: Iterable[int]) -> None:
        """Add unchanged records; revisions above `start` count as seen anyway."""
        for rev in revs:
            if rev <= self.start:
                self.bits[rev >> 3] |= 1 << (rev & 7)

    def __contains__(self, rev: int) -> bool:
        return rev > self.start or bool(self.bits[rev >> 3] & 1 << (rev & 7))
