"""How every engine keeps vector indexes of records up to date."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from mastra_engine.backends.base import MastraEngine
from mastra_engine.backends.base.record_search import indexer as indexers
from mastra_engine.exceptions import EngineConfigError, IndexNotFound, InvalidInput
from mastra_engine.registry import index_records, registry
from mastra_engine.retrieval.embedding import EXCERPT
from mastra_engine.testing.contract.recall import BagOfWords, Broken
from mastra_engine.testing.contract.sync_runs import Held
from mastra_engine.types import Entity, Erasure, Match

CONNECTION = "crm"


class WithIndex:
    """Tests of an engine that indexes notes by their text, when told to."""

    @pytest.fixture(autouse=True)
    def _none_declared(self, engine: MastraEngine) -> Iterator[None]:
        engine.vectors.embedder = BagOfWords()
        engine.record_search.indexes_at_once = False
        with registry.empty():
            self.declare()
            yield

    @pytest.fixture
    def notes(self, engine: MastraEngine) -> Entity:
        return engine.create_entity(name="Notes", connection_id=CONNECTION)

    def declare(self, **options: Any) -> None:
        registry.indexes.pop((options.get("entity", "Notes"), options.get("index", "notes")), None)
        index_records(
            **{
                "entity": "Notes",
                "index": "notes",
                "text": lambda data: data["text"],
                **options,
            }
        )

    def put(self, engine: MastraEngine, connection_id: str = CONNECTION, **notes: Any) -> Entity:
        """Write notes by their ids, None being a deletion."""
        entity, _ = engine.get_or_create_entity(name="Notes", connection_id=connection_id)
        data = {
            id: note if isinstance(note, dict) else {"text": note}
            for id, note in notes.items()
            if note is not None
        }
        records = [{"external_id": id, "data": item} for id, item in data.items()]
        engine.upsert_records(entity_id=entity.id, records=records)
        deleted = [id for id, note in notes.items() if note is None]
        engine.delete_records(entity_id=entity.id, external_ids=deleted)
        return entity

    def index(self, engine: MastraEngine, **notes: Any) -> int:
        """Write notes and index the pending records."""
        self.put(engine, **notes)
        return engine.index_pending()

    def stored(self, engine: MastraEngine, index_name: str = "notes") -> list[Match]:
        """Return all vectors of an index, by record and chunk."""
        number = engine.vectors.describe_index(index_name=index_name).count
        matches = engine.vectors.query(
            index_name=index_name,
            query_vector=[1.0] * BagOfWords.dimension,
            top_k=max(number, 1),
            include_vector=True,
        )
        assert len(matches) == number
        return sorted(
            matches, key=lambda item: (item.metadata["@external_id"], item.metadata["@chunk"])
        )

    def chunks(self, engine: MastraEngine, index_name: str = "notes") -> list[str | None]:
        return [item.document for item in self.stored(engine, index_name)]


class TestIndexing(WithIndex):
    # The contents of an index

    def test_records_become_chunks(self, engine: MastraEngine) -> None:
        self.declare(
            metadata=lambda data: {"by": data["by"], "@chunk": "not yours"},
            chunk=lambda text: text.split("|"),
        )
        assert (
            self.index(engine, a={"text": "one|two", "by": "Ann"}, b={"text": "three", "by": 1})
            == 2
        )
        first, second, third = self.stored(engine)
        assert [item.document for item in (first, second, third)] == ["one", "two", "three"]
        assert [item.metadata["@chunk"] for item in (first, second, third)] == [0, 1, 0]
        assert (second.metadata["by"], third.metadata["by"]) == ("Ann", 1)
        assert {item.namespace for item in (first, second, third)} == {CONNECTION}
        assert first.vector == BagOfWords().embed_query("one")
        assert engine.vectors.describe_index(index_name="notes").dimension == BagOfWords.dimension

    def test_changes_replace_and_deletions_remove(self, engine: MastraEngine) -> None:
        self.declare(chunk=lambda text: text.split("|"))
        self.index(engine, a="one|two|three", b="four", c="five")
        assert self.index(engine, a="six|seven", b=None, d="eight") == 3
        assert self.chunks(engine) == ["six", "seven", "five", "eight"]
        assert self.index(engine, a=None, b="four again") == 2
        assert self.chunks(engine) == ["four again", "five", "eight"]

    def test_unchanged_chunks_are_not_embedded_again(self, engine: MastraEngine) -> None:
        self.index(engine, a="one", b="two")
        engine.vectors.embedder = Broken()
        assert self.index(engine, a="one", b="two") == 0

    def test_a_record_without_a_text_is_left_out(self, engine: MastraEngine) -> None:
        self.declare(text=lambda data: data.get("text"))
        assert self.index(engine, a={"other": 1}, b=" \n", c="", d="...", e="here") == 5
        assert self.chunks(engine) == ["here"]
        self.index(engine, e={"other": 2})
        assert self.chunks(engine) == []

    def test_long_texts_are_cut(self, engine: MastraEngine) -> None:
        self.index(engine, a="word " * 10_000)
        (chunk,) = self.chunks(engine)
        assert chunk == ("word " * 10_000)[:EXCERPT]

    def test_chunks_may_be_objects(self, engine: MastraEngine) -> None:
        from mastra_engine.retrieval.chunking import chunk

        self.declare(chunk=lambda text: chunk(text, size=20, overlap=0))
        self.index(engine, a="The first sentence. The second one.")
        assert self.chunks(engine) == ["The first sentence.", "The second one."]

    def test_many_chunks_are_stored_in_batches(
        self, engine: MastraEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(indexers, "PAGE", 7)
        monkeypatch.setattr(indexers, "BATCH", 4)
        self.declare(chunk=lambda text: text.split())
        notes = {f"n{i:02}": " ".join(f"w{i}x{j}" for j in range(i % 4)) for i in range(30)}
        watched: list[int] = []
        self.put(engine, **notes)
        assert engine.index_pending(watch=watched.append) == 30
        assert sum(watched) == 30
        assert len(watched) > 5
        assert self.chunks(engine) == [word for text in notes.values() for word in text.split()]
        assert engine.index_pending() == 0

    def test_an_index_may_hold_several_entities(self, engine: MastraEngine) -> None:
        self.declare(entity="Mails", text=lambda data: data["subject"])
        mails = [{"external_id": "a", "data": {"subject": "two"}}]
        engine.sync_records(name="Mails", connection_id=CONNECTION, records=mails)
        self.index(engine, a="one")
        assert sorted(self.chunks(engine), key=str) == ["one", "two"]
        self.index(engine, a=None)
        assert self.chunks(engine) == ["two"]

    def test_the_settings_may_define_the_index(self, engine: MastraEngine) -> None:
        engine.vectors.declared = {
            "notes": {"dimension": BagOfWords.dimension, "metric": "dotproduct"}
        }
        self.index(engine, a="one")
        assert engine.vectors.describe_index(index_name="notes").metric == "dotproduct"

    def test_indexes_can_be_prepared(self, engine: MastraEngine) -> None:
        (index,) = engine.prepare_indexes()
        assert (index.name, index.dimension, index.count) == ("notes", BagOfWords.dimension, 0)
        engine.vectors.embedder = None
        assert engine.prepare_indexes() == []

    # When

    def test_writes_are_indexed_by_the_queue(self, engine: MastraEngine) -> None:
        engine.queue, engine.record_search.indexes_at_once = (queue := Held()), True
        entity = self.put(engine, a="one")
        assert engine.list_indexings()[0].pending == 1
        assert queue.indexed in ([entity.id], [])  # within a test's transaction it is not sent
        sent = len(queue.indexed)
        self.put(engine, a="one")
        assert len(queue.indexed) == sent

    def test_only_selected_records_are_indexed(self, engine: MastraEngine) -> None:
        self.declare(entity="Mails", index="mails")
        mail = [{"external_id": "m", "data": {"text": "mail"}}]
        engine.sync_records(name="Mails", connection_id=CONNECTION, records=mail)
        self.put(engine, a="one")
        self.put(engine, "other", a="two", b="three")
        assert engine.index_pending(entity_name="Notes", connection_id="other") == 2
        assert engine.index_pending(index_name="mails") == 1
        assert engine.index_pending(index_name="mails") == 0
        assert engine.index_pending(connection_id="nobody") == 0
        assert engine.index_pending() == 1
        with pytest.raises(IndexNotFound, match=r'for entity "Contacts"$'):
            engine.index_pending(entity_name="Contacts")
        with pytest.raises(IndexNotFound, match=r'for entity "Notes" and index "mails"$'):
            engine.index_pending(entity_name="Notes", index_name="mails")
        with pytest.raises(InvalidInput, match="/connection_id"):
            engine.index_pending(connection_id="")

    def test_status_counts_and_dates(self, engine: MastraEngine) -> None:
        (none,) = engine.list_indexings()
        assert (none.entity, none.index) == ("Notes", "notes")
        assert (none.connections, none.complete, none.pending, none.waiting_since) == (
            0,
            0,
            0,
            None,
        )
        self.index(engine, a="one")
        entity = self.put(engine, "other", a="two", b="three")
        (waiting,) = engine.list_indexings()
        assert (waiting.connections, waiting.complete, waiting.pending) == (2, 1, 2)
        assert waiting.waiting_since is not None
        records = engine.get_records_by_entity_id(entity_id=entity.id)
        assert waiting.waiting_since == min(record.updated_at for record in records)
        (one,) = engine.list_indexings(connection_id=CONNECTION)
        assert (one.connections, one.complete, one.pending) == (1, 1, 0)
        engine.index_pending()
        (indexing,) = engine.list_indexings()
        assert (indexing.connections, indexing.complete, indexing.pending) == (2, 2, 0)

    # When it fails

    def test_a_failure_leaves_its_changes_waiting(self, engine: MastraEngine) -> None:
        self.put(engine, a="one")
        engine.vectors.embedder = Broken()
        engine.prepare_indexes()
        for _ in range(2):  # the claim is given back
            with pytest.raises(ConnectionError):
                engine.index_pending()
        assert engine.list_indexings()[0].pending == 1
        engine.vectors.embedder = BagOfWords()
        assert engine.index_pending() == 1

    def test_a_record_that_fails_is_named_and_keeps_no_other_entity_waiting(
        self, engine: MastraEngine
    ) -> None:
        self.put(engine, a={"no text": 1})
        self.put(engine, "other", a="two")
        with pytest.raises(KeyError) as raised:
            engine.index_pending()
        assert raised.value.__notes__ == ["While indexing the record 'a' of 'Notes' in 'notes'."]
        assert self.chunks(engine) == ["two"]

    @pytest.mark.parametrize("text", [5, "nul \0", ["a"]])
    def test_invalid_texts_are_refused(self, engine: MastraEngine, text: Any) -> None:
        self.declare(text=lambda data: text)
        self.put(engine, a="one")
        with pytest.raises(InvalidInput, match="/text"):
            engine.index_pending()

    def test_without_an_embedder_records_wait(self, engine: MastraEngine) -> None:
        engine.vectors.embedder = None
        engine.record_search.indexes_at_once = True
        self.put(engine, a="one")
        with pytest.raises(InvalidInput, match="EMBEDDER"):
            engine.index_pending()

    # Deletion of entities, connections and indexes

    def test_vectors_go_with_their_entity(self, engine: MastraEngine) -> None:
        entity = self.put(engine, a="one", b="two")
        self.index(engine)
        self.put(engine, "other", a="three")
        engine.index_pending()
        engine.delete_entity_by_id(id=entity.id)
        assert self.chunks(engine) == ["three"]
        assert self.index(engine, a="four") == 1
        assert sorted(self.chunks(engine), key=str) == ["four", "three"]

    def test_vectors_go_with_their_connection(self, engine: MastraEngine) -> None:
        self.index(engine, a="one", b="two")
        self.put(engine, "other", a="three")
        engine.index_pending()
        erasure = engine.erase(connection_id=CONNECTION, dry_run=True)
        assert erasure == Erasure(entities=1, records=2, vectors=2)
        assert engine.erase(connection_id=CONNECTION) == erasure
        assert self.chunks(engine) == ["three"]

    def test_an_emptied_index_is_filled_again(self, engine: MastraEngine) -> None:
        self.index(engine, a="one", b="two")
        engine.vectors.truncate_index(index_name="notes")
        assert engine.index_pending() == 2
        engine.vectors.delete_index(index_name="notes")
        assert engine.index_pending() == 2
        assert self.chunks(engine) == ["one", "two"]

    def test_an_index_emptied_in_a_scope_is_filled_again(self, engine: MastraEngine) -> None:
        self.index(engine, a="one", b="two")
        self.put(engine, "other", a="three")
        engine.index_pending()
        engine.within(namespaces=["other"]).vectors.truncate_index(index_name="notes")
        assert self.chunks(engine) == ["one", "two"]
        assert engine.index_pending() == 1
        assert self.chunks(engine) == ["one", "three", "two"]

    def test_all_records_can_be_read_again(self, engine: MastraEngine) -> None:
        self.index(engine, a="one", b="two")
        self.put(engine, b=None)
        self.declare(text=lambda data: data["text"].upper())
        assert engine.index_pending(rebuild=True) == 2
        assert self.chunks(engine) == ["ONE"]

    def test_purged_deletions_reach_the_index(self, engine: MastraEngine) -> None:
        entity = self.put(engine, a="one", b="two")
        engine.index_pending()
        self.put(engine, b=None)
        rev = engine.get_entity_by_id(id=entity.id).rev
        self.put(engine, c="three")
        engine.purge_deleted_records(entity_id=entity.id, up_to_rev=rev)
        engine.index_pending()
        assert self.chunks(engine) == ["one", "three"]

    def test_earlier_purges_cost_nothing(
        self, engine: MastraEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(indexers, "PAGE", 2)
        entity = self.put(engine, a="one", b="two", c="three", d="four", e="five")
        self.put(engine, b=None)
        engine.purge_deleted_records(entity_id=entity.id, up_to_rev=10)
        assert engine.index_pending() == 4
        assert engine.index_pending() == 0
        assert engine.list_indexings()[0].complete == 1
        # Later deletions count, whether the record is read again or not, and under the same id.
        for rebuild in (False, True):
            self.put(engine, a=None)
            rev = engine.get_entity_by_id(id=entity.id).rev
            engine.purge_deleted_records(entity_id=entity.id, up_to_rev=rev)
            self.put(engine, a="six", c="three")
            assert engine.index_pending(rebuild=rebuild) == (4 if rebuild else 1)
            assert sorted(self.chunks(engine), key=str) == ["five", "four", "six", "three"]

    def test_deletions_purged_during_a_rebuild_reach_the_index(self, engine: MastraEngine) -> None:
        entity = self.put(engine, a="one", b="two")
        engine.index_pending()
        engine.vectors.embedder = None
        with pytest.raises(InvalidInput):
            engine.index_pending(rebuild=True)
        self.put(engine, a=None)
        self.put(engine, b="three")
        engine.purge_deleted_records(entity_id=entity.id, up_to_rev=10)
        engine.vectors.embedder = BagOfWords()
        engine.index_pending()
        assert self.chunks(engine) == ["three"]

    def test_deletions_purged_before_they_are_read_do_not_wait(self, engine: MastraEngine) -> None:
        entity = self.put(engine, a="one")
        self.put(engine, a=None)
        engine.purge_deleted_records(entity_id=entity.id, up_to_rev=10)
        assert engine.index_pending() == 0
        assert engine.list_indexings()[0].complete == 1

    def test_a_scoped_engine_indexes_and_finds_its_own_records(self, engine: MastraEngine) -> None:
        self.put(engine, a="one")
        self.put(engine, "other", a="two")
        own = engine.within(connection_ids=["other"], namespaces=["elsewhere"])
        assert [indexing.pending for indexing in own.list_indexings()] == [1]
        assert [indexing.pending for indexing in own.list_indexings(connection_id=CONNECTION)] == [
            0
        ]
        assert own.index_pending(connection_id=CONNECTION) == 0
        assert own.index_pending() == 1
        (match,) = own.search_records(query="two", connection_id="other")
        assert match.text == "two"
        assert own.vectors.query(index_name="notes", query_text="two") == []
        own.delete_entity_by_id(id=match.record.entity_id)
        assert engine.index_pending() == 1
        assert self.chunks(engine) == ["one"]

    # Others

    def test_an_overtaken_indexer_writes_nothing(self, engine: MastraEngine) -> None:
        self.put(engine, a="old")

        class Slow(BagOfWords):
            def embed_documents(slow, texts: list[str]) -> list[list[float]]:
                engine.vectors.embedder = BagOfWords()
                engine.record_search.lease_seconds = 60.0
                self.put(engine, a="new", b="more")
                assert engine.index_pending() == 2
                return super().embed_documents(texts)

        engine.prepare_indexes()
        engine.vectors.embedder = Slow()
        engine.record_search.lease_seconds = -1.0  # its claim is over at once
        assert engine.index_pending() == 0
        assert self.chunks(engine) == ["new", "more"]

    def test_only_one_indexer_runs_at_a_time(self, engine: MastraEngine) -> None:
        self.put(engine, a="one")
        seen: list[int] = []

        class Meanwhile(BagOfWords):
            def embed_documents(slow, texts: list[str]) -> list[list[float]]:
                if not seen:
                    seen.append(engine.index_pending())
                    self.put(engine, b="two")
                    seen.append(engine.index_pending())
                return super().embed_documents(texts)

        engine.prepare_indexes()
        engine.vectors.embedder = Meanwhile()
        assert engine.index_pending() == 2  # including records written after it began
        assert seen == [0, 0]
        assert self.chunks(engine) == ["one", "two"]

    def test_async(self, engine: MastraEngine) -> None:
        self.put(engine, a="one")
        assert async_to_sync(engine.aindex_pending)() == 1
        (match,) = async_to_sync(engine.asearch_records)(query="one", connection_id=CONNECTION)
        assert match.record.external_id == "a"
        assert async_to_sync(engine.alist_indexings)() == engine.list_indexings()


class TestIndexDeclarations:
    def test_an_index_cannot_replace_itself(self) -> None:
        with registry.empty(), pytest.raises(EngineConfigError, match="itself"):
            index_records(entity="Notes", index="notes", text=str, replaces="notes")
