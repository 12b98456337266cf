"""The scores of search results as bars: why a result was found, and why it is where it is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from mastra_engine.admin.bars import bar
from mastra_engine.types import Part

#: The most words of a result that have a bar of their own; a query may have thousands.
WORDS = 30
SIMILARITY, WORD, NEIGHBOUR, RERANKER = range(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A value that a search gave to a result, as a line with a bar.

    `weight` is the share with which it counts, None where that is not known, and for words.
    """

    label: SafeString | str
    value: float
    bar: SafeString
    weight: float | None = None
    lines: list[Score] = field(default_factory=list)


def score_lines(results: Iterable[Sequence[Part]]) -> list[list[Score]]:
    """Return the parts of each result as lines, with one scale for all results of a search."""
    all_parts = [list(parts) for parts in results]
    scales = _scales(all_parts)
    return [[_line(part, scales) for part in parts] for parts in all_parts]


def _scales(results: Iterable[Sequence[Part]]) -> dict[str, float]:
    """Return the value of a full bar by the name of a part; a similarity of 1 is a full bar."""
    scales = {"similarity": 1.0, "reranker": 1.0, "words": 0.0}
    for part in (part for parts in results for part in parts):
        scale = part.name if part.name in scales else "words"
        scales[scale] = max(scales[scale], part.value)
    return scales


def _line(part: Part, scales: dict[str, float]) -> Score:
    if part.name == "similarity":
        return _score(_("Similarity"), part, scales["similarity"], SIMILARITY)
    if part.name == "reranker":
        return _score(_("Reranker"), part, scales["reranker"], RERANKER)
    most, colour = scales["words"], WORD
    label: SafeString | str = _("Words")
    if part.name == "neighbour":
        label, colour = _("Words of a message beside it"), NEIGHBOUR
    line = _score(label, part, most, colour)
    line.lines.extend(_words(part, most, colour))
    return line


def _score(label: SafeString | str, part: Part, most: float, colour: int) -> Score:
    return Score(
        label=label,
        value=part.value,
        bar=bar([(_share(part.value, most), colour)]),
        weight=None if math.isnan(part.weight) else part.weight,
    )


def _words(part: Part, most: float, colour: int) -> Iterator[Score]:
    """Yield the words of a part with their contributions, the largest first."""
    best = sorted(part.words.items(), key=lambda item: (-item[1], item[0]))[:WORDS]
    for word, value in best:
        label = format_html("<bdi>{}</bdi>", word)
        yield Score(label=label, value=value, bar=bar([(_share(value, most), colour)]))


def _share(value: float, most: float) -> float:
    return value / most if most > 0 else 0.0
