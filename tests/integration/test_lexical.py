"""Lexical search in PostgreSQL: its order, its estimates, its words, its statements and plans."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import bm25s
import numpy as np
import pytest
from django.db import connection
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.postgres import lexical
from mastra_engine.retrieval.words import MAX_FREQUENCY, analyzed, words_of
from tests.integration.queries import explained, nodes_of, statements
from tests.property.pair import QUIET

pytestmark = pytest.mark.django_db

SIZE, QUERIES, VOCABULARY = 4_000, 1_000, 5_000
INDEX = "texts"


def texts(number: int, longest: int, seed: int) -> list[list[str]]:
    """Return lists of words, of which the first of the vocabulary are by far the most frequent."""
    chance = random.Random(seed)
    words = [f"w{n}" for n in range(VOCABULARY)]
    bounds = np.cumsum([1 / (n + 1) for n in range(VOCABULARY)]).tolist()
    return [
        chance.choices(words, cum_weights=bounds, k=chance.randint(1, longest))
        for _ in range(number)
    ]


DOCUMENTS = texts(SIZE, 120, seed=1)


@pytest.fixture(scope="module")
def _stored(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """All documents, committed once for the whole module."""
    with django_db_blocker.unblock():
        engine = PostgresEngine()
        engine.vectors.create_index(
            index_name=INDEX, dimension=2, language="simple", index_type="flat"
        )
        engine.vectors.upsert(
            index_name=INDEX,
            vectors=np.random.default_rng(1).normal(size=(SIZE, 2)).astype(np.float32),
            ids=[f"{n:05}" for n in range(SIZE)],
            documents=[" ".join(words) for words in DOCUMENTS],
        )
        with connection.cursor() as cursor:
            cursor.execute(f"VACUUM (ANALYZE) {table(engine)}")
    yield
    with django_db_blocker.unblock():
        engine.vectors.delete_index(index_name=INDEX)


@pytest.fixture
def stored(engine: PostgresEngine, _stored: None) -> PostgresEngine:
    """The engine, with the documents."""
    return engine


def table(engine: PostgresEngine) -> str:
    return f"mastra_engine_embedding_{engine.vectors.indexes.require(INDEX).id}"


def search(engine: PostgresEngine, words: list[str], **options: Any) -> list[tuple[int, float]]:
    """Return the numbers of the documents with the best words, and their scores."""
    defaults: dict[str, Any] = {"top_k": 10, "hybrid": 0.0, "namespace": ""}
    matches = engine.vectors.query(
        index_name=INDEX, query_text=" ".join(words), **{**defaults, **options}
    )
    return [(int(match.id), match.lexical) for match in matches]


@pytest.fixture(scope="module")
def reference() -> Any:
    """BM25 by another implementation, from words to the scores of all documents."""
    retriever = bm25s.BM25(method="lucene", k1=1.5, b=0.75, dtype="float64")
    retriever.index(DOCUMENTS, show_progress=False)

    def scores(words: list[str]) -> np.ndarray:
        existing = [word for word in words if word in retriever.vocab_dict]
        return retriever.get_scores(existing) if existing else np.zeros(SIZE)

    return scores


def best(scores: np.ndarray, number: int = 10) -> list[int]:
    """Return the documents with the highest scores above 0, ties in order."""
    order = np.lexsort((np.arange(SIZE), -np.round(scores, 9)))[:number]
    return [int(n) for n in order if scores[n] > 0]


def test_the_order_is_that_of_another_implementation(
    stored: PostgresEngine, reference: Any
) -> None:
    for words in texts(QUERIES, 6, seed=2):
        expected = reference(words)
        matches = search(stored, words)
        numbers = [n for n, _ in matches]
        assert len(numbers) == len(best(expected))
        assert [score for _, score in matches] == pytest.approx(
            sorted(expected, reverse=True)[: len(matches)], rel=1e-6
        )
        assert [score for _, score in matches] == pytest.approx(expected[numbers], rel=1e-6)


def test_estimates_find_what_is_exact(
    stored: PostgresEngine, reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lexical, "EXACT_DOCUMENTS", 0)
    overlaps = []
    for words in texts(300, 6, seed=3):
        expected = reference(words)
        entry = best(expected)
        if not entry:
            continue
        # Documents that score the same as the last of the first ten may stand for it.
        least = expected[entry[-1]] * (1 - 1e-9)
        result = [n for n, _ in search(stored, words)]
        assert len(result) == len(entry)
        overlaps.append(sum(expected[n] >= least for n in result) / len(entry))
    assert len(overlaps) > 250
    assert sum(overlaps) / len(overlaps) >= 0.95


def test_a_hybrid_query_of_a_small_collection_is_one_statement_more(stored: PostgresEngine) -> None:
    def query(**options: Any) -> list[str]:
        return statements(
            lambda: stored.vectors.query(
                index_name=INDEX, query_text="w3 w70", query_vector=[1, 0], **options
            )
        )

    query(hybrid=True)
    # The statistics and the definition of the index are kept; the words of the query, and the
    # search by vectors and words remain.
    plain = len(query())
    for options in ({"hybrid": True}, {"hybrid": 0.3, "min_score": 0.1}, {"hybrid": 1.0}):
        assert len(query(**options)) == plain + 1


def test_documents_are_found_by_the_index_of_words(
    stored: PostgresEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lexical, "EXACT_DOCUMENTS", 0)
    with explained("WITH candidate AS") as plans:
        search(stored, ["w3500", "w2100"])
    nodes = [node for plan in plans for node in nodes_of(plan)]
    assert plans
    assert f"{table(stored)}_words" in {node.get("Index Name") for node in nodes}
    scanned = {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"}
    assert table(stored) not in scanned


def test_a_small_namespace_is_read_without_the_documents_of_others(stored: PostgresEngine) -> None:
    stored.vectors.upsert(
        index_name=INDEX,
        namespace="small",
        vectors=[[1.0, 0.0]] * 1_000,
        documents=[" ".join(words) for words in DOCUMENTS[:1_000]],
    )
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {table(stored)}")
    with explained("candidate AS MATERIALIZED") as plans:
        stored.vectors.query(
            index_name=INDEX, namespace="small", query_text="w300 w400", hybrid=0.0, top_k=5
        )
    (nodes,) = map(list, map(nodes_of, plans))
    assert f"{table(stored)}_words" not in {node.get("Index Name") for node in nodes}


TEXT = st.text(max_size=60) | st.lists(
    st.sampled_from(
        [
            *["a", "the", "C++", "1e9", "1e9ab", "1.5", "-3", "foo-bar", "a_b", "x@example.org"],
            *[
                "http://example.org/a?b=c",
                "/usr/bin",
                "&amp;",
                "<b>",
                "東京タワー",
                "데이터베이스를",
            ],
            *["ｶﾞ", "ﬁn", "é", "e\u0301", "İ", "ß", "Ⅳ", "²", "٣", "\u0345", "it's", "don’t"],
        ]
    )
).map(" ".join)


@given(text=TEXT)
@example(text="often " * 400)
@example(text="x" * 256 + " y")
@example(text=" ".join(f"{n}" for n in range(17_000)))
@settings(max_examples=300, **QUIET)
def test_postgresql_has_the_same_words(db: None, text: str) -> None:
    words = Counter(words_of(text))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT lexeme, cardinality(positions) FROM unnest(to_tsvector('simple', %s))",
            [analyzed(text)],
        )
        result = dict(cursor.fetchall())
    assert result == {word: min(number, MAX_FREQUENCY) for word, number in words.items()}


@pytest.mark.parametrize("lexeme", ["o'neil", "back\\slash", "a & b", "%s", "'); --"])
def test_a_lexeme_of_any_characters_is_one_word(lexeme: str) -> None:
    """A synonym dictionary of the database may return what the analysis of words never does."""
    words = [lexical.Word(lexeme, 1, 0.1), lexical.Word("plain", 1, 0.1)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT numnode(%s::tsquery)", [lexical.either(words)])
        assert cursor.fetchone() == (3,)
        cursor.execute("SELECT array_to_tsvector(%s) @@ %s::tsquery", [[lexeme], words[0].tsquery])
        assert cursor.fetchone() == (True,)
