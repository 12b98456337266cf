"""The contract of hybrid search."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import Any

import pytest

from mastra_engine.backends.base import MastraEngine
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.exceptions import InvalidInput
from mastra_engine.testing.contract.indexing import CONNECTION, WithIndex
from mastra_engine.testing.contract.recall import BagOfWords
from mastra_engine.testing.contract.threads import WithThread
from mastra_engine.types import Match, Thread

#: Values of `hybrid`, and those that are no weight.
MODES: list[Any] = [False, True, 0.0, 0.3, 1.0]
NO_WEIGHTS: list[Any] = [-0.1, 1.1, math.nan, math.inf, "0.5", [0.5]]


class Blank(BagOfWords):
    """A model that knows no word of any query."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return BagOfWords().embed_documents(texts)

    def embed_query(self, text: str) -> list[float]:
        return [0.0] * self.dimension


def bm25(documents: dict[str, str], query: str) -> dict[str, float]:
    """Return the score of each document that shares a word with the query, by the textbook."""
    counts = {
        id: {word: min(n, 255) for word, n in Counter(text.split()).items()}
        for id, text in documents.items()
    }
    average = sum(sum(count.values()) for count in counts.values()) / len(counts)
    scores: dict[str, float] = {}
    for id, words in counts.items():
        length = sum(words.values()) / average
        for word in query.split():
            if word in words:
                having = sum(word in other for other in counts.values())
                idf = math.log(1 + (len(counts) - having + 0.5) / (having + 0.5))
                saturation = words[word] / (words[word] + 1.5 * (0.25 + 0.75 * length))
                scores[id] = scores.get(id, 0.0) + idf * saturation
    return scores


def generated(number: int, seed: int = 1) -> dict[str, str]:
    """Return documents by id, of 1 to 40 of 60 words, the first of which are frequent."""
    chance = random.Random(seed)
    words = [f"w{n}" for n in range(60)]
    weights = [1 / (n + 1) for n in range(60)]
    return {
        f"{n:03}": " ".join(chance.choices(words, weights, k=chance.randint(1, 40)))
        for n in range(number)
    }


def on_arc(n: int) -> list[float]:
    """Return a vector with a lower similarity to (1, 0) for a larger n."""
    return [math.cos(n / 50), math.sin(n / 50)]


