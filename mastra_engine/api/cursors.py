"""Signing of cursors: a cursor is valid only for the user who received it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.core.signing import BadSignature, Signer

from mastra_engine.exceptions import InvalidInput
from mastra_engine.types import Page


def signed(result: Any, principal: str) -> Any:
    """Return a page with its cursor signed for one principal; other results stay as they are."""
    if not isinstance(result, Page) or result.next_cursor is None:
        return result
    return replace(result, next_cursor=_signer(principal).sign(result.next_cursor))


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
