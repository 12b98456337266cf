"""Haystack's documents as vectors of the engine, and back.

The content is the document of the vector, and the embedding is the vector. All other fields are
metadata under their own names, so keys in a document's `meta` cannot collide with them.
"""

from __future__ import annotations

import base64
from array import array
from collections.abc import Iterable
from typing import Any

import numpy as np
from haystack import Document
from haystack.dataclasses import ByteStream, SparseEmbedding

from mastra_engine.contrib.haystack.times import times_in
from mastra_engine.types import Match, StoredVector


def upserted(documents: Iterable[Document], dimension: int) -> dict[str, Any]:
    """Return documents as the arguments of an upsert.

    A document without an embedding gets a vector that stands for none, since a vector is required.
    """
    listed = list(documents)
    none = [1.0] + [0.0] * (dimension - 1)
    return {
        "ids": [document.id for document in listed],
        "documents": [document.content for document in listed],
        "vectors": [none if doc.embedding is None else doc.embedding for doc in listed],
        "metadata": [_metadata(doc, position) for position, doc in enumerate(listed)],
    }


def merged(rows: list[StoredVector], meta: dict[str, Any]) -> dict[str, Any]:
    """Return stored documents, with metadata merged into theirs, as the arguments of an upsert."""
    return {
        "ids": [row.id for row in rows],
        "documents": [row.document for row in rows],
        "vectors": [row.vector for row in rows],
        "metadata": [
            {**row.metadata, **_meta_fields({**row.metadata["meta"], **meta})} for row in rows
        ],
    }


def document_of(row: Match | StoredVector, *, score: float | None = None) -> Document:
    """Return the document that was stored."""
    fields = row.metadata
    blob, sparse = fields.get("blob"), fields.get("sparse_embedding")
    return Document(
        id=row.id,
        content=row.document,
        meta=fields["meta"],
        score=fields.get("score") if score is None else score,
        blob=None if blob is None else _blob(blob),
        sparse_embedding=None if sparse is None else SparseEmbedding.from_dict(sparse),
        embedding=_embedding(row),
    )


def in_order(rows: Iterable[StoredVector]) -> list[StoredVector]:
    """Return rows in the order in which their documents were written first."""
    return sorted(rows, key=lambda row: (row.created_at, row.metadata["position"]))


def _metadata(document: Document, position: int) -> dict[str, Any]:
    fields = {
        "id": document.id,
        **_meta_fields(document.meta),
        "position": position,
        "embedded": document.embedding is not None,
        "embedding": None if document.embedding is None else _precise(document.embedding),
        "score": document.score,
        "blob": None if document.blob is None else _blob_fields(document.blob),
        "sparse_embedding": document.sparse_embedding and document.sparse_embedding.to_dict(),
    }
    return {key: value for key, value in fields.items() if value is not None}


def _meta_fields(meta: dict[str, Any]) -> dict[str, Any]:
    return {"meta": meta, "times": times_in(meta)}


def _precise(embedding: list[float]) -> str | None:
    """Return an embedding in double precision, or None if the vector's single precision is enough.

    Models compute in single precision. Other embeddings come back as they were, too.
    """
    try:
        doubles = array("d", embedding)
    except TypeError:  # the engine refuses it, and says why
        return None
    with np.errstate(over="ignore"):
        single = np.asarray(doubles, dtype=np.float32).tolist()
    return None if single == embedding else base64.b64encode(doubles.tobytes()).decode()


def _embedding(row: Match | StoredVector) -> list[float] | None:
    if not row.metadata["embedded"] or row.vector is None:
        return None
    if (precise := row.metadata.get("embedding")) is None:
        return row.vector
    return array("d", base64.b64decode(precise)).tolist()


def _blob_fields(blob: ByteStream) -> dict[str, Any]:
    data = base64.b64encode(blob.data).decode()
    return {"data": data, "meta": blob.meta, "mime_type": blob.mime_type}


def _blob(fields: dict[str, Any]) -> ByteStream:
    return ByteStream(**{**fields, "data": base64.b64decode(fields["data"])})
