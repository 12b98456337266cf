"""The page of LangGraph runs as it is shown."""

from __future__ import annotations

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel

from tests.frameworks.snippets import run_snippets


@pytest.mark.django_db
def test_the_page_runs(request: pytest.FixtureRequest) -> None:
    answers = ["It was shipped.", "Yesterday.", "It is cancelled.", "It is here.", "Hello, Ann."]
    run_snippets("langgraph", request, model=GenericFakeChatModel(messages=iter(answers)))
