"""Windows show whole exchanges, and the preamble keeps within the budget."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mastra_engine.conversations.context_window import ContextPreamble, whole_exchanges
from mastra_engine.conversations.parts import text_of
from mastra_engine.conversations.tokens import estimate, message_tokens
from mastra_engine.types import Message, RecalledMessage, Thread, WorkingMemory

NOW = datetime(2026, 1, 1, tzinfo=UTC)
THREAD = Thread(
    id="t",
    resource_id="r",
    title="",
    metadata={},
    version=1,
    message_count=0,
    created_at=NOW,
    updated_at=NOW,
)


def message(shorthand: str, kind: type[Message] = Message) -> Any:
    """Return a message by shorthand: `a?x?y` calls x and y, `t!x` answers x, `u` is text."""
    roles = {"a": "assistant", "t": "tool", "u": "user"}
    parts: list[dict[str, Any]] = [
        {"type": {"?": "tool_use", "!": "tool_result"}[mark], "id": id}
        for mark, id in zip(shorthand[1::2], shorthand[2::2], strict=True)
    ]
    content = parts or [{"type": "text", "text": "Hi"}]
    return kind(
        id=shorthand,
        thread_id="t",
        position=1,
        role=roles[shorthand[0]],  # type: ignore[arg-type]
        content=content,
        tool_call_id=None,
        tokens=message_tokens(roles[shorthand[0]], content, None, estimate),
        metadata={},
        created_at=NOW,
    )


def full_text(thread: str, *, to_the_end: bool = True) -> str:
    messages = [message(shorthand) for shorthand in thread.split()]
    return " ".join(map(shorthand_of, whole_exchanges(messages, to_the_end=to_the_end)))


def shorthand_of(message: Message) -> str:
    marks = {"tool_use": "?", "tool_result": "!"}
    tools = [part for part in message.content if part["type"] in marks]
    return message.id[0] + "".join(marks[part["type"]] + part["id"] for part in tools)


@pytest.mark.parametrize(
    ("thread", "window"),
    [
        ("u a?x t!x a", "u a?x t!x a"),
        ("u a?x?y t!x t!y", "u a?x?y t!x t!y"),
        ("u a?x?y t!y!x u", "u a?x?y t!y!x u"),
        ("u a?x?y u!y!x u", "u a?x?y u!y!x u"),
        ("u a?x u t!x", "u a?x u t!x"),  # another message came between
        ("u a?x a?y t!x t!y", "u a?x a?y t!x t!y"),
        ("a?x!x a", "a?x!x a"),
        ("t!x a", "a"),  # the call is before the window
        ("t!x a?x t!x", "a?x t!x"),  # the same, though a later call has its id
        ("u a?x t!x t!x", "u a?x t!x"),  # answered twice
        ("u a?x u", "u u"),  # its tool never answered
        ("u a?x a?x t!x", "u a?x t!x"),
        ("u a?x?y t!y u", "u a?y t!y u"),  # the result of a parallel call stays
        ("a?z a?x?y t!x!z u", "a?z a?x t!x!z u"),
        ("a?x?y t!x!z u", "a?x t!x u"),  # z was called before the window
        ("", ""),
    ],
)
def test_calls_and_results_are_shown_in_pairs(thread: str, window: str) -> None:
    for to_the_end in (True, False):
        assert full_text(thread, to_the_end=to_the_end) == window


@pytest.mark.parametrize(
    ("thread", "without"),
    [
        ("u a?x", "u"),
        ("u a?x?y t!x", "u a?x t!x"),
        ("u a?x?y t!y", "u a?y t!y"),
        ("u a?x?y?z u!y!x", "u a?x?y u!y!x"),
        ("a?x t!x a?y", "a?x t!x"),
    ],
)
def test_calls_of_running_tools_are_shown_at_the_end_only(thread: str, without: str) -> None:
    assert full_text(thread) == thread
    assert full_text(thread, to_the_end=False) == without


def test_plain_text_of_a_tool_leaves_other_calls_open() -> None:
    text = [{"type": "text", "text": "6"}]
    answer = replace(message("t"), tool_call_id="x", content=text)
    messages = [message("a?x?y"), answer]
    assert whole_exchanges(messages, to_the_end=True) == messages


MESSAGES = st.one_of(
    st.just("u"),
    st.builds(
        lambda role, mark, ids: role + "".join(mark + id for id in ids),
        st.sampled_from("atu"),
        st.sampled_from("?!"),
        st.lists(st.sampled_from("xyz"), max_size=2, unique=True),
    ),
)


@given(shorthand=st.lists(MESSAGES, max_size=8), to_the_end=st.booleans())
def test_whole_exchanges_is_idempotent_and_preserves_order(
    shorthand: list[str], to_the_end: bool
) -> None:
    messages = [message(item) for item in shorthand]
    window = whole_exchanges(messages, to_the_end=to_the_end)
    assert whole_exchanges(window, to_the_end=to_the_end) == window
    rest = iter(messages)
    assert all(any(item.id == other.id for other in rest) for item in window)
    if not to_the_end:
        marks = "".join(shorthand_of(item)[1:] for item in window)
        assert all(marks.count(f"?{id}") == marks.count(f"!{id}") for id in "xyz")


# ContextPreamble


def recalled(text: str, id: str = "m") -> RecalledMessage:
    result: RecalledMessage = message("u", RecalledMessage)
    return replace(result, id=id, content=[{"type": "text", "text": text}])


def preamble(budget: int | None = None) -> ContextPreamble:
    return ContextPreamble(THREAD, estimate, budget)


def texts(added: ContextPreamble, *history: Message) -> list[str]:
    window = added.messages_before(history)
    assert all(item.role == "system" and item.thread_id == "t" for item in window)
    return [text_of(item.content) for item in window]


def test_preamble_is_ordered_and_skips_empty_texts() -> None:
    added = preamble()
    added.add("Be kind.")
    added.add_working_memory(WorkingMemory())
    added.add_working_memory(WorkingMemory(content="Likes tea.", data={"name": "Ann"}, version=1))
    added.add_recalled([])
    added.add_recalled([recalled("Tea!"), recalled("")])
    assert added.remaining_tokens is None
    assert texts(added) == [
        "Be kind.",
        'Working memory:\nLikes tea.\n{"name":"Ann"}',
        "Earlier messages that may matter:\nuser: Tea!",
    ]


def test_recalled_messages_of_the_history_are_not_repeated() -> None:
    added = preamble()
    added.add_recalled([recalled("One", "1"), recalled("Two", "2")])
    one, two = replace(message("u"), id="1"), replace(message("u"), id="2")
    assert texts(added, one) == ["Earlier messages that may matter:\nuser: Two"]
    assert texts(added, one, two) == []


@given(budget=st.integers(0, 120), lengths=st.lists(st.integers(1, 80), max_size=6))
def test_recalled_messages_take_half_of_the_remaining_tokens(
    budget: int, lengths: list[int]
) -> None:
    added, result = preamble(budget), [recalled("a" * length, str(length)) for length in lengths]
    added.add("Be kind.")
    before = added.remaining_tokens
    assert before == budget - sum(note.tokens for note in added.messages_before([]))
    added.add_recalled(result)
    assert added.remaining_tokens is not None
    assert before - added.remaining_tokens <= max(before // 2, 0)
    quoted = "".join(texts(added)[1:]).splitlines()[1:]
    assert quoted == [f"user: {text_of(match.content)}" for match in result[: len(quoted)]]
    if len(quoted) < len(result):
        unbound = preamble()
        unbound.add_recalled(result[: len(quoted) + 1])
        assert unbound.messages_before([])[0].tokens > before // 2, "the next one does not fit"


def test_remaining_tokens_are_negative_when_the_budget_is_too_small() -> None:
    added = preamble(3)
    added.add("Be kind.")
    assert added.remaining_tokens is not None
    assert added.remaining_tokens < 0
    added.add_recalled([recalled("Tea!")])
    assert texts(added) == ["Be kind."]
