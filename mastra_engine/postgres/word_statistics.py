"""The planner's statistics of the words in a partition's documents."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mastra_engine.postgres.partitions import Partition

#: Seconds for which statistics are kept. ANALYZE renews them less often in most databases.
_KEPT = 60
#: The number of partitions that are kept.
_MOST = 100
#: The share of documents that the planner assumes for a word if it has no statistics.
_UNKNOWN_SHARE = 0.005

# Of lengths the planner has the most common ones with their shares, and the bounds of ranges with
# equal numbers of the others. The three numbers after the shares of words are the least and the
# largest share, and that of documents without words.
_READ = """
SELECT reltuples, words.null_frac, words.most_common_elems::text::text[],
       words.most_common_elem_freqs, lengths.most_common_vals::text::float8[],
       lengths.most_common_freqs, lengths.histogram_bounds::text::float8[], lengths.null_frac
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
JOIN pg_stats AS words
    ON words.schemaname = nspname AND words.tablename = relname AND words.attname = 'words'
JOIN pg_stats AS lengths
    ON lengths.schemaname = nspname AND lengths.tablename = relname
    AND lengths.attname = 'word_count'
WHERE pg_class.oid = %s::regclass
"""


@dataclass(frozen=True, slots=True)
class WordStatistics:
    """Estimates of a whole partition: documents, their average length, and frequent words.

    `shares` are the shares of documents with each frequent word; other words are in less than
    `least_share` of them.
    """

    documents: float = 0.0
    average_length: float | None = None
    shares: Mapping[str, float] | None = None
    least_share: float = 2 * _UNKNOWN_SHARE

    def share(self, word: str) -> float:
        """Return the likely share of documents with a word."""
        return (self.shares or {}).get(word, self.least_share / 2)

    @classmethod
    def read(cls, partition: Partition) -> WordStatistics:
        """Return the statistics, empty before the first ANALYZE."""
        with partition.connection.cursor() as cursor:
            cursor.execute(_READ, [partition.table])
            row = cursor.fetchone()
        if row is None or row[2] is None:
            return cls()
        rows, missing, words, shares, *lengths = row
        return cls(
            documents=rows * (1 - missing),
            average_length=_average(*lengths),
            shares=dict(zip(words, shares, strict=False)),
            least_share=shares[len(words)],
        )


class StatisticsCache:
    """Keeps the statistics of partitions for a minute: reading them takes as long as a search."""

    def __init__(self) -> None:
        self._kept: dict[Any, tuple[float, WordStatistics]] = {}

    def of(self, partition: Partition) -> WordStatistics:
        """Return the statistics of a partition."""
        key, now = (partition.index.id, partition.index.created_at), time.monotonic()
        expires, statistics = self._kept.get(key, (0.0, WordStatistics()))
        if expires < now or statistics.shares is None:
            statistics = WordStatistics.read(partition)
            if len(self._kept) >= _MOST:
                self._kept.clear()
            self._kept[key] = now + _KEPT, statistics
        return statistics


def _average(
    common: list[float] | None,
    shares: list[float] | None,
    bounds: list[float] | None,
    missing: float,
) -> float | None:
    """Return the average length of documents from the statistics of lengths."""
    covered = sum(shares or ())
    total = sum(length * share for length, share in zip(common or (), shares or (), strict=True))
    if bounds:
        total += (1 - covered - missing) * sum(bounds) / len(bounds)
        covered = 1 - missing
    return total / covered if covered else None
