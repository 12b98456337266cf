"""Validation of vectors, their metadata and documents, and of index definitions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple, TypeVar, cast

from pgvector import SparseVector, Vector
from uuid_utils import uuid7

from mastra_engine.exceptions import InvalidInput, InvalidVector
from mastra_engine.types import IndexStatus, IndexType, Metric, Storage, VectorIndex
from mastra_engine.validation.inputs import MAX_NAME_BYTES, choice, count, name, text
from mastra_engine.validation.jsonb import canonical, plain_text, pointer
from mastra_engine.validation.sparse_vectors import (
    INDEXED_NONZERO,
    STORED_NONZERO,
    nonzero,
    sparse_rows,
    sparse_vector,
)

T = TypeVar("T")
#: A validated vector, in the form of its index's storage.
AnyVector = Vector | SparseVector

#: pgvector's limits: dimensions of a column, and of an index by storage. An index on bits may have
#: 64,000, but its candidates are compared by the numbers, which the column stores.
STORED_DIMENSIONS = 16_000
#: Sparse vectors may have a milliard, but searches return lists of all numbers.
SPARSE_DIMENSIONS = 2**18
INDEXED_DIMENSIONS = {
    "vector": 2_000,
    "halfvec": 4_000,
    "bit": STORED_DIMENSIONS,
    "sparsevec": SPARSE_DIMENSIONS,
}

#: Lengths of vectors. The square of a length outside these limits is infinite or zero in single
#: precision, and distances become NaN.
_LONGEST = 1e18
_SHORTEST = {"vector": 1e-18, "halfvec": 1e-4, "bit": 1e-18, "sparsevec": 1e-18}
_LARGEST_HALF = 65_504.0

#: A tsvector has at most a megabyte of words, and one byte of text may become four of them.
MAX_DOCUMENT_BYTES = 2**18

#: PostgreSQL's text search configurations.
LANGUAGES = (
    *("simple", "arabic", "armenian", "basque", "catalan", "danish", "dutch", "english"),
    *("finnish", "french", "german", "greek", "hindi", "hungarian", "indonesian", "irish"),
    *("italian", "lithuanian", "nepali", "norwegian", "portuguese", "romanian", "russian"),
    *("serbian", "spanish", "swedish", "tamil", "turkish", "yiddish"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexDefinition:
    """The definition of an index; the engine sets `id` and `created_at`."""

    name: str
    dimension: int
    metric: Metric
    index_type: IndexType
    storage: Storage
    language: str
    m: int
    ef_construction: int
    #: The model of the vectors in an index that the engine fills itself; "" if unknown.
    model: str = ""
    id: int = 0
    created_at: datetime | None = None

    def may_have(self, model: str) -> bool:
        """Return whether the vectors may be of a model; "" is a model without a name."""
        return self.model == model or "" in (self.model, model)

    def differences(self, requested: IndexDefinition) -> str:
        """Return a text that names the parts that differ from a requested definition, or "".

        The model is no part of a requested definition.
        """
        same = replace(
            self, model=requested.model, id=requested.id, created_at=requested.created_at
        )
        stored = asdict(same)
        return ", ".join(
            f"{key} {stored[key]!r}, not {value!r}"
            for key, value in asdict(requested).items()
            if stored[key] != value
        )

    def described(
        self, *, count: int, size_bytes: int, status: IndexStatus, progress: float | None = None
    ) -> VectorIndex:
        """Return the index as users see it, with its current state."""
        return VectorIndex(
            name=self.name,
            dimension=self.dimension,
            metric=self.metric,
            index_type=self.index_type,
            storage=self.storage,
            language=self.language,
            count=count,
            size_bytes=size_bytes,
            status=status,
            progress=progress,
        )


class VectorRow(NamedTuple):
    """A validated vector that is to be stored."""

    id: str
    vector: AnyVector
    metadata: bytes
    document: str | None


def index_definition(
    *,
    index_name: Any,
    dimension: Any,
    metric: Any = "cosine",
    index_type: Any = "hnsw",
    m: Any = 16,
    ef_construction: Any = 64,
    storage: Any = "vector",
    language: Any = "english",
    model: str = "",
) -> IndexDefinition:
    """Validate a definition against pgvector's limits."""
    definition = IndexDefinition(
        name=name(index_name, "/index_name"),
        dimension=count(dimension, "/dimension", least=1),
        metric=cast(Metric, choice(metric, "/metric", "cosine", "euclidean", "dotproduct")),
        index_type=cast(IndexType, choice(index_type, "/index_type", "hnsw", "ivfflat", "flat")),
        storage=cast(Storage, choice(storage, "/storage", *INDEXED_DIMENSIONS)),
        language=choice(language, "/language", *LANGUAGES),
        m=count(m, "/m", least=2, most=100),
        ef_construction=count(ef_construction, "/ef_construction", least=4, most=1000),
        model=model,
    )
    if definition.ef_construction < 2 * definition.m:
        message = f"must be at least twice m ({definition.m}), got {definition.ef_construction}"
        raise InvalidInput(message, path="/ef_construction")
    _check_storage(definition)
    _check_dimension(definition)
    return definition


