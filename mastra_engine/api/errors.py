"""Errors as answers, in one shape: `{"type", "errors": [{"code", "detail", "attr"}]}`."""

from __future__ import annotations

import re
from typing import Any

from django.db import InterfaceError, OperationalError
from drf_standardized_errors.formatter import ExceptionFormatter
from drf_standardized_errors.handler import ExceptionHandler
from rest_framework.exceptions import APIException, ErrorDetail, ValidationError
from rest_framework.response import Response

from mastra_engine.conf import api_settings
from mastra_engine.exceptions import (
    Conflict,
    CursorExpired,
    EngineError,
    IdempotencyConflict,
    InFlight,
    InvalidInput,
    NotFound,
    Unavailable,
    VersionConflict,
)

#: The status of each kind of error; the nearest ancestor counts.
STATUS: dict[type[EngineError], int] = {
    InvalidInput: 400,
    NotFound: 404,
    Conflict: 409,
    CursorExpired: 410,
    VersionConflict: 412,
    IdempotencyConflict: 422,
    Unavailable: 503,
}


class Refusal(APIException):
    """An engine's error as an answer."""

    def __init__(self, error: EngineError, status: int) -> None:
        # A missing object and another owner's object must not differ in a single byte, and a
        # database's own message may name hosts and users.
        general = isinstance(error, NotFound | Unavailable)
        detail = error.default_message if general else str(error)
        super().__init__(_printable(detail), code=_code(error))
        self.status_code = status
        passing = isinstance(error, Unavailable | InFlight)
        self.wait = api_settings().retry_after if passing else None


class Handler(ExceptionHandler):
    """Tells the engine's errors apart; the rest is as drf-standardized-errors has it."""

    def convert_known_exceptions(self, exc: Exception) -> Exception:
        if isinstance(exc, OperationalError | InterfaceError):  # of the project's own tables
            exc = Unavailable()
        if isinstance(exc, InvalidInput):
            message = ErrorDetail(_printable(exc.message), code=_code(exc))
            path = exc.path.removeprefix("/options")  # a query's are fields of their own here
            return ValidationError({_printable(path): [message]})
        for kind in type(exc).__mro__:
            if isinstance(exc, EngineError) and kind in STATUS:
                return Refusal(exc, STATUS[kind])
        converted: Exception = super().convert_known_exceptions(exc)
        return converted

    def format_exception(self, exc: APIException) -> Any:
        # Whatever formatter the project has for its own views: this shape is documented.
        return ExceptionFormatter(exc, self.context, self.exc).run()


def handle(exc: Exception, context: Any) -> Response | None:
    """Return the answer to an error, or None to have Django deal with it (in DEBUG mode)."""
    answer: Response | None = Handler(exc, context).run()
    return answer


def _code(error: EngineError) -> str:
    """`ThreadNotFound` is "thread_not_found"."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
