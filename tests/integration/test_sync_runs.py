"""Runs beside transactions, signals to end, tasks, and a database that goes away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mastra_engine import MockMastraEngine, engines
from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.exceptions import EngineConfigError, SyncConflict, SyncNotFound, Unavailable
from mastra_engine.models import SyncPage, SyncRun
from mastra_engine.registry import registry, sync
from mastra_engine.task_queue import TaskQueue
from tests.integration.conftest import NAME, record
from tests.integration.test_unavailable import backend_pid, terminate
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)

CONNECTION = NAME["connection_id"]


@pytest.fixture(autouse=True)
def _none_declared() -> Iterator[None]:
    with registry.empty():
        yield


def declare(source: Callable[[Any], Any], **options: Any) -> None:
    sync(entity=NAME["name"], name="contacts", **options)(source)


def run(engine: Any, **options: Any) -> Any:
    return engine.run_sync("contacts", connection_id=CONNECTION, **options)


def enqueue(engine: Any) -> Any:
    return engine.enqueue_sync("contacts", connection_id=CONNECTION)


def ids(engine: Any) -> list[str]:
    options = {"entity_name": NAME["name"], "connection_id": CONNECTION}
    return [record.external_id for record in engine.iter_records(**options)]


def one_record(_context: Any) -> list[Any]:
    return [record("1")]


def test_parameters_may_be_bound_on_the_server(other: PostgresEngine) -> None:
    connections[other.database].settings_dict["OPTIONS"]["server_side_binding"] = True
    declare(lambda _context: [])  # a run that writes no page, whose parameters have no type then
    assert run(other).status == "succeeded"
    declare(one_record)
    assert run(other).created == 1


# The lease


def test_a_slow_source_keeps_its_lease(engine: PostgresEngine, other: PostgresEngine) -> None:
    engine.sync_runs.lease_seconds = 2.0

    def slow(_context: Any) -> Iterator[Any]:
        yield [record("1")]
        for _ in range(5):
            time.sleep(0.6)
            with pytest.raises(SyncConflict):
                run(other)
        yield [record("2")]

    declare(slow)
    assert run(engine).status == "succeeded"
    assert ids(engine) == ["1", "2"]


def test_a_heartbeat_that_fails_is_tried_again(
    engine: PostgresEngine, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    engine.sync_runs.lease_seconds = 2.0
    original = engine.sync_runs.store.renew
    failures = [Unavailable("The database is away")]
    renewed = threading.Event()

    def renew(*arguments: Any) -> bool:
        if failures:
            raise failures.pop()
        renewed.set()
        return original(*arguments)

    def slow(_context: Any) -> Iterator[Any]:
        yield [record("1")]
        assert renewed.wait(PATIENCE)

    monkeypatch.setattr(engine.sync_runs.store, "renew", renew)
    declare(slow)
    assert run(engine).status == "succeeded"
    assert "The lease of a sync run was not renewed" in caplog.messages


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit])
def test_a_worker_that_is_told_to_end_gives_its_lease_up(
    engine: PostgresEngine, other: PostgresEngine, signal: type[BaseException]
) -> None:
    reported = [signal]

    def source(context: Any) -> Iterator[Any]:
        yield [record("1")]
        context.save_checkpoint(1)
        yield [record("2")]
        if reported:
            raise reported.pop()

    declare(source)
    with pytest.raises(signal):
        run(engine)
    taken_over = run(other)
    assert (taken_over.status, taken_over.attempts) == ("succeeded", 2)


# Transactions


class ChangedMind(Exception):
    pass


def test_a_run_within_a_transaction_is_part_of_it(
    engine: PostgresEngine, other: PostgresEngine
) -> None:
    engine.sync_runs.lease_seconds = 0.05

    def slow(_context: Any) -> Iterator[Any]:
        yield [record("1")]
        time.sleep(0.2)  # nobody can take it over
        yield [record("2")]

    declare(slow)
    with transaction.atomic():
        assert run(engine).status == "succeeded"
        assert ids(engine) == ["1", "2"]
        assert other.list_sync_runs().items == []
        transaction.set_rollback(True)
    assert engine.list_sync_runs().items == []
    assert engine.list_entities().items == []


def test_a_failure_within_a_transaction_leaves_it_usable(engine: PostgresEngine) -> None:
    declare(lambda context: [[record("1")], [record("")], [record("3")]])
    with transaction.atomic():
        assert run(engine).status == "failed"
        assert ids(engine) == ["1"]
    assert ids(engine) == ["1"]


def test_a_dry_run_leaves_no_trace(engine: PostgresEngine) -> None:
    declare(one_record, mode="full")
    with transaction.atomic():
        assert run(engine, dry_run=True).created == 1
    assert not SyncRun.objects.exists()
    assert not SyncPage.objects.exists()
    assert engine.list_entities().items == []


def test_what_a_full_run_found_is_forgotten_once_it_is_complete(engine: PostgresEngine) -> None:
    engine.sync_records(**NAME, records=[record("1"), record("2")])
    broken = [True]

    def source(_context: Any) -> Iterator[Any]:
        yield [record("1")]
        yield [record("2")]
        if broken:
            raise ChangedMind

    declare(source, mode="full")
    failed = run(engine)
    result = SyncPage.objects.exclude(unchanged_revs=None)
    assert result.count() == failed.pages == 2
    broken.clear()
    engine.retry_sync_run(id=failed.id)
    assert engine.get_sync_run(id=failed.id).status == "succeeded"
    assert not result.exists()
    assert SyncPage.objects.count() == 4


def test_a_page_of_a_run_is_seven_round_trips(engine: PostgresEngine) -> None:
    """Two are of the transaction, three begin it, one compares, one tells the run."""
    declare(lambda context: [[record("1")]] * 10)
    run(engine)
    with CaptureQueriesContext(connection) as captured:
        run(engine)
    assert len(captured) == 16 + 10 * 7


# A database that goes away


def test_a_connection_lost_before_a_page_fails_the_run(other: PostgresEngine) -> None:
    def source(_context: Any) -> Iterator[Any]:
        yield [record("1")]
        yield [record("2")]
        terminate(backend_pid(other))
        yield [record("3")]

    declare(source)
    ended = run(other)
    assert (ended.status, ended.error.type) == ("failed", "mastra_engine.exceptions.Unavailable")
    assert ids(other) == ["1"]


def test_a_failure_that_cannot_be_kept_is_raised(
    engine: PostgresEngine, other: PostgresEngine
) -> None:
    def source(_context: Any) -> Iterator[Any]:
        terminate(backend_pid(other))
        yield [record("1")]

    declare(source)
    with pytest.raises(Unavailable), connections[other.session.alias].execute_wrapper(refusing):
        run(other)
    assert engine.list_sync_runs().items[0].status == "running"


def refusing(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
    """Lose the connection whenever a run is to end."""
    if "'failed'" in sql or (params and "failed" in params):
        terminate(int(context["connection"].connection.info.backend_pid))
    return execute(sql, params, many, context)


# Tasks


def tasks_module() -> str:
    try:
        import django.tasks
    except ImportError:
        import django_tasks

        return django_tasks.__name__
    return django.tasks.__name__


def dummy(**backend: Any) -> override_settings:
    """Settings whose tasks are kept for the test to look at."""
    path = f"{tasks_module()}.backends.dummy.DummyBackend"
    return override_settings(TASKS={"default": {"BACKEND": path, **backend}})


def sent() -> list[Any]:
    from mastra_engine.tasks import perform_sync_run

    results: list[Any] = perform_sync_run.get_backend().results
    return results


def test_an_enqueued_run_is_performed_at_once_unless_tasks_are_set_up() -> None:
    declare(one_record)
    queued = enqueue(engines["default"])
    assert queued.status == "queued"
    assert engines["default"].get_sync_run(id=queued.id).status == "succeeded"


def test_a_task_is_sent_once_the_transaction_commits() -> None:
    declare(one_record)
    with dummy():
        with transaction.atomic():
            queued = enqueue(engines["default"])
            assert sent() == []
        (task,) = sent()
        assert (list(task.args), task.kwargs) == (["default", str(queued.id)], {})
        with transaction.atomic():
            engines["default"].cancel_sync_run(id=queued.id)
            enqueue(engines["default"])
            transaction.set_rollback(True)
        assert len(sent()) == 1
        task.task.call(*task.args)
        task.task.call(*task.args)
    run = engines["default"].get_sync_run(id=queued.id)
    assert (run.status, run.attempts) == ("succeeded", 1)


@pytest.mark.parametrize("commits", [True, False])
def test_without_autocommit_a_task_is_sent_after_the_commit(
    other: PostgresEngine, commits: bool
) -> None:
    declare(one_record)
    with dummy():
        transaction.set_autocommit(False)
        try:
            queued = enqueue(engines["default"])
            assert sent() == []
            with pytest.raises(SyncNotFound):
                other.get_sync_run(id=queued.id)
        finally:
            (transaction.commit if commits else transaction.rollback)()
            transaction.set_autocommit(True)
        if not commits:
            assert sent() == []
            return
        (task,) = sent()
        assert other.get_sync_run(id=queued.id).status == "queued"
        task.task.call(*task.args)
    assert ids(engines["default"]) == ["1"]


def test_a_run_is_not_queued_if_its_commit_is_not_reported(
    engine: PostgresEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(one_record)
    queued = enqueue(engines["default"])
    engines["default"].reset_sync("contacts", connection_id=CONNECTION)
    monkeypatch.setitem(connection.settings_dict, "AUTOCOMMIT", False)
    assert enqueue(engines["default"]).id != queued.id, "autocommit is on at the moment"
    with transaction.atomic():
        enqueue(engines["default"])
    before = SyncRun.objects.count()
    transaction.set_autocommit(False)
    try:
        for call in (
            lambda: enqueue(engines["default"]),
            lambda: engines["default"].retry_sync_run(id=queued.id),
        ):
            with pytest.raises(EngineConfigError, match="AUTOCOMMIT of the database 'default'"):
                call()
        with transaction.atomic(), pytest.raises(EngineConfigError):
            enqueue(engines["default"])
        assert SyncRun.objects.count() == before
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)


def test_a_failed_run_is_sent_again_with_a_delay() -> None:
    def broken(_context: Any) -> Any:
        raise ChangedMind

    declare(broken, max_attempts=2)
    with dummy():
        queued = enqueue(engines["default"])
        delays = []
        for _ in range(2):
            task = sent()[-1].task
            delays.append(None if task.run_after is None else task.run_after - timezone.now())
            task.call(*sent()[-1].args)
        assert len(sent()) == 2
    assert delays[0] is None
    assert timedelta(seconds=7) < delays[1] < timedelta(seconds=13)
    assert engines["default"].get_sync_run(id=queued.id).status == "failed"


def test_a_task_that_finds_another_worker_at_it_comes_again() -> None:
    """It was delivered again, perhaps because that worker is dead, and its lease is not over."""

    def source(_context: Any) -> Any:
        sent()[0].task.call(*sent()[0].args)
        return [record("1")]

    declare(source)
    with dummy():
        queued = enqueue(engines["default"])
        sent()[0].task.call(*sent()[0].args)
        _, again = sent()
        again.task.call(*again.args)
        assert len(sent()) == 2
    assert again.args == ["default", str(queued.id)]
    wait = again.task.run_after - timezone.now()
    assert timedelta(seconds=50) < wait < timedelta(seconds=60)
    run = engines["default"].get_sync_run(id=queued.id)
    assert (run.status, run.attempts) == ("succeeded", 1)


def test_where_tasks_are_sent_is_a_setting() -> None:
    declare(one_record)
    backend = {"BACKEND": "mastra_engine.PostgresEngine", "TASKS": {"queue_name": "syncs"}}
    with override_settings(MASTRA_ENGINE={"default": backend}), dummy(QUEUES=["default", "syncs"]):
        enqueue(engines["default"])
        assert sent()[0].task.queue_name == "syncs"


def test_unknown_options_of_tasks_are_a_mistake_in_the_settings() -> None:
    backend = {"BACKEND": "mastra_engine.MockMastraEngine", "TASKS": {"que": "syncs"}}
    unknown = pytest.raises(EngineConfigError, match="que")
    with override_settings(MASTRA_ENGINE={"default": backend}), unknown:
        engines["default"]


def test_an_engine_of_ones_own_performs_runs_in_its_process(engine: PostgresEngine) -> None:
    declare(one_record)
    assert engine.queue is None
    with transaction.atomic():
        queued = enqueue(engine)
        assert engine.get_sync_run(id=queued.id).status == "queued"
    assert engine.get_sync_run(id=queued.id).status == "succeeded"
    mock = MockMastraEngine(url="mock://own")
    assert mock.get_sync_run(id=enqueue(mock).id).status == "succeeded"


def test_django_tasks_is_not_needed_where_django_has_them() -> None:
    queue = TaskQueue(DEFAULT_DB_ALIAS, {})
    assert type(queue._task()).__module__.startswith(tasks_module())
    assert queue.can_wait is False
