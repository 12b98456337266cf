"""Times in the metadata of documents, which Haystack compares as times and not as text.

Haystack compares times with zones as moments, and others by the clock: if one of two has a zone,
both count as being in it. So each time is stored as read from the clock, and with a zone in UTC
too. Both are texts of equal length, which sort as the times do.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

CLOCK, MOMENT = "clock", "utc"


def as_time(value: Any) -> dict[str, str] | None:
    """Return a datetime or an ISO 8601 text as its two texts; None for other values."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value) if _looks_like_date(value) else None
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    texts = {CLOCK: _text(value)}
    try:
        return texts if value.tzinfo is None else {**texts, MOMENT: _text(value.astimezone(UTC))}
    except OverflowError:  # at the ends of the calendar
        return None


def times_in(meta: dict[str, Any]) -> dict[str, Any]:
    """Return the times in metadata under the keys that they have there."""
    times = {
        key: times_in(value) if isinstance(value, dict) else as_time(value)
        for key, value in meta.items()
    }
    return {key: value for key, value in times.items() if value}


def _text(time: datetime) -> str:
    return time.replace(tzinfo=None).isoformat(timespec="microseconds")


def _looks_like_date(value: str) -> bool:
    """Return whether a text begins with a whole date: "2026" is not a time to Haystack."""
    return len(value) >= 10 and value[4] == value[7] == "-"
