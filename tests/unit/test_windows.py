"""What a window shows is whole, and what is put in front of it keeps to the budget."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mastra_engine.conversations.context_window import ContextPreamble, whole_exchanges
from mastra_engine.conversations.messages import text_of
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


def message(said: str, kind: type[Message] = Message) -> Any:
    """Return a message by shorthand: `a?x?y` calls x and y, `t!x` answers x, `u` says something."""
    roles = {"a": "assistant", "t": "tool", "u": "user"}
    parts: list[dict[str, Any]] = [
        {"type": {"?": "tool_use", "!": "tool_result"}[mark], "id": id}
        for mark, id in zip(said[1::2], said[2::2], strict=True)
    ]
    content = parts or [{"type": "text", "text": "Hi"}]
    return kind(
        id=said,
        thread_id="t",
        position=1,
        role=roles[said[0]],  # type: ignore[arg-type]
        content=content,
        tool_call_id=None,
        tokens=message_tokens(content, estimate),
        metadata={},
        created_at=NOW,
    )


def whole(thread: str, *, to_the_end: bool = True) -> str:
    messages = [message(said) for said in thread.split()]
    return " ".join(each.id for each in whole_exchanges(messages, to_the_end=to_the_end))


@pytest.mark.parametrize(
    ("thread", "shown"),
    [
        ("u a?x t!x a", "u a?x t!x a"),
        ("u a?x?y t!x t!y", "u a?x?y t!x t!y"),
        ("u a?x?y t!y!x u", "u a?x?y t!y!x u"),
        ("u a?x?y u!y!x u", "u a?x?y u!y!x u"),
        ("u a?x u t!x", "u a?x u t!x"),  # something was said meanwhile
        ("u a?x a?y t!x t!y", "u a?x a?y t!x t!y"),
        ("a?x!x a", "a?x!x a"),
        ("t!x a", "a"),  # the call is further back
        ("t!x a?x t!x", "a?x t!x"),  # so it is, though its id is used again
        ("u a?x t!x t!x", "u a?x t!x"),  # answered twice
        ("u a?x u", "u u"),  # its tool failed
        ("u a?x a?x t!x", "u a?x t!x"),
        ("u a?x?y t!y u", "u u"),  # without x, nobody asked for y
        ("a?z a?x?y t!x!z u", "u"),  # nor for x, whose result came with that of z
        ("", ""),
    ],
)
def test_nothing_is_shown_without_its_counterpart(thread: str, shown: str) -> None:
    for to_the_end in (True, False):
        assert whole(thread, to_the_end=to_the_end) == shown


@pytest.mark.parametrize(
    ("thread", "without"),
    [
        ("u a?x", "u"),
        ("u a?x?y t!x", "u"),
        ("u a?x?y t!y", "u"),
        ("u a?x?y?z u!y!x", "u"),
        ("a?x t!x a?y", "a?x t!x"),
    ],
)
def test_a_call_whose_tool_is_at_work_is_shown_at_the_end_only(thread: str, without: str) -> None:
    assert whole(thread) == thread
    assert whole(thread, to_the_end=False) == without


def test_a_tools_plain_text_does_not_end_the_wait_for_another() -> None:
    text = [{"type": "text", "text": "6"}]
    answer = replace(message("t"), tool_call_id="x", content=text)
    messages = [message("a?x?y"), answer]
    assert whole_exchanges(messages, to_the_end=True) == messages


SAID = st.one_of(
    st.just("u"),
    st.builds(
        lambda role, mark, ids: role + "".join(mark + id for id in ids),
        st.sampled_from("atu"),
        st.sampled_from("?!"),
        st.lists(st.sampled_from("xyz"), max_size=2, unique=True),
    ),
)


@given(said=st.lists(SAID, max_size=8), to_the_end=st.booleans())
def test_what_is_whole_stays_and_is_in_order(said: list[str], to_the_end: bool) -> None:
    messages = [message(each) for each in said]
    shown = whole_exchanges(messages, to_the_end=to_the_end)
    assert whole_exchanges(shown, to_the_end=to_the_end) == shown
    rest = iter(messages)
    assert all(any(each is other for other in rest) for each in shown)
    if not to_the_end:
        marks = "".join(each.id[1:] for each in shown)
        assert all(marks.count(f"?{id}") == marks.count(f"!{id}") for id in "xyz")


# ContextPreamble


def recalled(text: str, id: str = "m") -> RecalledMessage:
    found: RecalledMessage = message("u", RecalledMessage)
    return replace(found, id=id, content=[{"type": "text", "text": text}])


def notes(budget: int | None = None) -> ContextPreamble:
    return ContextPreamble(THREAD, estimate, budget)


def texts(taken: ContextPreamble, *history: Message) -> list[str]:
    shown = taken.messages_before(history)
    assert all(each.role == "system" and each.thread_id == "t" for each in shown)
    return [text_of(each.content) for each in shown]


def test_notes_come_in_order_and_empty_ones_do_not() -> None:
    taken = notes()
    taken.add("Be kind.")
    taken.add_working_memory(WorkingMemory())
    taken.add_working_memory(WorkingMemory(content="Likes tea.", data={"name": "Ann"}, version=1))
    taken.add_recalled([])
    taken.add_recalled([recalled("Tea!"), recalled("")])
    assert taken.remaining_tokens is None
    assert texts(taken) == [
        "Be kind.",
        'Working memory:\nLikes tea.\n{"name":"Ann"}',
        "Earlier messages that may matter:\nuser: Tea!",
    ]


def test_what_was_recalled_is_not_shown_twice() -> None:
    taken = notes()
    taken.add_recalled([recalled("One", "1"), recalled("Two", "2")])
    one, two = replace(message("u"), id="1"), replace(message("u"), id="2")
    assert texts(taken, one) == ["Earlier messages that may matter:\nuser: Two"]
    assert texts(taken, one, two) == []


@given(budget=st.integers(0, 120), lengths=st.lists(st.integers(1, 80), max_size=6))
def test_what_is_recalled_takes_half_of_what_is_left_at_most(
    budget: int, lengths: list[int]
) -> None:
    taken, found = notes(budget), [recalled("a" * length, str(length)) for length in lengths]
    taken.add("Be kind.")
    before = taken.remaining_tokens
    assert before == budget - sum(note.tokens for note in taken.messages_before([]))
    taken.add_recalled(found)
    assert taken.remaining_tokens is not None
    assert before - taken.remaining_tokens <= max(before // 2, 0)
    quoted = "".join(texts(taken)[1:]).splitlines()[1:]
    assert quoted == [f"user: {text_of(each.content)}" for each in found[: len(quoted)]]
    if len(quoted) < len(found):
        unbound = notes()
        unbound.add_recalled(found[: len(quoted) + 1])
        assert unbound.messages_before([])[0].tokens > before // 2, "the next one does not fit"


def test_a_budget_that_is_too_small_leaves_less_than_nothing() -> None:
    taken = notes(3)
    taken.add("Be kind.")
    assert taken.remaining_tokens is not None
    assert taken.remaining_tokens < 0
    taken.add_recalled([recalled("Tea!")])
    assert texts(taken) == ["Be kind."]
