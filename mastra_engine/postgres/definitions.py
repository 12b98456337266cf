"""The definitions of vector indexes. Most calls read one, and the ORM takes thrice as long."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from mastra_engine.postgres.prepared import server_cursor
from mastra_engine.validation.vectors import IndexDefinition

_COLUMNS = [field.name for field in fields(IndexDefinition)]
_DEFINITION = f"SELECT {', '.join(_COLUMNS)} FROM mastra_engine_vectorindex WHERE name = %s"
_GIVEN = [name for name in _COLUMNS if name not in ("id", "created_at")]
_NEW_DEFINITION = f"""
INSERT INTO mastra_engine_vectorindex ({", ".join(_GIVEN)})
VALUES ({", ".join(["%s"] * len(_GIVEN))})
ON CONFLICT (name) DO NOTHING
RETURNING {", ".join(_COLUMNS)}
"""


def find_definition(connection: BaseDatabaseWrapper, name: str) -> IndexDefinition | None:
    """Return an index by name."""
    return _definition(connection, _DEFINITION, [name])


def add_definition(connection: BaseDatabaseWrapper, wanted: IndexDefinition) -> IndexDefinition:
    """Store the definition of a new index, whose name is locked."""
    added = _definition(connection, _NEW_DEFINITION, [getattr(wanted, name) for name in _GIVEN])
    assert added is not None  # of one that its snapshot does not show, PostgreSQL says so: 40001
    return added


def _definition(
    connection: BaseDatabaseWrapper, sql: str, params: list[Any]
) -> IndexDefinition | None:
    with server_cursor(connection) as cursor:
        cursor.execute(sql, params)
        row = cursor.fetchone()
    return None if row is None else IndexDefinition(**dict(zip(_COLUMNS, row, strict=True)))
