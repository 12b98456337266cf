"""Embedders that a project names in its settings: adapters to WordLlama and to OpenAI's protocol.

An embedder is any object with `embed_documents(texts)` and `embed_query(text)`; LangChain's can be
used directly. Models are loaded and connections are opened when the first text is embedded; a
missing library raises an error when the embedder is created.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from mastra_engine.exceptions import InvalidInput, InvalidVector
from mastra_engine.openai_server import OpenAIServer, translated
from mastra_engine.optional_deps import require
from mastra_engine.retrieval.embedding import Vectors, check_shape
from mastra_engine.validation.inputs import count, name

if TYPE_CHECKING:
    from openai import OpenAI

# WordLlama


class WordLlamaEmbedder:
    """A small model inside a Python package, without a network or a key. Needs the extra `local`.

    The model is https://github.com/dleemiller/WordLlama, trained mainly on English. Vectors have
    256 dimensions, or the first 128 or 64 of them, which the model was trained for. They are the
    rows of a float32 NumPy array and have length 1; the vector of an empty text is zero. Threads
    share one model per process.
    """

    model = "WordLlama"
    DIMENSIONS = (64, 128, 256)
    #: A batch is padded to its longest text, and a token takes 2 kB; a character has up to 4
    #: tokens.
    _BATCH_TEXTS, _BATCH_CHARACTERS = 64, 2**16

    def __init__(self, dimension: int = 256) -> None:
        require("local", "wordllama", by="WordLlamaEmbedder")
        if count(dimension, "/dimension") not in self.DIMENSIONS:
            raise InvalidInput(f"must be one of {self.DIMENSIONS}", path="/dimension")
        self.dimension = dimension

    def __repr__(self) -> str:
        return f"WordLlamaEmbedder(dimension={self.dimension})"

    def embed_documents(self, texts: list[str]) -> Vectors:
        """Return an array of the shape (texts, dimension).

        Raises InvalidInput for a text of more than 65,536 characters; split it into chunks first.
        """
        return self._embed(list(texts))

    def embed_query(self, text: str) -> Sequence[float]:
        """Return an array of `dimension` numbers from the first 65,536 characters of the text."""
        return self._embed([text[: self._BATCH_CHARACTERS]])[0]

    def _embed(self, texts: list[str]) -> Vectors:
        model = _word_llama()
        import numpy as np

        longest = max(map(len, texts), default=0)
        if longest > self._BATCH_CHARACTERS:
            raise InvalidInput(
                f"has a text of {longest} characters, and the limit is {self._BATCH_CHARACTERS}; "
                "split it into chunks",
                path="/documents",
            )
        batch_size = min(self._BATCH_TEXTS, self._BATCH_CHARACTERS // max(longest, 1))
        rows = model.embed(texts, batch_size=batch_size)[:, : self.dimension]
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        unit: Any = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
        return unit  # type: ignore[no-any-return]


_loading = Lock()


def _word_llama() -> Any:
    with _loading:
        return _load_word_llama()


@cache
def _load_word_llama() -> Any:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    import wordllama  # type: ignore[import-untyped]

    root.handlers[:], root.level = handlers, level  # importing it configures the root logger
    # The package finds the tokenizer in its own folder only if that is the cache directory.
    return wordllama.WordLlama.load(
        cache_dir=Path(wordllama.__file__).parent, disable_download=True
    )


# OpenAI and servers that speak its protocol


class OpenAIEmbedder:
    """Embeddings from OpenAI or any server with its `/v1/embeddings`. Needs the extra `openai`.

    `dimensions` requests shorter vectors; since servers may ignore it, the response is checked. A
    request has up to `batch_size` texts. The environment variable OPENAI_API_KEY is sent only if
    `base_url` is not set, so another server never gets it. `client` is your own `openai.OpenAI`,
    with timeouts, proxies or `max_retries`; by default the library retries 429, 5xx and lost
    connections twice with back-off.

    Vectors are lists of floats. Raises Unavailable if the server cannot be reached or is busy,
    EngineError if it refuses the request, and InvalidVector if its response does not fit the texts.
    """

    def __init__(
        self,
        model: str = "text-embedding-3-small",
        dimensions: int | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        batch_size: int = 128,
        client: OpenAI | None = None,
    ) -> None:
        self.model = name(model, "/model")
        self.dimensions = None if dimensions is None else count(dimensions, "/dimensions", least=1)
        self.batch_size = count(batch_size, "/batch_size", least=1)
        self._server = OpenAIServer(
            "OpenAIEmbedder", base_url=base_url, api_key=api_key, custom_client=client
        )

    def __repr__(self) -> str:
        return f"OpenAIEmbedder(model={self.model!r}, dimensions={self.dimensions})"

    def embed_documents(self, texts: list[str]) -> Vectors:
        """Return a list of vectors by consecutive requests of `batch_size` texts."""
        vectors: list[Sequence[float]] = []
        for start in range(0, len(texts), self.batch_size):
            vectors += self._request(texts[start : start + self.batch_size], "/documents")
        return vectors

    def embed_query(self, text: str) -> Sequence[float]:
        """Return the vector of a query text."""
        return self._request([text], "/query_text")[0]

    def _request(self, texts: list[str], path: str) -> Vectors:
        shorter: Any = {} if self.dimensions is None else {"dimensions": self.dimensions}
        with translated("embedding server", "vectors"):
            # The library requests base64 by default, which not every server supports.
            answer = self._server.client.embeddings.create(
                model=self.model, input=texts, encoding_format="float", **shorter
            )
        source = f"the server of {self.model!r}"
        vectors = _in_order(getattr(answer, "data", None) or [], path, source)
        checked: Vectors = check_shape(vectors, len(texts), self.dimensions, path, source)
        return checked


def _in_order(data: Sequence[Any], path: str, source: str) -> list[Any]:
    indexes = [getattr(item, "index", None) for item in data]
    vectors = [getattr(item, "embedding", None) for item in data]
    if set(indexes) == {None}:  # Gemini's endpoint omits `index` and answers in order
        return vectors
    if set(indexes) != set(range(len(data))):
        raise InvalidVector(f"{source} did not number its vectors from 0", path=path)
    by_index = dict(zip(indexes, vectors, strict=True))
    return [by_index[index] for index in range(len(data))]
