"""What worker processes do. Each function is run whole in a process of its own."""

from __future__ import annotations

import os
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.db import transaction

import mastra_engine.backends.postgres.writer
import mastra_engine.validation.inputs
from mastra_engine import failpoints as pausing
from mastra_engine.backends.postgres import PostgresEngine, following
from mastra_engine.exceptions import EntityNotFound, SyncConflict
from mastra_engine.types import SyncRun, UpsertResult
from tests.concurrency import catalogue
from tests.concurrency.feed import View
from tests.concurrency.processes import may_go, report

#: Long enough for a worker to wait for all the others on a slow machine.
PATIENT = 60.0  # seconds


def upsert_windows(*, entity_id: UUID, worker: int, rounds: int) -> list[UpsertResult]:
    """Upsert a hundred ids per round, of which twenty are new: forwards, backwards or shuffled."""
    engine = PostgresEngine(lock_timeout=PATIENT)
    results = []
    for number in range(rounds):
        ids = [f"{i:05}" for i in range(number * 20, number * 20 + 100)]
        if worker % 3:
            random.shuffle(ids) if worker % 3 == 1 else ids.reverse()
        records = [{"external_id": id, "data": {"by": worker, "round": number}} for id in ids]
        results.append(engine.upsert_records(entity_id=entity_id, records=records))
    return results


def merge_key(*, entity_id: UUID, key: str, rounds: int) -> None:
    """Merge one key of one's own into one record after the other."""
    engine = PostgresEngine(lock_timeout=PATIENT)
    for number in range(rounds):
        records = [{"external_id": f"shared-{number}", "data": {key: number}}]
        engine.upsert_records(entity_id=entity_id, records=records, mode="merge")


def make_entities(*, connection_id: str, names: list[str]) -> list[tuple[UUID, bool]]:
    engine = PostgresEngine(lock_timeout=PATIENT)
    entry = [engine.get_or_create_entity(name=name, connection_id=connection_id) for name in names]
    return [(entity.id, created) for entity, created in entry]


def delete_entity(*, name: str, connection_id: str, times: int) -> None:
    """Delete an entity that others create again, so many times."""
    engine = PostgresEngine(lock_timeout=PATIENT)
    processed = 0
    while processed < times:
        entity = engine.get_entity(name=name, connection_id=connection_id)
        with suppress(EntityNotFound):  # another worker was faster
            processed += entity is not None and bool(engine.delete_entity_by_id(id=entity.id))
        # Without a pause the others may be starved, which is Unavailable to them.
        time.sleep(random.uniform(0, 0.01))


def sync_entity(*, name: str, connection_id: str) -> None:
    """Sync twenty records again and again, until told to stop."""
    engine = PostgresEngine(lock_timeout=PATIENT)
    records = [{"external_id": str(i), "data": {}} for i in range(20)]
    while not may_go():
        engine.sync_records(name=name, connection_id=connection_id, records=records)


# The catalogue, version by version


def sync_catalogue(*, version: int) -> None:
    """Sync a version in small chunks, reporting each pause point on the way."""
    _cut_small_chunks()
    pausing.handler = report
    catalogue.sync(PostgresEngine(lock_timeout=PATIENT), version)


def sync_catalogue_and_die(*, version: int, place: str, visit: int) -> None:
    """Sync a version in small chunks and be killed at the given visit of a pause point."""
    _cut_small_chunks()
    at(place, visit, lambda: os.kill(os.getpid(), signal.SIGKILL))
    catalogue.sync(PostgresEngine(lock_timeout=PATIENT), version)


def sync_catalogue_and_run_out_of_memory(*, version: int) -> str:
    """Sync a version from a source that takes all the memory that the process may have."""
    _cut_small_chunks()
    hoard = []

    def records() -> Iterator[dict[str, Any]]:
        for number, record in enumerate(catalogue.records(version)):
            if number > catalogue.SIZE // 2:
                hoard.append(bytearray(2**24))
            yield record

    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    most = pages * resource.getpagesize() + 2**28
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    try:
        PostgresEngine(lock_timeout=PATIENT).sync_records(
            **catalogue.NAME, records=records(), last_sync_id="too much", mode="full"
        )
    except MemoryError:
        return "out of memory"
    finally:
        hoard.clear()
    return "done"


def sync_catalogue_and_stop(*, version: int, place: str) -> None:
    """Sync a version and be stopped at a pause point, with the entity's lock in hand."""

    def stop() -> None:
        report(place)
        os.kill(os.getpid(), signal.SIGSTOP)

    at(place, 1, stop)
    catalogue.sync(PostgresEngine(lock_timeout=PATIENT), version)


