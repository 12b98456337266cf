"""The page of Anthropic's memory tool runs as it is shown."""

from __future__ import annotations

import pytest

from tests.frameworks.anthropic_memory.scripted import ScriptedModel, calls, says
from tests.frameworks.snippets import run_snippets


@pytest.mark.django_db
def test_the_page_runs(request: pytest.FixtureRequest) -> None:
    model = ScriptedModel(
        calls("1", command="view", path="/memories"),
        calls("2", command="create", path="/memories/ann.md", file_text="Ann drinks tea.\n"),
        says("I will remember that."),
        calls("3", command="view", path="/memories/ann.md"),
        says("Tea."),
    )
    with model.client() as client:
        run_snippets("anthropic_memory", request, client=client)
    results = [message["messages"][-1]["content"] for message in model.requests[1:3]]
    assert [result[0].get("is_error", False) for result in results] == [False, False]
    assert model.requests[0]["tools"] == [{"type": "memory_20250818", "name": "memory"}]
