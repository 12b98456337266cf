"""Fixtures that every test may use."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from mastra_engine import PostgresEngine
from mastra_engine.registry import registry

# How long an example takes depends on what else the machine does.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

# What the installed apps declare: no module of tests is imported yet.
INSTALLED = registry.syncs.copy(), registry.indexes.copy()


@pytest.fixture(autouse=True)
def declarations() -> Iterator[None]:
    """Begin with what the installed apps declare, whatever other tests and their modules did."""
    with registry.empty():
        registry.syncs, registry.indexes = (declared.copy() for declared in INSTALLED)
        yield


@pytest.fixture
def postgres_engine(db: None) -> PostgresEngine:
    return PostgresEngine(lock_timeout=60)


def pytest_collection_finish() -> None:
    """Have the collector leave alone what all tests share, which is much."""
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Iterator[None]:
    """Let workers report on hostile input: what they say goes as UTF-8, surrogates do not."""
    texts: Any = yield
    return json.loads(json.dumps(texts, ensure_ascii=False).encode(errors="replace"))
