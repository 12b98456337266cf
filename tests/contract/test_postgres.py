"""The PostgreSQL engine keeps the contract."""

from __future__ import annotations

import pytest

from mastra_engine import PostgresEngine
from mastra_engine.testing.contract import *  # noqa: F403


@pytest.fixture
def engine(postgres_engine: PostgresEngine) -> PostgresEngine:
    return postgres_engine
