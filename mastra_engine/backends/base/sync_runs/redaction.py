"""Redaction: short descriptions of errors without secrets, which can be stored."""

from __future__ import annotations

import re
import traceback

from mastra_engine.types import SyncError

MAX_MESSAGE = 500
HIDDEN = "…"

_TELLING = "token|secret|passw|pwd|api.?key|access.?key|auth|credential|session|cookie|sign"
#: Patterns of secrets, applied in this order. The group `kept` stays, the rest is hidden.
_SECRETS = [
    # user:password@ and the query of a URL
    re.compile(r"(?P<kept>\b[a-z][a-z0-9+.-]*://)[^\s/@]+@", re.IGNORECASE),
    re.compile(r"(?P<kept>\b[a-z][a-z0-9+.-]*://[^\s?#'\"]*[?#])[^\s'\")]*", re.IGNORECASE),
    # Authorization: Bearer …
    re.compile(r"(?P<kept>\b(?:bearer|basic|digest)\s+)[^\s,;'\"]+", re.IGNORECASE),
    # api_key=…, "password": "…"
    re.compile(
        rf"(?P<kept>(?<![\w-])[\w-]*(?:{_TELLING})[\w-]*[\"']?\s*[:=]\s*)"
        r"(?:\"[^\"]*\"|'[^']*'|[^\s,;&]+)",
        re.IGNORECASE,
    ),
    # Anything that looks like a key: 20 or more characters with letters and digits.
    re.compile(r"(?P<kept>)(?<![\w+=-])(?=[\w+=-]*\d)(?=[\w+=-]*[A-Za-z])[\w+=-]{20,}"),
]


def described(error: BaseException, module: str) -> SyncError:
    """Return the stored form of an error; its place is the innermost frame in `module`."""
    kind = type(error)
    name = kind.__qualname__
    return SyncError(
        type=_storable(name if kind.__module__ == "builtins" else f"{kind.__module__}.{name}"),
        message=without_secrets(_first_line(error)),
        place=_place(error, module),
    )


def without_secrets(message: str, *, longest: int = MAX_MESSAGE) -> str:
    """Return a message with possible secrets hidden. Some harmless words are hidden too."""
    for secret in _SECRETS:
        message = secret.sub(rf"\g<kept>{HIDDEN}", message)
    message = _storable(message)
    return message if len(message) <= longest else message[: longest - 1] + HIDDEN


def _first_line(error: BaseException) -> str:
    """Return the first line of an error: databases quote whole rows in the others."""
    try:
        lines = str(error).splitlines()
    except Exception:
        return ""
    return lines[0][: 4 * MAX_MESSAGE] if lines else ""


def _place(error: BaseException, module: str) -> str | None:
    place = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        if frame.f_globals.get("__name__") == module:
            place = f"{module}:{frame.f_code.co_name}:{line}"
    return place


def _storable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
