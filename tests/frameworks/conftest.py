"""Collect nothing where `make test` runs: the frameworks have environments of their own."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from mastra_engine import MastraEngine, MockMastraEngine

collect_ignore_glob = [] if find_spec("pytest_asyncio") else ["*"]


@pytest.fixture(params=["mock", "postgres"])
def each_engine(request: pytest.FixtureRequest) -> MastraEngine:
    """Each of the two engines, empty."""
    if request.param == "mock":
        return MockMastraEngine()
    engine: MastraEngine = request.getfixturevalue("postgres_engine")
    return engine
