"""Ids of requests, for logs: taken from `X-Request-ID` or made."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import uuid4

from django.http import HttpRequest

_SAFE = re.compile(r"[\w.:-]{1,128}", re.ASCII)
_current: ContextVar[str] = ContextVar("mastra_engine_request_id", default="-")


@contextmanager
def taken_from(request: HttpRequest) -> Iterator[str]:
    """Give the request's id to whatever is logged meanwhile; one that could forge a log is not
    taken."""
    given = request.headers.get("X-Request-ID", "")
    id = given if _SAFE.fullmatch(given) else uuid4().hex
    token = _current.set(id)
    try:
        yield id
    finally:
        _current.reset(token)


class RequestIdFilter(logging.Filter):
    """Puts `request_id` on log records, for use in a format as `%(request_id)s`."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = _current.get()
        return True
