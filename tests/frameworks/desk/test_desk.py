"""The desk of the example project, driven by an agent of Pydantic AI."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from example_project.desk import framework
from mastra_engine import engine
from mastra_engine.contrib.pydantic_ai import EngineConversationStore
from tests.example import test_chat
from tests.example.conftest import (  # noqa: F401 - fixtures
    Browser,
    ann,
    bob,
    example_settings,
    knowledge,
    remembered,
    staff,
    text_of,
)

#: What the desk promises, except that an answer comes in parts: an agent's comes whole.
PROMISES = {
    name: test
    for name, test in vars(test_chat).items()
    if name.startswith("test_") and "is_streamed" not in name
}
globals().update(PROMISES)


@pytest.fixture(autouse=True)
def agent_answers(example_settings: None, settings: Any) -> None:  # noqa: F811
    settings.DESK_FRAMEWORK = "pydantic_ai"


@pytest.fixture
def language_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "a key for this test")
    monkeypatch.setenv("OPENAI_MODEL", "parrot-1")


def stored_texts(browser: Browser, thread_id: str) -> list[str]:
    """Return the texts of the conversation that the agent keeps."""
    store = EngineConversationStore(resource_id=str(browser.user.pk), engine=engine)
    conversation = async_to_sync(store.load)(thread_id)
    assert conversation is not None
    return [
        str(part.content)
        for message in conversation.messages
        for part in message.parts
        if part.part_kind in ("user-prompt", "text")
    ]


def test_an_agent_without_a_language_model_answers_by_rules(ann: Browser) -> None:  # noqa: F811
    thread_id = ann.ask("What is the state of ticket #2?")
    ann.ask("Can a lambda contain several statements?", thread_id)
    messages = [item for item in remembered(thread_id) if item.content[0]["type"] == "text"]
    assert stored_texts(ann, thread_id) == [text_of(message) for message in messages]
    assert "its state is **closed**" in text_of(messages[1])


def test_an_agent_uses_the_tools_of_the_desk(
    ann: Browser,  # noqa: F811
    language_model: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        seen.append((len(messages), info.instructions or ""))
        results = [part for part in messages[-1].parts if part.part_kind == "tool-return"]
        if results:
            return ModelResponse(parts=[TextPart(f"It is closed [{cited(results[0].content)}].")])
        return ModelResponse(parts=[ToolCallPart("look_up_ticket", {"number": 2})])

    def cited(result: Any) -> int:
        return int(result["tickets"][0]["cite_as"])

    seen: list[tuple[int, str]] = []
    monkeypatch.setattr(framework, "_language_model", lambda: FunctionModel(respond))
    thread_id = ann.ask("Is ticket #2 done?")
    roles = [message.role for message in remembered(thread_id)]
    assert roles == ["user", "assistant", "tool", "assistant"]
    answer = remembered(thread_id)[-1]
    sources = [item["external_id"] for item in answer.metadata["sources"] if item["cited"]]
    assert (sources, answer.metadata["model"]) == (["Codertocat/Hello-World#2"], "parrot-1")
    ann.ask("And now?", thread_id)
    assert [length for length, _ in seen] == [1, 3, 5, 7]
    assert all("numbered sources" in instructions for _, instructions in seen)


def test_an_agent_that_only_calls_tools_is_stopped(
    ann: Browser,  # noqa: F811
    language_model: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return ModelResponse(parts=[ToolCallPart("look_up_ticket", {"number": "two"})])

    monkeypatch.setattr(framework, "_language_model", lambda: FunctionModel(respond))
    thread_id = ann.ask("Is ticket #2 done?")
    assert "The agent failed: UsageLimitExceeded" in ann.read(thread_id)


def test_a_language_model_that_is_away_leaves_the_question_to_be_sent_again(
    ann: Browser,  # noqa: F811
    language_model: None,
) -> None:
    thread_id = ann.ask("Is ticket #2 done?")
    assert "The agent failed" in ann.read(thread_id)
    assert [message.role for message in remembered(thread_id)] == ["user"]
