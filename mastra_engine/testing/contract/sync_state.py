"""Syncs of connections: their checkpoints, pausing, resuming and resetting them."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync

from mastra_engine import MastraEngine, sync
from mastra_engine.exceptions import SyncConflict, SyncNotFound, SyncPaused
from mastra_engine.testing.contract.sync_runs import CONNECTION, Held, WithSyncs, records
from mastra_engine.types import Sync, SyncRun

OF = {"connection_id": CONNECTION}


def void(result: Any) -> None:
    """Discard a result."""


class TestSyncState(WithSyncs):
    def declare_pages(self, *, pages: int = 2, **options: Any) -> list[Any]:
        """Declare a sync of some pages; return the list of the checkpoints that its runs got."""
        checkpoints: list[Any] = []

        @sync(entity="Contacts", **options)
        def contacts(ctx: Any) -> Any:
            checkpoints.append(ctx.checkpoint)
            for number in range(1, pages + 1):
                yield records(str(number))
                ctx.save_checkpoint([ctx.params, number])

        return checkpoints

    def state(self, engine: MastraEngine) -> Sync:
        return engine.get_sync("contacts", **OF)

    def test_a_run_leaves_the_state_of_its_sync(self, engine: MastraEngine) -> None:
        self.declare_pages()
        with pytest.raises(SyncNotFound) as caught:
            self.state(engine)
        assert (caught.value.name, caught.value.connection_id) == ("contacts", CONNECTION)
        run = self.run(engine)
        state = self.state(engine)
        assert (state.sync, state.connection_id, state.entity) == (
            "contacts",
            CONNECTION,
            "Contacts",
        )
        assert (state.mode, state.status, state.entity_id) == ("incremental", "idle", run.entity_id)
        assert (state.checkpoint, state.last_run_id) == ([{}, 2], run.id)
        assert state.last_succeeded_at is not None
        assert state.paused_at is None

    def test_the_next_run_resumes_from_the_checkpoint_of_its_parameters(
        self, engine: MastraEngine
    ) -> None:
        checkpoints = self.declare_pages(params={"type": "object"})
        for params in ({"n": 1}, {"n": 2}, {"n": 1}, {"n": 2}):
            self.run(engine, params=params)
        assert checkpoints == [None, None, [{"n": 1}, 2], [{"n": 2}, 2]]
        assert self.state(engine).checkpoint == [{"n": 2}, 2]

    def test_a_failed_run_keeps_what_it_committed(self, engine: MastraEngine) -> None:
        repair = self.declare_failing()
        assert self.run(engine).status == "failed"
        assert (self.state(engine).status, self.state(engine).checkpoint) == ("failed", "a")
        assert self.state(engine).last_succeeded_at is None
        repair()
        self.run(engine)
        assert (self.state(engine).status, self.state(engine).checkpoint) == ("idle", "b")

    def test_a_paused_sync_begins_no_runs(self, engine: MastraEngine, queue: Held) -> None:
        checkpoints = self.declare_pages()
        queued = self.enqueue(engine)
        assert self.state(engine).status == "queued"
        paused = engine.pause_sync("contacts", **OF)
        assert paused.status == "paused"
        assert paused.paused_at is not None
        assert engine.get_sync_run(id=queued.id).status == "cancelled"
        for begin in (self.run, self.enqueue):
            with pytest.raises(SyncPaused) as caught:
                begin(engine)
            assert (caught.value.name, caught.value.connection_id) == ("contacts", CONNECTION)
        with pytest.raises(SyncPaused):
            engine.retry_sync_run(id=queued.id)
        assert engine.pause_sync("contacts", **OF).paused_at == paused.paused_at
        assert engine.resume_sync("contacts", **OF).status == "idle"
        assert self.run(engine).status == "succeeded"
        assert checkpoints == [None]

    def test_a_running_run_ends_after_its_next_page(self, engine: MastraEngine) -> None:
        checkpoints = self.declare_pages(pages=4)

        def pause(run: SyncRun) -> None:
            if run.pages == 1:
                engine.pause_sync("contacts", connection_id=CONNECTION)

        run = self.run(engine, watch=pause)
        assert (run.status, run.pages, run.lease_expires_at) == ("cancelled", 2, None)
        assert self.stored(engine).keys() == {"1", "2"}
        assert (self.state(engine).status, self.state(engine).checkpoint) == ("paused", [{}, 2])
        engine.resume_sync("contacts", connection_id=CONNECTION)
        assert self.run(engine).status == "succeeded"
        assert checkpoints == [None, [{}, 2]]

    def test_a_run_of_which_the_last_page_is_left_succeeds(self, engine: MastraEngine) -> None:
        self.declare_pages()
        run = self.run(
            engine, watch=lambda _: void(engine.pause_sync("contacts", connection_id=CONNECTION))
        )
        assert (run.status, run.pages) == ("succeeded", 2)
        assert self.state(engine).status == "paused"

    def test_a_reset_forgets_the_checkpoint(self, engine: MastraEngine, queue: Held) -> None:
        checkpoints = self.declare_pages()
        self.run(engine)
        assert engine.reset_sync("contacts", **OF).checkpoint is None
        self.run(engine)
        self.run(engine, reset=True)
        assert checkpoints == [None, None, None]
        self.enqueue(engine)
        with pytest.raises(SyncConflict, match="is queued; cancel it first"):
            engine.reset_sync("contacts", **OF)

    def test_syncs_are_listed_by_name_and_connection(self, engine: MastraEngine) -> None:
        self.declare_pages()
        self.declare_pages(name="a")
        for name in ("contacts", "a"):
            for connection in ("2", "1"):
                engine.run_sync(name, connection_id=connection)
        engine.pause_sync("a", connection_id="1")
        first = engine.list_syncs(limit=3)
        rest = engine.list_syncs(limit=3, cursor=first.next_cursor)
        listed = [(item.sync, item.connection_id) for item in [*first, *rest]]
        assert listed == [("a", "1"), ("a", "2"), ("contacts", "1"), ("contacts", "2")]
        assert rest.next_cursor is None
        paused = engine.list_syncs(status="paused")
        assert [(item.sync, item.connection_id) for item in paused] == [("a", "1")]
        assert len(engine.list_syncs(status="idle")) == 3
        assert engine.list_syncs(status="running").items == []
        assert len(engine.list_syncs(sync="a", connection_id="2")) == 1

    def test_a_scope_has_its_own_syncs(self, engine: MastraEngine) -> None:
        self.declare_pages()
        self.run(engine)
        other = engine.within(connection_ids=["other"])
        assert other.list_syncs().items == []
        for change in (other.get_sync, other.pause_sync, other.resume_sync, other.reset_sync):
            with pytest.raises(SyncNotFound):
                change("contacts", **OF)
        assert self.state(engine).status == "idle"

    def test_a_sync_goes_with_its_entity(self, engine: MastraEngine) -> None:
        self.declare_pages()
        run = self.run(engine)
        engine.delete_entity_by_id(id=run.entity_id)
        assert engine.list_syncs().items == []

    def test_a_dry_run_leaves_no_state(self, engine: MastraEngine) -> None:
        self.declare_pages()
        self.run(engine, dry_run=True)
        assert engine.list_syncs().items == []

    def test_async_variants(self, engine: MastraEngine) -> None:
        self.declare_pages()
        self.run(engine)
        for change in (engine.apause_sync, engine.aresume_sync, engine.areset_sync):
            assert async_to_sync(change)("contacts", **OF).sync == "contacts"
        assert len(async_to_sync(engine.alist_syncs)()) == 1
        assert async_to_sync(engine.aget_sync)("contacts", **OF).checkpoint is None
