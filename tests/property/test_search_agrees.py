"""Indexes of records: the mock and the PostgreSQL engine index and find the same."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from mastra_engine.registry import index_records, registry
from mastra_engine.testing.contract.recall import BagOfWords
from tests.property.pair import QUIET, Pair

CONNECTION = "connection"
NAMES = st.sampled_from("AB")
IDS = st.sampled_from(["1", "2", "3"])
WORDS = st.lists(st.sampled_from(["cats", "dogs", "birds", "purr"]), min_size=1, max_size=3)
ROWS = st.dictionaries(IDS, WORDS.map(" ".join) | st.none(), min_size=1, max_size=3)


class Indexes(RuleBasedStateMachine):
    """Entities A and B, both in the index "notes", and B in "other" as well."""

    def __init__(self) -> None:
        super().__init__()
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.declarations = registry.empty()
        self.declarations.__enter__()
        for entity, index in (("A", "notes"), ("B", "notes"), ("B", "other")):
            index_records(entity=entity, index=index, text=lambda data: data["text"])
        self.pair = Pair()
        for engine in (self.pair.mock, self.pair.postgres):
            engine.vectors.embedder = BagOfWords()
            # PostgreSQL would index after the commit, which these examples never reach.
            engine.record_search.indexes_at_once = False

    def teardown(self) -> None:
        self.declarations.__exit__(None, None, None)
        transaction.set_rollback(True)
        self.transaction.__exit__(None, None, None)

    @rule(name=NAMES, rows=ROWS, full=st.booleans())
    def sync(self, name: str, rows: dict[str, str | None], full: bool) -> None:
        records = [{"external_id": id, "data": {"text": text}} for id, text in rows.items()]
        self.pair.call(
            lambda e: e.sync_records(
                name=name,
                connection_id=CONNECTION,
                records=records,
                mode="full" if full else "incremental",
            )
        )

    @rule(name=NAMES, rev=st.integers(1, 9))
    def purge(self, name: str, rev: int) -> None:
        def purge(engine: Any) -> Any:
            entity = engine.get_entity(name=name, connection_id=CONNECTION)
            return entity and engine.purge_deleted_records(entity_id=entity.id, up_to_rev=rev)

        self.pair.call(purge)

    @rule(name=NAMES)
    def delete_entity(self, name: str) -> None:
        def delete(engine: Any) -> Any:
            entity = engine.get_entity(name=name, connection_id=CONNECTION)
            return entity and engine.delete_entity_by_id(id=entity.id)

        self.pair.call(delete)

    @rule()
    def prepare_indexes(self) -> None:
        self.pair.call(lambda e: [index.name for index in e.prepare_indexes()])

    @rule(name=st.none() | NAMES, rebuild=st.booleans())
    def index_pending(self, name: str | None, rebuild: bool) -> None:
        self.pair.call(lambda e: e.index_pending(entity_name=name, rebuild=rebuild))

    @rule(name=st.none() | NAMES, words=WORDS, fields=st.sampled_from([None, [], ["text"], ["a"]]))
    def search(self, name: str | None, words: list[str], fields: list[str] | None) -> None:
        """Compare all matches: the order of equally close ones depends on their last bit."""

        def search(engine: Any) -> Any:
            matches = engine.search_records(
                query=" ".join(words),
                connection_id=CONNECTION,
                entity_name=name,
                top_k=100,
                hybrid=False,
                fields=fields,
            )
            return sorted(
                (m.record.entity_type, m.record.external_id, m.text, str(m.record.data))
                for m in matches
            )

        self.pair.call(search)

    @invariant()
    def all_is_equal(self) -> None:
        progress = self.pair.call(
            lambda e: [
                (
                    indexing.entity,
                    indexing.index,
                    indexing.connections,
                    indexing.complete,
                    indexing.pending,
                )
                for indexing in e.list_indexings()
            ]
        )
        assert len(progress) == 3


@pytest.mark.django_db
def test_indexes_agree_for_a_while() -> None:
    run_state_machine_as_test(
        Indexes, settings=settings(max_examples=25, stateful_step_count=20, **QUIET)
    )
