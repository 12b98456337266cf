"""The cursors of lists of facts."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from mastra_engine.backends.base.facts.store import FactSelection
from mastra_engine.filters.cursors import decode, fingerprint
from mastra_engine.types import Fact
from mastra_engine.validation.inputs import moment, uuid


def query_of(selection: FactSelection) -> str:
    """Return the fingerprint that ties a cursor to its list."""
    return fingerprint("facts", selection)


def place_of(fact: Fact) -> tuple[str, str]:
    """Return the place of a fact in a list, for a cursor."""
    return fact.created_at.isoformat(), str(fact.id)


def position_of(cursor: str, query: str) -> tuple[datetime, UUID]:
    """Return the place in a cursor; raise InvalidInput unless it is of that list."""
    created_at, id = decode(cursor, query, str, str)
    return moment(created_at, "/cursor"), uuid(id, "/cursor")
