"""The published suite of LangGraph's checkpointers passes, as it is."""

from __future__ import annotations

from collections.abc import AsyncIterator

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import ALL_CAPABILITIES

from mastra_engine.contrib.langgraph import DjangoCheckpointer


async def test_the_suite_passes_with_all_capabilities(saver: DjangoCheckpointer) -> None:
    @checkpointer_test(name="DjangoCheckpointer")
    async def checkpointer() -> AsyncIterator[BaseCheckpointSaver]:
        yield saver

    report = await validate(checkpointer)
    assert report.passed_all_base()
    assert report.passed_all()
    assert {name for name, result in report.results.items() if result.passed} == {
        capability.value for capability in ALL_CAPABILITIES
    }
    assert sum(result.tests_passed for result in report.results.values()) == 81


def test_every_public_method_is_overridden() -> None:
    inherited = {"get", "aget", "config_specs", "with_allowlist"}
    methods = {name for name in vars(BaseCheckpointSaver) if not name.startswith("_")}
    own = vars(DjangoCheckpointer)
    assert methods - inherited - {"serde"} <= own.keys()
