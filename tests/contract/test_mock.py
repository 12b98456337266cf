"""The mock keeps the contract."""

from __future__ import annotations

import pytest

from mastra_engine import MockMastraEngine
from mastra_engine.testing.contract import *  # noqa: F403


@pytest.fixture
def engine(mock_engine: MockMastraEngine) -> MockMastraEngine:
    return mock_engine