def run_catalogue(*, version: int) -> SyncRun | None:
    """Run the declared sync, reporting each pause point; None when somebody else is at it."""
    pausing.handler = report
    return _run_catalogue(version)


def run_catalogue_at_once(*, version: int) -> SyncRun | None:
    return _run_catalogue(version)


def run_catalogue_and_die(*, version: int, place: str, visit: int) -> None:
    """Run the declared sync and be killed at the given visit of a pause point."""
    at(place, visit, lambda: os.kill(os.getpid(), signal.SIGKILL))
    _run_catalogue(version)


def run_catalogue_and_stop(*, version: int, place: str, visit: int, lease: float) -> SyncRun | None:
    """Run the declared sync and be stopped at the given visit of a pause point."""

    def stop() -> None:
        report(place)
        os.kill(os.getpid(), signal.SIGSTOP)

    at(place, visit, stop)
    return _run_catalogue(version, lease)


def _run_catalogue(version: int, lease: float = 60.0) -> SyncRun | None:
    engine = PostgresEngine(lock_timeout=PATIENT, sync_lease=lease)
    with suppress(SyncConflict):
        return catalogue.run(engine, version)
    return None


def _cut_small_chunks() -> None:
    """Make many steps of what would be one; this process does nothing else afterwards."""
    mastra_engine.validation.inputs.CHUNK_RECORDS = catalogue.CHUNK
    mastra_engine.backends.postgres.writer.CHUNK_RECORDS = catalogue.CHUNK


def at(place: str, visit: int, act: Callable[[], None]) -> None:
    visits = 0

    def handler(name: str) -> None:
        nonlocal visits
        visits += name == place
        if name == place and visits == visit:
            act()

    pausing.handler = handler


# The change feed


def write_slowly(*, entity_id: UUID, ids: list[str], pause: float) -> None:
    """Upsert and delete some of the ids in slow transactions of the caller, until told to stop."""
    engine = PostgresEngine(lock_timeout=PATIENT)
    while not may_go():
        some = random.sample(ids, random.randint(1, 5))
        # One in ten rolls back, so that revs are given out and taken back.
        with suppress(_ChangedMind), transaction.atomic():
            time.sleep(random.uniform(0, pause))
            _write(engine, entity_id, some)
            time.sleep(random.uniform(0, pause))
            if random.random() < 0.1:
                raise _ChangedMind


class _ChangedMind(Exception):
    pass


#: The record that ends it.
END = "the end"


def follow(*, entity_id: UUID, woken: bool) -> View:
    """Follow an entity to its end, either never looking unless woken, or never woken."""
    engine = PostgresEngine()
    if not woken:
        following.is_pooled = lambda connection: True
    view = View()
    report("following")
    poll = 10 * PATIENT if woken else 0.05
    for change in engine.follow_changes(entity_id=entity_id, poll=poll):
        view.apply(change)
        if change.record.external_id == END:
            break
    return view


def change(*, entity_id: UUID, worker: int, changes: int, most: int) -> int:
    """Change records of one's own and those of all, in the caller's transactions."""
    engine = PostgresEngine(lock_timeout=PATIENT)
    shared = [f"{i:03}" for i in range(50)]
    created = 0
    while created < changes:
        number = random.randint(1, min(most, changes - created))
        ids = [f"{worker} {created + i}" for i in range(number // 2)]
        ids += random.sample(shared, number - len(ids))
        doomed = random.sample(shared, random.randint(0, min(5, changes - created - number)))
        with suppress(_ChangedMind), transaction.atomic():
            time.sleep(random.uniform(0, 0.05))
            result = engine.upsert_records(entity_id=entity_id, records=_random_records(ids))
            deleted = engine.delete_records(entity_id=entity_id, external_ids=doomed)
            time.sleep(random.uniform(0, 0.005))
            if random.random() < 0.1:
                raise _ChangedMind
            created += result.created + result.updated + deleted
    return created


def _write(engine: PostgresEngine, entity_id: UUID, ids: list[str]) -> None:
    if random.random() < 0.3:
        engine.delete_records(entity_id=entity_id, external_ids=ids)
    else:
        engine.upsert_records(entity_id=entity_id, records=_random_records(ids))


def _random_records(ids: list[str]) -> Iterator[dict[str, Any]]:
    return ({"external_id": id, "data": {"value": random.random()}} for id in ids)
