"""Which records a full sync has seen."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

#: Consecutive revisions from this number on are sent to the server as a range.
LONG = 64


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

    def compressed(self) -> tuple[list[range], list[int]]:
        """Return the revisions of the unchanged records as long ranges and other revisions.

        Records of one load have consecutive revisions, so that most syncs have few ranges.
        """
        ranges: list[range] = []
        others: list[int] = []
        run: list[int] = []
        for rev in sorted(self.unchanged()):
            if run and rev != run[-1] + 1:
                _flush(run, ranges, others)
                run = []
            run.append(rev)
        _flush(run, ranges, others)
        return ranges, others


def _flush(run: list[int], ranges: list[range], others: list[int]) -> None:
    if len(run) >= LONG:
        ranges.append(range(run[0], run[-1] + 1))
    else:
        others += run
