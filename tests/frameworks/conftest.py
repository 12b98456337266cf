"""Fixtures for the suites of all frameworks.

Nothing is collected where `make test` runs: the frameworks have environments of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest
from asgiref.sync import SyncToAsync
from django.db import connections

from mastra_engine import MastraEngine, PostgresEngine

collect_ignore_glob = [] if find_spec("pytest_asyncio") else ["*"]

#: Other threads have connections of their own, which see committed rows only.
COMMITTING = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["mock", pytest.param("postgres", marks=pytest.mark.django_db)])
def each_engine(request: pytest.FixtureRequest) -> MastraEngine:
    """Each of the two engines, empty."""
    engine: MastraEngine = request.getfixturevalue(f"{request.param}_engine")
    return engine


@pytest.fixture(params=["mock", pytest.param("postgres", marks=COMMITTING)])
def committing_engine(request: pytest.FixtureRequest) -> Iterator[MastraEngine]:
    """Each of the two engines, empty, for synchronous and asynchronous calls in one test."""
    if request.param == "mock":
        yield request.getfixturevalue("mock_engine")
    else:
        yield PostgresEngine()
        SyncToAsync.single_thread_executor.submit(connections.close_all).result()
