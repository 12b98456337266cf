"""The contract of syncs and the change feed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from mastra_engine.backends.base import MastraEngine
from mastra_engine.exceptions import CursorExpired, InvalidInput, SyncAborted, SyncConflict
from mastra_engine.testing.contract.records import Rows, WithContacts, by_name, inputs, stored
from mastra_engine.testing.hostile import UNFIT_COUNTS, Refused
from mastra_engine.types import Changes, Entity, RecordInput, SyncResult
from mastra_engine.validation.inputs import CHUNK_RECORDS


def counts(result: SyncResult) -> tuple[int, int, int, int]:
    """Return (created, updated, unchanged, deleted)."""
    return result.created, result.updated, result.unchanged, result.deleted


class TestSyncs:
    def sync(self, engine: MastraEngine, rows: Rows, **options: Any) -> SyncResult:
        return engine.sync_records(
            name="Contacts", connection_id="user_123", records=inputs(rows), **options
        )

    def test_the_first_sync_makes_the_entity(self, engine: MastraEngine) -> None:
        result = self.sync(engine, {"c1": {"n": 1}, "c2": {"n": 2}}, last_sync_id="monday")
        assert counts(result) == (2, 0, 0, 0)
        assert (result.entity.name, result.entity.connection_id) == ("Contacts", "user_123")
        assert result.entity.last_sync_id == "monday"
        assert result.entity == engine.get_entity(name="Contacts")
        assert stored(engine, result.entity) == {"c1": {"n": 1}, "c2": {"n": 2}}

    def test_an_incremental_sync_keeps_the_rest(self, engine: MastraEngine) -> None:
        self.sync(engine, {"c1": {"n": 1}, "c2": {"n": 2}})
        result = self.sync(engine, {"c2": {"n": 3}, "c3": {}})
        assert counts(result) == (1, 1, 0, 0)
        assert list(stored(engine, result.entity)) == ["c1", "c2", "c3"]

    def test_a_full_sync_deletes_the_rest(self, engine: MastraEngine) -> None:
        self.sync(engine, {"c1": {"n": 1}, "c2": {"n": 2}, "c3": {"n": 3}})
        result = self.sync(engine, {"c2": {"n": 2}, "c3": {"n": 4}, "c4": {}}, mode="full")
        assert counts(result) == (1, 1, 1, 1)
        assert list(stored(engine, result.entity)) == ["c2", "c3", "c4"]
        assert counts(self.sync(engine, {}, mode="full")) == (0, 0, 0, 3)

    def test_a_full_sync_remembers_records_of_earlier_chunks(self, engine: MastraEngine) -> None:
        rows = {f"{i:05}": {"n": i} for i in range(CHUNK_RECORDS + 10)}
        self.sync(engine, {**rows, "gone": {}})
        assert counts(self.sync(engine, rows, mode="full")) == (0, 0, len(rows), 1)

    @pytest.mark.parametrize("mode", ["incremental", "full"])
    def test_repeating_a_sync_changes_nothing(self, engine: MastraEngine, mode: str) -> None:
        rows = {"c1": {"n": 1}, "c2": {"n": 2}}
        first = self.sync(engine, rows, mode=mode, last_sync_id="monday")
        before = engine.get_records_by_entity_id(entity_id=first.entity.id)
        again = self.sync(engine, rows, mode=mode, last_sync_id="monday")
        assert counts(again) == (0, 0, 2, 0)
        assert again.entity == first.entity
        assert engine.get_records_by_entity_id(entity_id=first.entity.id) == before

    def test_the_sync_cursor_stays_unless_passed(self, engine: MastraEngine) -> None:
        self.sync(engine, {}, last_sync_id="monday")
        assert self.sync(engine, {"c1": {}}).entity.last_sync_id == "monday"
        result = self.sync(engine, {"c1": {}}, last_sync_id="tuesday")
        assert (result.entity.last_sync_id, result.entity.rev) == ("tuesday", 1)

    def test_compare_and_swap_on_the_cursor(self, engine: MastraEngine) -> None:
        self.sync(engine, {"c1": {"n": 1}}, last_sync_id="monday", if_last_sync_id=None)
        for expected in (None, "sunday"):
            with pytest.raises(SyncConflict):
                self.sync(engine, {"c1": {"n": 2}}, if_last_sync_id=expected)
        result = self.sync(
            engine, {"c1": {"n": 3}}, last_sync_id="tuesday", if_last_sync_id="monday"
        )
        assert result.entity.last_sync_id == "tuesday"
        assert stored(engine, result.entity) == {"c1": {"n": 3}}

    def test_a_conflict_on_a_new_entity_leaves_none(self, engine: MastraEngine) -> None:
        with pytest.raises(SyncConflict):
            self.sync(engine, {"c1": {}}, if_last_sync_id="monday")
        assert engine.get_entity(name="Contacts") is None

    def test_too_many_deletions_abort(self, engine: MastraEngine) -> None:
        entity = self.sync(engine, {f"c{i}": {} for i in range(10)}, last_sync_id="monday").entity
        with pytest.raises(SyncAborted):
            self.sync(
                engine,
                {"c0": {"new": 1}},
                mode="full",
                last_sync_id="tuesday",
                max_delete_ratio=0.5,
            )
        assert engine.get_entity_by_id(id=entity.id) == entity
        assert stored(engine, entity) == {f"c{i}": {} for i in range(10)}
        half: Rows = {f"c{i}": {} for i in range(5)}
        assert self.sync(engine, half, mode="full", max_delete_ratio=0.5).deleted == 5

    def test_a_source_without_records_deletes_nothing(self, engine: MastraEngine) -> None:
        def empty(**options: Any) -> SyncResult:
            return engine.sync_records(
                name="Contacts",
                connection_id="user_123",
                records=iter(()),
                last_sync_id="tuesday",
                **options,
            )

        assert counts(empty(mode="full")) == (0, 0, 0, 0), "there is nothing to delete"
        entity = self.sync(engine, {"c1": {}, "c2": {}, "c3": {}}).entity
        engine.delete_records(entity_id=entity.id, external_ids=["c3"])
        before = engine.get_entity(name="Contacts")
        with pytest.raises(SyncAborted, match=r'"Contacts" .* all 2 live .* allow_empty=True'):
            empty(mode="full")
        with pytest.raises(SyncAborted):
            empty(mode="full", max_delete_ratio=1)
        assert engine.get_entity(name="Contacts") == before
        assert stored(engine, entity) == {"c1": {}, "c2": {}}
        assert counts(empty()) == (0, 0, 0, 0)
        assert counts(empty(mode="full", allow_empty=True)) == (0, 0, 0, 2)

    def test_a_source_may_write_to_the_entity_itself(self, engine: MastraEngine) -> None:
        def source() -> Iterator[RecordInput]:
            yield from inputs({f"c{i}": {} for i in range(CHUNK_RECORDS)})
            self.sync(engine, {"found": {}})
            with pytest.raises(SyncConflict):
                self.sync(engine, {"refused": {}}, if_last_sync_id="monday")
            yield RecordInput("last", {})

        result = engine.sync_records(
            name="Contacts", connection_id="user_123", records=source(), mode="full"
        )
        assert counts(result) == (CHUNK_RECORDS + 1, 0, 0, 0)
        assert list(stored(engine, result.entity))[-2:] == ["found", "last"]

    def test_a_source_that_breaks_changes_nothing(self, engine: MastraEngine) -> None:
        entity = self.sync(engine, {"c1": {"n": 1}, "c2": {}}, last_sync_id="monday").entity

        def broken() -> Any:
            for i in range(CHUNK_RECORDS + 5):
                yield RecordInput(f"c{i}", {"n": "new"})
            raise ConnectionError

        for mode in ("incremental", "full"):
            with pytest.raises(ConnectionError):
                engine.sync_records(
                    name="Contacts",
                    connection_id="user_123",
                    records=broken(),
                    mode=mode,
                    last_sync_id="tuesday",
                )
        assert engine.get_entity_by_id(id=entity.id) == entity
        assert stored(engine, entity) == {"c1": {"n": 1}, "c2": {}}

    @pytest.mark.parametrize(
        ("options", "pointer"),
        [
            ({"mode": "partial"}, "/mode"),
            ({"last_sync_id": 5}, "/last_sync_id"),
            ({"last_sync_id": "\0"}, "/last_sync_id"),
            ({"if_last_sync_id": "\ud800"}, "/if_last_sync_id"),
            ({"mode": "full", "max_delete_ratio": 1.5}, "/max_delete_ratio"),
            ({"mode": "full", "max_delete_ratio": True}, "/max_delete_ratio"),
            ({"mode": "full", "max_delete_ratio": float("nan")}, "/max_delete_ratio"),
            ({"max_delete_ratio": 0.5}, "/max_delete_ratio"),
            ({"mode": "full", "allow_empty": 1}, "/allow_empty"),
            ({"mode": "full", "allow_empty": None}, "/allow_empty"),
            ({"allow_empty": True}, "/allow_empty"),
        ],
    )
    def test_refuses_bad_options(
        self, engine: MastraEngine, options: dict[str, Any], pointer: str
    ) -> None:
        with pytest.raises(InvalidInput) as caught:
            self.sync(engine, {"c1": {}}, **options)
        assert caught.value.path == pointer
        assert engine.get_entity(name="Contacts") is None

    def test_async_variant(self, engine: MastraEngine) -> None:
        result = async_to_sync(engine.async_records)(
            name="Contacts", connection_id="user_123", records=inputs({"c1": {}})
        )
        assert result.created == 1


class TestChangeFeed(WithContacts):
    def upsert(self, engine: MastraEngine, entity: Entity, rows: Rows) -> None:
        engine.upsert_records(entity_id=entity.id, records=inputs(rows))

    def actions(self, changes: Changes) -> list[tuple[str, str]]:
        return [(change.action, change.record.external_id) for change in changes]

    def test_changes_since_a_revision(self, engine: MastraEngine, contacts: Entity) -> None:
        self.upsert(engine, contacts, {"c1": {"n": 1}, "c2": {"n": 2}})
        first = engine.get_changes(entity_id=contacts.id)
        assert self.actions(first) == [("added", "c1"), ("added", "c2")]
        assert first.more is False
        self.upsert(engine, contacts, {"c1": {"n": 2}, "c2": {"n": 2}, "c3": {}})
        engine.delete_records(entity_id=contacts.id, external_ids=["c2"])
        second = engine.get_changes(entity_id=contacts.id, after=first.next)
        expected = [("updated", "c1"), ("added", "c3"), ("deleted", "c2")]
        assert self.actions(second) == expected
        assert [change.rev for change in second] == sorted(change.rev for change in second)
        assert second.items[-1].record.deleted_at is not None
        nothing = engine.get_changes(entity_id=contacts.id, after=second.next)
        assert (nothing.items, nothing.next, nothing.more) == ([], second.next, False)

    @pytest.mark.parametrize("ahead", [1, 80, 2**40])
    def test_a_reader_ahead_of_the_entity_must_start_again(
        self, engine: MastraEngine, contacts: Entity, ahead: int
    ) -> None:
        self.upsert(engine, contacts, {"c1": {}, "c2": {}})
        after = engine.get_changes(entity_id=contacts.id).next
        with pytest.raises(CursorExpired, match="restored") as caught:
            engine.get_changes(entity_id=contacts.id, after=after + ahead)
        assert caught.value.after == after + ahead
        with pytest.raises(CursorExpired, match="restored"):
            list(engine.follow_changes(entity_id=contacts.id, after=after + ahead, timeout=0))
        assert engine.get_changes(entity_id=contacts.id, after=after).items == []

    def test_added_means_new_to_the_reader(self, engine: MastraEngine, contacts: Entity) -> None:
        self.upsert(engine, contacts, {"c1": {"n": 1}})
        self.upsert(engine, contacts, {"c1": {"n": 2}})
        assert self.actions(engine.get_changes(entity_id=contacts.id)) == [("added", "c1")]
        later = engine.get_changes(entity_id=contacts.id, after=1)
        assert self.actions(later) == [("updated", "c1")]

    def test_records_that_change_before_they_are_read_are_updated(
        self, engine: MastraEngine, contacts: Entity
    ) -> None:
        self.upsert(engine, contacts, {"c1": {"n": 1}, "c2": {}})
        self.upsert(engine, contacts, {"c1": {"n": 2}})
        first = engine.get_changes(entity_id=contacts.id, limit=1)
        assert (self.actions(first), first.more) == ([("added", "c2")], True)
        rest = engine.get_changes(entity_id=contacts.id, after=first.next)
        assert self.actions(rest) == [("updated", "c1")]

    def test_one_batch_can_be_read_in_parts(self, engine: MastraEngine, contacts: Entity) -> None:
        self.upsert(engine, contacts, {f"{i:03}": {} for i in range(25)})
        seen, after, more = [], 0, True
        while more:
            changes = engine.get_changes(entity_id=contacts.id, after=after, limit=10)
            seen += [change.record.external_id for change in changes]
            after, more = changes.next, changes.more
        assert seen == [f"{i:03}" for i in range(25)]

    def test_a_record_that_comes_back_is_added(
        self, engine: MastraEngine, contacts: Entity
    ) -> None:
        self.upsert(engine, contacts, {"c1": {}})
        engine.delete_records(entity_id=contacts.id, external_ids=["c1"])
        after = engine.get_changes(entity_id=contacts.id).next
        self.upsert(engine, contacts, {"c1": {}})
        changes = engine.get_changes(entity_id=contacts.id, after=after)
        assert self.actions(changes) == [("added", "c1")]
        assert changes.items[0].record.deleted_at is None

    def test_purged_tombstones_expire_old_cursors(
        self, engine: MastraEngine, contacts: Entity
    ) -> None:
        self.upsert(engine, contacts, {"c1": {}, "c2": {}, "c3": {}})
        early = engine.get_changes(entity_id=contacts.id).next
        engine.delete_records(entity_id=contacts.id, external_ids=["c1"])
        late = engine.get_changes(entity_id=contacts.id).next
        engine.delete_records(entity_id=contacts.id, external_ids=["c2"])
        purge: dict[str, Any] = {"entity_id": contacts.id, "up_to_rev": late}
        assert engine.purge_deleted_records(**purge) == 1
        assert engine.purge_deleted_records(**purge) == 0
        with pytest.raises(CursorExpired):
            engine.get_changes(entity_id=contacts.id, after=early)
        changes = engine.get_changes(entity_id=contacts.id, after=late)
        assert self.actions(changes) == [("deleted", "c2")]
        everything = engine.get_changes(entity_id=contacts.id)
        assert self.actions(everything) == [("added", "c3"), ("deleted", "c2")]

    def test_purges_before_the_start_do_not_expire_a_reader(
        self, engine: MastraEngine, contacts: Entity
    ) -> None:
        self.upsert(engine, contacts, {"c1": {}, "c2": {}, "c3": {}, "c4": {}})
        engine.delete_records(entity_id=contacts.id, external_ids=["c2"])
        engine.purge_deleted_records(entity_id=contacts.id, up_to_rev=5)
        full = engine.get_changes(entity_id=contacts.id)
        assert (len(full), full.next, full.purged) == (3, 5, 5)
        assert engine.get_changes(entity_id=contacts.id, after=full.next).items == []
        part = engine.get_changes(entity_id=contacts.id, limit=2)
        assert (part.next, part.more, part.purged) == (3, True, 5)
        rest: dict[str, Any] = {"entity_id": contacts.id, "after": part.next, "limit": 2}
        with pytest.raises(CursorExpired):  # it might have begun before
            engine.get_changes(**rest)
        changes = engine.get_changes(**rest, purged=part.purged)
        assert (self.actions(changes), changes.next) == ([("added", "c4")], 5)
        engine.delete_records(entity_id=contacts.id, external_ids=["c1"])
        engine.purge_deleted_records(entity_id=contacts.id, up_to_rev=6)
        with pytest.raises(CursorExpired):
            engine.get_changes(**rest, purged=part.purged)

    @by_name(UNFIT_COUNTS)
    def test_invalid_numbers_are_refused(
        self, engine: MastraEngine, contacts: Entity, hostile: Refused
    ) -> None:
        for field in ("after", "limit", "purged"):
            with pytest.raises(InvalidInput) as caught:
                engine.get_changes(entity_id=contacts.id, **{field: hostile.value})
            assert caught.value.path == f"/{field}"
        with pytest.raises(InvalidInput):
            engine.get_changes(entity_id=contacts.id, limit=0)
        with pytest.raises(InvalidInput):
            engine.purge_deleted_records(entity_id=contacts.id, up_to_rev=hostile.value)