class TestHybridSearch:
    def store(
        self,
        engine: MastraEngine,
        documents: dict[str, str],
        *,
        namespace: str = "",
        language: str = "simple",
    ) -> None:
        engine.vectors.create_index(index_name="texts", dimension=2, language=language)
        engine.vectors.upsert(
            index_name="texts",
            vectors=[on_arc(n) for n in range(len(documents))],
            ids=list(documents),
            metadata=[{"n": n} for n in range(len(documents))],
            documents=list(documents.values()),
            namespace=namespace,
        )

    def search(self, engine: MastraEngine, query: str, **options: Any) -> list[Match]:
        defaults = {"query_vector": [1, 0], "top_k": 100, "hybrid": True, "namespace": ""}
        return engine.vectors.query(index_name="texts", query_text=query, **{**defaults, **options})

    def lexical(self, engine: MastraEngine, query: str, **options: Any) -> dict[str, float]:
        matches = self.search(engine, query, **options)
        return {match.id: match.lexical for match in matches if match.lexical}

    def by_words(self, engine: MastraEngine, query: str) -> list[str]:
        """Return the matches of a search without a vector."""
        matches = self.search(engine, query, query_vector=None, hybrid=0.0)
        assert all(match.similarity is None and match.lexical > 0 for match in matches)
        return [match.id for match in matches]

    # BM25

    @pytest.mark.parametrize("query", ["w0", "w3 w17", "w59 w59 w1", "w0 w1 w2 w3 nothing"])
    def test_lexical_is_bm25(self, engine: MastraEngine, query: str) -> None:
        documents = generated(80)
        documents["often"] = " ".join(["w3"] * 300 + ["w17"] * 40)
        self.store(engine, documents)
        expected = bm25(documents, query)
        assert self.lexical(engine, query) == pytest.approx(expected, rel=1e-6)
        for mode in (0.0, 0.3, 1.0):
            assert self.lexical(engine, query, hybrid=mode) == pytest.approx(expected, rel=1e-6)
        assert self.lexical(engine, query, hybrid=False) == {}

    def test_a_filter_changes_no_lexical_score(self, engine: MastraEngine) -> None:
        documents = generated(80)
        self.store(engine, documents)
        scores = bm25(documents, "w1 w20")
        selected = {id: score for id, score in scores.items() if int(id) < 20}
        assert 0 < len(selected) < len(scores)
        matches = self.lexical(engine, "w1 w20", filter={"n": {"$lt": 20}})
        assert matches == pytest.approx(selected, rel=1e-6)

    def test_other_namespaces_change_no_lexical_score(self, engine: MastraEngine) -> None:
        documents, others = generated(40), generated(60, seed=2)
        self.store(engine, documents)
        self.store(engine, others, namespace="other")
        engine.vectors.create_index(index_name="unused", dimension=2)
        for namespace, texts in (("", documents), ("other", others)):
            result = self.lexical(engine, "w1 w20", namespace=namespace)
            assert result == pytest.approx(bm25(texts, "w1 w20"), rel=1e-6)
        together = {f"{id} {n}": text for n, item in enumerate((documents, others))
                    for id, text in item.items()}  # fmt: skip
        matches = self.search(engine, "w1 w20", namespace=None)
        assert {
            f"{match.id} {int(match.namespace == 'other')}": match.lexical
            for match in matches
            if match.lexical
        } == pytest.approx(bm25(together, "w1 w20"), rel=1e-6)

    # Weights

    def test_the_weight_of_the_vector(self, engine: MastraEngine) -> None:
        documents = generated(80)
        self.store(engine, documents)
        scores = bm25(documents, "w2 w9")
        by_words = sorted(scores, key=lambda id: (-scores[id], id))
        for nothing in (0.0, 0):
            ids = [match.id for match in self.search(engine, "w2 w9", hybrid=nothing)]
            assert ids[: len(scores)] == by_words
            assert set(ids) == set(documents)
        for all_of_it in (1.0, 1):
            ids = [match.id for match in self.search(engine, "w2 w9", hybrid=all_of_it)]
            assert ids == list(documents)
        assert self.search(engine, "w2 w9") == self.search(engine, "w2 w9", hybrid=0.6)
        assert self.search(engine, "w2 w9") != self.search(engine, "w2 w9", hybrid=0.4)

    def test_words_alone_need_no_embedder(self, engine: MastraEngine) -> None:
        engine.vectors.embedder = None
        documents = generated(80)
        self.store(engine, documents)
        scores = bm25(documents, "w2 w9")
        expected = sorted(scores, key=lambda id: (-scores[id], id))
        assert self.by_words(engine, "w2 w9") == expected
        for mode in (True, 0.1, 1.0):
            with pytest.raises(InvalidInput) as caught:
                self.search(engine, "w2 w9", query_vector=None, hybrid=mode)
            assert caught.value.path == "/query_text"

    @pytest.mark.parametrize("weight", NO_WEIGHTS)
    def test_what_is_no_weight_is_refused(self, engine: MastraEngine, weight: Any) -> None:
        self.store(engine, {"a": "kettle"})
        with pytest.raises(InvalidInput) as caught:
            self.search(engine, "kettle", hybrid=weight)
        assert caught.value.path == "/hybrid"

    def test_results_by_words_have_their_similarity(self, engine: MastraEngine) -> None:
        documents = {f"{n:03}": f"teapot {n}" for n in range(150)}
        documents["far"] = "kettle"
        self.store(engine, documents)
        (match,) = self.search(engine, "kettle", top_k=1, hybrid=0.1)
        assert match.id == "far"
        assert match.similarity == pytest.approx(math.cos(150 / 50), abs=1e-6)
        (match,) = self.search(engine, "kettle", top_k=1, hybrid=0.1, include_vector=True)
        assert match.vector == pytest.approx(on_arc(150))

    # The least similarity

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("floor", [-1, 0.0, 0.7, 0.999, 1.1])
    def test_min_score_is_about_similarity(
        self, engine: MastraEngine, mode: Any, floor: float
    ) -> None:
        self.store(engine, generated(90))
        matches = self.search(engine, "w0 w30", hybrid=mode, min_score=floor)
        similar = {f"{n:03}" for n in range(90) if math.cos(n / 50) >= floor}
        assert {match.id for match in matches} == similar
        assert all((match.similarity or 0.0) >= floor for match in matches)

    def test_min_score_needs_a_vector(self, engine: MastraEngine) -> None:
        engine.vectors.embedder = None
        self.store(engine, {"a": "kettle"})
        with pytest.raises(InvalidInput) as caught:
            self.search(engine, "kettle", query_vector=None, hybrid=0.0, min_score=0.1)
        assert caught.value.path == "/min_score"

    @pytest.mark.parametrize("mode", MODES)
    def test_nothing_may_be_similar_enough(self, engine: MastraEngine, mode: Any) -> None:
        engine.vectors.create_index(index_name="texts", dimension=BagOfWords.dimension)
        engine.vectors.embedder = BagOfWords()
        engine.vectors.upsert(index_name="texts", documents=["red kettle", "blue teapot"])
        options = {"query_vector": None, "hybrid": mode, "min_score": 0.2}
        assert self.search(engine, "xyzzy plugh", **options) == []
        assert len(self.search(engine, "kettle", **options)) == 1

    @pytest.mark.parametrize("mode", [mode for mode in MODES if mode is not False])
    def test_zeros_are_similar_to_nothing(self, engine: MastraEngine, mode: Any) -> None:
        engine.vectors.create_index(index_name="texts", dimension=BagOfWords.dimension)
        engine.vectors.embedder = Blank()
        engine.vectors.upsert(index_name="texts", documents=["red kettle", "blue teapot"])
        options = {"query_vector": None, "hybrid": mode}
        (match,) = self.search(engine, "kettle", **options)
        assert (match.document, match.similarity) == ("red kettle", None)
        for floor in (-1, 0, 0.2):
            assert self.search(engine, "kettle", min_score=floor, **options) == []

    # Explanations

    @pytest.mark.parametrize("mode", MODES)
    def test_explanations(self, engine: MastraEngine, mode: Any) -> None:
        self.store(engine, generated(80))
        for match in self.search(engine, "w2 w9 w9", hybrid=mode, explain=True):
            assert match.explanation is not None
            parts = {part.name: part for part in match.explanation.parts}
            weight = {False: 1.0, True: 0.6}[mode] if isinstance(mode, bool) else mode
            similarity = parts.pop("similarity")
            assert (similarity.value, similarity.weight) == (match.similarity, weight)
            if mode is False:
                assert parts == {}
                continue
            own = parts.pop("lexical")
            assert own.value == match.lexical
            assert own.weight == pytest.approx(1 - weight)
            assert sum(own.words.values()) == pytest.approx(match.lexical)
            stored = set((match.document or "").split())
            assert own.words.keys() == stored & {"w2", "w9"}
            assert parts == {}
        assert all(item.explanation is None for item in self.search(engine, "w2", hybrid=mode))

    def test_explanations_without_a_vector(self, engine: MastraEngine) -> None:
        engine.vectors.embedder = None
        self.store(engine, generated(20))
        (match, *_) = self.search(engine, "w1", query_vector=None, hybrid=0.0, explain=True)
        assert match.explanation is not None
        assert [(part.name, part.weight) for part in match.explanation.parts] == [("lexical", 1.0)]

    # Words

    @pytest.mark.parametrize("language", ["simple", "english"])
    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("東京", ["tower", "metropolis"]),
            ("京都", ["metropolis", "kyoto"]),
            ("東京タワー", ["tower", "metropolis"]),
            ("データ", ["data"]),
            ("데이터베이스", ["korean"]),
            ("베이스", ["korean"]),
            ("数据库", ["chinese"]),
            ("example.org", ["address"]),
            ("ＫＥＴＴＬＥ", ["latin"]),
            ("大阪", []),
        ],
    )
    def test_words_of_many_scripts(
        self, engine: MastraEngine, language: str, query: str, expected: list[str]
    ) -> None:
        documents = {
            "tower": "東京タワーに行きました。",
            "metropolis": "東京都",
            "kyoto": "京都のお寺",
            "data": "データを保存する",
            "korean": "데이터베이스를 백업합니다",
            "chinese": "备份数据库",
            "address": "https://example.org/find?a=1&b=2",
            "latin": "Kettle",
        }
        self.store(engine, documents, language=language)
        assert set(self.by_words(engine, query)) == set(expected)
        assert self.by_words(engine, query)[:1] == expected[:1] or len(expected) != 1

    def test_changed_documents_are_found_by_their_new_words(self, engine: MastraEngine) -> None:
        engine.vectors.embedder = None
        self.store(engine, {"a": "red kettle", "b": "blue teapot"})
        engine.vectors.update_vector(index_name="texts", id="a", document="green pan")
        engine.vectors.update_vector(index_name="texts", id="b", metadata={"n": 7})
        engine.vectors.update_vector(index_name="texts", id="b", vector=[0, 1])
        for query, expected in (("kettle", []), ("pan", ["a"]), ("teapot", ["b"])):
            assert self.by_words(engine, query) == expected
        engine.vectors.upsert(
            index_name="texts", vectors=[[1, 0]], ids=["b"], documents=["copper cauldron"]
        )
        for query, expected in (("teapot", []), ("cauldron", ["b"])):
            assert self.by_words(engine, query) == expected
        documents = {"a": "green pan", "b": "copper cauldron"}
        assert self.lexical(engine, "pan") == pytest.approx(bm25(documents, "pan"), rel=1e-6)

    def test_without_a_document_vectors_find(self, engine: MastraEngine) -> None:
        engine.vectors.embedder = None
        self.store(engine, {"a": "red kettle", "b": "blue kettle", "c": "big blue teapot"})
        engine.vectors.update_vector(index_name="texts", id="a", document=None)
        engine.vectors.upsert(index_name="texts", vectors=[[1, 0]], ids=["d"])
        assert self.by_words(engine, "kettle") == ["b"]
        values_by_key = {match.id: match.lexical for match in self.search(engine, "kettle")}
        # A vector without a document is not among those that a word is counted in.
        expected = bm25({"b": "blue kettle", "c": "big blue teapot"}, "kettle")
        assert values_by_key == pytest.approx({"a": 0, "c": 0, "d": 0, **expected}, rel=1e-6)

    @pytest.mark.parametrize("query", ["?! ...", "&|!()", "  ", "the of and", "The, and: of?"])
    def test_queries_without_words_are_about_vectors(
        self, engine: MastraEngine, query: str
    ) -> None:
        engine.vectors.embedder = None
        self.store(engine, {"c": "red kettle", "b": "teapot", "a": "pan"}, language="english")
        matches = self.search(engine, query)
        assert [(match.id, match.lexical) for match in matches] == [("c", 0), ("b", 0), ("a", 0)]
        assert [match.similarity for match in matches] == pytest.approx(
            [math.cos(n / 50) for n in range(3)], abs=1e-6
        )
        assert self.by_words(engine, query) == []

    def test_the_built_in_reranker_keeps_a_hybrid_order(self, engine: MastraEngine) -> None:
        self.store(engine, generated(80))
        for mode in (True, 0.0, 0.7):
            plain = self.search(engine, "w2 w9", hybrid=mode, top_k=20)
            assert self.search(engine, "w2 w9", hybrid=mode, top_k=20, reranker=True) == plain


