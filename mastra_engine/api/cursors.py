"""Cursors on their way out and in: signed, for one user."""

from __future__ import annotations

from typing import Any

from django.core.signing import BadSignature, Signer

from mastra_engine.exceptions import InvalidInput


def signed(cursor: str | None, principal: str) -> str | None:
    """Return a cursor that only its user can bring back; None is none."""
    return None if cursor is None else _signer(principal).sign(cursor)


def unsigned(given: Any, principal: str) -> str:
    """Return the engine's cursor; raises InvalidInput for one that was not made for this user."""
    if not isinstance(given, str):
        raise InvalidInput("is not a cursor of this query", path="/cursor")
    try:
        return _signer(principal).unsign(given)
    except (BadSignature, UnicodeEncodeError):
        raise InvalidInput("is not a cursor of this query", path="/cursor") from None


def _signer(principal: str) -> Signer:
    return Signer(salt=f"mastra_engine.api.cursor:{principal}")
