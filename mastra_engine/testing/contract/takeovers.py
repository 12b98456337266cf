"""The contract of runs with workers that die, wake up late or are cancelled, and of the queue."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from mastra_engine.backends.base import MastraEngine
from mastra_engine.backends.base.sync_runs.store import FromNow, Guard
from mastra_engine.exceptions import InvalidInput, SyncConflict, SyncNotFound
from mastra_engine.registry import sync
from mastra_engine.testing.contract.records import by_name
from mastra_engine.testing.contract.sync_runs import (
    CONNECTION,
    Held,
    Killed,
    Patient,
    WithSyncs,
    counts,
    record,
    records,
)
from mastra_engine.testing.hostile import UNFIT_CURSORS, Refused


class TestSyncTakeover(WithSyncs):
    @pytest.mark.parametrize("mode", ["incremental", "full"])
    def test_the_run_of_a_dead_worker_is_resumed(self, engine: MastraEngine, mode: Any) -> None:
        """The next worker knows the pages that were written before the death."""
        engine.sync_records(
            name="Contacts", connection_id=CONNECTION, records=records("a", "b", "c", "gone")
        )
        alive, seen = [False], []

        @sync(entity="Contacts", mode=mode)
        def contacts(ctx: Any) -> Any:
            seen.append((ctx.checkpoint, ctx.params))
            for number, page in enumerate([records("a"), records("b", "n"), records("c")]):
                if number >= (ctx.checkpoint or 0):
                    if number == 2 and not alive[0]:
                        raise Killed
                    yield page
                    ctx.save_checkpoint(number + 1)

        remaining = self.killed(engine, params={"own": True})
        assert (remaining.status, remaining.pages, remaining.checkpoint, remaining.attempts) == (
            "running",
            1,
            1,
            1,
        )
        alive[0] = True
        run = self.run(engine, params={"other": True})
        assert run.id == remaining.id
        assert (run.status, run.attempts, run.params) == ("succeeded", 2, {"own": True})
        assert counts(run) == (1, 0, 3, 1 if mode == "full" else 0)
        assert seen == [(None, {"own": True}), (1, {"own": True})]
        assert list(self.stored(engine)) == ["a", "b", "c", *(["gone"] * (mode != "full")), "n"]

    def test_one_at_a_time(self, engine: MastraEngine) -> None:
        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            yield records("a")
            if ctx.connection_id == CONNECTION:
                for again in (self.run, self.enqueue):
                    with pytest.raises(SyncConflict, match="is running"):
                        again(engine)
                other = engine.run_sync("contacts", connection_id="other")
                assert other.status == "succeeded"

        assert self.run(engine).status == "succeeded"

    def test_a_stale_worker_writes_nothing(self, engine: MastraEngine) -> None:
        turns = []

        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            turns.append(ctx.checkpoint)
            yield records(f"{len(turns)}a")
            ctx.save_checkpoint(1)
            yield records(f"{len(turns)}b")
            ctx.save_checkpoint(2)
            if len(turns) == 1:
                self.expire(engine)
                assert self.run(engine).attempts == 2
            yield records("stale")

        run = self.run(engine)
        assert (run.status, run.attempts, turns) == ("succeeded", 2, [None, 1])
        assert list(self.stored(engine)) == ["1a", "2a", "2b", "stale"]
        assert run.created == 4
        assert len(engine.list_sync_runs()) == 1

    def test_a_stale_worker_writes_nothing_while_another_is_at_it(
        self, engine: MastraEngine
    ) -> None:
        turns = []

        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            turns.append(ctx.checkpoint)
            if len(turns) > 1:
                raise Killed
            yield records("a")
            ctx.save_checkpoint("a")
            yield records("b")
            self.expire(engine)
            with pytest.raises(Killed):
                self.run(engine)
            (other,) = engine.list_sync_runs(status="running")
            alive = {"lease_expires_at": FromNow(60)}
            assert engine.sync_runs.store.update(other.id, Guard("running"), **alive)
            yield records("c")

        run = self.run(engine)
        assert (run.status, run.attempts, run.checkpoint) == ("running", 2, "a")
        assert turns == [None, "a"]
        assert list(self.stored(engine)) == ["a"]

    def test_a_cancelled_worker_writes_nothing(self, engine: MastraEngine) -> None:
        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            yield records("a")
            ctx.save_checkpoint("a")
            yield records("b")
            (run,) = engine.list_sync_runs(status="running")
            assert engine.cancel_sync_run(id=run.id).status == "cancelled"
            yield records("c")

        run = self.run(engine)
        assert (run.status, run.checkpoint, run.lease_expires_at) == ("cancelled", "a", None)
        assert run.finished_at is not None
        assert list(self.stored(engine)) == ["a"]

    def test_a_source_is_closed_when_the_lease_is_lost(self, engine: MastraEngine) -> None:
        closed = []

        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            try:
                (run,) = engine.list_sync_runs()
                engine.cancel_sync_run(id=run.id)
                yield records("a")
                yield records("b")
            finally:
                closed.append(True)

        assert self.run(engine).status == "cancelled"
        assert closed == [True]

    def test_runs_are_deleted_with_their_entity(self, engine: MastraEngine) -> None:
        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            entity = engine.get_entity(name="Contacts")
            assert entity is not None
            engine.delete_entity_by_id(id=entity.id)
            yield records("a")

        with pytest.raises(SyncNotFound):
            self.run(engine)
        assert engine.list_sync_runs().items == []
        assert engine.list_entities().items == []


class TestSyncQueue(WithSyncs):
    def declare(self, **options: Any) -> None:
        sync(entity="Contacts", name="contacts", **options)(lambda ctx: records("a"))

    def test_an_enqueued_run_is_performed(self, engine: MastraEngine) -> None:
        self.declare()
        queued = self.enqueue(engine, params={"n": 1})
        assert (queued.status, queued.attempts, queued.params) == ("queued", 0, {"n": 1})
        assert (queued.started_at, queued.finished_at) == (None, None)
        run = engine.perform_sync_run(id=queued.id)
        assert (run.id, run.status, run.attempts) == (queued.id, "succeeded", 1)
        assert engine.perform_sync_run(id=str(queued.id)) == run
        assert list(self.stored(engine)) == ["a"]

    def test_a_queued_run_is_not_queued_twice(self, engine: MastraEngine, queue: Held) -> None:
        self.declare()
        queued = self.enqueue(engine, params={"n": 1})
        assert self.enqueue(engine, params={"n": 1}) == queued
        for again in (self.run, self.enqueue):
            with pytest.raises(SyncConflict, match="other parameters"):
                again(engine, params={"n": 2})
        assert self.run(engine, params={"n": 1}).id == queued.id
        assert len(engine.list_sync_runs()) == 1

    def test_a_dead_workers_run_is_queued_again(self, engine: MastraEngine, queue: Held) -> None:
        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            if ctx.checkpoint is None:
                yield records("a")
                ctx.save_checkpoint("a")
                yield records("a")
                raise Killed
            yield records("b")

        remaining = self.killed(engine)
        queued = self.enqueue(engine)
        assert (queued.id, queued.status, queued.checkpoint) == (remaining.id, "queued", "a")
        run = engine.perform_sync_run(id=queued.id)
        assert (run.status, run.attempts) == ("succeeded", 2)

    def test_a_running_run_is_not_resumed(self, engine: MastraEngine) -> None:
        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            (run,) = engine.list_sync_runs()
            assert engine.perform_sync_run(id=run.id) == run
            return records("a")

        assert self.run(engine).status == "succeeded"

    def test_a_run_that_kills_its_workers_fails(self, engine: MastraEngine, queue: Held) -> None:
        turns = []

        @sync(entity="Contacts", max_attempts=2)
        def contacts(ctx: Any) -> Any:
            turns.append(ctx.checkpoint)
            yield records("a")
            ctx.save_checkpoint("a")
            yield records("b")
            raise Killed

        queued = self.enqueue(engine)
        for _ in range(2):
            with pytest.raises(Killed):
                engine.perform_sync_run(id=queued.id)
        run = engine.perform_sync_run(id=queued.id)
        assert (run.status, run.attempts, turns) == ("failed", 3, [None, "a"])
        assert run.error is not None
        assert run.error.message == "2 workers died or were stopped"

    def test_a_queued_run_can_be_cancelled(self, engine: MastraEngine, queue: Held) -> None:
        self.declare()
        queued = self.enqueue(engine)
        cancelled = engine.cancel_sync_run(id=queued.id)
        assert cancelled.status == "cancelled"
        assert engine.cancel_sync_run(id=queued.id) == cancelled
        assert engine.perform_sync_run(id=queued.id) == cancelled
        assert self.stored(engine) == {}

    def test_ended_runs_are_not_cancelled(self, engine: MastraEngine) -> None:
        self.declare()
        run = self.run(engine)
        with pytest.raises(SyncConflict, match="has succeeded"):
            engine.cancel_sync_run(id=run.id)

    @pytest.mark.parametrize("mode", ["incremental", "full"])
    def test_a_failed_run_goes_on_from_its_checkpoint(
        self, engine: MastraEngine, queue: Held, mode: Any
    ) -> None:
        engine.sync_records(name="Contacts", connection_id=CONNECTION, records=records("a", "gone"))
        mend = self.declare_failing(mode=mode)
        failed = self.run(engine)
        assert (failed.status, failed.checkpoint) == ("failed", "a")
        mend()
        queued = engine.retry_sync_run(id=failed.id)
        assert (queued.id, queued.status, queued.finished_at) == (failed.id, "queued", None)
        run = engine.perform_sync_run(id=queued.id)
        assert (run.status, run.attempts, run.checkpoint) == ("succeeded", 2, "b")
        assert (run.error, counts(run)) == (None, (1, 0, 2, 1 if mode == "full" else 0))

    def test_only_the_latest_failed_run_can_be_retried(
        self, engine: MastraEngine, queue: Held
    ) -> None:
        mend = self.declare_failing()
        first, second = self.run(engine), self.run(engine)
        assert first.id != second.id
        with pytest.raises(SyncConflict, match="run again since"):
            engine.retry_sync_run(id=first.id)
        engine.retry_sync_run(id=second.id)
        with pytest.raises(SyncConflict, match="is queued"):
            engine.retry_sync_run(id=second.id)
        mend()
        run = self.run(engine)
        assert (run.id, run.status) == (second.id, "succeeded")
        with pytest.raises(SyncConflict, match="is succeeded"):
            engine.retry_sync_run(id=run.id)

    def test_failures_are_tried_again_later(self, engine: MastraEngine) -> None:
        engine.queue = Patient()
        self.declare_failing(max_attempts=3)
        id = self.enqueue(engine).id
        statuses = [engine.perform_sync_run(id=id).status for _ in range(4)]
        assert statuses == ["queued", "queued", "failed", "failed"]
        run = engine.get_sync_run(id=id)
        assert run.attempts == 3
        assert run.error is not None

    def test_a_queue_that_cannot_wait_tries_once(self, engine: MastraEngine, queue: Held) -> None:
        self.declare_failing()
        assert engine.perform_sync_run(id=self.enqueue(engine).id).status == "failed"

    def test_bad_data_is_not_tried_again(self, engine: MastraEngine) -> None:
        engine.queue = Patient()
        sync(entity="Contacts", name="contacts")(lambda ctx: [record("")])
        assert engine.perform_sync_run(id=self.enqueue(engine).id).status == "failed"

    # Reading

    def test_runs_are_listed_newest_first(self, engine: MastraEngine) -> None:
        for name in ("one", "two"):
            sync(entity=name, name=name)(lambda ctx: [])
        runs = [
            engine.run_sync(name, connection_id=connection)
            for name in ("one", "two", "one")
            for connection in ("c1", "c2")
        ][::-1]
        assert engine.list_sync_runs().items == runs
        ones = [run for run in runs if run.sync == "one"]
        assert engine.list_sync_runs(sync="one").items == ones
        c1 = [run for run in ones if run.connection_id == "c1"]
        assert engine.list_sync_runs(sync="one", connection_id="c1").items == c1
        assert engine.list_sync_runs(status="succeeded").items == runs
        assert engine.list_sync_runs(status="failed").items == []
        items, cursor = [], None
        while True:
            page = engine.list_sync_runs(limit=4, cursor=cursor)
            items += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
        assert items == runs

    @by_name(UNFIT_CURSORS)
    def test_invalid_cursors_are_refused(self, engine: MastraEngine, hostile: Refused) -> None:
        with pytest.raises(InvalidInput) as caught:
            engine.list_sync_runs(cursor=hostile.value)
        assert caught.value.path == "/cursor"

    @pytest.mark.parametrize(
        ("options", "pointer"),
        [
            ({"sync": ""}, "/sync"),
            ({"connection_id": "\0"}, "/connection_id"),
            ({"status": "done"}, "/status"),
            ({"status": ["failed"]}, "/status"),
            ({"limit": -1}, "/limit"),
        ],
    )
    def test_refuses_bad_options(
        self, engine: MastraEngine, options: dict[str, Any], pointer: str
    ) -> None:
        with pytest.raises(InvalidInput) as caught:
            engine.list_sync_runs(**options)
        assert caught.value.path == pointer

    def test_an_unknown_run_is_not_found(self, engine: MastraEngine) -> None:
        for method in (
            engine.get_sync_run,
            engine.cancel_sync_run,
            engine.retry_sync_run,
            engine.perform_sync_run,
        ):
            with pytest.raises(SyncNotFound):
                method(id=uuid4())
            with pytest.raises(InvalidInput) as caught:
                method(id="x")
            assert caught.value.path == "/id"

    def test_runs_go_with_their_entity(self, engine: MastraEngine) -> None:
        self.declare()
        run = self.run(engine)
        engine.delete_entity_by_id(id=run.entity_id)
        assert engine.list_sync_runs().items == []
