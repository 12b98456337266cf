"""The definitions of vector indexes.

Most calls read one of them. SQL without the ORM takes a third of the time.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from mastra_engine.postgres.prepared import server_cursor
from mastra_engine.validation.vectors import IndexDefinition

_COLUMNS = [field.name for field in fields(IndexDefinition)]
_DEFINITION = f"SELECT {', '.join(_COLUMNS)} FROM mastra_engine_vectorindex WHERE name = %s"
_INSERTED = [name for name in _COLUMNS if name not in ("id", "created_at")]
_NEW_DEFINITION = f"""
INSERT INTO mastra_engine_vectorindex ({", ".join(_INSERTED)})
VALUES ({", ".join(["%s"] * len(_INSERTED))})
ON CONFLICT (name) DO NOTHING
RETURNING {", ".join(_COLUMNS)}
"""


def find_definition(connection: BaseDatabaseWrapper, name: str) -> IndexDefinition | None:
    """Return the definition of an index, or None if it does not exist."""
    return _definition(connection, _DEFINITION, [name])


def add_definition(connection: BaseDatabaseWrapper, definition: IndexDefinition) -> IndexDefinition:
    """Store the definition of a new index. The caller holds the lock on its name."""
    values = [getattr(definition, name) for name in _INSERTED]
    added = _definition(connection, _NEW_DEFINITION, values)
    # The lock rules out a conflict with a visible row. A conflict with a row that a REPEATABLE READ
    # snapshot does not show is a serialization failure (40001), not an empty result.
    assert added is not None
    return added


def _definition(
    connection: BaseDatabaseWrapper, sql: str, params: list[Any]
) -> IndexDefinition | None:
    with server_cursor(connection) as cursor:
        cursor.execute(sql, params)
        row = cursor.fetchone()
    return None if row is None else IndexDefinition(**dict(zip(_COLUMNS, row, strict=True)))
