"""The reranked score and its parts, and scorers made of models and servers."""

from __future__ import annotations

import asyncio
import math
import sys
import threading
import traceback
from contextlib import closing
from dataclasses import astuple, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mastra_engine.exceptions import EngineConfigError, EngineError, InvalidInput, Unavailable
from mastra_engine.retrieval.rerankers import (
    CrossEncoderScorer,
    HttpRerankScorer,
    Reranker,
    lexical_score,
)
from mastra_engine.types import Match, Weights
from tests.unit.test_embedders import Answering, answering, naps

__all__ = ["naps"]  # a fixture


def match(id: str, score: float, document: str | None = "text") -> Match:
    return Match(id=id, score=score, document=document)


def certain(query: str, texts: list[str]) -> list[float]:
    return [1.0] * len(texts)


THREE = [match("id1", 0.5), match("id2", 0.4), match("id3", 0.9)]

# The score


def test_the_original_engines_scores_come_out() -> None:
    third, first = Reranker(scorer=certain).rerank(THREE, "query", top_k=2)
    assert (third.match.id, first.match.id) == ("id3", "id1")
    assert third.score == 0.8266666666666667
    assert first.score == pytest.approx(0.8, abs=1e-15)
    assert (third.semantic, third.vector) == (1, 0.9)
    assert third.position == pytest.approx(1 / 3)
    assert third.match is THREE[2]


def test_two_of_the_original_engines_scores_come_out_too() -> None:
    matches = Reranker(scorer=certain).rerank([match("a", 0.8), match("b", 0.6)], "query")
    assert [match.score for match in matches] == pytest.approx([0.92, 0.74])


UNIT = st.floats(0, 1)


@given(
    parts=st.lists(st.tuples(UNIT, UNIT), max_size=8),
    shares=st.tuples(UNIT, UNIT, UNIT).filter(lambda shares: sum(shares) > 0.1),
    top_k=st.integers(1, 10),
)
def test_the_score_is_the_weighted_sum(
    parts: list[tuple[float, float]], shares: tuple[float, float, float], top_k: int
) -> None:
    weights = Weights(*(share / sum(shares) for share in shares))
    results = [match(str(i), vector) for i, (_, vector) in enumerate(parts)]
    scorer = Reranker(weights, lambda query, texts: [semantic for semantic, _ in parts])
    matches = scorer.rerank(results, "query", top_k=top_k)
    n = len(parts)
    expected = [
        weights.semantic * semantic + weights.vector * vector + weights.position * (1 - i / n)
        for i, (semantic, vector) in enumerate(parts)
    ]
    order = sorted(range(n), key=lambda i: (-expected[i], i))[:top_k]
    assert [int(match.match.id) for match in matches] == order
    assert [match.score for match in matches] == [expected[i] for i in order]


def test_ties_stay_in_the_order_of_the_results() -> None:
    results = [match(id, 0.5) for id in "cabd"]
    matches = Reranker({"semantic": 0.5, "vector": 0.5, "position": 0}).rerank(results, "x", 10)
    assert [match.match.id for match in matches] == [*"cabd"]


def test_nothing_in_nothing_out() -> None:
    calls: list[str] = []
    scorer = Reranker(scorer=lambda query, texts: calls.append(query) or [])  # type: ignore[func-returns-value]
    assert scorer.rerank([], "query") == []
    assert [item.semantic for item in scorer.rerank([match("a", 1, None)], "query")] == [0]
    assert calls == []


def test_matches_without_a_document_are_not_asked_about() -> None:
    calls: list[list[str]] = []

    def scorer(query: str, texts: list[str]) -> list[float]:
        calls.append(texts)
        return [0.25, 0.75]

    results = [match("a", 1, None), match("b", 1, "one"), match("c", 1, ""), match("d", 1, "two")]
    matches = Reranker(scorer=scorer).rerank(iter(results), "query", top_k=4)
    assert calls == [["one", "two"]]
    assert {match.match.id: match.semantic for match in matches} == {
        "a": 0,
        "b": 0.25,
        "c": 0,
        "d": 0.75,
    }


def test_three_are_returned_unless_told() -> None:
    assert len(Reranker().rerank([*THREE, *THREE], "text")) == 3


def test_the_async_twin_blocks_nobody() -> None:
    threads: list[threading.Thread] = []

    def scorer(query: str, texts: list[str]) -> list[float]:
        threads.append(threading.current_thread())
        return certain(query, texts)

    matches = asyncio.run(Reranker(scorer=scorer).arerank(THREE, "query", top_k=1))
    assert matches == Reranker(scorer=certain).rerank(THREE, "query", top_k=1)
    assert threads != [threading.current_thread()]


# Weights


