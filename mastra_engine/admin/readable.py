"""JSON as nested lists of names and values, for people rather than programs."""

from __future__ import annotations

import json
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from mastra_engine.admin.content import markdown

#: The levels of a document that are shown as lists, and the most entries of each.
LEVELS, ENTRIES = 6, 100


def readable_memory(text: str) -> SafeString:
    """Return working memory as a model is told it: its text, then its JSON in the last line."""
    before, _newline, last = text.rpartition("\n")
    document = _object(last)
    if document is None:
        return markdown(text)
    return format_html("{}{}", markdown(before) if before else "", readable(document))


def readable(value: Any, *, levels: int = LEVELS) -> SafeString:
    """Return JSON as nested lists."""
    if isinstance(value, dict | list) and value:
        if levels == 0:
            return format_html("<code>{}</code>", json.dumps(value, ensure_ascii=False))
        entries = list(value.items() if isinstance(value, dict) else enumerate(value, start=1))
        rows = [(name, readable(item, levels=levels - 1)) for name, item in entries[:ENTRIES]]
        if len(entries) > ENTRIES:
            rows.append(("…", format_html(_("{} more"), len(entries) - ENTRIES)))
        lines = format_html_join("", "<div><dt><bdi>{}</bdi></dt><dd>{}</dd></div>", rows)
        return format_html('<dl class="me-tree">{}</dl>', lines)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return format_html("<bdi>{}</bdi>", text)


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
