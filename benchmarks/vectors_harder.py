"""Data that is harder for a graph: random directions, and embeddings of real text."""

from __future__ import annotations

import ast
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.harness import progress
from benchmarks.vectors_data import Dataset, Matrix
from benchmarks.vectors_searches import Found, by_engine, compare
from mastra_engine import engine
from mastra_engine.embedders import WordLlamaEmbedder

EF_SEARCH = (40, 100, 200, 400, 1_000)
QUERIES = 200


def measure(rows: int, dimension: int) -> dict[str, dict[str, Found]]:
    """Return the engine's results for each kind of data and each `ef_search`."""
    text = embedded_text()
    kinds = {
        f"random, {rows:,} x {dimension}": _dataset(_random(rows + QUERIES, dimension)),
        f"text, {len(text.vectors):,} x 256": text,
    }
    return {kind: _recall(kind, data) for kind, data in kinds.items()}


def embedded_text() -> Dataset:
    """Return embeddings of the standard library's paragraphs, some of them as queries."""
    texts = sorted(set(_paragraphs()))
    np.random.default_rng(7).shuffle(texts)
    return _dataset(np.asarray(WordLlamaEmbedder().embed_documents(texts)))


def _dataset(vectors: Matrix) -> Dataset:
    return Dataset(vectors[QUERIES:], np.zeros(0, dtype=np.int64), vectors[:QUERIES], [])


def _recall(kind: str, data: Dataset) -> dict[str, Found]:
    progress(kind)
    engine.vectors.create_index(index_name=kind, dimension=data.vectors.shape[1])
    with engine.vectors.bulk_load(index_name=kind):
        ids = [str(i) for i in range(len(data.vectors))]
        engine.vectors.upsert(index_name=kind, vectors=data.vectors, ids=ids)
    truth = [data.nearest(query) for query in data.queries]
    ways = {str(ef): by_engine(kind, ef_search=ef) for ef in EF_SEARCH}
    matches = compare(ways, data.queries, truth)
    engine.vectors.delete_index(index_name=kind)
    return matches


def _random(rows: int, dimension: int) -> Matrix:
    """Generate random directions: all distances are about equal, so a graph has no gradient."""
    vectors = np.random.default_rng(7).normal(size=(rows, dimension)).astype(np.float32)
    unit: Matrix = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _paragraphs() -> Iterator[str]:
    """Yield the paragraphs of the standard library's docstrings."""
    for path in Path(sysconfig.get_path("stdlib")).rglob("*.py"):
        if "site-packages" not in path.parts:
            with warnings.catch_warnings(action="ignore"):
                try:
                    tree = ast.parse(path.read_text())
                except (
                    SyntaxError,
                    UnicodeDecodeError,
                ):  # files that are invalid on purpose
                    continue
            for node in ast.walk(tree):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                    text = ast.get_docstring(node) or ""
                    yield from (part for part in text.split("\n\n") if len(part) > 40)
