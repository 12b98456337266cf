"""Bars with lengths as attributes of SVG, which a strict Content-Security-Policy allows."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString


def bar(segments: Iterable[tuple[float, int]]) -> SafeString:
    """Return a bar of segments, each a share from 0 to 1 of its length and the number of a colour.

    Readers of screens get the numbers from the text beside it.
    """
    rectangles, start = [], 0.0
    for share, colour in segments:
        width = min(max(100 * share, 0.0), 100 - start)
        rectangles.append((colour, f"{start:.2f}", f"{width:.2f}"))
        start += width
    return format_html(
        '<svg class="me-measure" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        "{}</svg>",
        format_html_join(
            "",
            '<rect class="me-fill-{}" x="{}" width="{}" height="8"></rect>',
            rectangles,
        ),
    )
