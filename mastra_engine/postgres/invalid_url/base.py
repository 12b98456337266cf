"""A database that states why it cannot be used.

The settings of a project must be importable with a wrong `DB_URL`, so that commands and system
checks can report it in one sentence.
"""

from __future__ import annotations

from typing import Any, NoReturn

from django.db.backends.dummy import base

from mastra_engine.exceptions import EngineConfigError


class DatabaseOperations(base.DatabaseOperations):
    """Refuses to write SQL, which happens before a connection is used."""

    connection: Any

    def quote_name(self, name: str) -> NoReturn:
        """Raise EngineConfigError."""
        self.connection.ensure_connection()
        raise AssertionError


class DatabaseWrapper(base.DatabaseWrapper):
    """Raises EngineConfigError on every use, with the text in `OPTIONS["problem"]`."""

    ops_class = DatabaseOperations

    def _refuse(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise EngineConfigError(self.settings_dict["OPTIONS"]["problem"])

    ensure_connection = _cursor = _commit = _savepoint_commit = _set_autocommit = _refuse
