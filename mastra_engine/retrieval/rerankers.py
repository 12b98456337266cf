"""Putting search results in a better order, by what their texts say about the query."""

from __future__ import annotations

import asyncio
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from numbers import Real
from typing import TYPE_CHECKING, Any

from mastra_engine.exceptions import EngineError, InvalidInput, Unavailable
from mastra_engine.optional_deps import require
from mastra_engine.protocols import Scorer
from mastra_engine.types import Match, RerankedMatch, Weights
from mastra_engine.validation.inputs import count, name, text

if TYPE_CHECKING:
    from httpx2 import Client, Response

#: Han and kana are written without spaces, so each of these characters is taken for a word.
_UNSPACED = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
#: Statuses after which the same request may succeed.
_BUSY = {429, *range(500, 600)}


def lexical_score(query: str, texts: list[str]) -> list[float]:
    """Return for each text the share of the query's distinct words that it has, 0 to 1.

    A word counts the more the fewer of the texts have it: log(1 + texts / texts that have it), so
    that "the" and "how" decide nothing. That is the weighting by specificity of K. Spärck Jones, "A
    statistical interpretation of term specificity and its application in retrieval", Journal of
    Documentation 28 (1972). Words are compared without case, after normalization (NFKC).
    """
    found = [_words(text) for text in texts]
    weights = {word: _specificity(word, found) for word in _words(query)}
    total = sum(weights.values()) or 1
    return [sum(weights[word] for word in weights.keys() & words) / total for words in found]


def _specificity(word: str, texts: list[set[str]]) -> float:
    holding = sum(word in words for words in texts)
    return math.log(1 + len(texts) / (holding or 1))