@pytest.mark.parametrize(
    "weights",
    [
        Weights(0.7, 0.2, 0.1),  # their sums differ from 1 in the last digit
        Weights(0.6, 0.3, 0.1),
        Weights(1, 0, 0),
        {"semantic": 0.5, "vector": 0.3},
        {"semantic": np.float64(0.4)},
        {"semantic": Fraction(2, 5)},
        {},
        None,
    ],
)
def test_weights_that_add_up_are_taken(weights: Any) -> None:
    assert math.isclose(sum(astuple(Reranker(weights).weights)), 1)


@pytest.mark.parametrize(
    ("weights", "path"),
    [
        (Weights(0.3, 0.2, 0.1), "/weights"),
        (Weights(0.4, 0.4, 0.2001), "/weights"),
        (Weights(0, 0, 0), "/weights"),
        (Weights(1.2, -0.2, 0), "/weights/vector"),
        (Weights(math.nan, 0.4, 0.2), "/weights/semantic"),
        (Weights(math.inf, 0.4, 0.2), "/weights/semantic"),
        (Weights(10**400, 0.4, 0.2), "/weights/semantic"),
        (Weights(True, False, False), "/weights/semantic"),
        (Weights("0.4", 0.4, 0.2), "/weights/semantic"),  # type: ignore[arg-type]
        ({"semantic": 0.5}, "/weights"),
        ({"semantics": 0.4}, "/weights"),
        ({"vector": None}, "/weights/vector"),
        ([0.4, 0.4, 0.2], "/weights"),
        (1, "/weights"),
    ],
)
def test_other_weights_are_refused(weights: Any, path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Reranker(weights)
    assert caught.value.path == path


# Bad input


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"results": None}, "/results"),
        ({"results": "ab"}, "/results/0"),
        ({"results": [THREE[0], {"id": "a", "score": 1}]}, "/results/1"),
        ({"results": [THREE[0], replace(THREE[1], score=math.nan)]}, "/results/1"),
        ({"results": [replace(THREE[1], score=math.inf)]}, "/results/0"),
        ({"results": [replace(THREE[1], score=10**400)]}, "/results/0"),
        ({"results": [replace(THREE[1], score=None)]}, "/results/0"),
        ({"query": None}, "/query"),
        ({"query": "a\0b"}, "/query"),
        ({"query": "\ud800"}, "/query"),
        ({"top_k": 0}, "/top_k"),
        ({"top_k": -1}, "/top_k"),
        ({"top_k": "3"}, "/top_k"),
        ({"top_k": True}, "/top_k"),
    ],
)
def test_unfit_arguments_are_refused(arguments: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Reranker(scorer=certain).rerank(**{"results": THREE, "query": "query", **arguments})
    assert caught.value.path == path


def test_a_scorer_is_callable() -> None:
    with pytest.raises(InvalidInput, match="/scorer"):
        Reranker(scorer=0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([0.5], "1 scores for 3 texts"),
        ([0.5] * 4, "4 scores for 3 texts"),
        ([], "0 scores for 3 texts"),
        (None, "no list of scores for 3 texts"),
        (0.5, "no list of scores for 3 texts"),
        ("abc", "no list of scores for 3 texts"),
        (b"abc", "no list of scores for 3 texts"),
        ({0: 0.5, 1: 0.5, 2: 0.5}, "no list of scores for 3 texts"),
        (np.float32(0.5), "no list of scores for 3 texts"),
        ([0.5, math.nan, 0.5], "score of text 1 must be a finite number, got nan"),
        ([0.5, 0.5, -math.inf], "score of text 2 must be a finite number, got -inf"),
        ([0.5, None, 0.5], "score of text 1 must be a finite number, got None"),
        ([0.5, "0.5", 0.5], "score of text 1 must be a finite number, got '0.5'"),
        ([True, False, True], "score of text 0 must be a finite number, got True"),
        ([10**400, 0.5, 0.5], "score of text 0 must be a finite number, got 1000"),
        (np.ones((3, 2)), r"score of text 0 must be a finite number, got \[1.0, 1.0\]"),
    ],
)
def test_a_scorer_that_answers_otherwise_is_an_error(answer: Any, message: str) -> None:
    with pytest.raises(EngineError, match=message) as caught:
        Reranker(scorer=lambda query, texts: answer).rerank(THREE, "query")
    assert not isinstance(caught.value, InvalidInput)


@pytest.mark.parametrize(
    "answer", [(1, 0, 1), np.array([1, 0, 1], np.float32), [Fraction(1), 0, 1]]
)
def test_a_scorer_may_answer_with_any_numbers(answer: Any) -> None:
    matches = Reranker(scorer=lambda query, texts: answer).rerank(THREE, "query")
    assert sorted(match.semantic for match in matches) == [0, 1, 1]
    assert all(type(match.semantic) is float for match in matches)


def test_what_a_scorer_raises_passes_through() -> None:
    def fail(query: str, texts: list[str]) -> list[float]:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        Reranker(scorer=fail).rerank(THREE, "query")


