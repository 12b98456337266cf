"""The contract of declared syncs and their runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync

from mastra_engine.backends.base import MastraEngine
from mastra_engine.backends.base.sync_runs.store import FromNow, Guard
from mastra_engine.backends.base.sync_runs.worker import PAGE_RECORDS
from mastra_engine.registry import registry, sync
from mastra_engine.testing.contract.records import by_name
from mastra_engine.testing.hostile import (
    DOCUMENTS,
    Kept,
)
from mastra_engine.types import Progress, RecordInput, SyncRun

CONNECTION = "user_123"


def record(id: str, **data: Any) -> RecordInput:
    return RecordInput(id, data)


def records(*ids: str) -> list[RecordInput]:
    return [record(id) for id in ids]


def counts(run: SyncRun) -> tuple[int, int, int, int]:
    """Return (created, updated, unchanged, deleted)."""
    return run.created, run.updated, run.unchanged, run.deleted


class Killed(BaseException):
    """Ends a worker as a killed process would: no code handles it."""


class SourceFailed(Exception):
    pass


class Held:
    """A queue without workers."""

    can_wait = False

    def __init__(self) -> None:
        self.sent: list[tuple[UUID, bool]] = []
        self.indexed: list[UUID] = []
        self.embedded: list[str] = []
        self.state_indexed: list[str] = []
        self.facts_indexed: list[str] = []
        self.facts_extracted: list[str] = []

    def send(self, run_id: UUID, *, delay: float = 0) -> None:
        self.sent.append((run_id, delay > 0))

    def index(self, entity_id: UUID) -> None:
        self.indexed.append(entity_id)

    def embed(self, thread_id: str) -> None:
        self.embedded.append(thread_id)

    def index_state(self, resource_id: str) -> None:
        self.state_indexed.append(resource_id)

    def index_facts(self, resource_id: str) -> None:
        self.facts_indexed.append(resource_id)

    def extract_facts(self, thread_id: str) -> None:
        self.facts_extracted.append(thread_id)


class Patient(Held):
    """One that can wait, too."""

    can_wait = True


class WithSyncs:
    """Tests that declare syncs, which are forgotten afterwards."""

    @pytest.fixture(autouse=True)
    def _none_declared(self) -> Iterator[None]:
        with registry.empty():
            yield

    @pytest.fixture
    def queue(self, engine: MastraEngine) -> Held:
        queue = Held()
        engine.queue = queue
        return queue

    def declare_failing(self, **options: Any) -> Callable[[], None]:
        """Declare a sync that fails until the returned function is called."""
        broken = ["still"]

        @sync(entity="Contacts", **options)
        def contacts(ctx: Any) -> Any:
            if ctx.checkpoint is None:
                yield records("a")
                ctx.save_checkpoint("a")
            yield records("b")
            if broken:
                raise SourceFailed
            ctx.save_checkpoint("b")

        return broken.clear

    def run(self, engine: MastraEngine, name: str = "contacts", **options: Any) -> SyncRun:
        return engine.run_sync(name, connection_id=CONNECTION, **options)

    def enqueue(self, engine: MastraEngine, name: str = "contacts", **options: Any) -> SyncRun:
        return engine.enqueue_sync(name, connection_id=CONNECTION, **options)

    def stored(self, engine: MastraEngine) -> dict[str, dict[str, Any]]:
        records = engine.get_records(entity_name="Contacts", connection_id=CONNECTION)
        return {match.external_id: match.data for match in records}

    def expire(self, engine: MastraEngine) -> None:
        """Let the lease of the running sync end, as if its worker had died long ago."""
        (run,) = engine.list_sync_runs(status="running")
        assert engine.sync_runs.store.update(run.id, Guard("running"), lease_expires_at=FromNow())

    def killed(self, engine: MastraEngine, **options: Any) -> SyncRun:
        """Run a sync that kills its worker and return the run that is left behind."""
        with pytest.raises(Killed):
            self.run(engine, **options)
        (run,) = engine.list_sync_runs(status="running")
        return run


class TestSyncRuns(WithSyncs):
    def test_a_run_brings_records_in(self, engine: MastraEngine) -> None:
        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            yield [record("c1", by=ctx.connection_id), record("c2")]
            yield record("c3")

        run = self.run(engine)
        assert (run.sync, run.connection_id, run.entity) == ("contacts", CONNECTION, "Contacts")
        assert (run.status, run.mode, counts(run)) == ("succeeded", "incremental", (3, 0, 0, 0))
        assert (run.pages, run.attempts, run.error, run.dry_run) == (2, 1, None, False)
        assert (run.lease_expires_at, run.checkpoint, run.progress) == (None, None, None)
        assert run.started_at is not None
        assert run.finished_at is not None
        assert run.created_at <= run.started_at <= run.finished_at
        assert self.stored(engine) == {"c1": {"by": CONNECTION}, "c2": {}, "c3": {}}
        assert engine.get_sync_run(id=run.id) == run
        entity = engine.get_entity(name="Contacts")
        assert entity is not None
        assert (run.entity_id, run.start_rev, entity.rev) == (entity.id, 0, 3)

    @pytest.mark.parametrize(
        "source",
        [
            lambda ctx: records("a", "b"),
            lambda ctx: iter(records("a", "b")),
            lambda ctx: [[{"external_id": "a", "data": {}}], record("b")],
            lambda ctx: ({"externalId": id, "data": {}} for id in "ab"),
            lambda ctx: (tuple(records("a", "b")), [], []),
        ],
        ids=["list", "iterator", "lists and records", "dicts", "tuple"],
    )
    def test_any_iterable_is_a_source(self, engine: MastraEngine, source: Any) -> None:
        sync(entity="Contacts", name="contacts")(source)
        assert counts(self.run(engine)) == (2, 0, 0, 0)
        assert list(self.stored(engine)) == ["a", "b"]

    def test_nothing_is_a_source_too(self, engine: MastraEngine) -> None:
        sync(entity="Contacts", name="contacts")(lambda ctx: [])
        run = self.run(engine)
        assert (run.status, run.pages, counts(run)) == ("succeeded", 0, (0, 0, 0, 0))

    def test_single_records_are_gathered_into_pages(self, engine: MastraEngine) -> None:
        number = 2 * PAGE_RECORDS + 1
        sync(entity="Contacts", name="contacts")(
            lambda ctx: (record(f"{i:05}") for i in range(number))
        )
        run = self.run(engine)
        assert (run.pages, counts(run)) == (3, (number, 0, 0, 0))

    def test_plain_documents_need_a_key(self, engine: MastraEngine) -> None:
        sync(entity="Contacts", name="contacts", key="id")(
            lambda ctx: [{"id": 7, "name": "Alice"}, [{"id": "8", "name": "Bob"}]]
        )
        assert self.run(engine).status == "succeeded"
        assert self.stored(engine) == {
            "7": {"id": 7, "name": "Alice"},
            "8": {"id": "8", "name": "Bob"},
        }

    @pytest.mark.parametrize("item", [{"name": "Alice"}, {"id": None}, {"id": True}, "text", 5])
    def test_documents_without_the_key_fail_the_run(self, engine: MastraEngine, item: Any) -> None:
        sync(entity="Contacts", name="contacts", key="id")(lambda ctx: [{"id": 1}, item])
        run = self.run(engine)
        assert run.status == "failed"
        assert run.error is not None
        assert run.error.type == "mastra_engine.exceptions.InvalidInput"
        assert run.error.message.startswith("/records/1")
        assert self.stored(engine) == {}

    def test_a_repeated_run_changes_nothing(self, engine: MastraEngine) -> None:
        sync(entity="Contacts", name="contacts")(lambda ctx: records("a", "b"))
        self.run(engine)
        before = engine.get_entity(name="Contacts")
        assert counts(self.run(engine)) == (0, 0, 2, 0)
        assert engine.get_entity(name="Contacts") == before

    def test_it_can_be_watched(self, engine: MastraEngine) -> None:
        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            for number in range(1, 4):
                yield records(str(number))
                ctx.progress(number, 3)

        seen: list[SyncRun] = []
        run = self.run(engine, watch=seen.append)
        assert [(item.pages, item.created) for item in seen] == [(1, 1), (2, 2), (3, 3)]
        assert [item.progress for item in seen] == [Progress(done=i, total=3) for i in (1, 2, 3)]
        assert run.progress == Progress(done=3, total=3)

    def test_it_logs_with_its_name(self, engine: MastraEngine, caplog: Any) -> None:
        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            ctx.log.warning("page %s", 1)
            return []

        self.run(engine)
        assert "contacts of 'user_123': page 1" in caplog.messages

    def test_async_variant(self, engine: MastraEngine) -> None:
        sync(entity="Contacts", name="contacts")(lambda ctx: records("a"))
        run = async_to_sync(engine.arun_sync)("contacts", connection_id=CONNECTION)
        assert counts(run) == (1, 0, 0, 0)

    # Full mode

    def test_a_full_run_deletes_the_rest(self, engine: MastraEngine) -> None:
        pages = [records("a", "b"), records("c")]
        sync(entity="Contacts", name="contacts", mode="full")(lambda ctx: iter(pages))
        assert counts(self.run(engine)) == (3, 0, 0, 0)
        pages[:] = [[record("a", new=1)], records("c", "d")]
        assert counts(self.run(engine)) == (1, 1, 1, 1)
        assert list(self.stored(engine)) == ["a", "c", "d"]

    def test_a_full_run_begins_without_a_checkpoint(self, engine: MastraEngine) -> None:
        seen = []

        @sync(entity="Contacts", mode="full")
        def contacts(ctx: Any) -> Any:
            seen.append(ctx.checkpoint)
            yield records("a")
            ctx.save_checkpoint("end")

        self.run(engine)
        assert self.run(engine).checkpoint == "end"
        assert seen == [None, None]

    def test_a_full_run_that_fails_deletes_nothing(self, engine: MastraEngine) -> None:
        self.fill(engine, "a", "b", "c")

        @sync(entity="Contacts", mode="full")
        def contacts(ctx: Any) -> Any:
            yield records("a")
            raise SourceFailed

        assert self.run(engine).status == "failed"
        assert list(self.stored(engine)) == ["a", "b", "c"]

    def test_too_many_deletions_fail_the_run(self, engine: MastraEngine) -> None:
        self.fill(engine, *"abcdefghij")
        value = records("a", "new")
        declare = sync(entity="Contacts", name="contacts", mode="full", max_delete_ratio=0.5)
        declare(lambda ctx: [value])
        run = self.run(engine)
        assert run.error is not None
        assert (run.status, run.deleted) == ("failed", 0)
        assert run.error.type == "mastra_engine.exceptions.SyncAborted"
        assert run.error.message.startswith("9 of 10 records would be deleted")
        assert set("abcdefghij") <= set(self.stored(engine))
        value[:] = records(*"abcde", "new")
        assert self.run(engine).deleted == 5

    def test_concurrent_changes_are_not_overwritten(self, engine: MastraEngine) -> None:
        self.fill(engine, "a", "b", "c")

        @sync(entity="Contacts", mode="full")
        def contacts(ctx: Any) -> Any:
            yield records("a")
            self.fill(engine, "theirs")
            engine.upsert_records(
                records=[record("b", by="them")],
                entity_type="Contacts",
                connection_id=CONNECTION,
            )
            yield []

        assert self.run(engine).deleted == 1
        assert list(self.stored(engine)) == ["a", "b", "theirs"]

    def fill(self, engine: MastraEngine, *ids: str) -> None:
        engine.sync_records(name="Contacts", connection_id=CONNECTION, records=records(*ids))

    # Checkpoints

    def test_an_incremental_run_goes_on_from_the_last_one(self, engine: MastraEngine) -> None:
        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            number = (ctx.checkpoint or {"n": 0})["n"] + 1
            yield records(str(number))
            ctx.save_checkpoint({"n": number})

        assert [self.run(engine).checkpoint["n"] for _ in range(3)] == [1, 2, 3]
        assert self.run(engine, params={"other": 1}).checkpoint["n"] == 1
        assert self.run(engine).checkpoint["n"] == 4
        other = engine.run_sync("contacts", connection_id="another")
        assert other.checkpoint["n"] == 1
        assert self.run(engine, reset=True).checkpoint["n"] == 1
        assert self.run(engine).checkpoint["n"] == 2

    def test_a_checkpoint_never_precedes_its_page(self, engine: MastraEngine) -> None:
        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            for id in "abcd":
                yield record(id)
                ctx.save_checkpoint(id)
                if id == "c":
                    yield records("c1")
                    raise SourceFailed

        seen: list[SyncRun] = []
        run = self.run(engine, watch=seen.append)
        assert [(item.created, item.checkpoint) for item in seen] == [(3, "c"), (4, "c")]
        assert run.checkpoint == "c"

    def test_a_checkpoint_without_records_is_stored(self, engine: MastraEngine) -> None:
        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            yield []
            ctx.save_checkpoint("there")

        run = self.run(engine)
        assert (run.checkpoint, run.pages) == ("there", 0)

    @by_name(DOCUMENTS)
    def test_keeps_checkpoints_and_params_exactly(
        self, engine: MastraEngine, hostile: Kept
    ) -> None:
        pages = []

        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            pages.append(ctx.params)
            ctx.save_checkpoint(
                hostile.value["a"] if list(hostile.value) == ["a"] else hostile.value
            )
            return []

        run = self.run(engine, params=hostile.value)
        assert run.params == hostile.value
        assert pages == [hostile.value]
        assert run.checkpoint in (hostile.value, hostile.value.get("a"))
        assert engine.get_sync_run(id=run.id) == run

    def test_results_are_copies(self, engine: MastraEngine) -> None:
        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            ctx.save_checkpoint({"list": [1]})
            ctx.checkpoint["list"].append(2)
            ctx.params["list"].append(2)
            return []

        run = self.run(engine, params={"list": [1]})
        run.params["list"].append(3)
        again = engine.get_sync_run(id=run.id)
        assert again.params == {"list": [1]}

    # Dry runs

    @pytest.mark.parametrize("mode", ["incremental", "full"])
    def test_a_dry_run_tells_and_changes_nothing(self, engine: MastraEngine, mode: Any) -> None:
        value = records("a", "b", "c")
        sync(entity="Contacts", name="contacts", mode=mode)(lambda ctx: [value])
        self.run(engine)
        before = engine.get_entity(name="Contacts")
        value[:] = [record("a"), record("b", new=1), record("d"), record("e")]
        run = self.run(engine, dry_run=True)
        assert run.dry_run is True
        assert counts(run) == (2, 1, 1, 1 if mode == "full" else 0)
        assert engine.get_entity(name="Contacts") == before
        assert list(self.stored(engine)) == ["a", "b", "c"]
        assert len(engine.list_sync_runs()) == 1
        assert counts(self.run(engine)) == counts(run)

    def test_a_dry_run_makes_no_entity(self, engine: MastraEngine) -> None:
        sync(entity="Contacts", name="contacts")(lambda ctx: records("a"))
        assert self.run(engine, dry_run=True).created == 1
        assert engine.get_entity(name="Contacts") is None

    def test_a_dry_run_may_fail(self, engine: MastraEngine) -> None:
        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            yield records("a")
            raise SourceFailed

        run = self.run(engine, dry_run=True)
        assert (run.status, run.dry_run, run.created) == ("failed", True, 1)
        assert engine.get_entity(name="Contacts") is None
