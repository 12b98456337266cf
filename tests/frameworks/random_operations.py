"""How many random operations compare an adapter with its oracle, and from which seeds.

Each run makes other operations. `make test-framework-langgraph OPERATIONS=20000` makes more of
them, and `SEED=…` those of an earlier run, whose tests name their seeds.
"""

from __future__ import annotations

import os
from random import randrange

OPERATIONS = int(os.environ.get("OPERATIONS") or 3_000)
SEED = int(os.environ.get("SEED") or randrange(10**6))


def seeds(length: int) -> range:
    """Return a seed for each part of so many operations; together they have all, or a few more."""
    return range(SEED, SEED + -(-OPERATIONS // length))
