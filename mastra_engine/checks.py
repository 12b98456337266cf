"""System checks: what is wrong with the settings or the server, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.db import connections, router

from mastra_engine.conf import admin_settings, api_settings
from mastra_engine.exceptions import EngineConfigError
from mastra_engine.handler import engines

OLDEST_POSTGRES = 150000
#: Older releases repair an HNSW graph wrongly when rows go (its changelog, 0.8.3 and 0.8.4).
OLDEST_PGVECTOR = (0, 8, 4)

# Before the first migration there is no extension yet, which is no mistake.
_VERSIONS = """
SELECT current_setting('server_version_num')::int,
       current_setting('server_encoding'),
       (SELECT extversion FROM pg_extension WHERE extname = 'vector'),
       to_regtype('vector') IS NOT NULL
"""


def check_engines(**_: Any) -> list[checks.CheckMessage]:
    """Check that `MASTRA_ENGINE` names engines that can be made, on databases that exist."""
    if not settings.USE_TZ:
        message = "The engine's times have a zone, and USE_TZ = False would take it away."
        return [checks.Error(message, hint="Set USE_TZ = True.", id="mastra_engine.E007")]
    try:
        return [message for engine in engines.all() for message in engine.check()]
    except EngineConfigError as error:
        return [checks.Error(str(error), id="mastra_engine.E001")]


def check_tables(**_: Any) -> list[checks.CheckMessage]:
    """Check that `migrate` would not make the tables where they cannot be."""
    try:
        used = {engine.database for engine in engines.all()}
    except EngineConfigError:  # which check_engines says
        return []
    return [
        checks.Warning(
            f"`migrate` would make the engine's tables in the database {alias!r}, which is "
            f"{connections[alias].vendor}; they need PostgreSQL.",
            hint='Add "mastra_engine.routers.EngineRouter" to DATABASE_ROUTERS.',
            id="mastra_engine.W001",
        )
        for alias in connections
        if alias not in used  # which check_engines looks at
        and connections[alias].vendor not in ("postgresql", "unknown")  # that of no database at all
        and router.allow_migrate(alias, "mastra_engine")
    ]


def check_api(**_: Any) -> list[checks.CheckMessage]:
    """Check what the API needs, where a project has REST framework."""
    if not apps.is_installed("rest_framework"):
        return []
    try:
        aliases = list(engines)
    except EngineConfigError:  # which check_engines says
        return []
    try:
        alias = api_settings().engine
        if alias not in aliases:
            raise EngineConfigError(f"MASTRA_ENGINE_API names {alias!r}, which is no engine")
        policy = engines.access_policy(alias)
    except EngineConfigError as error:
        return [checks.Error(str(error), id="mastra_engine.E008")]
    if policy is None and not apps.is_installed("django.contrib.auth"):
        message = "The API's default access policy needs users, and there are none."
        hint = 'Install "django.contrib.auth", or name an ACCESS_POLICY of your own.'
        return [checks.Error(message, hint=hint, id="mastra_engine.E009")]
    return []


def check_admin(**_: Any) -> list[checks.CheckMessage]:
    """Check the settings of the admin, where a project has it."""
    if not apps.is_installed("django.contrib.admin"):
        return []
    try:
        admin_settings()
    except EngineConfigError as error:
        return [checks.Error(str(error), id="mastra_engine.E010")]
    return []


def check_servers(databases: Sequence[str] | None = None, **_: Any) -> list[checks.CheckMessage]:
    """Check the servers that Django is asked about, if they have the tables or are to get them."""
    return [
        message
        for alias in databases or ()
        if connections[alias].vendor == "postgresql" and _gets_tables(alias)
        for message in _check_server(alias)
    ]


def _gets_tables(alias: str) -> bool:
    try:
        return bool(router.allow_migrate(alias, "mastra_engine"))
    except EngineConfigError:  # which check_engines says
        return False


def _check_server(alias: str) -> list[checks.CheckMessage]:
    connection: Any = connections[alias]
    unused = connection.connection is None
    with connection.cursor() as cursor:
        cursor.execute(_VERSIONS)
        version, encoding, pgvector, found_by_name = cursor.fetchone()
    if unused:  # a test runner may fork next, and its processes would share a pool's connections
        connection.close()
        connection.close_pool()
    found: list[checks.CheckMessage] = []
    if version < OLDEST_POSTGRES:
        message = f"The database {alias!r} runs PostgreSQL {version // 10000}; the engine needs 15."
        found.append(checks.Error(message, id="mastra_engine.E004"))
    if encoding != "UTF8":
        message = f"The database {alias!r} is encoded in {encoding}; the engine needs UTF8."
        hint = "Create it anew with ENCODING 'UTF8'."
        found.append(checks.Error(message, hint=hint, id="mastra_engine.E005"))
    if pgvector is not None and _numbers(pgvector) < OLDEST_PGVECTOR:
        message = f"The database {alias!r} has pgvector {pgvector}; the engine needs 0.8.4."
        hint = "Install it on the server, then run ALTER EXTENSION vector UPDATE."
        found.append(checks.Error(message, hint=hint, id="mastra_engine.E006"))
    if pgvector is not None and not found_by_name:
        message = f"pgvector is in a schema of the database {alias!r} that is not searched."
        hint = "Run ALTER EXTENSION vector SET SCHEMA public, or name its schema in search_path."
        found.append(checks.Error(message, hint=hint, id="mastra_engine.E011"))
    return found


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
