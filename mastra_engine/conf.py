"""Typed settings, read at access: nothing here is remembered between two calls."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings
from dotenv import dotenv_values
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from mastra_engine.exceptions import EngineConfigError, InvalidInput
from mastra_engine.validation.inputs import count, seconds

DEFAULT_ENGINES = {"default": {"BACKEND": "mastra_engine.backends.postgres.PostgresEngine"}}

_DJANGO_KEYS = {
    "dbname": "NAME",
    "user": "USER",
    "password": "PASSWORD",
    "host": "HOST",
    "port": "PORT",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """`MASTRA_ENGINE_API`, each key in lower case. Sizes are in bytes, times in seconds."""

    engine: str = "default"
    max_bytes: int = 10 * 1024 * 1024
    max_upload_bytes: int = 1024 * 1024 * 1024
    max_depth: int = 72
    max_items: int = 10_000
    max_page: int = 1_000
    max_tokens: int = 1_000_000
    retry_after: int = 1
    idempotency_ttl: float = 24 * 60 * 60
    throttle_rates: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminSettings:
    """`MASTRA_ENGINE_ADMIN`, each key in lower case. Times are in seconds."""

    statement_timeout: float = 10.0


def _rates(value: Mapping[str, Any], path: str) -> None:
    """Raise InvalidInput for what REST framework takes for no rate, or what is not counted."""
    for scope, rate in value.items():
        if scope not in ("read", "write", "search") or not _RATE.fullmatch(rate):
            raise InvalidInput('must be like {"read": "1000/min", "search": "5/s"}', path=path)


S = TypeVar("S", ApiSettings, AdminSettings)
_RATE = re.compile("[0-9]+/[smhd][a-z]*")
#: What checks a setting, by its type as it is written.
_CHECKS: dict[Any, Callable[[Any, str], Any]] = {
    "int": count,
    "float": seconds,
    "Mapping[str, str]": _rates,
}


def api_settings() -> ApiSettings:
    """Return `MASTRA_ENGINE_API`; raises EngineConfigError for what cannot be set."""
    return _read(ApiSettings, "MASTRA_ENGINE_API")


def admin_settings() -> AdminSettings:
    """Return `MASTRA_ENGINE_ADMIN`; raises EngineConfigError for what cannot be set."""
    return _read(AdminSettings, "MASTRA_ENGINE_ADMIN")


def _read(kind: type[S], name: str) -> S:
    configured = getattr(settings, name, {})
    try:
        made = kind(**{key.lower(): value for key, value in configured.items()})
        for each in fields(made):
            if each.type in _CHECKS:
                _CHECKS[each.type](getattr(made, each.name), f"/{each.name.upper()}")
    except (TypeError, AttributeError, InvalidInput) as error:
        raise EngineConfigError(f"{name} cannot be used: {error}") from error
    return made


def engine_settings() -> dict[str, dict[str, Any]]:
    """Return `MASTRA_ENGINE`, or one PostgreSQL engine on the default database when it is unset."""
    configured = getattr(settings, "MASTRA_ENGINE", None) or DEFAULT_ENGINES
    if not isinstance(configured, Mapping) or not all(
        isinstance(options, Mapping) for options in configured.values()
    ):
        raise EngineConfigError("MASTRA_ENGINE must map an alias to a dict of options")
    return {alias: dict(options) for alias, options in configured.items()}


def database_from_url(url: str) -> dict[str, Any]:
    """Return a Django `DATABASES` entry for a PostgreSQL URL or libpq connection string.

    Whatever Django has no key for (`sslmode`, `connect_timeout`, …) goes to `OPTIONS`.
    Raises EngineConfigError when libpq cannot read it, or it names no database.
    """
    try:
        parameters = conninfo_to_dict(url)
    except ProgrammingError:  # its text may hold the password
        raise EngineConfigError("The database URL is not one that PostgreSQL understands") from None
    config: dict[str, Any] = {"ENGINE": "django.db.backends.postgresql", "OPTIONS": {}}
    for name, value in parameters.items():
        if name in _DJANGO_KEYS:
            config[_DJANGO_KEYS[name]] = str(value)
        elif value is not None:
            config["OPTIONS"][name] = value
    if "NAME" not in config and "service" not in config["OPTIONS"]:
        raise EngineConfigError("The database URL names no database")
    return config


def database(base_dir: Path | str = ".") -> dict[str, Any]:
    """Return the `DATABASES` entry for `DB_URL`, from the environment or from `base_dir`/.env.

    For a settings file: `DATABASES = {"default": database(BASE_DIR)}`. While there is none, the
    entry is Django's dummy, so that `manage.py engine_add` can run; a system check says so.
    """
    url = os.environ.get("DB_URL") or dotenv_values(Path(base_dir) / ".env").get("DB_URL")
    return database_from_url(url) if url else {"ENGINE": "django.db.backends.dummy"}
