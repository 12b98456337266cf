"""Reranking search results by their texts."""

from __future__ import annotations

import asyncio
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from numbers import Real
from typing import TYPE_CHECKING, Any

from mastra_engine.exceptions import EngineError, InvalidInput, Unavailable
from mastra_engine.optional_deps import require
from mastra_engine.protocols import Scorer
from mastra_engine.retrieval.embedding import EXCERPT
from mastra_engine.types import Match, RerankedMatch, Weights
from mastra_engine.validation.inputs import count, name, text

if TYPE_CHECKING:
    from httpx2 import Client, Response

#: Han and kana are written without spaces, so each of these characters counts as a word.
_UNSPACED = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
#: HTTP statuses after which the same request may succeed.
_BUSY = {429, *range(500, 600)}


def lexical_score(query: str, texts: list[str]) -> list[float]:
    """Return for each text the weighted share of the query's distinct words in it, 0 to 1.

    The weight of a word is log(1 + texts / texts that contain it), so that frequent words such as
    "the" count little. This is the weighting by specificity of K. Spärck Jones, "A statistical
    interpretation of term specificity and its application in retrieval", Journal of Documentation
    28 (1972). Words are compared without case, after normalization (NFKC).
    Of a text, the first 8,000 characters count.
    """
    query_words = _words(query)
    words_of_texts = [_words(text[:EXCERPT]) & query_words for text in texts]
    texts_with = Counter(word for words in words_of_texts for word in words)
    weights = {word: math.log(1 + len(texts) / (texts_with[word] or 1)) for word in query_words}
    total = sum(weights.values()) or 1
    return [sum(weights[word] for word in words) / total for words in words_of_texts]


def _words(text: str) -> set[str]:
    return set(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


class Reranker:
    """Reranks matches by a weighted sum of a scorer's score, their own score and their position.

    `weights` is a `Weights`, or a mapping with some of its keys; missing ones are as in
    `Weights()`. InvalidInput is raised unless they are at least 0 and add up to 1. `scorer` is any
    callable with the signature of `Scorer`. The weights assume that all parts are between 0 and 1.
    This is not so for the scores of an index with the metric `dotproduct`, and may not be for your
    own scorer.
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
        """Return the `top_k` best of `results`, best first; ties keep their order.

        The score is the sum of `semantic` times the scorer's score, `vector` times the match's own
        score, and `position` times 1 - i/n for the match at index i, from 0, of n. A match without
        a document has a semantic part of 0. The scorer is called once for all other matches, and
        not at all if no match has a document.

        Raises InvalidInput if a result is not a match, and EngineError if the scorer returns
        another number of scores, or a score that is not a finite number.
        """
        query_text, limit = text(query, "/query"), count(top_k, "/top_k", least=1)
        matches = _matches(results)
        semantic = self._semantic(query_text, [match.document for match in matches])
        positions = [1 - i / len(matches) for i in range(len(matches))]
        reranked = map(self._reranked, matches, semantic, positions)
        return sorted(reranked, key=lambda result: -result.score)[:limit]

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
        weights, vector = self.weights, match.score
        score = weights.semantic * semantic + weights.vector * vector + weights.position * position
        return RerankedMatch(
            match=match, score=score, semantic=semantic, vector=vector, position=position
        )


def _weights(value: Any) -> Weights:
    if not isinstance(value, Weights | Mapping):
        raise InvalidInput("must be Weights or a mapping", path="/weights")
    by_name = asdict(value) if isinstance(value, Weights) else value
    for key, weight in by_name.items():
        if key not in ("semantic", "vector", "position"):
            message = f"unknown weight {key!r}; the weights are semantic, vector and position"
            raise InvalidInput(message, path="/weights")
        if not _is_finite(weight) or weight < 0:
            raise InvalidInput("must be a number of at least 0", path=f"/weights/{key}")
    weights = Weights(**by_name)
    total = weights.semantic + weights.vector + weights.position
    if not math.isclose(total, 1):
        raise InvalidInput(f"must add up to 1, got a sum of {total:g}", path="/weights")
    return weights


def _matches(results: Any) -> list[Match]:
    if not isinstance(results, Iterable):
        raise InvalidInput("must be a list of matches", path="/results")
    matches = list(results)
    for i, match in enumerate(matches):
        if not isinstance(match, Match) or not _is_finite(match.score):
            raise InvalidInput("must be a Match with a finite score", path=f"/results/{i}")
    return matches


def _scores(returned: Any, number: int) -> list[float]:
    """Return the scores of a scorer, a list or an array, as `number` finite floats."""
    scores = returned.tolist() if hasattr(returned, "tolist") else returned
    if not isinstance(scores, Sequence) or isinstance(scores, str | bytes) or len(scores) != number:
        kind = f"{len(scores)} scores" if isinstance(scores, list | tuple) else "no list of scores"
        raise EngineError(f"The scorer answered with {kind} for {number} texts")
    for position, score in enumerate(scores):
        if not _is_finite(score):
            raise EngineError(
                f"The score of text {position} must be a finite number, got {score!r:.80}"
            )
    return [float(score) for score in scores]


def _is_finite(value: Any) -> bool:
    try:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


class CrossEncoderScorer:
    """Scores by a cross-encoder: any object with `predict(pairs)`.

    Such models return one score per pair: a probability or, as the ms-marco models do, a logit,
    which can be any number. `sigmoid=True` converts logits to numbers from 0 to 1.
    """

    def __init__(self, model: Any, sigmoid: bool = False) -> None:
        self.model = model
        self.sigmoid = sigmoid

    def __call__(self, query: str, texts: list[str]) -> list[float]:
        """Return a score for each text by one call of the model, which forms its own batches."""
        scores = _scores(self.model.predict([(query, text) for text in texts]), len(texts))
        if not self.sigmoid:
            return scores
        return [(1 + math.tanh(score / 2)) / 2 for score in scores]  # exp() would overflow


class HttpRerankScorer:
    """Scores by a server with Cohere's rerank protocol. Needs the extra `rerank`.

    Each call sends one POST to `url` with {"model", "query", "documents", "top_n"}; the response is
    {"results": [{"index", "relevance_score"}]} with every document. `api_key` is sent as a bearer
    token and never appears in a message. Lost connections, `timeout` seconds without a response,
    429 and 5xx are retried with exponential back-off, up to four attempts; then Unavailable is
    raised. Other responses raise EngineError. The connection stays open until `close()`.
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
        documents = [text(document, f"/texts/{i}") for i, document in enumerate(texts)]
        answer = self._post({**body, "documents": documents})
        if not answer.is_success:
            body_text = answer.text.replace(self._api_key or "\0", "***")[:200]
            raise EngineError(f"The rerank server answered {answer.status_code}: {body_text}")
        try:
            return _by_index(answer.json(), len(documents))
        except ValueError:
            raise EngineError("The rerank server did not answer with JSON") from None

    def close(self) -> None:
        """Close the connection; the next call opens another one."""
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
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        raise EngineError("The rerank server's answer has no list of results")
    indexes = [result.get("index") for result in results]
    if any(type(index) is not int for index in indexes) or sorted(indexes) != [*range(number)]:
        raise EngineError(f"The rerank server did not give {number} documents one result each")
    ordered = sorted(results, key=lambda result: int(result["index"]))
    return _scores([result.get("relevance_score") for result in ordered], number)
