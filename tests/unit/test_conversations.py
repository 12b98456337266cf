"""Every window of every conversation is valid for both clients, in every notation."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mastra_engine.conversations.context_window import whole_exchanges
from tests.unit.clients import for_anthropic, for_openai, stored

PNG, PDF, WEB = "iVBORw0KGgoAAAANSUhEUg==", "JVBERi0xLjQK", "https://example.com/a.png"
TEXTS = st.sampled_from(["Hi", " ", "", "é\n😀"])
PARTS = st.one_of(
    TEXTS.map(lambda text: {"type": "text", "text": text}),
    st.sampled_from(
        [
            {"type": "image", "image": PNG},
            {"type": "image", "url": WEB},
            {"type": "file", "data": PDF},
            {"type": "reasoning", "text": "Hm.", "signature": "s"},
            {"type": "reasoning", "text": "Hm."},
            {"type": "own", "data": 1},
        ]
    ),
)
STATEMENTS = st.builds(
    lambda role, content: [{"role": role, "content": content}],
    st.sampled_from(["system", "user", "assistant"]),
    TEXTS | st.lists(PARTS, max_size=3),
)
ANSWERS = st.one_of(TEXTS, st.none(), st.just({"a": 1}), st.lists(PARTS, max_size=2))


@st.composite
def exchanges(draw: st.DrawFn) -> list[Any]:
    """Calls and their results in any notation, with other messages between or after them."""
    ids = draw(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3, unique=True))
    calls = [
        draw(
            st.sampled_from(
                [
                    {"type": "tool_use", "id": id, "name": "f", "input": {"x": 1}},
                    {"type": "tool-call", "toolCallId": id, "toolName": "f", "args": "no JSON"},
                ]
            )
        )
        for id in ids
    ]
    before, behind = draw(st.lists(PARTS, max_size=2)), draw(st.lists(PARTS, max_size=1))
    answers = [(id, draw(ANSWERS)) for id in draw(st.permutations(ids))]
    results = draw(st.sampled_from([_tools_messages, _tools_message, _users_message]))(answers)
    between = draw(st.just([]) | STATEMENTS)
    return [{"role": "assistant", "content": [*before, *calls, *behind]}, *between, *results]


def _tools_messages(answers: list[Any]) -> list[Any]:
    return [
        {"role": "tool", "tool_call_id": id, "content": [{"type": "tool-result", "result": answer}]}
        for id, answer in answers
    ]


def _tools_message(answers: list[Any]) -> list[Any]:
    parts = [{"type": "tool-result", "toolCallId": id, "result": answer} for id, answer in answers]
    return [{"role": "tool", "content": parts}]


def _users_message(answers: list[Any]) -> list[Any]:
    parts = [
        {"type": "tool_result", "tool_use_id": id, "content": answer} for id, answer in answers
    ]
    return [{"role": "user", "content": [*parts, {"type": "text", "text": "And?"}]}]


@given(
    turns=st.lists(STATEMENTS | exchanges(), max_size=6),
    cut=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    to_the_end=st.booleans(),
)
def test_every_window_of_every_conversation_is_valid_for_both_providers(
    turns: list[list[Any]], cut: tuple[int, int], to_the_end: bool
) -> None:
    messages = stored(*(message for turn in turns for message in turn))
    window = messages[cut[0] : len(messages) - cut[1]]
    messages = whole_exchanges(window, to_the_end=to_the_end)
    for_openai(messages)
    for_anthropic(messages)
