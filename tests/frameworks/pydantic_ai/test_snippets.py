"""The page of Pydantic AI runs as it is shown."""

from __future__ import annotations

import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from tests.frameworks.snippets import run_snippets


def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """Answer the first question of a conversation, and the next one."""
    return ModelResponse(parts=[TextPart("Yesterday." if len(messages) > 1 else "It was shipped.")])


@pytest.mark.django_db
def test_the_page_runs(request: pytest.FixtureRequest) -> None:
    run_snippets("pydantic_ai", request, model=FunctionModel(answer))
