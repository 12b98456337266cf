"""`Idempotency-Key`: a repeated request is carried out once and receives the stored response."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from rest_framework.request import Request

from mastra_engine.api.renderers import dumps
from mastra_engine.conf import api_settings
from mastra_engine.exceptions import InvalidInput
from mastra_engine.filters.cursors import fingerprint
from mastra_engine.validation.jsonb import loads

HEADER = "Idempotency-Key"
PATTERN = "[!-~]{1,255}"


def key_of(request: Request) -> str | None:
    """Return the key of a request, or None without one; raises InvalidInput."""
    key: str | None = request.headers.get(HEADER)
    if key is not None and not re.fullmatch(PATTERN, key):
        raise InvalidInput("must be 1 to 255 visible characters of ASCII", path=f"/{HEADER}")
    return key


def run_once(view: Any, key: str, arguments: dict[str, Any], act: Callable[[], Any]) -> Any:
    """Run `act` unless the key was used before; return its result as parsed JSON.

    A key belongs to one user with one scope, and to one URL. Requests are equal if their arguments
    are equal, in the URL or in the body; an upload counts by its digest.
    """
    request = view.request
    response = view.engine.run_idempotent(
        owner=fingerprint(view.principal, request.method, request.path),
        key=key,
        body=json.dumps(arguments, sort_keys=True, default=attrgetter("digest")).encode(),
        act=lambda: dumps(act()),
        keep=api_settings().idempotency_ttl,
    )
    return loads(response)
