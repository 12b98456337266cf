"""The issue tracker of the desk. Its pages are read from a file, as if from an HTTP API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TICKETS = Path(__file__).parent / "data" / "tickets.json"
PER_PAGE = 2


def get_page(number: int) -> tuple[list[dict[str, Any]], int | None]:
    """Return a page of tickets and the number of the next page, or None; the first page is 1."""
    tickets = json.loads(TICKETS.read_text(encoding="utf-8"))
    end = number * PER_PAGE
    return tickets[end - PER_PAGE : end], number + 1 if end < len(tickets) else None
