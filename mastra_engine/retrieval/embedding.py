"""Calling an embedder: batches, and checks of the vectors it returns.

An embedder is any object with `embed_documents(texts)` and `embed_query(text)`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mastra_engine.exceptions import InvalidInput, InvalidVector
from mastra_engine.protocols import Embedder

Vectors = Sequence[Sequence[float]]

#: Texts per call of an embedder. A list of Python floats takes eight times the memory of the
#: vector that is made of it, so the lists are converted batch by batch.
BATCH_TEXTS = 256
#: Characters of a message or chunk that are embedded. OpenAI's models refuse more than 8,191
#: tokens, and PostgreSQL's full-text search refuses documents of several megabytes.
EXCERPT = 8_000


def require_embedder(embedder: Embedder | None, path: str) -> Embedder:
    """Return the embedder; raises InvalidInput about the argument at `path` if it is None."""
    if embedder is None:
        message = "needs an embedder, and the engine has none; set EMBEDDER in its settings"
        raise InvalidInput(message, path=path)
    return embedder


def model_name(embedder: Embedder | None) -> str:
    """Return the name of an embedder's model, or "" if the embedder does not tell it.

    It is the text of its attribute `model`, `model_name` or `model_id`, which most have.
    """
    names = (getattr(embedder, name, None) for name in ("model", "model_name", "model_id"))
    return next((name for name in names if isinstance(name, str)), "")


def embed_documents(
    embedder: Embedder, texts: Sequence[str], *, dimension: int | None = None, first: int = 0
) -> Vectors:
    """Return one vector for each text, in order, all of one length.

    Raises InvalidVector if the embedder returns another number of vectors, or vectors of different
    lengths or of a length other than `dimension`, where it is given; `first` is the index of the
    first text in the message. The embedder's own exceptions pass through. The numbers themselves
    are not checked. The embedder is not called without texts.
    """
    if not texts:
        return []
    vectors = embedder.embed_documents(list(texts))
    checked: Vectors = check_shape(vectors, len(texts), dimension, "/documents", first=first)
    return checked


def embed_query(
    embedder: Embedder, text: str, *, dimension: int | None = None, path: str = "/query_text"
) -> Sequence[float]:
    """Return the vector of a query text. See embed_documents()."""
    vectors: Vectors = check_shape([embedder.embed_query(text)], 1, dimension, path)
    return vectors[0]


def check_shape(
    vectors: Any,
    number: int,
    dimension: int | None,
    path: str,
    source: str = "the embedder",
    *,
    first: int = 0,
) -> Any:
    """Return `vectors`, as a list if it is an iterator, if they are `number` of one length.

    Otherwise raises InvalidVector, which names the source and the text, counted from `first`.
    """
    if isinstance(vectors, Iterable) and not hasattr(vectors, "__len__"):
        vectors = list(vectors)
    if (returned := _length(vectors)) != number:
        kind = f"a {type(vectors).__name__}" if returned is None else f"{returned} vectors"
        raise InvalidVector(f"{source} answered with {kind} for {number} texts", path=path)
    for position, vector in enumerate(vectors, first):
        length = _length(vector)
        kind = f"a {type(vector).__name__}" if length is None else f"{length} numbers"
        dimension = length if dimension is None else dimension
        if not length or length != dimension:
            expected = f"{dimension} are expected" if dimension else "a vector is expected"
            message = f"{source} answered with {kind} for text {position}, where {expected}"
            raise InvalidVector(message, path=path)
    return vectors


def _length(value: Any) -> int | None:
    if isinstance(value, str | bytes | Mapping):
        return None
    try:
        return len(value)
    except TypeError:
        return None
