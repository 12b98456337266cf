"""Error responses in one form: `{"type", "errors": [{"code", "detail", "attr"}]}`."""

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

#: The status of each class of errors; subclasses have that of their nearest ancestor.
STATUS: dict[type[EngineError], int] = {
    InvalidInput: 400,
    NotFound: 404,
    Conflict: 409,
    CursorExpired: 410,
    VersionConflict: 412,
    IdempotencyConflict: 422,
    Unavailable: 503,
}


class EngineAPIException(APIException):
    """An error of the engine as an exception of REST framework."""

    def __init__(self, error: EngineError, status: int) -> None:
        super().__init__(public_message(error), code=_code(error))
        self.status_code = status
        temporary = isinstance(error, Unavailable | InFlight)
        self.wait = api_settings().retry_after if temporary else None


class Handler(ExceptionHandler):
    """Convert the engine's errors; other errors stay as drf-standardized-errors converts them."""

    def convert_known_exceptions(self, exc: Exception) -> Exception:
        # The engine converts its own database errors; these come from the tables of the project.
        if isinstance(exc, OperationalError | InterfaceError):
            exc = Unavailable()
        if isinstance(exc, InvalidInput):
            message = ErrorDetail(_printable(exc.message), code=_code(exc))
            return ValidationError({_printable(exc.path): [message]})
        for kind in type(exc).__mro__:
            if isinstance(exc, EngineError) and kind in STATUS:
                return EngineAPIException(exc, STATUS[kind])
        converted: Exception = super().convert_known_exceptions(exc)
        return converted

    def format_exception(self, exc: APIException) -> Any:
        # The documented form does not depend on the formatter of the project's own views.
        return ExceptionFormatter(exc, self.context, self.exc).run()


def public_message(error: EngineError) -> str:
    """Return the message of an error without parts that the caller must not see."""
    # The message of a NotFound is composed of the request's own identifiers alone, so another
    # owner's object is answered like a missing one. A database's message may name hosts.
    return _printable(error.default_message if isinstance(error, Unavailable) else str(error))


def handle(exc: Exception, context: Any) -> Response | None:
    """Return the response to an error, or None if Django handles it (in DEBUG mode)."""
    response: Response | None = Handler(exc, context).run()
    return response


def _code(error: EngineError) -> str:
    """Return the error's code: "thread_not_found" for `ThreadNotFound`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
