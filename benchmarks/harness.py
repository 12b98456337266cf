"""Code that the benchmarks share: rounds in turn, medians and tables."""

from __future__ import annotations

import gc
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from random import Random
from statistics import median
from typing import Any, Literal, TypeVar

T = TypeVar("T")


def rotated(items: Sequence[T], rounds: int) -> Iterator[tuple[int, T]]:
    """Yield (round, item): every item once per round; each round begins with another item.

    The machine's slow minutes then fall on all of them, and none is always the first.
    """
    for number in range(rounds):
        turn = number % len(items)
        for item in (*items[turn:], *items[:turn]):
            yield number, item


def seconds(work: Callable[[], object]) -> float:
    """Return the duration of `work`, after a collection of the garbage of earlier work."""
    gc.collect()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Timings:
    """The durations of each (method, phase), one per round."""

    def __init__(self) -> None:
        self._durations: dict[tuple[str, str], dict[int, float]] = {}

    def add(self, method: str, phase: str, *, round: int, duration: float) -> None:
        self._durations.setdefault((method, phase), {})[round] = duration

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._durations)

    def of(self, method: str, phase: str) -> list[float]:
        """Return the durations; the list is empty if the method was not run."""
        return list(self._durations.get((method, phase), {}).values())

    def ratios(self, method: str, phase: str, *, to: tuple[str, str]) -> list[float]:
        """Return the durations as multiples of another method's in the same round."""
        base = self._durations.get(to, {})
        durations = self._durations.get((method, phase), {})
        return [value / base[round] for round, value in durations.items() if round in base]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A target for a figure: an upper or a lower limit."""

    name: str
    value: float | None
    relation: Literal["<=", ">="]
    limit: float
    unit: str = "x"

    @property
    def met(self) -> bool | None:
        """Return whether the target is reached, or None if it was not measured."""
        if self.value is None:
            return None
        return self.value <= self.limit if self.relation == "<=" else self.value >= self.limit


def middle(values: Sequence[float]) -> float | None:
    """Return the median, or None for an empty list."""
    return median(values) if values else None


def spread(values: Sequence[float]) -> str:
    """Return the median of ratios and, for several, their range."""
    if not values:
        return "-"
    if len(values) == 1:
        return f"{values[0]:.2f}x"
    return f"{median(values):.2f}x [{min(values):.2f}-{max(values):.2f}]"


def table(title: str, headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table as text: the first column is left-aligned, the others right-aligned."""
    lines = [list(map(str, row)) for row in (headers, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    head, *body = ("  ".join(_cells(line, widths)).rstrip() for line in lines)
    return "\n".join([title, head, "  ".join("-" * width for width in widths), *body])


def _cells(line: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    for index, (cell, width) in enumerate(zip(line, widths, strict=True)):
        yield cell.rjust(width) if index else cell.ljust(width)


def target_table(targets: Sequence[Target]) -> str:
    """Return the targets with the measured figures."""
    words = {True: "met", False: "MISSED", None: "not measured"}
    rows = [
        (
            target.name,
            f"{target.relation} {_figure(target.limit, target.unit)}",
            "-" if target.value is None else _figure(target.value, target.unit),
            words[target.met],
        )
        for target in targets
    ]
    return table("Targets", ["", "target", "here", ""], rows)


def _figure(value: float, unit: str) -> str:
    return f"{value:.2f}{unit}" if unit else f"{value:,.0f}"


def progress(message: str) -> None:
    """Print progress to stderr, separately from the report."""
    print(message, file=sys.stderr, flush=True)


def environment(packages: Sequence[str]) -> dict[str, Any]:
    """Return versions and hardware that figures depend on, without the machine's identity."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [_SETTINGS])
        settings = dict(cursor.fetchall())
    return {
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "packages": {name: matches for name in packages if (matches := installed(name))},
        "postgresql": settings,
    }


_SETTINGS = [
    "server_version",
    "shared_buffers",
    "max_wal_size",
    "fsync",
    "synchronous_commit",
    "data_checksums",
    "autovacuum",
]


def installed(package: str) -> str | None:
    """Return a distribution's version, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


class RandomEmbedder:
    """Returns random vectors at once: the time of a model is not measured."""

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._random = Random(1)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, _: str) -> list[float]:
        return [self._random.gauss(0, 1) for _ in range(self._dimension)]
