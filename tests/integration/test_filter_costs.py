"""The most expensive filters that the limits allow take bounded memory and time of the server.

Both are read from the server process that answers, so these tests need the server on this machine.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.exceptions import InvalidFilter
from mastra_engine.filters.limits import (
    MAX_CONDITIONS,
    MAX_FIELD_LENGTH,
    MAX_STEPS,
    MAX_VALUES,
)
from tests.integration.conftest import Elsewhere

RECORDS = 5_000
MOST_BYTES = 1024**3
MOST_SECONDS = 10.0
DEEP = ".".join(f"k{i}" for i in range(64))

EXPENSIVE: dict[str, Any] = {
    "$in of integers": {"n": {"$in": list(range(10**6, 10**6 + MAX_VALUES))}},
    "$nin of text": {"n": {"$nin": [f"value {i}" for i in range(MAX_VALUES)]}},
    "$in of 101 scalars": {"n": {"$in": list(range(10**6, 10**6 + 101))}},
    "$in of objects": {"o": {"$in": [{"a": i, "b": [i]} for i in range(MAX_VALUES)]}},
    "$in of arrays": {"tags": {"$in": [[i, i] for i in range(MAX_VALUES)]}},
    "$all of objects": {"tags": {"$all": [{"a": i} for i in range(MAX_CONDITIONS)]}},
    "$all of what is there": {"tags": {"$all": list(range(100)) * (MAX_CONDITIONS // 100)}},
    "$or of equalities": {"$or": [{"o": {"a": i}} for i in range(MAX_CONDITIONS)]},
    "$nor of equalities": {"$nor": [{f"f{i}": i} for i in range(MAX_CONDITIONS)]},
    "$or of nulls": {"$or": [{f"o.x.y.{i}x": None} for i in range(MAX_CONDITIONS)]},
    "nulls at deep paths": {"$nor": [{f"{DEEP}x{i}": None} for i in range(MAX_STEPS // 64)]},
    "ranges": {"$or": [{"n": {"$gt": 10**6 + i}} for i in range(MAX_CONDITIONS)]},
    "$contains": {"text": {"$contains": [f"no {i}" for i in range(MAX_CONDITIONS // 2)]}},
    "$in within $elemMatch": {
        "items": {"$elemMatch": {"a": {"$in": [{"a": i} for i in range(MAX_VALUES)]}}}
    },
    "external ids": {"@external_id": {"$in": [f"none {i}" for i in range(MAX_VALUES)]}},
    "revisions": {"@rev": {"$in": [10**9 + i for i in range(MAX_VALUES)]}},
}


@pytest.fixture(scope="module")
def documents() -> list[dict[str, Any]]:
    return [
        {
            "external_id": f"r{i}",
            "data": {
                "n": i,
                "o": {"a": i, "b": [i], "x": {"y": {}}},
                "tags": [*range(i % 100), {"a": i}],
                "items": [{"a": {"a": -j}} for j in range(10)],
                "text": f"the text of record {i}, " * 4,
            },
        }
        for i in range(RECORDS)
    ]


@pytest.fixture
def full(elsewhere: Elsewhere, documents: list[dict[str, Any]]) -> PostgresEngine:
    engine = elsewhere()
    engine.sync_records(name="Things", connection_id="c", records=documents)
    connections[engine.database].close()  # so that each filter gets a process of its own
    return engine


def cost(engine: PostgresEngine) -> tuple[float, int]:
    """Return the processor time of the engine's server process, in seconds, and its peak memory."""
    with connections[engine.database].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    ticks = int(user) + int(system)
    return ticks / os.sysconf("SC_CLK_TCK"), int(line.split()[1]) * 1024


def test_expensive_filters_are_bounded(full: PostgresEngine) -> None:
    costs = {}
    for name, filters in EXPENSIVE.items():
        connections[full.database].close()
        full.get_records(
            entity_name="Things", connection_id="c", options={"filters": filters, "limit": 10}
        )
        costs[name] = cost(full)
    over = {
        name: (round(seconds, 1), memory // 2**20)
        for name, (seconds, memory) in costs.items()
        if seconds > MOST_SECONDS or memory > MOST_BYTES
    }
    assert over == {}


@pytest.mark.parametrize(
    ("filters", "message", "path"),
    [
        ({"n": {"$in": list(range(MAX_VALUES + 1))}}, "50,000 values", "/options/filters"),
        ({"$or": [{DEEP: 1}] * (MAX_STEPS // 64 + 1)}, "4,000 steps", "/options/filters"),
        ({"$or": [{"a": 1}, {"x" * (MAX_FIELD_LENGTH + 1): 1}]}, "4,096", "/options/filters/$or/1"),
    ],
)
def test_larger_filters_are_refused(
    engine: PostgresEngine, filters: Any, message: str, path: str
) -> None:
    engine.sync_records(name="Things", connection_id="c", records=[])
    with pytest.raises(InvalidFilter, match=message) as caught:
        engine.get_records(entity_name="Things", connection_id="c", options={"filters": filters})
    assert caught.value.path == path
