"""Typed settings. Each setting is validated once and cached until `setting_changed` is sent."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast, get_origin, get_type_hints

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string
from dotenv import dotenv_values

from mastra_engine.database_urls import database_from_url
from mastra_engine.exceptions import EngineConfigError, InvalidInput
from mastra_engine.validation.inputs import count, seconds, text
from mastra_engine.validation.suggestions import unknown

__all__ = [
    "INVALID_URL",
    "AdminSettings",
    "ApiSettings",
    "admin_settings",
    "api_settings",
    "database",
    "database_from_url",
    "engine_settings",
]

DEFAULT_ENGINES = {"default": {"BACKEND": "mastra_engine.backends.postgres.PostgresEngine"}}

#: The backend of a `DB_URL` that is not valid; it says so whenever it is used.
INVALID_URL = "mastra_engine.postgres.invalid_url"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """`MASTRA_ENGINE_API`; its keys are these names in upper case.

    Sizes are in bytes, times in seconds.
    """

    engine: str = "default"
    max_bytes: int = 10 * 1024 * 1024
    max_upload_bytes: int = 1024 * 1024 * 1024
    max_depth: int = 72
    max_items: int = 10_000
    max_page: int = 1_000
    max_tokens: int = 1_000_000
    retry_after: int = 1
    idempotency_ttl: float = 24 * 60 * 60
    statement_timeout: float = 5.0
    throttle_rates: Mapping[str, str] = field(default_factory=dict)


ResourceNames = Callable[[list[str]], Mapping[str, str]]


def no_names(resource_ids: list[str]) -> Mapping[str, str]:
    """Return no name for any resource."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminSettings:
    """`MASTRA_ENGINE_ADMIN`; its keys are these names in upper case. Times are in seconds.

    `resource_names` maps a list of resource ids to the names of those that it knows.
    """

    statement_timeout: float = 10.0
    resource_names: ResourceNames = no_names


def _rates(value: Any, path: str) -> Mapping[str, str]:
    """Return `value` if it maps throttle scopes to rates of REST framework."""
    if not isinstance(value, Mapping):
        raise InvalidInput(f"must be a dict of rates, not {type(value).__name__}", path=path)
    for scope, rate in value.items():
        if scope not in _SCOPES:
            raise InvalidInput(unknown("scope", scope, _SCOPES), path=path)
        if not isinstance(rate, str) or not _RATE.fullmatch(rate):
            message = (
                f"must be a number per s, min, hour or day, such as 1000/min, got {rate!r:.80}"
            )
            raise InvalidInput(message, path=f"{path}/{scope}")
    return value


def _function(value: Any, path: str) -> Callable[..., Any]:
    """Return the function that `value` is, or that it names by its dotted path."""
    try:
        function = import_string(value) if isinstance(value, str) else value
    except ImportError as error:
        raise InvalidInput(str(error), path=path) from error
    if not callable(function):
        message = f"must be a function or its dotted path, not {type(function).__name__}"
        raise InvalidInput(message, path=path)
    return cast("Callable[..., Any]", function)


S = TypeVar("S", ApiSettings, AdminSettings)
_SCOPES = ("read", "write", "search")
_RATE = re.compile("[0-9]+/[smhd][a-z]*")
#: The validator of a setting, by the setting's type.
_VALIDATORS: dict[Any, Callable[[Any, str], Any]] = {
    str: text,
    int: count,
    float: seconds,
    Mapping: _rates,
    Callable: _function,
}


@cache
def api_settings() -> ApiSettings:
    """Return `MASTRA_ENGINE_API`; raises EngineConfigError if it is not valid."""
    return _read(ApiSettings, "MASTRA_ENGINE_API")


@cache
def admin_settings() -> AdminSettings:
    """Return `MASTRA_ENGINE_ADMIN`; raises EngineConfigError if it is not valid."""
    return _read(AdminSettings, "MASTRA_ENGINE_ADMIN")


def _read(kind: type[S], name: str) -> S:
    configured = getattr(settings, name, {})
    names = {field.name.upper(): field.name for field in fields(kind)}
    hints = get_type_hints(kind)
    try:
        if not isinstance(configured, Mapping):
            raise InvalidInput(f"must be a dict, not {type(configured).__name__}")
        values = {}
        for key, value in configured.items():
            field_name = names.get(str(key).upper())
            if field_name is None:
                raise InvalidInput(unknown("key", key, names))
            hint = hints[field_name]
            values[field_name] = _VALIDATORS[get_origin(hint) or hint](value, f"/{key}")
    except InvalidInput as error:
        raise EngineConfigError(f"{name} is not valid: {error}") from error
    return kind(**values)


def engine_settings() -> dict[str, dict[str, Any]]:
    """Return the options of each engine alias in `MASTRA_ENGINE`.

    Without the setting there is one PostgreSQL engine on the default database. Raises
    EngineConfigError if the setting is not a dict of dicts.
    """
    configured = getattr(settings, "MASTRA_ENGINE", None) or DEFAULT_ENGINES
    if not isinstance(configured, Mapping) or not all(
        isinstance(options, Mapping) for options in configured.values()
    ):
        raise EngineConfigError(
            'MASTRA_ENGINE must map aliases to dicts of options: {"default": {"BACKEND": …}}'
        )
    return {alias: dict(options) for alias, options in configured.items()}


def database(base_dir: Path | str = ".") -> dict[str, Any]:
    """Return the `DATABASES` entry for `DB_URL`, from the environment or from `base_dir`/.env.

    Write `DATABASES = {"default": database(BASE_DIR)}` in the settings file. If `DB_URL` is not
    set, the entry is Django's dummy backend, so that `manage.py engine_add` can run, and the
    system check `mastra_engine.E003` fails. If it is not valid, the check and every use of the
    database fail with the reason.
    """
    url = os.environ.get("DB_URL") or dotenv_values(Path(base_dir) / ".env").get("DB_URL")
    if not url:
        return {"ENGINE": "django.db.backends.dummy"}
    try:
        return database_from_url(url)
    except EngineConfigError as error:
        return {"ENGINE": INVALID_URL, "OPTIONS": {"problem": str(error)}}


def _on_setting_changed(*, setting: str, **_: Any) -> None:
    if setting == "MASTRA_ENGINE_API":
        api_settings.cache_clear()
    elif setting == "MASTRA_ENGINE_ADMIN":
        admin_settings.cache_clear()


setting_changed.connect(_on_setting_changed, dispatch_uid="mastra_engine.conf")
