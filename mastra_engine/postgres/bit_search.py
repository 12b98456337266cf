"""Searching a partition by the bits of its vectors.

The bits say of each number whether it is positive. They lead to candidates in little memory, of
which those with the smallest distance are the result. So distances are exact, and the recall
depends on the number of candidates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mastra_engine.postgres.search import MAX_EF_SEARCH, Search

#: Candidates per requested row: the fewer bits a vector has, the less they say of its neighbours.
#: `_BITS` are the bits of all candidates. Measured in docs/explanation/vectors.md.
_FEWEST, _BITS = 8, 5_120
#: Candidates beyond the requested rows, at most.
_MAX_SPARE = 2_000


@dataclass(frozen=True, slots=True)
class BitSearch(Search):
    """A search that takes candidates from a graph of bits and compares their vectors."""

    @property
    def candidates(self) -> int:
        """Return how many candidates are compared, more if `ef_search` is larger.

        Comparing one takes longer than reading it from the graph, so not all of those that the
        graph examines are compared.
        """
        per_row = max(_FEWEST, _BITS // self.partition.index.dimension)
        spare = min(self.limit * (per_row - 1), _MAX_SPARE)
        return max(self.limit + spare, self.ef_search // 2)

    def _unfiltered(self) -> list[Any] | None:
        return self._graph(f"distance LIMIT {self.candidates}")

    def _graph(self, order: str, *, ef_search: int | None = None) -> list[Any] | None:
        """Compare the first candidates that satisfy the filter; return None if they are too few.

        Without a valid structure it returns None as well: all vectors are to be compared then, and
        not those with similar bits.
        """
        sql, params = self.condition
        partition, name = self.partition, self.partition.index.name
        settings = self._settings(
            max(ef_search or self.ef_search, min(self.candidates, MAX_EF_SEARCH))
        )
        passed = (
            f"SELECT {self._columns()} FROM ("
            f"SELECT *, {partition.bit_distance()} AS distance FROM {partition.table} "
            f"WHERE (SELECT {settings} {partition.unchanged} AND {partition.built}) IS NOT NULL "
            f"ORDER BY {order}) AS neighbour"
        )
        if self.filtered:
            passed += f" WHERE {sql} LIMIT {self.candidates}"
        rows, number = self._sort(passed, [self.target, self.target, name, *params])
        return rows if number >= self.candidates else None
