"""LlamaIndex's nodes as vectors of the engine, and back.

The text is the document of the vector, and the embedding is the vector. A node's metadata are below
`metadata`, where filters find them; the node itself is JSON text, which keeps the order of its
metadata and is not searched.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from llama_index.core.schema import (
    BaseNode,
    Document,
    ImageDocument,
    ImageNode,
    IndexNode,
    Node,
    TextNode,
)

from mastra_engine.types import Match, StoredVector

#: The source of a node that has none, by LlamaIndex's convention.
NO_SOURCE = "None"
_CLASSES: dict[str, type[BaseNode]] = {
    kind.class_name(): kind
    for kind in (Document, ImageDocument, ImageNode, IndexNode, Node, TextNode)
}


def upserted(nodes: Sequence[BaseNode]) -> dict[str, Any]:
    """Return nodes as the arguments of an upsert; raises ValueError without an embedding."""
    rows = [_row(node) for node in nodes]
    return {
        "ids": [node.node_id for node in nodes],
        "vectors": [node.get_embedding() for node in nodes],
        "documents": [text for text, _ in rows],
        "metadata": [metadata for _, metadata in rows],
    }


def node_of(row: Match | StoredVector) -> BaseNode:
    """Return the node that was stored, with the embedding if the row has it."""
    fields = json.loads(row.metadata["node"])
    if row.document is not None:
        _text_holder(fields)["text"] = row.document
    fields["embedding"] = row.vector
    kind = _CLASSES.get(row.metadata["node_type"], TextNode)
    node: BaseNode = kind.from_dict(fields)
    return node


def _row(node: BaseNode) -> tuple[str | None, dict[str, Any]]:
    """Return the text of a node, and the metadata of its vector."""
    fields = node.model_dump(mode="json", exclude={"embedding"})
    text = _text_holder(fields).pop("text", None)
    return text, {
        "node_id": node.node_id,
        "node_type": node.class_name(),
        "ref_doc_id": node.ref_doc_id or NO_SOURCE,
        "metadata": fields["metadata"],
        "node": json.dumps(fields),
    }


def _text_holder(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a node's fields that has the text."""
    holder: dict[str, Any] = fields.get("text_resource") or fields
    return holder
