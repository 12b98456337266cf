"""The mock and the PostgreSQL engine, driven side by side, never differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mastra_engine import MastraEngine
from mastra_engine.registry import registry
from mastra_engine.registry import sync as declare
from mastra_engine.testing.contract.sync_runs import Held
from mastra_engine.types import RecordInput, SyncRun
from tests.property.pair import QUIET, Pair
from tests.property.strategies import FILTERS, IDS, METADATA_FILTERS, RETURNED, ROWS, SORTS

CONNECTION = "connection"
Rows = dict[str, dict[str, Any]]


class SourceFailed(Exception):
    pass


class WorkerDied(BaseException):
    pass


def inputs(rows: Rows) -> list[RecordInput]:
    return [RecordInput(external_id, data) for external_id, data in rows.items()]


class Engines(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.pair = Pair()
        for engine in (self.pair.mock, self.pair.postgres):
            engine.queue = Held()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.transaction.__exit__(None, None, None)

    @property
    def names(self) -> list[str]:
        return [entity.name for entity in self.pair.mock.list_entities()]

    def id(self, engine: MastraEngine, name: str) -> UUID:
        entity = engine.get_entity(name=name, connection_id=CONNECTION)
        return UUID(int=0) if entity is None else entity.id

    @rule(name=st.sampled_from("AB"))
    def create_entity(self, name: str) -> None:
        self.pair.call(lambda e: e.create_entity(name=name, connection_id=CONNECTION))

    @rule(name=st.sampled_from("AB"))
    def get_or_create_entity(self, name: str) -> None:
        self.pair.call(lambda e: e.get_or_create_entity(name=name, connection_id=CONNECTION))

    @rule(name=st.sampled_from("AB"), key=IDS)
    def look_up(self, name: str, key: str) -> None:
        self.pair.call(lambda e: e.get_entity_by_id(id=self.id(e, name)))
        self.pair.call(lambda e: e.get_record(entity_id=self.id(e, name), external_id=key))
        self.pair.call(lambda e: e.get_records_by_entity_id(entity_id=self.id(e, name)))

    @rule(name=st.sampled_from("AB"), rows=ROWS, mode=st.sampled_from(["replace", "merge"]))
    def upsert(self, name: str, rows: Rows, mode: Any) -> None:
        self.pair.call(
            lambda e: e.upsert_records(entity_id=self.id(e, name), records=inputs(rows), mode=mode)
        )

    @rule(
        name=st.sampled_from("AB"),
        rows=ROWS,
        mode=st.sampled_from(["incremental", "full"]),
        cursor=st.none() | IDS,
        expected=st.just("any") | st.none() | IDS,
        ratio=st.none() | st.sampled_from([0, 0.3, 1]),
        listed=st.booleans(),
        empty=st.booleans(),
    )
    def sync(
        self,
        name: str,
        rows: Rows,
        mode: Any,
        cursor: Any,
        expected: Any,
        ratio: Any,
        listed: bool,
        empty: bool,
    ) -> None:
        options = {} if expected == "any" else {"if_last_sync_id": expected}
        self.pair.call(
            lambda e: e.sync_records(
                name=name,
                connection_id=CONNECTION,
                records=inputs(rows) if listed else iter(inputs(rows)),
                mode=mode,
                last_sync_id=cursor,
                allow_empty=empty and mode == "full",
                max_delete_ratio=ratio if mode == "full" else None,
                **options,
            )
        )

    @rule(
        name=st.sampled_from("AB"),
        pages=st.lists(ROWS, max_size=3),
        end=st.sampled_from(["well", "failure", "death"]),
        reset=st.booleans(),
        ratio=st.none() | st.sampled_from([0, 0.3, 1]),
        dry_run=st.booleans(),
    )
    def run_full_sync(self, name: str, **options: Any) -> None:
        self.run_sync(name, "full", **options)

    @rule(
        name=st.sampled_from("AB"),
        pages=st.lists(ROWS, max_size=3),
        end=st.sampled_from(["well", "failure", "death"]),
        reset=st.booleans(),
        dry_run=st.booleans(),
    )
    def run_incremental_sync(self, name: str, **options: Any) -> None:
        self.run_sync(name, "incremental", **options, ratio=None)

    def run_sync(
        self,
        name: str,
        mode: Any,
        *,
        pages: list[Rows],
        end: str,
        reset: bool,
        ratio: Any,
        dry_run: bool,
    ) -> None:
        """Run a sync whose worker may die, to be taken over when the next one is run."""

        def source(context: Any) -> Iterator[Any]:
            for number, page in enumerate(pages):
                context.log.info("page %d", number)
                yield inputs(page)
                context.save_checkpoint([context.checkpoint, number])
            if end != "well":
                raise SourceFailed if end == "failure" else WorkerDied

        def run(engine: MastraEngine) -> SyncRun | None:
            declare(entity=name, name=f"{mode} {name}", mode=mode, max_delete_ratio=ratio)(source)
            try:
                return engine.run_sync(
                    f"{mode} {name}", connection_id=CONNECTION, reset=reset, dry_run=dry_run
                )
            except WorkerDied:
                return None

        with registry.empty():
            self.pair.call(run)
        self.pair.call(lambda e: e.list_sync_runs())
        self.pair.call(lambda e: [e.list_sync_pages(run_id=run.id) for run in e.list_sync_runs()])
        self.pair.call(lambda e: [e.get_sync_log(run_id=run.id) for run in e.list_sync_runs()])

    @rule(
        name=st.sampled_from("AB"),
        rows=ROWS,
        steps=st.lists(st.sampled_from(["enqueue", "perform", "cancel", "retry"]), max_size=5),
        fails=st.booleans(),
    )
    def work_through_a_queue(self, name: str, rows: Rows, steps: list[str], fails: bool) -> None:
        """Take the newest run of a sync through the queue, in any order of calls."""

        def source(context: Any) -> Iterator[Any]:
            yield inputs(rows)
            if fails:
                raise SourceFailed

        def newest(engine: MastraEngine) -> UUID:
            runs = engine.list_sync_runs(sync=f"queued {name}", limit=1).items
            return runs[0].id if runs else UUID(int=0)

        calls: dict[str, Any] = {
            "enqueue": lambda e: e.enqueue_sync(f"queued {name}", connection_id=CONNECTION),
            "perform": lambda e: e.perform_sync_run(id=newest(e)),
            "cancel": lambda e: e.cancel_sync_run(id=newest(e)),
            "retry": lambda e: e.retry_sync_run(id=newest(e)),
        }
        with registry.empty():
            declare(entity=name, name=f"queued {name}")(source)
            for step in steps:
                self.pair.call(calls[step])
                self.pair.call(lambda e: e.get_sync_run(id=newest(e)))

    @rule(
        name=st.sampled_from("AB"),
        mode=st.sampled_from(["full", "incremental", "queued"]),
        change=st.sampled_from(["get_sync", "pause_sync", "resume_sync", "reset_sync"]),
    )
    def change_sync(self, name: str, mode: str, change: str) -> None:
        self.pair.call(lambda e: getattr(e, change)(f"{mode} {name}", connection_id=CONNECTION))
        self.pair.call(lambda e: e.list_syncs())

    @rule(key=IDS, body=st.sampled_from([b"1", b"2"]), keep=st.sampled_from([0.0, 60.0]))
    def call_once(self, key: str, body: bytes, keep: float) -> None:
        """Call with a key; the response says how many entities there were."""
        self.pair.call(
            lambda e: e.run_idempotent(
                owner="ann",
                key=key,
                body=body,
                keep=keep,
                act=lambda: str(len(e.list_entities())).encode(),
            )
        )

    @rule()
    def expire_idempotency_records(self) -> None:
        """Delete expired ones; how many each call deleted before is up to the engine."""
        self.pair.call(lambda e: e.expire_idempotency_records() >= 0)

    @rule(name=st.sampled_from("AB"), ids=st.lists(IDS, max_size=3))
    def delete_records(self, name: str, ids: list[str]) -> None:
        self.pair.call(lambda e: e.delete_records(entity_id=self.id(e, name), external_ids=ids))

    @rule(name=st.sampled_from("AB"), rev=st.integers(0, 12))
    def purge(self, name: str, rev: int) -> None:
        self.pair.call(lambda e: e.purge_deleted_records(entity_id=self.id(e, name), up_to_rev=rev))

    @precondition(lambda self: self.names)
    @rule(data=st.data())
    def delete_entity(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.names))
        self.pair.call(lambda e: e.delete_entity_by_id(id=self.id(e, name)))

    @rule(name=st.sampled_from("AB"), after=st.integers(0, 12), limit=st.integers(1, 4))
    def changes(self, name: str, after: int, limit: int) -> None:
        self.pair.call(
            lambda e: e.get_changes(entity_id=self.id(e, name), after=after, limit=limit)
        )

    @rule(name=st.sampled_from("AB"), after=st.integers(0, 12))
    def follow(self, name: str, after: int) -> None:
        self.pair.call(
            lambda e: list(e.follow_changes(entity_id=self.id(e, name), after=after, timeout=0))
        )

    @rule(name=st.sampled_from("AB"), filters=FILTERS, sort=SORTS, limit=st.integers(0, 5))
    def iterate(self, name: str, filters: Any, sort: Any, limit: int) -> None:
        options = {"filters": filters, "sort": sort, "limit": limit or None}
        self.pair.call(
            lambda e: list(
                e.iter_records(entity_name=name, connection_id=CONNECTION, options=options)
            )
        )

    @rule(name=st.sampled_from("AB"), filters=FILTERS)
    def count_records(self, name: str, filters: Any) -> None:
        self.pair.call(
            lambda e: e.count_records(entity_name=name, connection_id=CONNECTION, filters=filters)
        )

    @rule(
        name=st.sampled_from("AB"),
        filters=FILTERS,
        sort=SORTS,
        limit=st.integers(1, 3),
        fields=RETURNED,
    )
    def read_in_pages(self, name: str, filters: Any, sort: Any, limit: int, fields: Any) -> None:
        def read(engine: MastraEngine) -> list[Any]:
            pages, cursor = [], None
            while True:
                page = engine.get_records(
                    entity_name=name,
                    connection_id=CONNECTION,
                    options={
                        "filters": filters,
                        "sort": sort,
                        "limit": limit,
                        "cursor": cursor,
                        "fields": fields,
                    },
                )
                pages.append(page)
                cursor = page.next_cursor
                if cursor is None:
                    return pages

        self.pair.call(read)

    @invariant()
    def all_is_equal(self) -> None:
        entities = self.pair.call(lambda e: e.list_entities())
        for name in {entity.name for entity in entities}:
            self.pair.call(
                lambda e, name=name: e.get_records_by_entity_name(
                    name=name, connection_id=CONNECTION
                )
            )


@pytest.mark.django_db
def test_engines_agree_for_a_while() -> None:
    run_state_machine_as_test(
        Engines, settings=settings(max_examples=40, stateful_step_count=25, **QUIET)
    )


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.django_db
def test_engines_agree_over_ten_thousand_steps() -> None:
    run_state_machine_as_test(
        Engines, settings=settings(max_examples=250, stateful_step_count=40, **QUIET)
    )


def agree(rows: Rows, filters: Any, sort: Any, fields: Any = None) -> None:
    pair = Pair()
    options = {"filters": filters, "sort": sort, "fields": fields}
    with transaction.atomic():
        for engine in (pair.mock, pair.postgres):
            engine.sync_records(name="A", connection_id=CONNECTION, records=inputs(rows))
        pair.call(
            lambda e: e.get_records(entity_name="A", connection_id=CONNECTION, options=options)
        )
        transaction.set_rollback(True)


@pytest.mark.django_db
@settings(max_examples=400, **QUIET)
@given(rows=ROWS, filters=FILTERS, sort=SORTS)
def test_filters_agree(rows: Rows, filters: Any, sort: Any) -> None:
    agree(rows, filters, sort)


@pytest.mark.django_db
@settings(max_examples=300, **QUIET)
@given(rows=ROWS, fields=RETURNED)
def test_returned_fields_agree(rows: Rows, fields: Any) -> None:
    agree(rows, {}, [], fields)


@pytest.mark.django_db
@settings(max_examples=100, **QUIET)
@given(rows=ROWS, where=METADATA_FILTERS)
def test_vector_filters_agree(rows: Rows, where: Any) -> None:
    pair = Pair()
    vectors = [[1.0, i / 10] for i in range(len(rows))]
    with transaction.atomic():
        for engine in (pair.mock, pair.postgres):
            engine.vectors.create_index(index_name="v", dimension=2)
            engine.vectors.upsert(
                index_name="v", vectors=vectors, ids=list(rows), metadata=list(rows.values())
            )
        pair.call(
            lambda e: [
                (match.id, match.metadata, round(match.score, 5))
                for match in e.vectors.query(index_name="v", query_vector=[1, 0], filter=where)
            ]
        )
        pair.call(lambda e: e.vectors.delete_vectors(index_name="v", filter={"$and": [where]}))
        pair.call(lambda e: e.vectors.describe_index(index_name="v").count)
        transaction.set_rollback(True)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.django_db
@settings(max_examples=10_000, **QUIET)
@given(rows=ROWS, filters=FILTERS, sort=SORTS)
def test_filters_agree_at_length(rows: Rows, filters: Any, sort: Any) -> None:
    agree(rows, filters, sort)
