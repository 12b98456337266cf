"""Request ids for logs: the client's `X-Request-ID`, or a new one."""

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
def request_id(request: HttpRequest) -> Iterator[str]:
    """Set the id that log records have inside the context, and yield it.

    A client's id is used only if it cannot forge lines of a log.
    """
    header = request.headers.get("X-Request-ID", "")
    id = header if _SAFE.fullmatch(header) else uuid4().hex
    token = _current.set(id)
    try:
        yield id
    finally:
        _current.reset(token)


class RequestIdFilter(logging.Filter):
    """Set `request_id` on log records, for `%(request_id)s` in a format."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = _current.get()
        return True
