"""Validation of sparse vectors, which are stored as their nonzero numbers."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping
from typing import Any

from pgvector import SparseVector

from mastra_engine.exceptions import InvalidVector
from mastra_engine.validation.jsonb import plain_text

#: pgvector's limits of nonzero numbers, in an HNSW index and in a column.
INDEXED_NONZERO, STORED_NONZERO = 1_000, 16_000


def sparse_vector(value: Any, dimension: int, path: str) -> SparseVector:
    """Return the nonzero numbers of a vector in single precision; raises InvalidVector.

    `dimension` is that of a mapping; other vectors have their own.

    A vector is a pgvector SparseVector, a mapping of indices from 0 to numbers, a row of a SciPy
    sparse matrix, or a list or array of all numbers. Keys of a JSON object are indices as text.
    """
    if callable(getattr(value, "tocoo", None)):
        if math.prod(value.shape[:-1]) != 1:
            raise InvalidVector("must be one row of a sparse matrix", path=path)
        value = SparseVector(value)
    if isinstance(value, SparseVector):
        dimension = value.dimensions()
        value = dict(zip(value.indices(), value.values(), strict=True))
    elif callable(getattr(value, "tolist", None)):
        value = value.tolist()
    if isinstance(value, Mapping):
        pairs = [(_index(key, dimension, path), number) for key, number in value.items()]
    elif isinstance(value, list | tuple):
        dimension, pairs = len(value), list(enumerate(value))
    else:
        message = "must be a list of numbers, or an object of numbers by index"
        raise InvalidVector(message, path=path)
    return _from_pairs(pairs, dimension, path)


def sparse_rows(matrix: Any) -> Iterable[Any] | None:
    """Return the rows of a SciPy sparse matrix, or None for another value."""
    if not callable(getattr(matrix, "tocsr", None)) or len(matrix.shape) != 2:
        return None
    rows = matrix.tocsr()
    return (rows[[number], :] for number in range(rows.shape[0]))


def nonzero(vector: SparseVector) -> int:
    """Return the number of nonzero numbers of a vector."""
    return len(vector.indices())


def _from_pairs(pairs: list[tuple[int, Any]], dimension: int, path: str) -> SparseVector:
    try:
        # Numbers that are zero in single precision are not stored, as pgvector refuses them.
        numbers = array("f", [number for _, number in pairs])
    except (TypeError, ValueError, OverflowError):
        raise InvalidVector("must consist of finite numbers", path=path) from None
    elements: dict[int, float] = {}
    for (index, _), number in zip(pairs, numbers, strict=True):
        if index in elements:
            raise InvalidVector(f"has index {index} twice", path=path)
        elements[index] = number
    return SparseVector(elements, dimension)


def _index(key: Any, dimension: int, path: str) -> int:
    key = plain_text(key)
    if isinstance(key, str) and key.isascii() and key.isdigit():
        key = int(key) if len(key) < 20 else dimension
    elif isinstance(key, bool) or not hasattr(key, "__index__"):
        raise InvalidVector(f"has the index {key!r}; an index is an integer from 0", path=path)
    if not 0 <= (index := key.__index__()) < dimension:
        message = f"has index {index}; indices are from 0 to {dimension - 1}"
        raise InvalidVector(message, path=path)
    return int(index)