def _check_storage(definition: IndexDefinition) -> None:
    if definition.storage == "bit" and definition.metric == "euclidean":
        raise InvalidInput(
            "'euclidean' is not available with storage='bit', which keeps the direction of a "
            "vector and not its length; use metric='cosine', or storage='halfvec'",
            path="/metric",
        )
    if definition.storage == "sparsevec" and definition.index_type == "ivfflat":
        raise InvalidInput(
            "'ivfflat' is not available with storage='sparsevec'; use index_type='hnsw' or 'flat'",
            path="/index_type",
        )


def _check_dimension(definition: IndexDefinition) -> None:
    dimension, indexed = definition.dimension, definition.index_type != "flat"
    limit = INDEXED_DIMENSIONS[definition.storage]
    if not indexed and definition.storage != "sparsevec":
        limit = STORED_DIMENSIONS
    if dimension <= limit:
        return
    advice = "no storage has as many"
    if indexed and dimension <= INDEXED_DIMENSIONS["halfvec"]:
        advice = "storage='halfvec' would fit"
    elif indexed and dimension <= STORED_DIMENSIONS:
        advice = "index_type='flat' would fit"
        if definition.metric != "euclidean":
            advice = f"storage='bit' or {advice}"
    elif dimension <= SPARSE_DIMENSIONS:
        advice = "storage='sparsevec' would fit, for vectors that are mostly zero"
    kind = f"a {definition.index_type} index on {definition.storage}"
    message = f"{kind} has at most {limit} dimensions, got {dimension}; {advice}"
    raise InvalidInput(message, path="/dimension")


def vector(value: Any, index: IndexDefinition, path: str) -> AnyVector:
    """Return a list or array of numbers, or a Vector, as one of pgvector; raises InvalidVector.

    Indexes of sparse vectors accept more forms: see `sparse_vector`.
    """
    if index.storage == "sparsevec":
        return _sparse(value, index, path)
    if isinstance(value, Vector):
        value = value.to_list()
    elif callable(getattr(value, "tolist", None)):
        value = value.tolist()
    elif isinstance(value, tuple):
        value = list(value)
    if not isinstance(value, list):
        raise InvalidVector("must be a list of numbers", path=path)
    try:
        length = math.hypot(*value)  # infinite or NaN when a number is
    except (TypeError, ValueError, OverflowError):
        raise InvalidVector("must be a list of finite numbers", path=path) from None
    _check(len(value), length, index, path)
    if index.storage == "halfvec" and length > _LARGEST_HALF:
        _check_half(max(map(abs, value)), path)
    return Vector(value)


def matrix(
    vectors: Any, index: IndexDefinition, path: str = "/vectors", *, first: int = 0
) -> list[AnyVector]:
    """Return the validated rows of a list of vectors or of a two-dimensional array.

    An array is NumPy's or one that NumPy can convert, for example a tensor. For an index of sparse
    vectors it may be a sparse matrix of SciPy.

    `first` is the index of the first vector in the path of an error.
    """
    sparse = sparse_rows(vectors) if index.storage == "sparsevec" else None
    if sparse is not None:
        vectors = sparse
    elif hasattr(vectors, "dtype") or hasattr(vectors, "__array__"):
        return _array(vectors, index, path, first)
    if isinstance(vectors, str | bytes | Mapping) or not isinstance(vectors, Iterable):
        raise InvalidVector("must be a list of vectors", path=path)
    return [vector(row, index, f"{path}/{i}") for i, row in enumerate(vectors, first)]


def _array(vectors: Any, index: IndexDefinition, path: str, first: int) -> list[AnyVector]:
    import numpy as np

    if np.ma.is_masked(vectors):
        raise InvalidVector("has masked numbers; fill or remove them", path=path)
    try:
        array = np.asarray(vectors)
    except Exception as error:  # another library's array, for example on a graphics card
        message = f"cannot be converted to a NumPy array ({type(error).__name__})"
        raise InvalidVector(message, path=path) from error
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise InvalidVector("must be a two-dimensional array of numbers", path=path)
    with np.errstate(over="ignore"):
        rows = array.astype(np.float32, order="C", copy=False)
        lengths = np.linalg.norm(rows, axis=1).tolist()
    for i, (row, length) in enumerate(zip(rows, lengths, strict=True), first):
        _check(rows.shape[1], length, index, f"{path}/{i}")
        if index.storage == "halfvec" and length > _LARGEST_HALF:
            _check_half(float(abs(row).max()), f"{path}/{i}")
    if index.storage == "sparsevec":
        return [_sparse(row, index, f"{path}/{i}") for i, row in enumerate(rows, first)]
    return [Vector(row) for row in rows]


