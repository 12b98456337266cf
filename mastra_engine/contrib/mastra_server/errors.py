"""Error responses in Mastra's form: `{"error": …, "issues": [{"field", "message"}]}`."""

from __future__ import annotations

import re
from typing import Any

from rest_framework.exceptions import APIException, ValidationError
from rest_framework.response import Response

from mastra_engine.api.errors import Handler


class MastraHandler(Handler):
    """Write the errors of the API as Mastra's client reads them, with the names of its fields."""

    def format_exception(self, exc: APIException) -> Any:
        if not isinstance(exc, ValidationError):
            return {"error": str(exc.detail)}
        issues = [
            {"field": _field(path), "message": str(message)}
            for path, messages in exc.detail.items()  # type: ignore[union-attr]
            for message in messages
        ]
        first = issues[0]
        return {"error": f"{first['field'] or 'The body'}: {first['message']}", "issues": issues}


def handle(exc: Exception, context: Any) -> Response | None:
    """Return the response to an error, or None if Django handles it (in DEBUG mode)."""
    response: Response | None = MastraHandler(exc, context).run()
    return response


def _field(path: str) -> str:
    """Return a JSON pointer as the path of a field, its first name in the client's spelling."""
    first, *others = path.removeprefix("/").split("/")
    spelled = re.sub("_([a-z])", lambda letter: letter[1].upper(), first)
    return ".".join([spelled, *others])
