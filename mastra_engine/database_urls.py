"""URLs of PostgreSQL databases, and the reasons why one is not valid, without its password."""

from __future__ import annotations

from typing import Any

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from mastra_engine.exceptions import EngineConfigError

_DJANGO_KEYS = {
    "dbname": "NAME",
    "user": "USER",
    "password": "PASSWORD",
    "host": "HOST",
    "port": "PORT",
}
_SCHEMES = ("postgres://", "postgresql://")
_ADVICE = (
    "Write it as postgres://user:password@host:port/database, and percent-encode special "
    "characters such as @ (%40), / (%2F) and % (%25) in the password"
)
#: The beginnings of libpq's messages. The rest quotes the URL, perhaps with its password.
_REASONS = (
    "invalid percent-encoded token",
    "forbidden value %00 in percent-encoded value",
    "unexpected spaces found",
    'end of string reached when looking for matching "]" in IPv6 host address in URI',
    "IPv6 host address may not be empty in URI",
    "unexpected character",
    "invalid URI query parameter",
    'missing key/value separator "=" in URI query parameter',
    'extra key/value separator "=" in URI query parameter',
    "invalid connection option",
    'missing "="',
    "unterminated quoted string in connection info string",
)


def database_from_url(url: str) -> dict[str, Any]:
    """Return a Django `DATABASES` entry for a PostgreSQL URL or libpq connection string.

    Parameters without a Django key, such as `sslmode` or `connect_timeout`, become `OPTIONS`.
    Raises EngineConfigError with the reason, but without parts of the URL, if libpq cannot parse
    it, if its password has an `@` or a `/` that is not percent-encoded, or if it names no database.
    """
    parameters = _parsed(url)
    config: dict[str, Any] = {"ENGINE": "django.db.backends.postgresql", "OPTIONS": {}}
    for name, value in parameters.items():
        if name in _DJANGO_KEYS:
            config[_DJANGO_KEYS[name]] = str(value)
        elif value is not None:
            config["OPTIONS"][name] = value
    if "NAME" not in config and "service" not in config["OPTIONS"]:
        raise EngineConfigError("The database URL does not name a database: append /<name>")
    return config


def _parsed(url: str) -> dict[str, Any]:
    reason = _misleading(url)
    if reason is None:
        try:
            parameters = conninfo_to_dict(url)
        except (ProgrammingError, UnicodeError) as error:
            reason = _reason(url, error)
        else:
            ports = str(parameters.get("port") or "").split(",")
            if all(port == "" or _is_port(port) for port in ports):
                return dict(parameters)
            reason = "the port is not a number from 1 to 65535"
    raise EngineConfigError(f"The database URL cannot be parsed: {reason}. {_ADVICE}")


def _misleading(url: str) -> str | None:
    """Return why libpq would take a part of the password for the host or the database's name.

    It looks for the first `@` and the first `/`. An `@` after them ends the password.
    """
    if "\0" in url:
        return "it has a NUL character"
    scheme = next((scheme for scheme in _SCHEMES if url.startswith(scheme)), None)
    if scheme is None:
        return None
    authority, _, rest = url.removeprefix(scheme).partition("/")
    path, _, query = rest.partition("?")
    if authority.count("@") > 1:
        return "there is more than one @ before the host"
    after_host = "@" in query and (bool(authority) and "@" not in authority)
    if "@" in path or after_host or "/" in query.partition("@")[2]:
        return "there is an @ after the first /"
    return None


def _reason(url: str, error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "it is not UTF-8"
    if "://" in url and not url.startswith(_SCHEMES):
        return "it does not begin with postgres:// or postgresql://"
    message = str(error)
    return next((reason for reason in _REASONS if message.startswith(reason)), "libpq rejects it")


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text[:6]) <= 65_535
