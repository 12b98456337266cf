"""The page of the OpenAI Agents SDK runs as it is shown."""

from __future__ import annotations

import pytest

from tests.frameworks.openai_agents.scripted import ScriptedModel, calls, says
from tests.frameworks.snippets import run_snippets


@pytest.mark.django_db
def test_the_page_runs(request: pytest.FixtureRequest) -> None:
    model = ScriptedModel(
        calls("find_order", '{"number": 7}', "call_1"),
        says("It was shipped."),
        says("Yesterday."),
        says("Good evening."),
    )
    run_snippets("openai_agents", request, model=model)
