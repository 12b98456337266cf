"""What worker processes do with an index of records. Each function is run whole in a process."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from hashlib import md5
from typing import Any
from uuid import UUID

from mastra_engine import failpoints as pausing
from mastra_engine.backends.base.record_search import indexer
from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.registry import index_records
from mastra_engine.validation.jsonb import canonical
from tests.concurrency.processes import report
from tests.concurrency.work import PATIENT, at

NAME = {"name": "Notes", "connection_id": "crm"}
INDEX = "notes"

SIZE = 40
TURNOVER = 8  # as many come and go from one version to the next
PAGE, BATCH = 16, 8  # of an indexer's changes and chunks
SLOWNESS = 0.05  # seconds, where one overtakes another


class Prints:
    """An embedder that gives each text a vector of its own, slowly now and then."""

    def __init__(self, slowness: float = 0.0) -> None:
        self.slowness = slowness

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        time.sleep(random.choice([0.0, self.slowness]))
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        digest = md5(text.encode(), usedforsecurity=False).digest()
        return [1.0 + byte for byte in digest[:8]]


def text(data: dict[str, Any]) -> str:
    return canonical(data).decode()


def pieces(text: str) -> list[str]:
    """Cut a text into one to three, so that a later one of the record may have fewer."""
    return [f"{number}: {text}" for number in range(1 + len(text) % 3)]


def make_engine(*, lease: float = 60.0, slowness: float = 0.0) -> PostgresEngine:
    """Return an engine that indexes notes in many steps, when told to."""
    index_records(entity=NAME["name"], index=INDEX, text=text, chunk=pieces)
    indexer.PAGE, indexer.BATCH = PAGE, BATCH
    engine = PostgresEngine(
        lock_timeout=PATIENT,
        embedder=Prints(slowness),
        indexes={INDEX: {"dimension": 8, "index_type": "flat"}},
    )
    engine.record_search.lease_seconds, engine.record_search.indexes_at_once = lease, False
    return engine


def records(version: int) -> Iterator[dict[str, Any]]:
    """Yield an outside system's contents: some are new in a version, some changed."""
    start = version * TURNOVER
    for number in range(start, start + SIZE):
        changed = "x" * version if number % 3 == version % 3 else None
        yield {"external_id": f"{number:06}", "data": {"number": number, "changed": changed}}


def sync(engine: PostgresEngine, version: int) -> int:
    """Bring in a version whole, deletions too; return how many records changed."""
    run = engine.sync_records(**NAME, records=records(version), mode="full")
    return run.created + run.updated + run.deleted


# Workers


def index(*, lease: float) -> int:
    return make_engine(lease=lease).index_pending()


def index_step_by_step() -> int:
    """Index, reporting each pause point."""
    engine = make_engine()
    pausing.handler = report
    return engine.index_pending()


def index_and_die(*, place: str, visit: int) -> None:
    """Index and be killed at the given visit of a pause point."""
    engine = make_engine()
    at(place, visit, lambda: os.kill(os.getpid(), signal.SIGKILL))
    engine.index_pending()


def index_and_stop(*, place: str, lease: float) -> int:
    """Index and be stopped at a pause point."""

    def stop() -> None:
        report(place)
        os.kill(os.getpid(), signal.SIGSTOP)

    engine = make_engine(lease=lease)
    at(place, 1, stop)
    return engine.index_pending()


def change_twice(*, entity_id: UUID, times: int) -> None:
    """Change one record after the other, each twice in quick succession."""
    engine = make_engine()
    for number in range(times):
        for version in "older", "latest":
            record = {"external_id": f"{number:03}", "data": {"version": version}}
            engine.upsert_records(entity_id=entity_id, records=[record])
            time.sleep(random.uniform(0, SLOWNESS))


def index_until(*, entity_id: UUID, rev: int, lease: float) -> None:
    """Index again and again, up to a `rev` that others come to."""
    engine = make_engine(lease=lease, slowness=SLOWNESS)
    while engine.get_entity_by_id(id=entity_id).rev < rev:
        engine.index_pending()
    engine.index_pending()
