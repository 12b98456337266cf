"""Which of Django's databases a URL means."""

from __future__ import annotations

from hashlib import blake2b
from threading import Lock
from typing import Any

from django.db import connections

from mastra_engine.conf import database_from_url

#: How the aliases begin of databases that are not in DATABASES, but known by their URL.
_UNNAMED = "mastra_engine_"
#: The settings of a database that say which one it is, beside its name.
_ADDRESS = ("USER", "PASSWORD", "HOST", "PORT")
#: What the project calls its databases, by alias; in tests Django has others stand for them.
_names: dict[str, Any] = {}

_naming = Lock()


def remember_names() -> None:
    """Note what the project's databases are called, unless that was noted before."""
    for alias, known in connections.settings.items():
        _names.setdefault(alias, known["NAME"])


def database_at(url: str) -> tuple[str, bool]:
    """Return the alias of the database at a URL, and whether the project has no name for it."""
    if (alias := known_alias(url)) is not None:
        return alias, False
    wanted = database_from_url(url)
    # Aliases show up in messages, so this one does not hold the password.
    alias = f"{_UNNAMED}{blake2b(url.encode(), digest_size=8).hexdigest()}"
    with _naming:
        if alias not in connections.settings:
            configured = connections.configure_settings({"default": {}, alias: wanted})
            # Another dictionary, for other threads may be going through that one.
            connections.settings = {**connections.settings, alias: configured[alias]}
    return alias, True


def known_alias(url: str) -> str | None:
    """Return the project's alias of the database at a URL, or None if it has none."""
    wanted = database_from_url(url)
    for alias, known in connections.settings.items():
        if not alias.startswith(_UNNAMED) and _is_same(wanted, known, _names.get(alias)):
            return str(alias)
    return None


def _is_same(wanted: dict[str, Any], known: dict[str, Any], name: Any) -> bool:
    """Whether `known` is that database, with the options asked for; it may have others too."""
    return (
        wanted.get("NAME", "") in (known["NAME"] or "", name)
        and all(str(wanted.get(key, "")) == str(known[key] or "") for key in _ADDRESS)
        and wanted["OPTIONS"].items() <= known["OPTIONS"].items()
    )