class TestHybridRecordSearch(WithIndex):
    @pytest.fixture(autouse=True)
    def _notes(self, engine: MastraEngine, _none_declared: None) -> None:
        self.index(engine, a="red kettle boils", b="blue teapot", c="kettle")

    def search(self, engine: MastraEngine, query: str, **options: Any) -> dict[str, float | None]:
        matches = engine.search_records(query=query, connection_id=CONNECTION, **options)
        return {match.record.external_id: match.similarity for match in matches}

    @pytest.mark.parametrize("mode", MODES)
    def test_min_score_is_about_similarity(self, engine: MastraEngine, mode: Any) -> None:
        similarities = {"a": 1 / math.sqrt(3), "b": 0, "c": 1}
        for floor in (0, 0.5, 0.9, 1.1):
            matches = self.search(engine, "kettle", hybrid=mode, min_score=floor)
            expected = {
                id: similarity for id, similarity in similarities.items() if similarity >= floor
            }
            assert matches == pytest.approx(expected, abs=1e-6)
        assert self.search(engine, "xyzzy", hybrid=mode, min_score=0.1) == {}

    def test_hybrid_is_the_default(self, engine: MastraEngine) -> None:
        (first, *_) = engine.search_records(query="teapot", connection_id=CONNECTION, explain=True)
        assert (first.record.external_id, first.lexical > 0) == ("b", True)
        assert first.explanation is not None
        assert [(part.name, part.weight) for part in first.explanation.parts] == [
            ("similarity", 0.6),
            ("lexical", 0.4),
        ]
        assert first.explanation.parts[1].words == pytest.approx({"teapot": first.lexical})

    @pytest.mark.parametrize("weight", NO_WEIGHTS)
    def test_what_is_no_weight_is_refused(self, engine: MastraEngine, weight: Any) -> None:
        with pytest.raises(InvalidInput) as caught:
            self.search(engine, "kettle", hybrid=weight)
        assert caught.value.path == "/hybrid"


