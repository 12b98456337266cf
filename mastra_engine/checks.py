"""System checks: what is wrong with the settings or the server, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core import checks
from django.db import connections

from mastra_engine.exceptions import EngineConfigError
from mastra_engine.handler import engines

OLDEST_POSTGRES = 150000


def check_engines(**_: Any) -> list[checks.CheckMessage]:
    """Check that `MASTRA_ENGINE` names engines that can be made, on databases that exist."""
    try:
        return [message for engine in engines.all() for message in engine.check()]
    except EngineConfigError as error:
        return [checks.Error(str(error), id="mastra_engine.E001")]


def check_servers(databases: Sequence[str] | None = None, **_: Any) -> list[checks.CheckMessage]:
    """Check the servers that Django is asked about (`check --database`, `migrate`)."""
    return [
        message
        for alias in databases or ()
        if connections[alias].vendor == "postgresql"
        for message in _check_server(alias)
    ]


def _check_server(alias: str) -> list[checks.CheckMessage]:
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('server_version_num')::int, current_setting('server_encoding')"
        )
        version, encoding = cursor.fetchone()
    found: list[checks.CheckMessage] = []
    if version < OLDEST_POSTGRES:
        found.append(
            checks.Error(
                f"The database {alias!r} runs PostgreSQL {version // 10000}; the engine needs 15.",
                id="mastra_engine.E004",
            )
        )
    if encoding != "UTF8":
        found.append(
            checks.Error(
                f"The database {alias!r} is encoded in {encoding}; the engine needs UTF8.",
                hint="Create it anew with ENCODING 'UTF8'.",
                id="mastra_engine.E005",
            )
        )
    return found
