"""System checks of the settings and the database servers, with a remedy in each message."""

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
from mastra_engine.validation.suggestions import unknown

OLDEST_POSTGRES = 150000
#: Older releases damage an HNSW graph when rows are vacuumed (pgvector's changelog, 0.8.3, 0.8.4).
OLDEST_PGVECTOR = (0, 8, 4)

# The extension may be missing: the first migration creates it.
_VERSIONS = """
SELECT current_setting('server_version_num')::int,
       current_setting('server_encoding'),
       (SELECT extversion FROM pg_extension WHERE extname = 'vector'),
       to_regtype('vector') IS NOT NULL
"""


def check_engines(**_: Any) -> list[checks.CheckMessage]:
    """Check that the engines of `MASTRA_ENGINE` can be created and that their databases exist."""
    if not settings.USE_TZ:
        message = "USE_TZ is False, but the engine stores times with their time zone."
        return [checks.Error(message, hint="Set USE_TZ = True.", id="mastra_engine.E007")]
    try:
        return [message for engine in engines.all() for message in engine.check()]
    except EngineConfigError as error:
        return [checks.Error(str(error), id="mastra_engine.E001")]


def check_tables(**_: Any) -> list[checks.CheckMessage]:
    """Warn if `migrate` would create the tables in a database that is not PostgreSQL."""
    try:
        used = {engine.database for engine in engines.all()}
    except EngineConfigError:  # check_engines reports it
        return []
    return [
        checks.Warning(
            f"`migrate` would create the engine's tables in the database {alias!r}, which is "
            f"{connections[alias].vendor}; they need PostgreSQL.",
            hint='Add "mastra_engine.routers.EngineRouter" to DATABASE_ROUTERS.',
            id="mastra_engine.W001",
        )
        for alias in connections
        if alias not in used  # check_engines reports databases that engines use
        and connections[alias].vendor not in ("postgresql", "unknown")  # "unknown": the dummy
        and router.allow_migrate(alias, "mastra_engine")
    ]


def check_api(**_: Any) -> list[checks.CheckMessage]:
    """Check the API's settings, if REST framework is installed."""
    if not apps.is_installed("rest_framework"):
        return []
    try:
        aliases = list(engines)
    except EngineConfigError:  # check_engines reports it
        return []
    try:
        alias = api_settings().engine
        if alias not in aliases:
            problem = unknown("engine alias", alias, aliases)
            raise EngineConfigError(f"MASTRA_ENGINE_API is not valid: /ENGINE: {problem}")
        policy = engines.access_policy(alias)
    except EngineConfigError as error:
        return [checks.Error(str(error), id="mastra_engine.E008")]
    if policy is None and not apps.is_installed("django.contrib.auth"):
        message = "The API's default access policy needs Django's users, which are not installed."
        hint = 'Add "django.contrib.auth" to INSTALLED_APPS, or set an ACCESS_POLICY.'
        return [checks.Error(message, hint=hint, id="mastra_engine.E009")]
    return []


def check_admin(**_: Any) -> list[checks.CheckMessage]:
    """Check the admin's settings, if Django's admin is installed."""
    if not apps.is_installed("django.contrib.admin"):
        return []
    try:
        admin_settings()
    except EngineConfigError as error:
        return [checks.Error(str(error), id="mastra_engine.E010")]
    return []


def check_servers(databases: Sequence[str] | None = None, **_: Any) -> list[checks.CheckMessage]:
    """Check the servers of the databases being checked that contain the engine's tables."""
    return [
        message
        for alias in databases or ()
        if connections[alias].vendor == "postgresql" and _has_tables(alias)
        for message in _check_server(alias)
    ]


def _has_tables(alias: str) -> bool:
    try:
        return bool(router.allow_migrate(alias, "mastra_engine"))
    except EngineConfigError:  # check_engines reports it
        return False


def _check_server(alias: str) -> list[checks.CheckMessage]:
    connection: Any = connections[alias]
    opened_here = connection.connection is None
    with connection.cursor() as cursor:
        cursor.execute(_VERSIONS)
        version, encoding, pgvector, in_search_path = cursor.fetchone()
    if opened_here:
        # A test runner may fork after the checks, and its processes must not share a connection.
        connection.close()
        connection.close_pool()
    messages: list[checks.CheckMessage] = []
    if version < OLDEST_POSTGRES:
        message = f"The database {alias!r} runs PostgreSQL {version // 10000}; the engine needs 15."
        messages.append(checks.Error(message, id="mastra_engine.E004"))
    if encoding != "UTF8":
        message = f"The database {alias!r} is encoded in {encoding}; the engine needs UTF8."
        hint = "Create a database with ENCODING 'UTF8' and move the data there."
        messages.append(checks.Error(message, hint=hint, id="mastra_engine.E005"))
    if pgvector is not None and _numbers(pgvector) < OLDEST_PGVECTOR:
        message = f"The database {alias!r} has pgvector {pgvector}; the engine needs 0.8.4."
        hint = "Install it on the server, then run ALTER EXTENSION vector UPDATE."
        messages.append(checks.Error(message, hint=hint, id="mastra_engine.E006"))
    if pgvector is not None and not in_search_path:
        message = (
            f"pgvector is in a schema of the database {alias!r} that search_path does not include."
        )
        hint = "Run ALTER EXTENSION vector SET SCHEMA public, or add its schema to search_path."
        messages.append(checks.Error(message, hint=hint, id="mastra_engine.E011"))
    return messages


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
