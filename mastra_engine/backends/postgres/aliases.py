"""Database URLs and the aliases of Django for them."""

from __future__ import annotations

from hashlib import blake2b
from threading import Lock
from typing import Any

from django.db import connections

from mastra_engine.conf import database_from_url

#: The prefix of the aliases of databases that are not in DATABASES, but given by their URL.
_UNNAMED = "mastra_engine_"
#: The settings that identify a database, together with its name.
_ADDRESS = ("USER", "PASSWORD", "HOST", "PORT")
#: The project's database names by alias; Django replaces them by test databases in tests.
_names: dict[str, Any] = {}

_naming = Lock()


def remember_names() -> None:
    """Remember the names of the project's databases, unless they are remembered already."""
    for alias, configured in connections.settings.items():
        _names.setdefault(alias, configured["NAME"])


def database_at(url: str) -> tuple[str, bool]:
    """Return the alias of the database at a URL, and whether it is not one of the project's."""
    if (alias := known_alias(url)) is not None:
        return alias, False
    requested = database_from_url(url)
    # Messages contain aliases, so an alias must not contain the password.
    alias = f"{_UNNAMED}{blake2b(url.encode(), digest_size=8).hexdigest()}"
    with _naming:
        if alias not in connections.settings:
            configured = connections.configure_settings({"default": {}, alias: requested})
            # Replace the dictionary, because other threads may be iterating over the old one.
            connections.settings = {**connections.settings, alias: configured[alias]}
    return alias, True


def known_alias(url: str) -> str | None:
    """Return the project's alias of the database at a URL, or None if it has none."""
    requested = database_from_url(url)
    for alias, configured in connections.settings.items():
        if not alias.startswith(_UNNAMED) and _is_same(requested, configured, _names.get(alias)):
            return str(alias)
    return None


def _is_same(requested: dict[str, Any], configured: dict[str, Any], name: Any) -> bool:
    """Return whether `configured` is the requested database and has all requested options."""
    return (
        requested.get("NAME", "") in (configured["NAME"] or "", name)
        and all(str(requested.get(key, "")) == str(configured[key] or "") for key in _ADDRESS)
        and requested["OPTIONS"].items() <= configured["OPTIONS"].items()
    )
