from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, connections
from django.dispatch import Signal

from mastra_engine import MastraEngine
from mastra_engine.backends.postgres import PostgresEngine

Elsewhere = Callable[..., PostgresEngine]
#: The arguments of the signals that were received.
Received = list[dict[str, Any]]

NAME = {"name": "Contacts", "connection_id": "crm"}


def record(id: str, **data: Any) -> dict[str, Any]:
    return {"external_id": id, "data": data}


@pytest.fixture
def engine(db: None) -> PostgresEngine:
    """The engine on Django's own connection."""
    return PostgresEngine()


@pytest.fixture(params=["mock_engine", "engine"], ids=["mock", "postgres"])
def store(request: pytest.FixtureRequest) -> MastraEngine:
    engine: MastraEngine = request.getfixturevalue(request.param)
    return engine


@contextmanager
def receiving(signal: Signal) -> Iterator[Received]:
    """Collect the arguments of a signal."""
    received: Received = []

    def receive(signal: Any, **arguments: Any) -> None:
        received.append(arguments)

    signal.connect(receive)
    yield received
    signal.disconnect(receive)


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


@pytest.fixture
def entity_id(engine: PostgresEngine) -> Any:
    """An entity with the live records 1 and 2 and the deleted record 3."""
    records = [record(id, made="before") for id in ("1", "2", "3")]
    entity = engine.sync_records(**NAME, records=records, last_sync_id="before").entity
    engine.delete_records(entity_id=entity.id, external_ids=["3"])
    return entity.id