def _words(text: str) -> set[str]:
    return set(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


class Reranker:
    """Scores matches anew: a weighted sum of a scorer's judgement, their score and their place.

    `weights` is a `Weights` or a mapping with some of its keys, the others being as in
    `Weights()`; they are at least 0 and add up to 1, else InvalidInput. `scorer` is any callable
    of the shape of `Scorer`. All parts weigh as they should when they are from 0 to 1: see to
    that with a scorer of your own, and with indexes whose metric is `dotproduct`.
    """

    def __init__(
        self,
        weights: Weights | Mapping[str, float] | None = None,
        scorer: Scorer = lexical_score,
    ) -> None:
        self.weights = _weights(Weights() if weights is None else weights)
        if not callable(scorer):
            raise InvalidInput("must be callable with a query and texts", path="/scorer")
        self.scorer = scorer

    def rerank(self, results: Iterable[Match], query: str, top_k: int = 3) -> list[RerankedMatch]:
        """Return the `top_k` best of `results`, best first, ties as they came.

        The score is `semantic` · what the scorer says + `vector` · the match's own score +
        `position` · (1 - i/n) for the match at place i, from 0, of n. A match without a document
        has a semantic part of 0; the scorer is asked once about all others, or not at all.

        Raises InvalidInput for what is no match, and EngineError when the scorer answers with
        another number of scores or with one that is no finite number.
        """
        question, best = text(query, "/query"), count(top_k, "/top_k", least=1)
        matches = _matches(results)
        semantic = self._semantic(question, [match.document for match in matches])
        places = [1 - i / len(matches) for i in range(len(matches))]
        reranked = map(self._reranked, matches, semantic, places)
        return sorted(reranked, key=lambda each: -each.score)[:best]

    async def arerank(
        self, results: Iterable[Match], query: str, top_k: int = 3
    ) -> list[RerankedMatch]:
        """See rerank()."""
        return await asyncio.to_thread(self.rerank, results, query, top_k)

    def _semantic(self, query: str, documents: list[str | None]) -> list[float]:
        texts = [document for document in documents if document]
        scores = iter(_scores(self.scorer(query, texts), len(texts)) if texts else [])
        return [next(scores) if document else 0.0 for document in documents]

    def _reranked(self, match: Match, semantic: float, position: float) -> RerankedMatch:
        by, vector = self.weights, match.score
        score = by.semantic * semantic + by.vector * vector + by.position * position
        return RerankedMatch(
            match=match, score=score, semantic=semantic, vector=vector, position=position
        )


def _weights(given: Any) -> Weights:
    if not isinstance(given, Weights | Mapping):
        raise InvalidInput("must be Weights or a mapping", path="/weights")
    named = asdict(given) if isinstance(given, Weights) else given
    for key, value in named.items():
        if key not in ("semantic", "vector", "position"):
            raise InvalidInput(f"{key!r} is not semantic, vector or position", path="/weights")
        if not _is_finite(value) or value < 0:
            raise InvalidInput("must be a number of at least 0", path=f"/weights/{key}")
    weights = Weights(**named)
    total = weights.semantic + weights.vector + weights.position
    if not math.isclose(total, 1):
        raise InvalidInput(f"must add up to 1, not {total:g}", path="/weights")
    return weights


def _matches(results: Any) -> list[Match]:
    if not isinstance(results, Iterable):
        raise InvalidInput("must be a list of matches", path="/results")
    matches = list(results)
    for i, match in enumerate(matches):
        if not isinstance(match, Match) or not _is_finite(match.score):
            raise InvalidInput("must be a Match with a finite score", path=f"/results/{i}")
    return matches


def _scores(given: Any, number: int) -> list[float]:
    """Return a scorer's answer, a list or an array, as `number` finite floats."""
    given = given.tolist() if hasattr(given, "tolist") else given
    if not isinstance(given, Sequence) or isinstance(given, str | bytes) or len(given) != number:
        what = f"{len(given)} scores" if isinstance(given, list | tuple) else "no list of scores"
        raise EngineError(f"The scorer answered with {what} for {number} texts")
    for position, score in enumerate(given):
        if not _is_finite(score):
            raise EngineError(f"The scorer gave text {position} no finite number: {score!r:.80}")
    return [float(score) for score in given]


def _is_finite(value: Any) -> bool:
    try:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


class CrossEncoderScorer:
    """Scores by a model that reads query and text together: anything with `.predict(pairs)`.

    Such models answer with a probability or, as the ms-marco ones do, with a logit, which is any
    number; `sigmoid=True` makes logits numbers from 0 to 1. The model has one score per pair.
    """

    def __init__(self, model: Any, sigmoid: bool = False) -> None:
        self.model = model
        self.sigmoid = sigmoid

    def __call__(self, query: str, texts: list[str]) -> list[float]:
        """Return a score for each text; one call of the model, which makes its own batches."""
        scores = _scores(self.model.predict([(query, text) for text in texts]), len(texts))
        if not self.sigmoid:
            return scores
        return [(1 + math.tanh(score / 2)) / 2 for score in scores]  # exp() would overflow


class HttpRerankScorer:
    """Scores by a server with Cohere's rerank protocol. Needs the extra `rerank`.

    One POST to `url` per call, {"model", "query", "documents", "top_n"}; the answer is
    {"results": [{"index", "relevance_score"}]}, with every document. `api_key` is the bearer token
    and in no message. A lost connection, `timeout` seconds of silence, 429 and 5xx are tried again
    with back-off, four times in all; then Unavailable, for other answers EngineError is raised.
    The connection is kept until `close()`.
    """

    def __init__(
        self, url: str, model: str, api_key: str | None = None, timeout: float = 10.0
    ) -> None:
        require("rerank", "httpx2", "tenacity", by="HttpRerankScorer")
        if not re.match(r"https?://[^/?#]", text(url, "/url")):
            raise InvalidInput("must be an http or https URL", path="/url")
        if api_key is not None and not re.fullmatch(r"[!-~]+", api_key):
            raise InvalidInput("must be printable ASCII without spaces", path="/api_key")
        self.model = name(model, "/model")
        self._url, self._api_key, self._timeout = url, api_key, timeout

    def __repr__(self) -> str:
        return f"HttpRerankScorer(model={self.model!r})"

    def __call__(self, query: str, texts: list[str]) -> list[float]:
        """Return the server's score of each text, in the order of the texts."""
        if not texts:
            return []
        body = {"model": self.model, "query": text(query, "/query"), "top_n": len(texts)}
        documents = [text(each, f"/texts/{i}") for i, each in enumerate(texts)]
        answer = self._post({**body, "documents": documents})
        if not answer.is_success:
            said = answer.text.replace(self._api_key or "\0", "***")[:200]
            raise EngineError(f"The rerank server answered {answer.status_code}: {said}")
        try:
            return _by_index(answer.json(), len(documents))
        except ValueError:
            raise EngineError("The rerank server did not answer with JSON") from None

    def close(self) -> None:
        """Give the connection back; the next call makes another."""
        if (client := self.__dict__.pop("_client", None)) is not None:
            client.close()

    @cached_property
    def _client(self) -> Client:
        headers = {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {}
        return _libraries()[0].Client(headers=headers, timeout=self._timeout)  # type: ignore[no-any-return]

    def _post(self, body: dict[str, Any]) -> Response:
        httpx2, tenacity = _libraries()
        lost = (httpx2.NetworkError, httpx2.TimeoutException, httpx2.RemoteProtocolError)
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(lost)
            | tenacity.retry_if_result(lambda answer: answer.status_code in _BUSY),
            stop=tenacity.stop_after_attempt(4),
            wait=tenacity.wait_exponential(multiplier=0.2) + tenacity.wait_random(0, 0.2),
            retry_error_callback=lambda last: last.outcome.result(),
        )
        try:
            answer: Response = retrying(self._client.post, self._url, json=body)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:  # their text may quote a header
            message = f"The rerank server cannot be reached: {type(error).__name__}"
            raise Unavailable(message) from None
        if answer.status_code in _BUSY:
            raise Unavailable(f"The rerank server answered {answer.status_code}")
        return answer


def _libraries() -> tuple[Any, Any]:
    import httpx2
    import tenacity

    return httpx2, tenacity


def _by_index(answer: Any, number: int) -> list[float]:
    results = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(results, list) or not all(isinstance(each, dict) for each in results):
        raise EngineError("The rerank server's answer has no list of results")
    places = [each.get("index") for each in results]
    if any(type(place) is not int for place in places) or sorted(places) != [*range(number)]:
        raise EngineError(f"The rerank server did not give {number} documents one result each")
    ordered = sorted(results, key=lambda each: int(each["index"]))
    return _scores([each.get("relevance_score") for each in ordered], number)
