"""How every engine follows the change feed, as far as one thread can tell."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import aclosing
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync

from mastra_engine.backends.base import MastraEngine
from mastra_engine.backends.base.records import following
from mastra_engine.exceptions import CursorExpired, EntityNotFound, InvalidInput, Unavailable
from mastra_engine.testing.contract.records import Rows, WithContacts, by_name, inputs
from mastra_engine.testing.hostile import UNFIT_COUNTS, Refused
from mastra_engine.types import Change, Entity
from mastra_engine.validation.inputs import MAX_SECONDS

#: Where a test has to be told by looking, it looks often.
OFTEN = 0.02
UNFIT_SECONDS = [
    Refused("negative", -1),
    Refused("boolean", True),
    Refused("text", "1"),
    Refused("NaN", math.nan),
    Refused("infinity", math.inf),
]


class TestFollowing(WithContacts):
    def upsert(self, engine: MastraEngine, entity: Entity, rows: Rows) -> None:
        engine.upsert_records(entity_id=entity.id, records=inputs(rows))

    def described(self, change: Change) -> tuple[str, str]:
        return change.action, change.record.external_id

    def test_a_timeout_of_zero_yields_existing_changes(
        self, engine: MastraEngine, contacts: Entity
    ) -> None:
        self.upsert(engine, contacts, {"c1": {}, "c2": {}})
        engine.delete_records(entity_id=contacts.id, external_ids=["c1"])
        changes = list(engine.follow_changes(entity_id=contacts.id, timeout=0))
        assert changes == engine.get_changes(entity_id=contacts.id).items
        assert [self.described(change) for change in changes] == [
            ("added", "c2"),
            ("deleted", "c1"),
        ]
        later = engine.follow_changes(entity_id=contacts.id, after=changes[0].rev, timeout=0)
        assert list(later) == changes[1:]

    def test_later_changes_are_yielded_later(self, engine: MastraEngine, contacts: Entity) -> None:
        changes = engine.follow_changes(entity_id=contacts.id, poll=OFTEN, timeout=60)
        self.upsert(engine, contacts, {"c1": {"n": 1}})
        assert self.described(next(changes)) == ("added", "c1")
        self.upsert(engine, contacts, {"c1": {"n": 2}, "c2": {}})
        engine.delete_records(entity_id=contacts.id, external_ids=["c2"])
        assert [self.described(next(changes)) for _ in range(2)] == [
            ("updated", "c1"),
            ("deleted", "c2"),
        ]

    def test_many_are_read_some_at_a_time(
        self, engine: MastraEngine, contacts: Entity, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(following, "FOLLOW_PAGE", 10)
        self.upsert(engine, contacts, {f"{i:03}": {} for i in range(30)})
        # A long pause that would be noticed: it waits for nothing while there is more.
        changes = engine.follow_changes(entity_id=contacts.id, poll=3_600, timeout=3_600)
        assert [next(changes).rev for _ in range(30)] == list(range(1, 31))

    def test_it_ends_when_it_has_been_quiet_for_the_timeout(
        self, engine: MastraEngine, contacts: Entity
    ) -> None:
        self.upsert(engine, contacts, {"c1": {}})
        began = time.monotonic()
        changes = engine.follow_changes(entity_id=contacts.id, poll=3_600, timeout=0.2)
        assert len(list(changes)) == 1
        assert time.monotonic() - began >= 0.2

    def test_purges_before_the_start_do_not_end_it(
        self, engine: MastraEngine, contacts: Entity, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(following, "FOLLOW_PAGE", 1)
        self.upsert(engine, contacts, {"c1": {}, "c2": {}, "c3": {}})
        engine.delete_records(entity_id=contacts.id, external_ids=["c2"])
        engine.purge_deleted_records(entity_id=contacts.id, up_to_rev=4)
        changes = engine.follow_changes(entity_id=contacts.id, timeout=0)
        assert [change.rev for change in changes] == [1, 3]

    def test_it_looks_in_the_end_however_seldom_it_should(
        self, engine: MastraEngine, contacts: Entity, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read = engine.records.get_changes

        def read_before(**options: Any) -> Any:
            result = read(**options)
            self.upsert(engine, contacts, {"c1": {}})
            return result

        monkeypatch.setattr(engine.records, "get_changes", read_before)
        monkeypatch.setattr(following, "LONGEST_WAIT", OFTEN)
        changes = engine.follow_changes(entity_id=contacts.id, poll=MAX_SECONDS)
        assert self.described(next(changes)) == ("added", "c1")

    def test_it_can_be_closed_after_any_change(
        self, engine: MastraEngine, contacts: Entity
    ) -> None:
        self.upsert(engine, contacts, {"c1": {}, "c2": {}})
        changes = engine.follow_changes(entity_id=contacts.id)
        next(changes)
        changes.close()
        assert list(changes) == []

    # Errors

    def test_unknown_entities_are_refused_at_once(self, engine: MastraEngine) -> None:
        with pytest.raises(EntityNotFound):
            engine.follow_changes(entity_id=uuid4())

    def test_a_deleted_entity_ends_it(self, engine: MastraEngine, contacts: Entity) -> None:
        changes = engine.follow_changes(entity_id=contacts.id, poll=OFTEN)
        self.upsert(engine, contacts, {"c1": {}})
        next(changes)
        engine.delete_entity_by_id(id=contacts.id)
        with pytest.raises(EntityNotFound):
            next(changes)

    def test_purged_deletions_end_it(self, engine: MastraEngine, contacts: Entity) -> None:
        changes = engine.follow_changes(entity_id=contacts.id, poll=OFTEN)
        self.upsert(engine, contacts, {"c1": {}, "c2": {}})
        assert [next(changes).rev for _ in range(2)] == [1, 2]
        engine.delete_records(entity_id=contacts.id, external_ids=["c1"])
        engine.purge_deleted_records(entity_id=contacts.id, up_to_rev=3)
        with pytest.raises(CursorExpired):
            next(changes)

    def test_an_engine_that_is_away_for_a_moment_is_waited_for(
        self, engine: MastraEngine, contacts: Entity, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(following, "RETRY_INTERVAL", OFTEN)
        self.upsert(engine, contacts, {"c1": {}})
        read, failures = engine.records.get_changes, [Unavailable()] * 3

        def unsteady(**options: Any) -> Any:
            if failures:
                raise failures.pop()
            return read(**options)

        monkeypatch.setattr(engine.records, "get_changes", unsteady)
        changes = engine.follow_changes(entity_id=contacts.id, poll=3_600, timeout=60)
        assert self.described(next(changes)) == ("added", "c1")

    def test_retries_of_an_unavailable_engine_pause(
        self, engine: MastraEngine, contacts: Entity, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(following, "FOLLOW_PAGE", 1)
        monkeypatch.setattr(following, "PATIENCE", 0.2)
        monkeypatch.setattr(following, "RETRY_INTERVAL", 0.1)
        self.upsert(engine, contacts, {"c1": {}, "c2": {}})
        read, calls = engine.records.get_changes, 0

        def once(**options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > 1:  # between two pages
                raise Unavailable
            return read(**options)

        monkeypatch.setattr(engine.records, "get_changes", once)
        with pytest.raises(Unavailable):
            list(engine.follow_changes(entity_id=contacts.id))
        assert calls <= 5

    @pytest.mark.parametrize(("patience", "timeout"), [(0.1, None), (60, 0.1), (60, 0)])
    def test_an_engine_that_stays_unavailable_is_an_error(
        self,
        engine: MastraEngine,
        contacts: Entity,
        monkeypatch: pytest.MonkeyPatch,
        patience: float,
        timeout: float | None,
    ) -> None:
        monkeypatch.setattr(following, "PATIENCE", patience)
        monkeypatch.setattr(following, "RETRY_INTERVAL", OFTEN)

        def away(**options: Any) -> Any:
            raise Unavailable

        monkeypatch.setattr(engine.records, "get_changes", away)
        with pytest.raises(Unavailable):
            list(engine.follow_changes(entity_id=contacts.id, timeout=timeout))

    @by_name(UNFIT_COUNTS)
    def test_invalid_revisions_are_refused(
        self, engine: MastraEngine, contacts: Entity, hostile: Refused
    ) -> None:
        with pytest.raises(InvalidInput) as caught:
            engine.follow_changes(entity_id=contacts.id, after=hostile.value)
        assert caught.value.path == "/after"

    @by_name(UNFIT_SECONDS)
    def test_invalid_times_are_refused(
        self, engine: MastraEngine, contacts: Entity, hostile: Refused
    ) -> None:
        for field in ("poll", "timeout"):
            with pytest.raises(InvalidInput) as caught:
                engine.follow_changes(entity_id=contacts.id, **{field: hostile.value})
            assert caught.value.path == f"/{field}"
        with pytest.raises(InvalidInput):
            engine.follow_changes(entity_id=contacts.id, poll=0)

    # Async

    def test_async_code_goes_on_while_it_waits(
        self, engine: MastraEngine, contacts: Entity
    ) -> None:
        async def follow(number: int) -> list[tuple[str, str]]:
            reported: list[tuple[str, str]] = []
            async with aclosing(
                engine.afollow_changes(entity_id=contacts.id, poll=OFTEN)
            ) as changes:
                while len(reported) < number:
                    reported.append(self.described(await anext(changes)))
            return reported

        async def write() -> list[tuple[str, str]]:
            follower = asyncio.create_task(follow(3))
            for i in range(3):
                await asyncio.sleep(2 * OFTEN)
                assert not follower.done()
                await engine.aupsert_records(entity_id=contacts.id, records=inputs({f"c{i}": {}}))
            return await follower

        assert async_to_sync(write)() == [("added", "c0"), ("added", "c1"), ("added", "c2")]

    def test_async_code_can_cancel_it(self, engine: MastraEngine, contacts: Entity) -> None:
        async def follow() -> None:
            async for _ in engine.afollow_changes(entity_id=contacts.id, poll=3_600):
                raise AssertionError

        async def cancel() -> None:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(follow(), 0.2)

        async_to_sync(cancel)()
