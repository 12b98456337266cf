from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.db import connection, connections

from mastra_engine.backends.postgres import PostgresEngine

Elsewhere = Callable[..., PostgresEngine]


@pytest.fixture
def engine(db: None) -> PostgresEngine:
    """The engine on Django's own connection."""
    return PostgresEngine()


@pytest.fixture
def elsewhere(transactional_db: None) -> Iterator[Elsewhere]:
    """Make engines with a connection of their own to the test database.

    Keywords are the server's settings for that connection.
    """
    aliases: list[str] = []

    def make(*, lock_timeout: float = 5.0, **settings: str) -> PostgresEngine:
        alias = f"elsewhere {len(aliases)}"
        aliases.append(alias)
        connections[alias] = connection.copy(alias)
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        connections[alias].settings_dict["OPTIONS"] = {
            **connection.settings_dict["OPTIONS"],
            "options": options,
        }
        return PostgresEngine(database=alias, lock_timeout=lock_timeout)

    yield make
    for alias in aliases:
        connections[alias].close()
        del connections[alias]


@pytest.fixture
def other(elsewhere: Elsewhere) -> PostgresEngine:
    """Somebody else."""
    return elsewhere()
