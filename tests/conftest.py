"""Fixtures that every test may use."""

from __future__ import annotations

import pytest
from hypothesis import settings

from mastra_engine import PostgresEngine

# How long an example takes depends on what else the machine does.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")


@pytest.fixture
def postgres_engine(db: None) -> PostgresEngine:
    return PostgresEngine(lock_timeout=60)
