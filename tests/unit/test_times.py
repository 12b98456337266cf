"""Durations as the admin shows them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mastra_engine.admin.times import duration_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 ms"),
        (0.0123, "12 ms"),
        (1, "1.0 s"),
        (59.94, "59.9 s"),
        (60, "1 min 0 s"),
        (3_599, "59 min 59 s"),
        (3_600, "1 h 0 min"),
        (86_399, "23 h 59 min"),
        (100 * 86_400 + 3_600, "100 d 1 h"),
    ],
)
def test_a_duration_has_two_units(seconds: float, text: str) -> None:
    expected = text.replace(" ", "\N{NO-BREAK SPACE}")
    assert duration_text(timedelta(seconds=seconds)) == expected
