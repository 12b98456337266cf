"""The contract of vector search."""

from __future__ import annotations

import math
from typing import Any

import pytest

from mastra_engine.backends.base import MastraEngine
from mastra_engine.exceptions import (
    InvalidFilter,
    InvalidInput,
    InvalidVector,
)
from mastra_engine.retrieval.fusion import cosine
from mastra_engine.testing.contract.filter_cases import MONGO, PRODUCTS
from mastra_engine.testing.contract.records import by_name
from mastra_engine.testing.contract.vectors import AXES, ToyEmbedder, WithCompass
from mastra_engine.testing.hostile import (
    TEXTS,
    UNFIT_FILTERS,
    Kept,
    Refused,
)
from mastra_engine.types import Match, RerankedMatch


class TestVectorSearch(WithCompass):
    # Scores

    @pytest.mark.parametrize(
        ("metric", "expected"),
        [
            (
                "cosine",
                {"east": 1, "northeast": math.sqrt(0.5), "north": 0, "up": 0, "west": -1},
            ),
            (
                "euclidean",
                {
                    "east": 1,
                    "northeast": 1 / 2,
                    "north": 1 / (1 + math.sqrt(2)),
                    "west": 1 / 3,
                    "up": 1 / (1 + math.sqrt(5)),
                },
            ),
            ("dotproduct", {"east": 1, "northeast": 1, "north": 0, "up": 0, "west": -1}),
        ],
    )
    @pytest.mark.parametrize("storage", ["vector", "halfvec"])
    @pytest.mark.parametrize("index_type", ["hnsw", "flat"])
    def test_scores(
        self,
        engine: MastraEngine,
        metric: str,
        expected: dict[str, float],
        storage: str,
        index_type: str,
    ) -> None:
        self.fill(engine, "compass", metric=metric, storage=storage, index_type=index_type)
        matches = engine.vectors.query(index_name="compass", query_vector=[1, 0, 0])
        assert self.ids(matches) == list(expected)
        assert [match.score for match in matches] == pytest.approx(
            list(expected.values()), abs=1e-3
        )

    @pytest.mark.parametrize("metric", ["cosine", "dotproduct"])
    @pytest.mark.parametrize("index_type", ["hnsw", "ivfflat", "flat"])
    def test_bits_find_candidates_and_scores_are_exact(
        self, engine: MastraEngine, metric: str, index_type: str
    ) -> None:
        create = engine.vectors.create_index
        options: dict[str, Any] = {"dimension": 3, "metric": metric, "index_type": index_type}
        create(index_name="bits", storage="bit", **options)
        create(index_name="numbers", storage="vector", **options)
        rows = [[math.sin(i), math.cos(3 * i), math.sin(7 * i) / 2] for i in range(1, 60)]
        items = []
        for index in ("bits", "numbers"):
            for space in ("a", "b"):
                engine.vectors.upsert(
                    index_name=index,
                    vectors=rows,
                    ids=[f"{i:02}" for i in range(len(rows))],
                    metadata=[{"even": i % 2 == 0} for i in range(len(rows))],
                    namespace=space,
                )
            engine.vectors.build_index(index_name=index)
            options = {"index_name": index, "query_vector": [0.3, -0.8, 0.1]}
            items.append(
                [
                    [
                        (match.id, match.namespace, match.vector, round(match.score, 5))
                        for match in matches
                    ]
                    for matches in (
                        engine.vectors.query(**options, include_vector=True, namespace="a"),
                        engine.vectors.query(**options, include_vector=True, top_k=1),
                        engine.vectors.query(**options, filter={"even": True}, top_k=40),
                        engine.vectors.query(**options, min_score=0.5, top_k=200),
                    )
                ]
            )
        assert items[0] == items[1]
        assert [len(matches) for matches in items[0][:3]] == [10, 1, 40]

    def test_ties_go_by_id(self, engine: MastraEngine) -> None:
        engine.vectors.create_index(index_name="compass", dimension=3)
        ids = ["c", "a", "d", "b", "B"]
        engine.vectors.upsert(index_name="compass", vectors=[[1, 0, 0]] * 5, ids=ids)
        assert self.query(engine) == sorted(ids)
        assert self.query(engine, top_k=3) == sorted(ids)[:3]

    def test_min_score(self, engine: MastraEngine, compass: str) -> None:
        matches = self.query(engine, query_vector=[1, 0, 0], min_score=0.5)
        assert matches == ["east", "northeast"]

    def test_a_match_has_its_document_and_metadata(
        self, engine: MastraEngine, compass: str
    ) -> None:
        (match,) = engine.vectors.query(index_name=compass, query_vector=[0, 0, 1], top_k=1)
        assert (match.id, match.document, match.namespace) == ("up", "the way up", "")
        assert (match.metadata, match.vector) == ({"flat": False, "letters": 2}, None)
        (match,) = engine.vectors.query(
            index_name=compass, query_vector=[0, 0, 1], top_k=1, include_vector=True
        )
        assert match.vector == [0, 0, 2]

    # Filters

    @pytest.fixture
    def products(self, engine: MastraEngine) -> str:
        engine.vectors.create_index(index_name="products", dimension=3)
        engine.vectors.upsert(
            index_name="products",
            vectors=[[1.0, i / 100, 0.0] for i in range(len(PRODUCTS))],
            ids=list(PRODUCTS),
            metadata=list(PRODUCTS.values()),
        )
        return "products"

    @pytest.mark.parametrize(
        ("where", "expected"),
        [case for case in MONGO if "@" not in str(case[0])],
        ids=lambda value: str(value)[:60],
    )
    def test_filters_match_as_on_records(
        self, engine: MastraEngine, products: str, where: Any, expected: list[str]
    ) -> None:
        matches = engine.vectors.query(
            index_name=products, query_vector=[1, 0, 0], filter=where, top_k=20
        )
        assert self.ids(matches) == expected

    @by_name(UNFIT_FILTERS)
    def test_refuses_filters_that_say_nothing(
        self, engine: MastraEngine, products: str, hostile: Refused
    ) -> None:
        with pytest.raises(InvalidFilter) as caught:
            engine.vectors.query(index_name=products, query_vector=[1, 0, 0], filter=hostile.value)
        assert caught.value.path.startswith("/filter")
        with pytest.raises(InvalidFilter):
            engine.vectors.delete_vectors(index_name=products, filter=hostile.value)
        assert engine.vectors.describe_index(index_name=products).count == len(PRODUCTS)

    def test_metadata_has_no_columns(self, engine: MastraEngine, products: str) -> None:
        with pytest.raises(InvalidFilter):
            engine.vectors.query(index_name=products, query_vector=[1, 0, 0], filter={"@rev": 1})

    def test_a_filter_never_costs_results(self, engine: MastraEngine) -> None:
        engine.vectors.create_index(index_name="many", dimension=3)
        engine.vectors.upsert(
            index_name="many",
            vectors=[[1.0, i / 1000, (i * 7 % 1000) / 1000] for i in range(1000)],
            metadata=[{"tenant": i % 100} for i in range(1000)],
        )
        for tenant in range(0, 100, 10):
            matches = engine.vectors.query(
                index_name="many", query_vector=[0.1, 1, 0], filter={"tenant": tenant}
            )
            assert {match.metadata["tenant"] for match in matches} == {tenant}
            assert len(matches) == 10

    # Text

    def test_documents_are_embedded(self, engine: MastraEngine) -> None:
        engine.vectors.embedder = ToyEmbedder()
        engine.vectors.create_index(index_name="docs", dimension=3)
        engine.vectors.upsert(
            index_name="docs", documents=["aaaa", "bbbb", "cccc"], ids=list("abc")
        )
        (best, *_) = engine.vectors.query(index_name="docs", query_text="bb")
        assert (best.id, best.document) == ("b", "bbbb")
        after = engine.vectors.update_vector(index_name="docs", id="b", document="aaaaaa")
        assert after.vector == [7, 1, 1]

    def test_without_an_embedder_text_is_refused(self, engine: MastraEngine, compass: str) -> None:
        engine.vectors.embedder = None
        for call in (
            lambda: engine.vectors.upsert(index_name=compass, documents=["text"]),
            lambda: engine.vectors.query(index_name=compass, query_text="text"),
            lambda: engine.vectors.query(index_name=compass),
            lambda: engine.vectors.upsert(index_name=compass),
        ):
            with pytest.raises(InvalidInput):
                call()

    @pytest.mark.parametrize(
        "answer",
        [[], [[1.0, 0.0]], [[1.0, 0.0, 0.0], [1.0]], [[0.0] * 3] * 2, [[math.nan] * 3] * 2],
    )
    def test_an_embedder_that_answers_wrongly_stores_nothing(
        self, engine: MastraEngine, answer: Any
    ) -> None:
        class Wrong(ToyEmbedder):
            def embed_documents(self, texts: list[str]) -> Any:
                return answer

        engine.vectors.embedder = Wrong()
        engine.vectors.create_index(index_name="docs", dimension=3)
        with pytest.raises(InvalidVector):
            engine.vectors.upsert(index_name="docs", documents=["one", "two"])
        assert engine.vectors.describe_index(index_name="docs").count == 0

    def test_an_embedder_that_fails_stores_nothing(self, engine: MastraEngine) -> None:
        class SoonAway(ToyEmbedder):
            calls = 0

            def embed_documents(self, texts: list[str]) -> Any:
                self.calls += 1
                if self.calls == 3:
                    raise ConnectionError
                return super().embed_documents(texts)

        engine.vectors.embedder = SoonAway()
        engine.vectors.create_index(index_name="docs", dimension=3)
        with pytest.raises(ConnectionError):
            engine.vectors.upsert(index_name="docs", documents=["one"] * 1_000)
        assert engine.vectors.describe_index(index_name="docs").count == 0

    def test_many_documents_are_embedded_some_at_a_time(self, engine: MastraEngine) -> None:
        calls: list[int] = []

        class Counting(ToyEmbedder):
            def embed_documents(self, texts: list[str]) -> Any:
                calls.append(len(texts))
                return super().embed_documents(texts)

        engine.vectors.embedder = Counting()
        engine.vectors.create_index(index_name="docs", dimension=3)
        documents = ["a" * (i % 7) + "b" * (i % 11) for i in range(1_000)]
        ids = engine.vectors.upsert(index_name="docs", documents=documents)
        assert sum(calls) == 1_000
        assert max(calls) <= 256
        for i in (0, 255, 256, 999):
            (stored,) = engine.vectors.get_vectors(index_name="docs", ids=[ids[i]])
            assert (stored.document, stored.vector) == (documents[i], [1 + i % 7, 1 + i % 11, 1])

    def test_invalid_vectors_of_an_embedder_name_the_document(self, engine: MastraEngine) -> None:
        class OnceWrong(ToyEmbedder):
            def embed_documents(self, texts: list[str]) -> Any:
                return [[math.nan] * 3 if text == "x" else [1.0] * 3 for text in texts]

        engine.vectors.embedder = OnceWrong()
        engine.vectors.create_index(index_name="docs", dimension=3)
        with pytest.raises(InvalidVector) as caught:
            engine.vectors.upsert(index_name="docs", documents=[*["one"] * 700, "x"])
        assert caught.value.path == "/documents/700"

    def test_hybrid_search_finds_words_too(self, engine: MastraEngine) -> None:
        self.fill(engine, "compass", language="simple")
        vector_only = self.query(engine, query_vector=[1, 0, 0], top_k=2)
        assert "up" not in vector_only
        matches = engine.vectors.query(
            index_name="compass", query_vector=[1, 0, 0], query_text="up", hybrid=True
        )
        assert matches[0].id == "up"
        # The only one of five with the word is 2 deviations above the mean; its similarity is 0.
        mean, deviation = math.sqrt(0.5) / 5, math.sqrt(2.5 / 5 - 0.5 / 25)
        standardized = 0.4 * 2 - 0.6 * mean / deviation
        assert matches[0].score == pytest.approx(1 / (1 + math.exp(-standardized)))
        assert set(self.ids(matches)) == set(AXES)
        with pytest.raises(InvalidInput):
            engine.vectors.query(index_name="compass", query_vector=[1, 0, 0], hybrid=True)

    def test_replaced_documents_are_found_by_their_words(self, engine: MastraEngine) -> None:
        """By those of the document that is stored, however many are replaced at once."""
        engine.vectors.create_index(index_name="weather", dimension=2, language="simple")

        def ids_of(text: str) -> list[str]:
            matches = engine.vectors.query(
                index_name="weather", query_vector=[1, 0], query_text=text, hybrid=0.0, top_k=100
            )
            return sorted(match.id for match in matches if match.lexical)

        for number in (1, 30):
            ids = [f"{number}-{i}" for i in range(number)]
            for document in ("東京都。", "東京都!", "東京都?"):
                engine.vectors.upsert(
                    index_name="weather",
                    ids=ids,
                    vectors=[[1, 0]] * number,
                    documents=[document] * number,
                )
                assert ids_of("東京") == sorted(ids)
            for other in ("!!!", None, "札幌", "!!!"):
                engine.vectors.upsert(
                    index_name="weather",
                    ids=ids,
                    vectors=[[1, 0]] * number,
                    documents=None if other is None else [other] * number,
                )
                assert ids_of("東京") == []
                assert ids_of("札幌") == (sorted(ids) if other == "札幌" else [])
            engine.vectors.delete_vectors(index_name="weather", ids=ids)

    def test_hybrid_search_keeps_to_filter_and_namespace(self, engine: MastraEngine) -> None:
        self.fill(engine, "compass", language="simple")
        options = {"query_text": "up", "hybrid": True}
        assert "up" not in self.query(engine, filter={"flat": True}, **options)
        assert self.query(engine, namespace="elsewhere", **options) == []

    @by_name(TEXTS)
    def test_any_text_can_be_searched_for(
        self, engine: MastraEngine, compass: str, hostile: Kept
    ) -> None:
        ids = engine.vectors.upsert(
            index_name=compass,
            vectors=[[0.5, 0.5, 0.5]],
            ids=[hostile.value],
            documents=[hostile.value],
            metadata=[{hostile.value: hostile.value}],
            namespace=hostile.value,
        )
        matches = engine.vectors.query(
            index_name=compass,
            query_vector=[0.5, 0.5, 0.5],
            query_text=hostile.value,
            hybrid=True,
            namespace=hostile.value,
        )
        assert self.ids(matches) == ids == [hostile.value]
        assert matches[0].metadata == {hostile.value: hostile.value}

    @pytest.mark.parametrize("metric", ["cosine", "euclidean", "dotproduct"])
    def test_min_score_applies_to_word_matches(self, engine: MastraEngine, metric: Any) -> None:
        engine.vectors.create_index(index_name="m", dimension=2, metric=metric, language="simple")
        engine.vectors.upsert(
            index_name="m",
            vectors=[[1, 0], [0.8, 0.6], [-1, 0], [0, 1]],
            ids=["same", "near", "opposite", "across"],
            documents=["kettle", "kettle", "kettle", "teapot"],
        )
        search: dict[str, Any] = {"index_name": "m", "query_vector": [1, 0], "top_k": 10}
        scores = {match.id: match.score for match in engine.vectors.query(**search)}
        for floor in (-2, -0.9, 0, scores["near"], scores["same"], 1.5):
            matches = engine.vectors.query(
                **search, query_text="kettle", hybrid=True, min_score=floor
            )
            assert {match.id for match in matches} == {
                id for id, score in scores.items() if score >= floor
            }

    @pytest.mark.parametrize(
        "words",
        [
            " ".join(f"w{i}" for i in range(15_000)),
            "kettle " * 14_000,
            ",".join(f"{i}" for i in range(16_000)),
            "x" * 100_000,
            "& | ! ( ) <-> :* ' " * 5_000,
        ],
        ids=["words", "one word", "commas", "no spaces", "operators"],
    )
    def test_long_query_texts_are_answered(self, engine: MastraEngine, words: str) -> None:
        self.fill(engine, "compass", language="simple")
        matches = engine.vectors.query(
            index_name="compass",
            query_vector=[1, 0, 0],
            query_text=words,
            hybrid=True,
            reranker=True,
            top_k=2,
        )
        assert len(matches) == 2

    @pytest.mark.parametrize("options", [{}, {"hybrid": True}, {"reranker": True}])
    def test_longer_query_texts_are_refused(
        self, engine: MastraEngine, compass: str, options: dict[str, Any]
    ) -> None:
        with pytest.raises(InvalidInput, match="the limit is 100,000") as caught:
            engine.vectors.query(
                index_name=compass, query_vector=[1, 0, 0], query_text="x " * 50_001, **options
            )
        assert caught.value.path == "/query_text"

    def test_mmr_with_many_candidates_follows_its_definition(self, engine: MastraEngine) -> None:
        def most_similar(match: Match, others: list[Match]) -> float:
            return max(cosine(match.vector or (), other.vector or ()) for other in others)

        engine.vectors.create_index(index_name="many", dimension=3)
        vectors = [[1.0, (i * 7 % 50) / 10, (i * 11 % 30) / 10] for i in range(200)]
        engine.vectors.upsert(index_name="many", vectors=vectors)
        search: dict[str, Any] = {"index_name": "many", "query_vector": [1, 0.5, 0.5]}
        diverse = engine.vectors.query(**search, top_k=20, mmr=0.4, include_vector=True)
        near = engine.vectors.query(**search, top_k=80, include_vector=True)
        selected = [near.pop(0)]
        while len(selected) < 20:  # the definition, step by step
            best = max(
                near,
                key=lambda match: (
                    0.4 * match.score
                    - 0.6
                    * max(cosine(match.vector or (), other.vector or ()) for other in selected)
                ),
            )
            near.remove(best)
            selected.append(best)
        assert [match.score for match in diverse] == pytest.approx([m.score for m in selected])

    def test_mmr_chooses_different_ones(self, engine: MastraEngine) -> None:
        engine.vectors.create_index(index_name="compass", dimension=3)
        near = [[1, 0.01 * i, 0] for i in range(5)]
        engine.vectors.upsert(
            index_name="compass", vectors=[*near, [0.7, 0, 0.7]], ids=[*"abcde", "other"]
        )
        assert self.query(engine, query_vector=[1, 0, 0], top_k=2) == ["a", "b"]
        assert self.query(engine, query_vector=[1, 0, 0], top_k=2, mmr=0.3) == ["a", "other"]
        assert self.query(engine, query_vector=[1, 0, 0], top_k=2, mmr=1) == ["a", "b"]
        for bad in (-0.1, 1.1, True, "0.5", math.nan):
            with pytest.raises(InvalidInput):
                self.query(engine, mmr=bad)

    def test_reranking_reorders(self, engine: MastraEngine, compass: str) -> None:
        from mastra_engine.retrieval.rerankers import Reranker
        from mastra_engine.types import Weights

        only_text = Reranker(
            weights=Weights(semantic=1, vector=0, position=0),
            scorer=lambda query, texts: [float(query in text) for text in texts],
        )
        matches = engine.vectors.query(
            index_name=compass,
            query_vector=[1, 0, 0],
            query_text="way up",
            reranker=only_text,
            top_k=2,
        )
        assert (matches[0].id, matches[0].score) == ("up", 1)
        assert len(matches) == 2

    def test_true_is_the_engines_own_reranker(self, engine: MastraEngine, compass: str) -> None:
        calls = {"query_vector": [1, 0, 0.9], "query_text": "way up", "top_k": 1}
        assert self.query(engine, **calls, reranker=False) == ["east"]
        assert self.query(engine, **calls, reranker=True) == ["up"]
        engine.vectors.reranker = LastFirst()
        assert self.query(engine, **calls, reranker=True) == ["west"]

    @pytest.mark.parametrize("bad", ["mastra_engine.Reranker", 1, {}, lambda query, texts: [1.0]])
    def test_invalid_rerankers_are_refused(
        self, engine: MastraEngine, compass: str, bad: Any
    ) -> None:
        with pytest.raises(InvalidInput) as caught:
            self.query(engine, query_text="way up", reranker=bad)
        assert caught.value.path == "/reranker"


class LastFirst:
    """Puts matches in the opposite order."""

    def rerank(self, results: list[Match], query: str, top_k: int = 3) -> list[RerankedMatch]:
        return [
            RerankedMatch(match=match, score=0, semantic=0, vector=0, position=0)
            for match in results[::-1][:top_k]
        ]
