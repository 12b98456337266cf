"""Those who follow changes are woken, and find their way back to a database that was away."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from functools import partial
from math import inf
from select import select
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from asgiref.sync import async_to_sync
from django.db import connection, connections
from psycopg.conninfo import make_conninfo

from mastra_engine import MastraEngine, PostgresEngine
from mastra_engine.backends.base.records.following import Follower
from mastra_engine.backends.postgres import following
from mastra_engine.types import Change, Entity
from tests.integration.conftest import NAME, Elsewhere, record
from tests.server import database_url
from tests.waiting import PATIENCE, wait_until, wait_until_gone

pytestmark = pytest.mark.django_db(transaction=True)

#: Longer than the time limit of a test: a follower that returns earlier was woken.
NEVER = 10 * PATIENCE
both = pytest.mark.parametrize("store", ["mock_engine", "engine"], ids=["mock", "postgres"])


@pytest.fixture
def engine(transactional_db: None) -> PostgresEngine:
    return PostgresEngine()


def make(engine: MastraEngine) -> Entity:
    return engine.sync_records(**NAME, records=[record("1")]).entity


def write(engine: MastraEngine, entity: Entity, *ids: str) -> None:
    engine.upsert_records(entity_id=entity.id, records=[record(id) for id in ids])


@contextmanager
def soon(act: Callable[[], None], seconds: float = 0.2) -> Iterator[None]:
    """Act in another thread, while the test waits for it."""

    def run() -> None:
        try:
            act()
        finally:
            connections.close_all()

    timer = threading.Timer(seconds, run)
    timer.start()
    try:
        yield
    finally:
        timer.join()


def ids(changes: list[Change]) -> list[str]:
    return [change.record.external_id for change in changes]


# Woken


@both
def test_a_write_wakes_those_who_follow(store: str, request: pytest.FixtureRequest) -> None:
    engine: MastraEngine = request.getfixturevalue(store)
    entity = make(engine)
    changes = engine.follow_changes(entity_id=entity.id, poll=NEVER, timeout=NEVER)
    assert next(changes).record.external_id == "1"
    with soon(lambda: write(engine, entity, "2", "3")):
        assert ids([next(changes), next(changes)]) == ["2", "3"]
    with soon(lambda: engine.delete_records(entity_id=entity.id, external_ids=["2"])):
        assert next(changes).action == "deleted"


@both
def test_a_write_wakes_async_code(store: str, request: pytest.FixtureRequest) -> None:
    engine: MastraEngine = request.getfixturevalue(store)
    entity = make(engine)

    async def follow(number: int) -> list[str]:
        async with aclosing(engine.afollow_changes(entity_id=entity.id, poll=NEVER)) as changes:
            return ids([await anext(changes) for _ in range(number)])

    async def write_beside() -> list[str]:
        followers = [asyncio.create_task(follow(3)) for _ in range(3)]
        for id in ("2", "3"):
            await asyncio.sleep(0.1)
            await engine.aupsert_records(entity_id=entity.id, records=[record(id)])
        (seen, *others) = await asyncio.gather(*followers)
        assert others == [seen, seen]
        return seen

    assert async_to_sync(write_beside)() == ["1", "2", "3"]


def follower_of(engine: MastraEngine, entity: Entity) -> Follower:
    """Return what follow_changes() iterates over, without a poll that comes to its help."""
    return Follower(
        partial(engine.get_changes, entity_id=entity.id),
        engine.records.store.change_listener(entity.id),
        after=entity.rev,
        poll=NEVER,
        timeout=inf,
    )


@both
def test_others_writes_do_not_wake_it(store: str, request: pytest.FixtureRequest) -> None:
    engine: MastraEngine = request.getfixturevalue(store)
    entity = make(engine)
    follower = follower_of(engine, entity)
    other = engine.create_entity(name="Others", connection_id="crm")
    assert follower.read() == []
    heard = []
    with (
        soon(lambda: write(engine, other, "1"), seconds=0),
        soon(lambda: write(engine, entity, "2")),
    ):
        follower.wait()
        heard += follower.read() or []
    follower.close()
    assert ids(heard) == ["2"]


# Not woken


def check_polling(engine: MastraEngine, entity: Entity) -> None:
    """See that a follower comes to what is written while it waits."""
    changes = engine.follow_changes(entity_id=entity.id, poll=0.05, timeout=PATIENCE)
    next(changes)
    with soon(lambda: write(engine, entity, "2")):
        assert next(changes).record.external_id == "2"


@both
def test_where_nothing_wakes_it_it_looks_by_itself(
    store: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine: MastraEngine = request.getfixturevalue(store)
    entity = make(engine)
    monkeypatch.setattr(engine.records.store, "wake_followers", lambda entity_id: None)
    check_polling(engine, entity)


def test_behind_a_pooler_it_does_not_listen(
    engine: PostgresEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the pooler's server is told would go to anybody."""
    entity = make(engine)
    monkeypatch.setattr(following, "is_pooled", lambda connection: True)
    check_polling(engine, entity)
    assert listeners() == []


