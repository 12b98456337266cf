"""The log of a run: which lines every engine keeps, and when it stores them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync

from mastra_engine.backends.base import MastraEngine
from mastra_engine.exceptions import InvalidInput, SyncNotFound
from mastra_engine.registry import sync
from mastra_engine.testing.contract.sync_runs import CONNECTION, Killed, WithSyncs, records
from mastra_engine.types import SyncRun


def messages(engine: MastraEngine, run: SyncRun) -> list[str]:
    return [line.message for line in engine.get_sync_log(run_id=run.id)]


class TestSyncLogs(WithSyncs):
    def test_lines_are_kept_in_their_order(self, engine: MastraEngine) -> None:
        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            ctx.log.info("fetching %s of %d", "page", 1)
            yield records("a")
            ctx.log.warning("The source is slow")
            yield records("b")
            ctx.log.error("The last page")

        run = self.run(engine)
        lines = engine.get_sync_log(run_id=str(run.id))
        assert [(line.level, line.message, line.attempt) for line in lines] == [
            ("INFO", "fetching page of 1", 1),
            ("WARNING", "The source is slow", 1),
            ("ERROR", "The last page", 1),
        ]
        times = [line.at for line in lines]
        assert times == sorted(times)
        assert all(time.tzinfo is not None for time in times)
        assert async_to_sync(engine.aget_sync_log)(run_id=run.id) == lines

    def test_details_need_a_logger_that_takes_them(self, engine: MastraEngine) -> None:
        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            ctx.log.debug("a detail")
            return []

        assert messages(engine, self.run(engine)) == []

    def test_lines_are_there_with_the_page_after_them(self, engine: MastraEngine) -> None:
        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            for id in "ab":
                ctx.log.info(id)
                yield records(id)

        seen: list[list[str]] = []
        self.run(engine, watch=lambda run: seen.append(messages(engine, run)))
        # A page is committed when the source is asked for the next one.
        assert seen == [["a", "b"], ["a", "b"]]

    def test_a_failed_run_keeps_its_log(self, engine: MastraEngine) -> None:
        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            ctx.log.info("before")
            yield records("")
            raise AssertionError

        run = self.run(engine)
        assert run.status == "failed"
        assert messages(engine, run) == ["before"]

    def test_a_run_keeps_the_lines_of_all_its_attempts(self, engine: MastraEngine) -> None:
        attempts = []

        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            attempts.append(1)
            ctx.log.info("attempt %d", len(attempts))
            if len(attempts) == 1:
                raise Killed
            return []

        left = self.killed(engine)
        run = self.run(engine)
        assert run.id == left.id
        lines = engine.get_sync_log(run_id=run.id)
        assert [(line.attempt, line.message) for line in lines] == [
            (1, "attempt 1"),
            (2, "attempt 2"),
        ]

    def test_the_newest_lines_are_kept(self, engine: MastraEngine) -> None:
        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            for number in range(700):
                ctx.log.info("line %d", number)
            return []

        kept = messages(engine, self.run(engine))
        assert kept == [f"line {number}" for number in range(200, 700)]

    def test_their_length_is_bounded(self, engine: MastraEngine) -> None:
        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            for number in range(60):
                ctx.log.info("%d %s", number, "long " * 10_000)
            return []

        kept = messages(engine, self.run(engine))
        assert [int(message.split()[0]) for message in kept] == list(range(35, 60))
        assert {len(message) for message in kept} == {2_000}

    def test_a_line_never_breaks_a_sync(self, engine: MastraEngine) -> None:
        class Broken:
            def __str__(self) -> str:
                raise ValueError

        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            ctx.log.info("%d", "not a number")
            ctx.log.info(Broken())
            ctx.log.info("NUL \0 and a surrogate \ud800")
            yield records("a")

        run = self.run(engine)
        assert run.status == "succeeded"
        first, second, third = messages(engine, run)
        assert first == "A line could not be formatted: TypeError"
        assert second == "A line could not be formatted: ValueError"
        assert third == "NUL \\0 and a surrogate \\ud800"

    def test_secrets_are_hidden(self, engine: MastraEngine) -> None:
        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            ctx.log.info("GET https://crm.example.org/contacts?page=2&token=abc123")
            try:
                raise ConnectionError("password=hunter2 was refused")
            except ConnectionError:
                ctx.log.exception("It failed")
            return []

        text = "\n".join(messages(engine, self.run(engine)))
        assert "https://crm.example.org/contacts" in text
        assert "It failed\nConnectionError: " in text
        assert "abc123" not in text
        assert "hunter2" not in text

    def test_a_dry_run_leaves_none(self, engine: MastraEngine) -> None:
        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            ctx.log.info("dry")
            return []

        run = self.run(engine, dry_run=True)
        with pytest.raises(SyncNotFound):
            engine.get_sync_log(run_id=run.id)

    def test_logs_of_unknown_runs_are_refused(self, engine: MastraEngine) -> None:
        with pytest.raises(SyncNotFound):
            engine.get_sync_log(run_id=uuid4())
        with pytest.raises(InvalidInput) as caught:
            engine.get_sync_log(run_id="x")
        assert caught.value.path == "/run_id"

    def test_a_log_goes_with_its_run(self, engine: MastraEngine) -> None:
        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            ctx.log.info("about a person")
            return []

        engine.sync_runs.history = 1
        old, new = self.run(engine), self.run(engine)
        with pytest.raises(SyncNotFound):
            engine.get_sync_log(run_id=old.id)
        engine.erase(connection_id=CONNECTION)
        with pytest.raises(SyncNotFound):
            engine.get_sync_log(run_id=new.id)
