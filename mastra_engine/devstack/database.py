"""The Django database alias of a command: its address, and its redirection by `DB_URL`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DEFAULT_DB_ALIAS, connections
from psycopg.conninfo import make_conninfo
from psycopg.pq import Conninfo

from mastra_engine import devstack
from mastra_engine.backends.postgres.aliases import known_alias
from mastra_engine.conf import INVALID_URL, database_from_url
from mastra_engine.devstack.server import connected
from mastra_engine.exceptions import EngineConfigError, Unavailable
from mastra_engine.handler import DEFAULT_ALIAS, engines


@contextmanager
def selected_database(alias: str | None) -> Iterator[str]:
    """Yield `alias`, or by default the default engine's alias, redirected to `DB_URL` if it is set.

    The alias is not redirected if its settings have the same URL, because in a test run it refers
    to the test database.
    """
    url = os.environ.get("DB_URL")
    if alias is not None or not url or known_alias(url) == _engine_alias():
        yield alias or _engine_alias()
        return
    with _redirected(_engine_alias(), url) as redirected:
        yield redirected


def conninfo(alias: str) -> str:
    """Return the connection parameters of `alias` as a libpq connection string."""
    connection = connections[alias]
    if connection.settings_dict["ENGINE"] == INVALID_URL:
        connection.ensure_connection()  # raises the reason
    if connection.vendor != "postgresql":
        raise EngineConfigError(
            f"The database {alias!r} is not a PostgreSQL one. Is DB_URL set, and used in DATABASES?"
        )
    keywords = {option.keyword.decode() for option in Conninfo.get_defaults()}
    arguments = connection.get_connection_params()
    return make_conninfo(**{name: arguments[name] for name in keywords & arguments.keys()})


@contextmanager
def explained(conninfo: str) -> Iterator[None]:
    """Add the reason and the remedy to Unavailable if there is no connection to a database."""
    try:
        yield
    except Unavailable:
        try:
            with connected(conninfo):
                pass
        except Unavailable as reason:
            error = reason
        step = devstack.next_step(conninfo)
        raise Unavailable(f"{str(error).strip()}\n{step}" if step else str(error)) from error


def _engine_alias() -> str:
    configured = engines[DEFAULT_ALIAS].database if DEFAULT_ALIAS in engines else None
    return configured or DEFAULT_DB_ALIAS


@contextmanager
def _redirected(alias: str, url: str) -> Iterator[str]:
    """Connect `alias` to the database of `url` within the block.

    It redirects the alias instead of adding another one, because routers and data migrations know
    its name, and a migration that omits `using()` must not change the original database.
    """
    before, settings = connections[alias], connections.settings[alias]
    redirected = connections.configure_settings({DEFAULT_DB_ALIAS: database_from_url(url)})
    connections.settings[alias] = redirected[DEFAULT_DB_ALIAS]
    del connections[alias]
    try:
        yield alias
    finally:
        connections[alias].close()
        connections.settings[alias] = settings
        connections[alias] = before
