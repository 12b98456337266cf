"""Access to the fields of parts that other programs wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def first(part: Mapping[str, Any], *keys: str) -> Any:
    """Return the value under the first of `keys` that is in a part, or None."""
    return next((part[key] for key in keys if key in part), None)


def string(value: Any) -> str:
    """Return a value that is text, or empty text."""
    return value if isinstance(value, str) else ""
