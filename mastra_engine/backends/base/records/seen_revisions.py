"""Which records a full sync has seen."""

from __future__ import annotations

from array import array
from collections.abc import Iterable


class SeenRevisions:
    """The records that a full sync has seen, by `rev`; a million unchanged ones take 8 MB.

    Records that the sync writes, or that others write meanwhile, have a `rev` above `start` and
    are not stored. The size depends on the number of records, not on how often the entity has
    been changed in its life.
    """

    def __init__(self, start: int) -> None:
        self.start = start
        self._revs = array("q")

    def add(self, revs: Iterable[int]) -> None:
        """Add unchanged records; revisions above `start` count as seen anyway."""
        self._revs.extend(rev for rev in revs if rev <= self.start)

    def unchanged(self) -> set[int]:
        """Return the revisions of the unchanged records."""
        return set(self._revs)

    def ranges(self) -> list[tuple[int, int]]:
        """Return the revisions of the unchanged records as sorted ranges, both ends included.

        Records of one load have consecutive revisions, so that most syncs have few ranges.
        """
        ranges: list[tuple[int, int]] = []
        for rev in sorted(self.unchanged()):
            if ranges and ranges[-1][1] == rev - 1:
                ranges[-1] = ranges[-1][0], rev
            else:
                ranges.append((rev, rev))
        return ranges
