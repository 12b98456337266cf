"""Windows of random conversations keep the providers' rules at every budget, on both engines."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from itertools import accumulate
from uuid import uuid4

import pytest
from hypothesis import given, settings

from mastra_engine import MockMastraEngine, PostgresEngine
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.types import ContextWindow, Message
from tests.property.conversations import Call, Conversation, conversations
from tests.property.pair import QUIET, seen
from tests.property.provider_rules import check_anthropic, check_openai, check_size

NUMBER = re.compile(r"(?<!\d)1\d{3}(?!\d)")
ANSWER = re.compile(r"answer-(\d+)-")


def save(memory: Memory, thread_id: str, conversation: Conversation) -> list[Message]:
    memory.embeds_at_once = False
    return memory.save_memory(
        thread_id=thread_id, resource_id="alice", messages=conversation.messages
    )


def budgets(messages: list[Message]) -> list[int]:
    """Return the budgets between which no other window exists, and those just below."""
    sums = set(accumulate(message.tokens for message in reversed(messages)))
    return sorted({budget - below for budget in sums for below in (0, 1)})


def check_pairs(window: ContextWindow, conversation: Conversation, start: int) -> None:
    """Check that each result is its call's, and that each finished call is shown."""
    numbers: list[int] = []
    messages = window.messages
    results = {m["tool_call_id"]: m["content"] for m in messages if m["role"] == "tool"}
    for message in messages:
        for call in message.get("tool_calls", []):
            text = call["function"]["arguments"] if "function" in call else call["custom"]["input"]
            number = NUMBER.search(text)
            if number is None:
                continue
            numbers.append(int(number[0]))
            answer = ANSWER.search(results.get(call["id"], ""))
            assert answer is None or answer[1] == number[0], "the result of another call"
    assert len(numbers) == len(set(numbers)), "a call is shown twice"
    if conversation.has_noise:
        return
    finished = {
        call.number
        for call in conversation.calls
        if call.is_answered and min(call.call_message, call.result_message) >= start
    }
    assert finished <= set(numbers), "a finished call is not shown"


def check_arguments(window: ContextWindow, calls: list[Call]) -> None:
    """Check that arguments that were saved as text are sent as they were written."""
    written = Counter(squeezed(call.arguments) for call in calls)
    by_object = Counter(json.dumps({"n": call.number}, separators=(",", ":")) for call in calls)
    for message in window.messages:
        for call in message.get("tool_calls", []):
            text = call["function"]["arguments"] if "function" in call else ""
            if NUMBER.search(text):
                assert squeezed(text) in written or text in by_object


def squeezed(text: str) -> str:
    """Return JSON text without insignificant white space."""
    return re.sub(r'("(?:[^"\\]|\\.)*")|\s+', lambda match: match[1] or "", text)


def check_conversation(memories: list[Memory], conversation: Conversation) -> None:
    thread_id = f"thread {uuid4()}"
    saved = [save(memory, thread_id, conversation) for memory in memories]
    assert seen(saved[0]) == seen(saved[-1])
    for budget in budgets(saved[0]):
        windows = [windows_of(memory, thread_id, budget) for memory in memories]
        raw, openai, anthropic = windows[0]
        assert seen(raw.messages) == seen(windows[-1][0].messages)
        assert [openai, anthropic] == windows[-1][1:], "the engines differ"
        assert raw.tokens == openai.tokens == anthropic.tokens <= budget
        check_openai(openai.messages)
        check_anthropic(anthropic.messages, anthropic.system)
        check_size(openai)
        check_size(anthropic)
        start = first_message(saved[0], budget)
        check_pairs(openai, conversation, start)
        check_arguments(openai, conversation.calls)


def first_message(messages: list[Message], budget: int) -> int:
    """Return the index of the first message that the budget admits."""
    sums = list(accumulate(message.tokens for message in reversed(messages)))
    return len(messages) - sum(total <= budget for total in sums)


def windows_of(memory: Memory, thread_id: str, budget: int) -> list[ContextWindow]:
    return [
        memory.get_context_window(thread_id=thread_id, max_tokens=budget, format=format)
        for format in ("raw", "openai", "anthropic")
    ]


def run(examples: int, memories: Callable[[], list[Memory]], max_turns: int = 6) -> None:
    @settings(max_examples=examples, **QUIET)
    @given(conversation=conversations(max_turns=max_turns))
    def check(conversation: Conversation) -> None:
        check_conversation(memories(), conversation)

    check()


@pytest.mark.django_db
def test_windows_of_random_conversations_follow_the_rules() -> None:
    mock, postgres = MockMastraEngine(), PostgresEngine()
    run(100, lambda: [mock.memory, postgres.memory])


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.django_db
def test_windows_of_two_thousand_conversations_follow_the_rules() -> None:
    mock, postgres = MockMastraEngine(), PostgresEngine()
    run(2_000, lambda: [mock.memory, postgres.memory])
