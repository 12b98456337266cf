"""Addresses of the admin's pages, at the site that a request came to."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib.admin.utils import quote
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from mastra_engine.web import APP


def admin_url(site: str, name: str, *keys: Any, **query: Any) -> str:
    """Return the address of a view of this app at the admin site of a name; `keys` name a row.

    It is empty where the site has no such view.
    """
    args = [quote(key) for key in keys]
    try:
        address = reverse(f"admin:{APP}_{name}", args=args, current_app=site)
    except NoReverseMatch:
        return ""
    return f"{address}?{urlencode(query)}" if query else address


def linked(address: str, text: Any) -> SafeString:
    """Return a text as a link, or without one where the address is empty."""
    return format_html(
        '<a href="{}"><bdi>{}</bdi></a>' if address else "{}<bdi>{}</bdi>", address, text
    )