# The built-in scorer


@pytest.mark.parametrize(
    ("query", "text", "score"),
    [
        ("cats and dogs", "Dogs and cats!", 1),
        ("cats and dogs", "cats cats cats", 1 / 3),
        ("cats cats dogs", "cats", 1 / 2),
        ("cats", "catalogue", 0),
        ("STRASSE", "die straße", 1),
        ("caf\u00e9", "cafe\u0301", 1),
        ("ﬁle", "file", 1),
        ("東京の駅", "東京", 1 / 2),
        ("naïve 2nd_try", "2ND_TRY", 1 / 2),
        ("", "text", 0),
        ("?!", "?!", 0),
        ("text", "", 0),
        ("\ud800 text", "text \udfff", 1),
    ],
)
def test_lexical_scores(query: str, text: str, score: float) -> None:
    assert lexical_score(query, [text]) == [pytest.approx(score)]


@given(query=st.text(), texts=st.lists(st.text(), max_size=5))
def test_lexical_scores_are_from_0_to_1(query: str, texts: list[str]) -> None:
    scores = lexical_score(query, texts)
    assert len(scores) == len(texts)
    assert all(0 <= score <= 1 for score in scores)
    assert lexical_score(query, [query])[0] in (0, 1)


# A model


class Model:
    """As sentence-transformers' `CrossEncoder`."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.pairs: list[tuple[str, str]] = []

    def predict(self, sentences: list[tuple[str, str]]) -> Any:
        self.pairs = sentences
        return self.answer


def test_a_model_scores_pairs() -> None:
    model = Model(np.array([0.25, 0.75], np.float32))
    assert CrossEncoderScorer(model)("q", ["one", "two"]) == [0.25, 0.75]
    assert model.pairs == [("q", "one"), ("q", "two")]


def test_logits_are_brought_to_0_to_1() -> None:
    scorer = CrossEncoderScorer(Model([-1e6, -1.0, 0.0, 1.0, 1e6]), sigmoid=True)
    expected = [0, 1 / (1 + math.e), 0.5, math.e / (1 + math.e), 1]
    assert scorer("q", ["text"] * 5) == pytest.approx(expected)


def test_a_model_of_several_labels_is_no_scorer() -> None:
    with pytest.raises(EngineError, match="score of text 0 must be a finite number"):
        CrossEncoderScorer(Model(np.ones((2, 3))))("q", ["one", "two"])


# A server


def by_length(request: dict[str, Any]) -> dict[str, Any]:
    """Score texts by their length, best first, as such servers do."""
    scored = [
        {"index": i, "relevance_score": len(text) / 10, "document": {"text": text}}
        for i, text in enumerate(request["documents"])
    ]
    return {"id": "x", "results": sorted(scored, key=lambda item: -item["relevance_score"])}


def at(server: Answering, **options: Any) -> HttpRerankScorer:
    return HttpRerankScorer(f"{server.url}/v2/rerank", "some-model", **options)


def test_one_request_scores_all_texts() -> None:
    with answering(by_length) as server, closing(at(server, api_key="key-1")) as scorer:
        assert scorer("query", ["a", "ccc", "bb"]) == [0.1, 0.3, 0.2]
        assert server.requests == [
            {"model": "some-model", "query": "query", "documents": ["a", "ccc", "bb"], "top_n": 3}
        ]
        assert server.headers[0]["authorization"] == "Bearer key-1"
        assert scorer("query", []) == []
        assert len(server.requests) == 1


def test_it_reranks() -> None:
    with answering(by_length) as server, closing(at(server)) as scorer:
        results = [match("a", 0.5, "x"), match("b", 0.5, "xxxxx")]
        best = Reranker(Weights(1, 0, 0), scorer).rerank(results, "query", top_k=1)
        assert (best[0].match.id, best[0].score) == ("b", 0.5)
        assert "authorization" not in server.headers[0]


@pytest.mark.parametrize("trouble", [(500, {}), (503, b"busy"), (429, {}), None])
def test_what_may_pass_is_tried_again(trouble: Any, naps: list[float]) -> None:
    with answering(trouble, trouble, by_length) as server, closing(at(server)) as scorer:
        assert scorer("query", ["a"]) == [0.1]
        assert len(server.requests) == 3
    assert 0.2 <= naps[0] < naps[1] + 0.2
    assert naps[1] >= 0.4


@pytest.mark.parametrize(
    ("trouble", "message"), [((503, {}), "503"), ((429, {}), "429"), (None, "R")]
)
def test_what_does_not_pass_is_unavailable(trouble: Any, message: str, naps: list[float]) -> None:
    with answering(trouble) as server, closing(at(server)) as scorer:
        with pytest.raises(Unavailable, match=message):
            scorer("query", ["a"])
        assert len(server.requests) == 4
    assert len(naps) == 3


def test_nobody_there_is_unavailable(naps: list[float]) -> None:
    with answering(by_length) as server:
        pass
    with closing(at(server)) as scorer, pytest.raises(Unavailable, match="ConnectError"):
        scorer("query", ["a"])
    assert len(naps) == 3


def test_silence_is_unavailable(naps: list[float]) -> None:
    release = threading.Event()

    def wait(request: dict[str, Any]) -> dict[str, Any]:
        release.wait(10)
        return {}

    with answering(wait) as server, closing(at(server, timeout=0.05)) as scorer:
        with pytest.raises(Unavailable, match="ReadTimeout"):
            scorer("query", ["a"])
        release.set()


@pytest.mark.parametrize("status", [301, 400, 401, 404, 422])
def test_a_refusal_is_an_error_without_the_key(status: int) -> None:
    padding = "x" * 190  # the key stands where the text is cut off
    body = {"message": f"{padding} no sk-very-secret here"}
    with answering((status, body)) as server:
        with closing(at(server, api_key="sk-very-secret")) as scorer:
            with pytest.raises(EngineError, match=f"answered {status}: .*x") as caught:
                scorer("query", ["a"])
            visible = "".join(traceback.format_exception(caught.value)) + repr(scorer)
            assert "sk-very" not in visible
        assert not isinstance(caught.value, Unavailable)
        assert len(server.requests) == 1


def test_passwords_in_the_url_are_not_shown(naps: list[float]) -> None:
    scorer = HttpRerankScorer("http://me:secret@127.0.0.1:1/rerank?key=secret", "some-model")
    with closing(scorer), pytest.raises(Unavailable) as caught:
        scorer("query", ["a"])
    assert "secret" not in "".join(traceback.format_exception(caught.value)) + repr(scorer)


def scored(*places: Any, score: Any = 0.5) -> dict[str, Any]:
    return {"results": [{"index": place, "relevance_score": score} for place in places]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff",
        b"null",
        b"[]",
        b"{}",
        b'{"results": null}',
        b'{"results": {"0": 1}}',
        b'{"results": [0.5, 0.5]}',
        b'{"results": [{"index": 0, "relevance_score": NaN}, {"index": 1, "relevance_score": 1}]}',
        scored(),
        scored(0),
        scored(1),
        scored(0, 0),
        scored(0, 2),
        scored(-1, 0),
        scored(0, 1, 1),
        scored(0, 1, 2),
        scored(False, True),
        scored("0", "1"),
        scored(0.0, 1.0),
        scored(None, 1),
        scored([0], 1),
        scored(0, 1, score="0.5"),
        scored(0, 1, score=None),
        {"results": [{"index": 0}, {"index": 1}]},
    ],
)
def test_an_answer_that_does_not_fit_the_texts_is_an_error(body: Any) -> None:
    with answering((200, body)) as server, closing(at(server)) as scorer:
        with pytest.raises(EngineError) as caught:
            scorer("query", ["a", "b"])
        assert type(caught.value) is EngineError


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"url": ""}, "/url"),
        ({"url": None}, "/url"),
        ({"url": "ftp://host/rerank"}, "/url"),
        ({"url": "file:///etc/passwd"}, "/url"),
        ({"url": "http://"}, "/url"),
        ({"url": "host/rerank"}, "/url"),
        ({"model": ""}, "/model"),
        ({"model": None}, "/model"),
        ({"api_key": ""}, "/api_key"),
        ({"api_key": "secret\r\nX-Other: 1"}, "/api_key"),
        ({"api_key": "sécret"}, "/api_key"),
    ],
)
def test_unfit_options_are_refused(options: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        HttpRerankScorer(**{"url": "http://127.0.0.1/rerank", "model": "m", **options})
    assert caught.value.path == path
    assert "cret" not in str(caught.value)


def test_text_that_is_not_unicode_is_refused_before_it_is_sent() -> None:
    with answering(by_length) as server, closing(at(server)) as scorer:
        for query, texts, path in (("\ud800", ["a"], "/query"), ("q", ["a", "\ud800"], "/texts/1")):
            with pytest.raises(InvalidInput) as caught:
                scorer(query, texts)
            assert caught.value.path == path
        assert server.requests == []


def test_a_url_that_leads_nowhere_is_unavailable(naps: list[float]) -> None:
    with (
        closing(HttpRerankScorer("http://127.0.0.1:port/rerank", "m")) as scorer,
        pytest.raises(Unavailable, match="InvalidURL"),
    ):
        scorer("query", ["a"])


@pytest.mark.parametrize("library", ["httpx2", "tenacity"])
def test_a_missing_library_is_named(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(EngineConfigError, match=r"pip install 'django-mastra-engine\[rerank\]'"):
        HttpRerankScorer("http://127.0.0.1/rerank", "m")
