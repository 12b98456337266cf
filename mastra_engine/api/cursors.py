"""Signing of cursors: a cursor is valid only for the user who received it."""

from __future__ import annotations

from typing import Any

from django.core.signing import BadSignature, Signer

from mastra_engine.exceptions import InvalidInput


def sign(cursor: str | None, principal: str) -> str | None:
    """Return the engine's cursor with a signature for one principal; None stays None."""
    return None if cursor is None else _signer(principal).sign(cursor)


def unsign(value: Any, principal: str) -> str:
    """Return the engine's cursor; raises InvalidInput unless it was signed for this principal."""
    if not isinstance(value, str):
        raise InvalidInput("is not a cursor of this query", path="/cursor")
    try:
        return _signer(principal).unsign(value)
    except (BadSignature, UnicodeEncodeError):
        raise InvalidInput("is not a cursor of this query", path="/cursor") from None


def _signer(principal: str) -> Signer:
    return Signer(salt=f"mastra_engine.api.cursor:{principal}")
