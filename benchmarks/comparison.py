"""Calls of the engine beside the minimal SQL for them, in interleaved rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.harness import Target, Timings, middle, rotated, seconds, spread, table

OURS, RAW = "ours", "raw"
Rows = list[Any]


@dataclass(frozen=True, slots=True)
class Pair:
    """A call and the raw statement that it is compared with, which reads the same rows.

    `limit` is the target: the largest ratio of their durations. Unless `same`, the raw statement
    reads other rows.
    """

    name: str
    ours: Callable[[], Rows]
    raw: Callable[[], Rows]
    limit: float | None = None
    same: bool = True

    def check(self) -> None:
        """Check that both return the same number of rows."""
        if self.same:
            assert len(self.ours()) == len(self.raw()), self.name


def measure(pairs: Sequence[Pair], *, rounds: int, calls: int) -> Timings:
    """Return the duration of `calls` calls of each side in each round."""
    timings = Timings()
    sides = [(pair, side) for pair in pairs for side in (OURS, RAW)]
    for round, (pair, side) in rotated(sides, rounds):
        call = pair.ours if side == OURS else pair.raw
        call()  # warm up: prepare the statement and fill the caches

        def several(call: Any = call) -> None:
            for _ in range(calls):
                call()

        timings.add(pair.name, side, round=round, duration=seconds(several))
    return timings


def ratios(pair: Pair, timings: Timings) -> list[float]:
    """Return ours / raw for each round."""
    return timings.ratios(pair.name, OURS, to=(pair.name, RAW))


def targets(pairs: Sequence[Pair], timings: Timings) -> Iterator[Target]:
    """Yield the targets of the pairs that have one."""
    for pair in pairs:
        if pair.limit is not None:
            value = middle(ratios(pair, timings))
            yield Target(name=pair.name, value=value, relation="<=", limit=pair.limit)


def ratio_table(pairs: Sequence[Pair], timings: Timings, calls: int) -> str:
    """Return a table of the ratios and of the durations of one call."""
    rows = []
    for pair in pairs:
        ours, raw = (middle(timings.of(pair.name, side)) or 0 for side in (OURS, RAW))
        rows.append(
            (
                pair.name,
                spread(ratios(pair, timings)),
                f"{ours / calls * 1000:.2f} ms",
                f"{raw / calls * 1000:.2f} ms",
            )
        )
    return table("Ours / raw, in the same round: median [range]", ["", "ratio", OURS, RAW], rows)
