"""How every engine finds records by their meaning."""

from __future__ import annotations

import math
from typing import Any

import pytest

from mastra_engine.backends.base import MastraEngine
from mastra_engine.exceptions import IndexNotFound, InvalidFilter, InvalidInput, InvalidVector
from mastra_engine.registry import index_records
from mastra_engine.retrieval.chunking import Chunk
from mastra_engine.retrieval.rerankers import Reranker
from mastra_engine.testing.contract.indexing import CONNECTION, WithIndex
from mastra_engine.testing.contract.recall import BagOfWords, Broken
from mastra_engine.types import RecordMatch


class Shouting(BagOfWords):
    """Another model, of another dimension."""

    dimension = 300


class TestRecordSearch(WithIndex):
    def search(self, engine: MastraEngine, query: str, **options: Any) -> list[RecordMatch]:
        options = {"connection_id": CONNECTION, "hybrid": False, **options}
        return engine.search_records(query=query, **options)

    def external_ids(self, engine: MastraEngine, query: str, **options: Any) -> list[str]:
        return [match.record.external_id for match in self.search(engine, query, **options)]

    # Matches

    def test_a_match_is_the_record_with_its_chunk(self, engine: MastraEngine) -> None:
        self.declare(metadata=lambda data: {"by": data["by"]}, chunk=lambda text: text.split("|"))
        self.index(engine, a={"text": "red apple|green pear", "by": "Ann"})
        (match,) = self.search(engine, "a green pear")
        (record,) = engine.get_records(entity_name="Notes", connection_id=CONNECTION)
        assert match == RecordMatch(
            record=record,
            score=match.score,
            text="green pear",
            index="notes",
            chunk=1,
            metadata={"by": "Ann"},
            similarity=match.similarity,
            lexical=match.lexical,
        )
        assert match.score == pytest.approx(2 / (6**0.5), abs=1e-6)

    def test_a_match_has_the_offsets_of_its_chunk(self, engine: MastraEngine) -> None:
        text = "red apple, green pear"
        pieces = [Chunk(text=text[0:9], start=0, end=9, index=0), "a dog"]
        pieces.append(Chunk(text=text[11:21], start=11, end=21, index=2))
        self.declare(chunk=lambda _: pieces)
        self.index(engine, a=text)
        for query, place in (
            ("green pear", (11, 21)),
            ("red apple", (0, 9)),
            ("dog", (None, None)),
        ):
            (match,) = self.search(engine, query)
            assert (match.start, match.end) == place
            assert match.metadata == {}

    def test_the_closest_come_first_and_ties_go_by_id(self, engine: MastraEngine) -> None:
        self.index(engine, c="dog", b="dog", a="cat and dog", d="fish")
        assert self.external_ids(engine, "dog") == ["b", "c", "a", "d"]
        assert self.external_ids(engine, "dog", top_k=2) == ["b", "c"]

    def test_a_record_is_returned_once_with_its_best_chunk(self, engine: MastraEngine) -> None:
        self.declare(chunk=lambda text: text.split("|"))
        many = "|".join(f"dog and {n}" for n in range(300))
        self.index(engine, long=f"{many}|dog", short="the dog sleeps", other="fish")
        for hybrid in (False, True):
            matches = self.search(engine, "dog", top_k=2, hybrid=hybrid)
            assert [match.record.external_id for match in matches] == ["long", "short"]
            assert [match.chunk for match in matches] == [300, 0]
        assert self.external_ids(engine, "dog") == ["long", "short", "other"]

    def test_words_count_in_hybrid_search(self, engine: MastraEngine) -> None:
        self.index(engine, a="error code E1234", b="some other error")
        (first, second) = self.search(engine, "E1234", hybrid=True)
        assert (first.record.external_id, second.record.external_id) == ("a", "b")
        # Of two, the better is a deviation above the mean, by its words and by its vector.
        assert first.score == pytest.approx(1 / (1 + math.exp(-1)))
        assert second.score == pytest.approx(1 - first.score)
        assert first.lexical > second.lexical == 0.0

    def test_a_reranker_has_the_last_word(self, engine: MastraEngine) -> None:
        self.index(engine, a="dog", b="dog dog", c="dog cat")
        reranker = Reranker(
            {"semantic": 1.0, "vector": 0.0, "position": 0.0},
            scorer=lambda query, texts: [float("cat" in text) for text in texts],
        )
        matches = self.search(engine, "dog", top_k=1, reranker=reranker)
        assert [(match.record.external_id, match.score) for match in matches] == [("c", 1.0)]
        assert matches[0].explanation is None
        (match,) = self.search(engine, "dog", top_k=1, reranker=reranker, explain=True)
        assert match.explanation is not None
        *parts, last = match.explanation.parts
        assert (last.name, last.value, last.weight) == ("reranker", 1.0, 1.0)
        assert "reranker" not in [part.name for part in parts]

    # The filter is about the record

    def test_a_filter_is_about_the_records_data(self, engine: MastraEngine) -> None:
        self.declare(metadata=lambda data: {"kind": "all the same"})
        notes = {
            f"n{n:03}": {"text": f"dog {n}", "kind": "odd" if n % 2 else "even", "n": n}
            for n in range(40)
        }
        self.index(engine, **notes)
        odd = self.external_ids(engine, "dog", top_k=100, filter={"kind": "odd"})
        assert sorted(odd) == [f"n{n:03}" for n in range(1, 40, 2)]
        where: dict[str, Any] = {"kind": "odd", "n": {"$gte": 30}}
        assert len(self.external_ids(engine, "dog", top_k=5, filter=where)) == 5
        assert self.external_ids(engine, "dog", filter={"@external_id": "n007"}) == ["n007"]
        listed = [{"field": "n", "operator": "lt", "value": 2}]
        assert sorted(self.external_ids(engine, "dog", filter=listed)) == ["n000", "n001"]
        assert self.external_ids(engine, "dog", filter={"kind": "none"}) == []
        assert len(self.external_ids(engine, "dog", hybrid=True, filter={"n": {"$lt": 3}})) == 3

    def test_filters_see_the_current_record(self, engine: MastraEngine) -> None:
        self.index(engine, a={"text": "dog", "open": True}, b={"text": "dog", "open": True})
        self.put(engine, a={"text": "cat", "open": False})
        self.put(engine, b=None)
        engine.vectors.embedder = _Asleep()  # nothing is indexed meanwhile
        assert self.external_ids(engine, "dog", filter={"open": True}) == []
        (match,) = self.search(engine, "dog", filter={"open": False})
        assert match.record.data == {"text": "cat", "open": False}
        assert match.text == "dog"

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"query": 5}, InvalidInput, "/query"),
            ({"query": "dog", "connection_id": ""}, InvalidInput, "/connection_id"),
            ({"query": "dog", "top_k": 0}, InvalidInput, "/top_k"),
            ({"query": "dog", "filter": {"a": {"$regex": "b"}}}, InvalidFilter, "regex"),
            ({"query": "dog", "filter": {"@nothing": 1}}, InvalidFilter, "@nothing"),
            ({"query": "dog", "entity_name": "Contacts"}, IndexNotFound, "declared"),
        ],
    )
    def test_invalid_arguments_are_refused(
        self, engine: MastraEngine, arguments: Any, error: type[Exception], message: str
    ) -> None:
        self.index(engine, a="dog")
        with pytest.raises(error, match=message):
            self.search(engine, **arguments)

    # Scope

    def test_a_connection_sees_its_own_records_only(self, engine: MastraEngine) -> None:
        self.index(engine, a="dog")
        self.put(engine, "other", a="dog", b="dog")
        engine.index_pending()
        assert self.external_ids(engine, "dog") == ["a"]
        assert len(self.search(engine, "dog", connection_id="other")) == 2
        assert self.search(engine, "dog", connection_id="nobody") == []
        assert self.search(engine, "dog", connection_id="nobody", entity_name="Notes") == []

    def test_vectors_of_other_writers_are_not_found(self, engine: MastraEngine) -> None:
        entity = self.put(engine, a="cat")
        engine.index_pending()
        forged = {"@entity_id": str(entity.id), "@external_id": "a", "@chunk": 0}
        options: dict[str, Any] = {"index_name": "notes", "namespace": CONNECTION}
        engine.vectors.upsert(**options, documents=["dog"], metadata=[{}])
        with pytest.raises(InvalidInput):
            engine.vectors.upsert(**options, documents=["dog"], metadata=[forged])
        assert self.external_ids(engine, "dog", hybrid=True) == ["a"]

    def test_an_empty_index_has_no_matches(self, engine: MastraEngine) -> None:
        assert self.search(engine, "dog") == []
        self.put(engine)
        assert self.search(engine, "dog", hybrid=True) == []

    def test_queries_of_unknown_words_have_no_matches(self, engine: MastraEngine) -> None:
        self.index(engine, a="dog")
        assert self.search(engine, "?!") == []
        assert self.search(engine, "?!", hybrid=True) == []

    # Pending records

    def test_a_search_indexes_pending_changes(self, engine: MastraEngine) -> None:
        self.put(engine, a="dog", b="cat")
        assert self.external_ids(engine, "dog", top_k=1) == ["a"]
        assert engine.index_pending() == 0

    def test_a_record_that_cannot_be_indexed_hides_no_other(self, engine: MastraEngine) -> None:
        self.index(engine, a="dog")
        self.put(engine, b={"no text": 1})
        assert self.external_ids(engine, "dog") == ["a"]

    # Several indexes

    def test_entities_of_one_index_are_searched_together_or_alone(
        self, engine: MastraEngine
    ) -> None:
        self.declare(entity="Mails")
        mails = [{"external_id": "m", "data": {"text": "dog and cat"}}]
        engine.sync_records(name="Mails", connection_id=CONNECTION, records=mails)
        self.index(engine, a="dog", b="fish")
        assert self.external_ids(engine, "dog") == ["a", "m", "b"]
        assert self.external_ids(engine, "dog", entity_name="Mails") == ["m"]
        assert self.external_ids(engine, "dog", entity_name="Notes") == ["a", "b"]

    def test_indexes_of_one_model_are_searched_as_if_they_were_one(
        self, engine: MastraEngine
    ) -> None:
        self.declare(entity="Mails", index="mails")
        mails = [
            {"external_id": "m", "data": {"text": "dog"}},
            {"external_id": "n", "data": {"text": "a dog and a cat and a fish"}},
        ]
        engine.sync_records(name="Mails", connection_id=CONNECTION, records=mails)
        self.index(engine, a="dog and cat", b="fish")
        matches = self.search(engine, "dog")
        assert [match.record.external_id for match in matches] == ["m", "a", "n", "b"]
        assert [match.index for match in matches] == ["mails", "notes", "mails", "notes"]
        assert matches[0].score == pytest.approx(1)
        assert set(self.external_ids(engine, "dog", hybrid=True, top_k=2)) == {"m", "a"}

    def test_a_record_of_two_indexes_comes_once(self, engine: MastraEngine) -> None:
        self.declare(index="titles", text=lambda data: data["title"])
        self.index(engine, a={"title": "dog", "text": "cat"}, b={"title": "cat", "text": "fish"})
        (first, second) = self.search(engine, "dog")
        assert (first.record.external_id, first.index) == ("a", "titles")
        assert second.record.external_id == "b"

    # Another model

    def test_a_new_index_takes_over_when_it_is_complete(self, engine: MastraEngine) -> None:
        self.index(engine, a="dog", b="cat")
        index_records(
            entity="Notes",
            index="notes 2",
            text=lambda data: data["text"],
            embedder=Shouting(),
            replaces="notes",
        )
        assert [item.index for item in self.search(engine, "dog")] == ["notes", "notes"]
        self.put(engine, c="fish")
        assert engine.index_pending() == 1 + 3
        matches = self.search(engine, "dog")
        assert [match.index for match in matches] == ["notes 2"] * 3
        assert matches[0].record.external_id == "a"
        self.index(engine, d="dog")
        assert self.external_ids(engine, "dog", top_k=2) == ["a", "d"]
        assert len(self.chunks(engine)) == 4  # the old one is kept up to date as well

    def test_each_connection_changes_over_on_its_own(self, engine: MastraEngine) -> None:
        self.put(engine, "other", a="dog")
        self.index(engine, a="dog")
        self.declare(index="notes 2", embedder=Shouting(), replaces="notes")
        engine.index_pending(connection_id="other")
        assert self.search(engine, "dog")[0].index == "notes"
        assert self.search(engine, "dog", connection_id="other")[0].index == "notes 2"

    def test_an_index_that_replaces_none_that_is_declared_serves_at_once(
        self, engine: MastraEngine
    ) -> None:
        self.declare(replaces="gone")
        self.put(engine, a="dog")
        assert self.external_ids(engine, "dog") == ["a"]

    def test_a_chain_of_replacements_ends_at_the_newest_complete_one(
        self, engine: MastraEngine
    ) -> None:
        self.declare(index="notes 2", replaces="notes")
        self.declare(index="notes 3", replaces="notes 2")
        self.put(engine, a="dog")
        served = []
        for index in ("notes", "notes 2", "notes 3"):
            engine.index_pending(index_name=index)
            served.append({item.index for item in self.search(engine, "dog")})
        assert served == [{"notes"}, {"notes 2"}, {"notes 3"}]

    def test_another_model_in_place_is_noticed(self, engine: MastraEngine) -> None:
        self.index(engine, a="dog")
        engine.vectors.embedder = Shouting()
        with pytest.raises(InvalidVector, match="300 numbers") as caught:
            self.search(engine, "dog")
        assert caught.value.path == "/query"


class _Asleep(Broken):
    """It answers questions only."""
