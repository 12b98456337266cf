"""Projection of vectors into the plane. It needs NumPy, which the extra `admin` installs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mastra_engine.optional_deps import require
from mastra_engine.validation.vectors import AnyVector

#: The rank and the number of iterations of the randomized PCA.
_RANK, _ROUNDS = 10, 6


@dataclass(frozen=True, slots=True)
class Projection:
    """Vectors as points of a plane, and the share of their variance that the plane shows."""

    points: list[tuple[float, float]]
    variance: float


def project(vectors: Sequence[AnyVector], *, unit: bool) -> Projection:
    """Project vectors onto their first two principal components.

    With `unit`, the vectors are normalized first. The method is randomized PCA, in time linear in
    the number of values: N. Halko, P.-G. Martinsson and J. A. Tropp, "Finding Structure with
    Randomness", SIAM Review 53 (2011). The same vectors always give the same points. Raises
    EngineConfigError without NumPy.
    """
    require("admin", "numpy", by="The map")
    import numpy as np

    rows = np.stack([vector.to_numpy() for vector in vectors]).astype(float)
    if unit:
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows -= rows.mean(axis=0)
    basis = np.random.default_rng(0).standard_normal((rows.shape[1], _RANK))
    for _ in range(_ROUNDS):
        basis, _ = np.linalg.qr(rows.T @ (rows @ basis))
    _, strengths, turns = np.linalg.svd(rows @ basis, full_matrices=False)
    plane = np.zeros((len(rows), 2))  # one vector, or one dimension, has fewer components
    plane[:, : len(turns[:2])] = rows @ basis @ turns[:2].T
    total = float((rows**2).sum())
    return Projection(
        points=[(x, y) for x, y in plane.tolist()],
        variance=float((strengths[:2] ** 2).sum()) / total if total else 0.0,
    )