class TestHybridRecall(WithThread):
    @pytest.fixture
    def memory(self, engine: MastraEngine) -> Memory:
        engine.vectors.embedder = BagOfWords()
        return engine.memory

    @pytest.fixture
    def chat(self, memory: Memory, thread: Thread) -> Thread:
        """Small talk, with a question at 5; its answer repeats none of its words."""
        texts = [f"weather {n} sunny" for n in range(1, 13)]
        texts[4:6] = "which kettle leaks", "your red Bodum"
        self.say(memory, *texts)
        return thread

    def recall(self, memory: Memory, query: str, **options: Any) -> Any:
        options = {"thread_id": "chat", "message_range": (0, 0), **options}
        return memory.recall(query=query, **options)

    def test_the_words_beside_a_message_count(self, memory: Memory, chat: Thread) -> None:
        matches = self.recall(memory, "kettle", top_k=3, explain=True)
        assert {message.position for message in matches} == {5, 4, 6}
        question, *beside = matches
        assert question.lexical > 0
        for message in beside:
            assert message.lexical == 0
            (part,) = (p for p in message.explanation.parts if p.name == "neighbour")
            assert part.message_id == question.id
            assert part.value == pytest.approx(question.lexical)
            assert sum(part.words.values()) == pytest.approx(question.lexical)
            assert part.weight == pytest.approx(0.4 * 0.6)
        names = [part.name for part in question.explanation.parts]
        assert names == ["similarity", "lexical"]
        by_vectors = self.recall(memory, "kettle", top_k=3, hybrid=False)
        assert 6 not in [message.position for message in by_vectors]

    def test_hits_alone_are_ordered_by_score(self, memory: Memory, chat: Thread) -> None:
        for mode in MODES:
            matches = self.recall(memory, "kettle weather 11", top_k=12, hybrid=mode)
            assert len(matches) == 12
            scores = [message.score for message in matches]
            assert scores == sorted(scores, reverse=True)
        assert self.recall(memory, "kettle") == self.recall(memory, "kettle", hybrid=0.4)
        assert self.recall(memory, "kettle") != self.recall(memory, "kettle", hybrid=0.5)

    @pytest.mark.parametrize("mode", MODES)
    def test_min_score_applies_to_hits(self, memory: Memory, chat: Thread, mode: Any) -> None:
        options = {"top_k": 12, "min_score": 0.5, "hybrid": mode}
        (hit,) = self.recall(memory, "kettle", **options)
        assert (hit.position, hit.similarity) == (5, pytest.approx(1 / math.sqrt(3), abs=1e-6))
        matches = self.recall(memory, "kettle", message_range=(1, 1), **options)
        assert [message.position for message in matches] == [4, 5, 6]
        assert [message.score is None for message in matches] == [True, False, True]
        assert [message.similarity for message in matches] == [None, hit.similarity, None]
        assert self.recall(memory, "xyzzy", **{**options, "min_score": 0.1}) == []

    @pytest.mark.parametrize("weight", NO_WEIGHTS)
    def test_what_is_no_weight_is_refused(self, memory: Memory, chat: Thread, weight: Any) -> None:
        with pytest.raises(InvalidInput) as caught:
            self.recall(memory, "kettle", hybrid=weight)
        assert caught.value.path == "/hybrid"
