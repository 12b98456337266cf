"""Hybrid search: the mock and the PostgreSQL engine find the same, with the same scores."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from mastra_engine import MastraEngine
from mastra_engine.types import Match
from tests.property.pair import QUIET, Pair

pytestmark = pytest.mark.django_db

WORDS = st.lists(
    st.sampled_from(["red", "kettle", "Teapot", "東京タワー", "京都", "1e9ab", "!?", "foo-bar"]),
    max_size=8,
).map(" ".join)
#: Numbers of few bits, which both engines compute with alike up to the last bits.
VECTOR = st.tuples(*[st.sampled_from([-1.0, -0.5, 0.25, 1.0, 2.0])] * 2).map(list)
ROW = st.fixed_dictionaries(
    {
        "vector": VECTOR,
        "document": st.none() | WORDS,
        "kind": st.sampled_from("ab"),
        "namespace": st.sampled_from(["", "ann"]),
    }
)
WEIGHT: Any = st.sampled_from([True, 0.0, 0.3, 1.0])
SEARCH = st.fixed_dictionaries(
    {
        "query_text": WORDS,
        "query_vector": VECTOR,
        "hybrid": WEIGHT,
        "namespace": st.sampled_from([None, "", "ann"]),
        "filter": st.sampled_from([None, {"kind": "a"}]),
        # No similarity of these vectors is this number but for a rounding error.
        "min_score": st.sampled_from([None, 0.123, 0.789]),
        "explain": st.just(True),
    }
)
METRIC: Any = st.sampled_from(["cosine", "euclidean", "dotproduct"])


def fill(engine: MastraEngine, rows: list[dict[str, Any]], metric: Any) -> None:
    engine.vectors.create_index(
        index_name="texts", dimension=2, metric=metric, language="simple", index_type="flat"
    )
    for n, row in enumerate(rows):
        engine.vectors.upsert(
            index_name="texts",
            vectors=[row["vector"]],
            ids=[f"{n:02}"],
            documents=None if row["document"] is None else [row["document"]],
            metadata=[{"kind": row["kind"]}],
            namespace=row["namespace"],
        )


def numbers(match: Match) -> list[float]:
    """Return all numbers of a match: its scores, and those of the parts of its explanation."""
    assert match.explanation is not None
    parts = [
        number
        for part in match.explanation.parts
        for number in (part.value, part.weight, *(part.words[word] for word in sorted(part.words)))
    ]
    return [match.score, match.similarity or 0.0, match.lexical, *parts]


def described(match: Match) -> Any:
    assert match.explanation is not None
    parts = [(part.name, sorted(part.words)) for part in match.explanation.parts]
    return match.document, match.metadata, match.similarity is None, parts


@given(
    rows=st.lists(ROW, min_size=1, max_size=8),
    searches=st.lists(SEARCH, min_size=1, max_size=6),
    metric=METRIC,
)
@settings(max_examples=40, **QUIET)
def test_hybrid_searches_agree(
    rows: list[dict[str, Any]], searches: list[dict[str, Any]], metric: Any
) -> None:
    with transaction.atomic():
        pair = Pair()
        for engine in (pair.mock, pair.postgres):
            fill(engine, rows, metric)
        for search in searches:
            one, other = (
                engine.vectors.query(index_name="texts", top_k=50, **search)
                for engine in (pair.mock, pair.postgres)
            )
            expected, result = ({(m.id, m.namespace): m for m in item} for item in (one, other))
            assert result.keys() == expected.keys()
            for key, match in result.items():
                assert described(match) == described(expected[key])
                assert numbers(match) == pytest.approx(numbers(expected[key]), abs=1e-6)
            # Scores that differ by less may change places.
            order = [expected[match.id, match.namespace].score for match in other]
            assert order == pytest.approx(sorted(order, reverse=True), abs=1e-6)
        transaction.set_rollback(True)
