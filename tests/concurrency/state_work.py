"""What worker processes do with agent state."""

from __future__ import annotations

import os
import random
import signal
from typing import Any

from mastra_engine import failpoints
from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.exceptions import VersionConflict
from tests.concurrency.memory_work import Letters

ANN = ("ann", "counters")


def engine(**options: Any) -> PostgresEngine:
    return PostgresEngine(lock_timeout=30, **options)


def put_of_version(if_version: int, worker: int) -> int | None:
    """Put with the required version; return the new one, or None after a conflict."""
    try:
        item = engine().state.put(
            namespace=ANN, key="k", value={"worker": worker}, if_version=if_version
        )
    except VersionConflict:
        return None
    return item.version


def put_and_delete(times: int, worker: int) -> list[int]:
    """Put, and now and then delete, one key; return the versions that were stored."""
    state, chance = engine().state, random.Random(worker)
    versions = []
    for _ in range(times):
        if chance.random() < 0.3:
            state.delete(namespace=ANN, key="k")
        else:
            versions.append(state.put(namespace=ANN, key="k", value={"worker": worker}).version)
    return versions


def count_up(times: int) -> int:
    """Add 1 to a number that often; return how many attempts lost against another process."""
    state, lost = engine().state, 0
    for _ in range(times):
        while True:
            item = state.get(namespace=ANN, key="k")
            value = {"count": 1 if item is None else item.value["count"] + 1}
            version = 0 if item is None else item.version
            try:
                state.put(namespace=ANN, key="k", value=value, if_version=version)
            except VersionConflict:
                lost += 1
            else:
                break
    return lost


def batches(times: int, worker: int) -> None:
    """Write the same keys as other processes do, in another order each time."""
    state, chance = engine().state, random.Random(worker)
    for _ in range(times):
        keys = chance.sample(range(20), 10)
        state.batch(
            operations=[
                {"op": "delete", "namespace": ANN, "key": f"{key}"}
                if chance.random() < 0.3
                else {"op": "put", "namespace": ANN, "key": f"{key}", "value": {"worker": worker}}
                for key in keys
            ]
        )


def batch_until(place: str) -> None:
    """Write a batch, and die at a failpoint."""

    def die(name: str) -> None:
        if name == place:
            os.kill(os.getpid(), signal.SIGKILL)

    failpoints.handler = die
    puts = [
        {"op": "put", "namespace": ANN, "key": f"{key}", "value": {"said": "new"}}
        for key in range(10)
    ]
    deletes = [{"op": "delete", "namespace": ANN, "key": f"old {key}"} for key in range(10)]
    engine(embedder=Letters()).state.batch(operations=[*puts, *deletes])