def _sparse(value: Any, index: IndexDefinition, path: str) -> SparseVector:
    sparse = sparse_vector(value, index.dimension, path)
    _check(sparse.dimensions(), math.hypot(*sparse.values()), index, path)
    indexed = index.index_type != "flat"
    limit = INDEXED_NONZERO if indexed else STORED_NONZERO
    if (number := nonzero(sparse)) > limit:
        remedy = "use index_type='flat'" if indexed else "use another storage"
        message = f"has {number:,} nonzero numbers; the limit is {limit:,}; {remedy}"
        raise InvalidVector(message, path=path)
    return sparse


def _check(dimension: int, length: float, index: IndexDefinition, path: str) -> None:
    if dimension != index.dimension:
        message = (
            f"has {dimension} dimensions, and vector index {index.name!r} has {index.dimension}"
        )
        raise InvalidVector(message, path=path)
    if not length <= _LONGEST:
        raise InvalidVector("contains NaN, an infinity or a number that is too large", path=path)
    if index.metric == "cosine" and length < _SHORTEST[index.storage]:
        message = "is zero or too short, and has no cosine distance; use another metric"
        raise InvalidVector(message, path=path)


def _check_half(largest: float, path: str) -> None:
    if largest > _LARGEST_HALF:
        message = f"contains a number beyond {_LARGEST_HALF:.0f}, the limit of halfvec"
        raise InvalidVector(message, path=path)


def vector_rows(
    vectors: list[AnyVector], *, ids: Any, metadata: Any, documents: Any, reserved: bool = False
) -> list[VectorRow]:
    """Validate ids, metadata and documents; of several vectors with one id the last is kept.

    `reserved` allows the engine's own keys in the metadata.
    """
    number, as_json = len(vectors), _json_object if reserved else metadata_json
    columns = (
        _column(ids, number, "/ids", name) or [str(uuid7()) for _ in range(number)],
        vectors,
        _column(metadata, number, "/metadata", as_json) or [b"{}"] * number,
        _column(documents, number, "/documents", _document) or [None] * number,
    )
    rows = map(VectorRow._make, zip(*columns, strict=True))
    return list({row.id: row for row in rows}.values())


def metadata_json(value: Any, path: str) -> bytes:
    """Return metadata as canonical JSON; raises InvalidInput if it is not a JSON object.

    Keys that begin with "@" are the engine's: they say which message or record a vector was made
    of, so users cannot set them.
    """
    if isinstance(value, dict):
        for key in map(plain_text, value):
            if isinstance(key, str) and key.startswith("@"):
                raise InvalidInput(
                    'begins with "@", as the keys do that the engine sets; rename it',
                    path=pointer((*path[1:].split("/"), key)),
                )
    return _json_object(value, path)


def _json_object(value: Any, path: str) -> bytes:
    if not isinstance(value, dict):
        raise InvalidInput("must be a JSON object", path=path)
    return canonical(value, tuple(path[1:].split("/")))


def document_text(value: Any, path: str) -> str:
    """Return a document; raises InvalidInput if it is too long for full-text search."""
    return _bounded(text(value, path), MAX_DOCUMENT_BYTES, path)


def _document(value: Any, path: str) -> str | None:
    return None if value is None else document_text(value, path)


def namespace_name(value: Any, path: str = "/namespace") -> str:
    """Return a namespace, which may be empty and has the length limit of a name."""
    return _bounded(text(value, path), MAX_NAME_BYTES, path)


def finite_number(value: Any, path: str) -> float:
    """Return `value`; raises InvalidInput if it is not a finite number."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not -math.inf < value < math.inf
    ):
        raise InvalidInput("must be a finite number", path=path)
    return value


def _bounded(value: str, most: int, path: str) -> str:
    if (size := len(value.encode())) > most:
        raise InvalidInput(f"has {size} bytes; the limit is {most}", path=path)
    return value


def _column(values: Any, number: int, path: str, check: Callable[[Any, str], T]) -> list[T] | None:
    if values is None:
        return None
    if not isinstance(values, list | tuple):
        raise InvalidInput("must be a list", path=path)
    if len(values) != number:
        raise InvalidInput(f"has {len(values)} items for {number} vectors", path=path)
    return [check(value, f"{path}/{i}") for i, value in enumerate(values)]
