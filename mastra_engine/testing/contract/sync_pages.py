"""The contract of the pages of a run and their retention."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync

from mastra_engine.backends.base import MastraEngine
from mastra_engine.exceptions import InvalidInput, SyncNotFound
from mastra_engine.registry import sync
from mastra_engine.testing.contract.sync_runs import (
    CONNECTION,
    Held,
    Killed,
    WithSyncs,
    counts,
    record,
    records,
)
from mastra_engine.types import Order, SyncPage, SyncRun


def numbered(pages: Iterable[SyncPage]) -> list[int]:
    return [page.number for page in pages]


def counts_of(page: SyncPage) -> tuple[int, int, int, int]:
    """Return (created, updated, unchanged, deleted)."""
    return page.created, page.updated, page.unchanged, page.deleted


class TestSyncPages(WithSyncs):
    def declare(self, source: Any, **options: Any) -> None:
        sync(entity="Contacts", name="contacts", **options)(source)

    def pages(self, engine: MastraEngine, run: SyncRun) -> list[SyncPage]:
        """Return the numbers of the pages; their sums are the numbers of the run."""
        pages = engine.list_sync_pages(run_id=run.id).items
        assert numbered(pages) == list(range(1, run.pages + 1))
        assert counts(run) == tuple(sum(counts_of(page)[i] for page in pages) for i in range(4))
        return pages

    @pytest.mark.parametrize("mode", ["incremental", "full"])
    def test_each_page_leaves_its_counts(self, engine: MastraEngine, mode: Any) -> None:
        engine.sync_records(
            name="Contacts", connection_id=CONNECTION, records=records("a", "b", "gone")
        )
        self.declare(
            lambda ctx: [[record("a"), record("b", new=1)], records("c"), records("a")], mode=mode
        )
        run = self.run(engine)
        pages = self.pages(engine, run)
        deleted = 1 if mode == "full" else 0
        assert [counts_of(page) for page in pages] == [
            (0, 1, 1, 0),
            (1, 0, 0, 0),
            (0, 0, 1, deleted),
        ]
        assert [page.attempt for page in pages] == [1, 1, 1]
        times = [page.committed_at for page in pages]
        assert times == sorted(times)
        assert run.started_at is not None
        assert run.started_at <= times[0]

    def test_each_page_has_the_checkpoint_after_it(self, engine: MastraEngine) -> None:
        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            yield records("a")
            yield records("b")
            ctx.save_checkpoint({"after": "b"})
            yield []
            ctx.save_checkpoint({"after": "nothing"})

        run = self.run(engine)
        assert [page.checkpoint for page in self.pages(engine, run)] == [None, {"after": "b"}]
        assert run.checkpoint == {"after": "nothing"}

    def test_deletions_alone_are_a_page(self, engine: MastraEngine) -> None:
        engine.sync_records(name="Contacts", connection_id=CONNECTION, records=records("a", "b"))
        self.declare(lambda ctx: [], mode="full")
        (page,) = self.pages(engine, self.run(engine))
        assert counts_of(page) == (0, 0, 0, 2)
        assert self.pages(engine, self.run(engine)) == []

    def test_a_page_is_there_as_soon_as_its_records_are(self, engine: MastraEngine) -> None:
        self.declare(lambda ctx: [records("a"), records("b")])
        seen = []

        def watch(run: SyncRun) -> None:
            seen.append((len(self.pages(engine, run)), len(self.stored(engine))))

        self.run(engine, watch=watch)
        assert seen == [(1, 1), (2, 2)]

    def test_failed_pages_are_not_recorded(self, engine: MastraEngine) -> None:
        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            yield records("a")
            yield records("")
            yield records("c")

        run = self.run(engine)
        assert run.status == "failed"
        assert [counts_of(page) for page in self.pages(engine, run)] == [(1, 0, 0, 0)]

    @pytest.mark.parametrize("mode", ["incremental", "full"])
    def test_pages_say_in_which_attempt_they_came(self, engine: MastraEngine, mode: Any) -> None:
        alive = [False]

        @sync(entity="Contacts", mode=mode)
        def contacts(ctx: Any) -> Any:
            for id in "abcd"[ctx.checkpoint or 0 :]:
                if id == "c" and not alive[0]:
                    raise Killed
                yield records(id)
                ctx.save_checkpoint((ctx.checkpoint or 0) + 1)

        remaining = self.killed(engine)
        assert numbered(self.pages(engine, remaining)) == [1]
        alive[0] = True
        run = self.run(engine)
        assert run.id == remaining.id
        pages = self.pages(engine, run)
        assert [(page.attempt, page.checkpoint) for page in pages] == [
            (1, 1),
            (2, 2),
            (2, 3),
            (2, 4),
        ]

    def test_a_stale_worker_leaves_none(self, engine: MastraEngine) -> None:
        turns = []

        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            turns.append(ctx.checkpoint)
            yield records("a")
            ctx.save_checkpoint("a")
            yield records("b")
            if len(turns) == 1:
                self.expire(engine)
                assert self.run(engine).attempts == 2
            yield records("stale")

        run = self.run(engine)
        assert [page.attempt for page in self.pages(engine, run)] == [1, 2, 2, 2]

    def test_a_run_that_is_tried_again_goes_on_counting(
        self, engine: MastraEngine, queue: Held
    ) -> None:
        mend = self.declare_failing(mode="full")
        failed = self.run(engine)
        assert [page.attempt for page in self.pages(engine, failed)] == [1, 1]
        mend()
        run = engine.perform_sync_run(id=engine.retry_sync_run(id=failed.id).id)
        pages = self.pages(engine, run)
        assert [page.attempt for page in pages] == [1, 1, 2]
        assert counts_of(pages[-1]) == (0, 0, 1, 0)

    # Reading

    def test_pages_are_read_from_either_end(self, engine: MastraEngine) -> None:
        self.declare(lambda ctx: [records(str(i)) for i in range(5)])
        run = self.run(engine)
        orders: list[tuple[Order, list[int]]] = [
            ("asc", [1, 2, 3, 4, 5]),
            ("desc", [5, 4, 3, 2, 1]),
        ]
        for order, expected in orders:
            items: list[int] = []
            cursor = None
            while True:
                page = engine.list_sync_pages(
                    run_id=str(run.id), limit=2, cursor=cursor, order=order
                )
                items += numbered(page)
                cursor = page.next_cursor
                if cursor is None:
                    break
            assert items == expected
        assert len(engine.list_sync_pages(run_id=run.id, limit=0)) == 0
        assert async_to_sync(engine.alist_sync_pages)(run_id=run.id).items == self.pages(
            engine, run
        )

    def test_a_cursor_is_of_one_run_and_order(self, engine: MastraEngine) -> None:
        self.declare(lambda ctx: [records("a"), records("b")])
        run, other = self.run(engine), self.run(engine)
        cursor = engine.list_sync_pages(run_id=run.id, limit=1).next_cursor
        for options in ({"run_id": other.id}, {"run_id": run.id, "order": "desc"}):
            with pytest.raises(InvalidInput) as caught:
                engine.list_sync_pages(cursor=cursor, **options)
            assert caught.value.path == "/cursor"

    @pytest.mark.parametrize(
        ("options", "pointer"),
        [
            ({"run_id": "x"}, "/run_id"),
            ({"limit": -1}, "/limit"),
            ({"order": "down"}, "/order"),
            ({"cursor": "x"}, "/cursor"),
        ],
    )
    def test_refuses_bad_options_of_pages(
        self, engine: MastraEngine, options: dict[str, Any], pointer: str
    ) -> None:
        with pytest.raises(InvalidInput) as caught:
            engine.list_sync_pages(**{"run_id": uuid4(), **options})
        assert caught.value.path == pointer

    def test_pages_of_unknown_and_foreign_runs_are_not_found(self, engine: MastraEngine) -> None:
        self.declare(lambda ctx: [records("a")])
        run = self.run(engine)
        for reader, id in ((engine, uuid4()), (engine.within(connection_ids=["other"]), run.id)):
            with pytest.raises(SyncNotFound):
                reader.list_sync_pages(run_id=id)

    # For how long

    def test_the_latest_runs_and_checkpoints_remain(self, engine: MastraEngine) -> None:
        engine.sync_runs.history = 2

        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            yield records(str(ctx.checkpoint))
            ctx.save_checkpoint((ctx.checkpoint or 0) + 1)

        other = engine.run_sync("contacts", connection_id="other")
        rare = self.run(engine, params={"rarely": True})
        runs = [self.run(engine) for _ in range(4)]
        stored = [run.id for run in (*runs[-2:], rare)]
        assert {run.id for run in engine.list_sync_runs(connection_id=CONNECTION)} == {*stored}
        assert engine.get_sync_run(id=other.id) == other
        assert len(self.pages(engine, rare)) == len(self.pages(engine, runs[-1])) == 1
        with pytest.raises(SyncNotFound):
            engine.list_sync_pages(run_id=runs[0].id)
        assert self.run(engine).checkpoint == 5
        assert self.run(engine, params={"rarely": True}).checkpoint == 2