# Connections


def listeners() -> list[int]:
    """Return the backends that listen."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN mastra_engine_%'")
        return [pid for (pid,) in cursor.fetchall()]


def test_a_follower_has_one_connection_more_until_it_ends(engine: PostgresEngine) -> None:
    entity = make(engine)
    changes = engine.follow_changes(entity_id=entity.id, timeout=NEVER)
    assert listeners() == []
    next(changes)
    listening = listeners()
    assert len(listening) == 1
    changes.close()
    wait_until_gone(*listening)
    assert list(engine.follow_changes(entity_id=entity.id, timeout=0.05))
    wait_until_gone(*listeners())


def test_one_that_does_not_wait_needs_no_connection_more(engine: PostgresEngine) -> None:
    changes = engine.follow_changes(entity_id=make(engine).id, timeout=0)
    next(changes)
    assert listeners() == []


def test_its_connection_is_of_the_same_make_but_its_own(
    engine: PostgresEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of Django's pool would go back to it listening; without autocommit none listens."""
    monkeypatch.setitem(connection.settings_dict, "AUTOCOMMIT", False)
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "pool", True)
    listener = engine.records.store.change_listener(id := uuid4())
    monkeypatch.undo()
    listener.listen()
    engine.records.store.wake_followers(id)
    file = listener.fileno()
    assert file is not None
    assert select([file], [], [], PATIENCE)[0] == [file]
    listener.close()


def test_async_code_that_is_cancelled_leaves_no_connection(engine: PostgresEngine) -> None:
    entity = make(engine)

    async def follow() -> None:
        async for _ in engine.afollow_changes(entity_id=entity.id, after=1, poll=NEVER):
            raise AssertionError

    async def cancel() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(follow(), 0.3)

    async_to_sync(cancel)()
    wait_until_gone(*listeners())


def test_async_code_that_waits_leaves_djangos_connection_to_others(engine: PostgresEngine) -> None:
    """As at the end of a request: one of a pool is for the next, and there are few."""
    entity, own = make(engine), connection.connection

    async def follow() -> list[str]:
        async with aclosing(engine.afollow_changes(entity_id=entity.id, poll=NEVER)) as changes:
            first = await anext(changes)
            following = asyncio.create_task(anext(changes))
            await asyncio.to_thread(wait_until, lambda: own.closed)
            await engine.aupsert_records(entity_id=entity.id, records=[record("2")])
            return ids([first, await following])

    assert async_to_sync(follow)() == ["1", "2"]


# Away


@pytest.fixture
def administrator() -> Iterator[Callable[[str], None]]:
    """Execute statements from another database of the server."""
    with psycopg.connect(
        make_conninfo(database_url(), dbname="postgres"), autocommit=True
    ) as outside:
        yield outside.execute


def terminate(*pids: int) -> None:
    with connection.cursor() as cursor:
        for pid in pids:
            cursor.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])


def backend_of(engine: PostgresEngine) -> int:
    with connections[engine.session.alias].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def test_a_listener_that_is_lost_is_replaced(engine: PostgresEngine) -> None:
    entity = make(engine)
    changes = engine.follow_changes(entity_id=entity.id, poll=NEVER)
    next(changes)

    def lose_then_write() -> None:
        lost = listeners()
        terminate(*lost)
        wait_until(lambda: set(listeners()) - set(lost))
        write(engine, entity, "2")

    with soon(lose_then_write):
        assert next(changes).record.external_id == "2"
    assert len(listeners()) == 1


def test_a_database_that_goes_away_is_followed_when_it_is_back(
    engine: PostgresEngine,
    elsewhere: Elsewhere,
    administrator: Callable[[str], Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    entity = make(engine)
    follower = elsewhere()
    changes = follower.follow_changes(entity_id=entity.id, poll=NEVER)
    next(changes)
    name = connection.settings_dict["NAME"]
    administrator(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')

    def come_back() -> None:
        administrator(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        write(engine, entity, "2", "3")

    try:
        terminate(backend_of(follower), *listeners())
        with caplog.at_level(logging.WARNING), soon(come_back, seconds=0.5):
            assert ids([next(changes), next(changes)]) == ["2", "3"]
    finally:
        administrator(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    assert [entry.getMessage() for entry in caplog.records] == [
        "Changes after rev 1 cannot be read now; reading is retried"
    ]
    with soon(lambda: write(engine, entity, "4")):
        assert next(changes).record.external_id == "4"
    changes.close()
