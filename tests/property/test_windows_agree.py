"""Windows between two times hold the newest messages that fit, whatever order the times have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mastra_engine import MockMastraEngine, PostgresEngine
from mastra_engine.types import Message
from tests.property.pair import QUIET

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
HOURS = st.integers(0, 12)
#: The time and the number of words of each message, in the order of positions.
MESSAGES = st.lists(st.tuples(HOURS, st.integers(1, 40)), min_size=1, max_size=30)
BOUND = st.none() | HOURS


def moment(hours: int | None) -> datetime | None:
    return None if hours is None else BEGIN + timedelta(hours=hours)


def expected(messages: list[Message], start: Any, end: Any, budget: int | None) -> Any:
    """Return the ids of the newest messages inside that fit, and whether older ones do not."""
    inside = [
        message
        for message in messages
        if (start is None or message.created_at >= start)
        and (end is None or message.created_at < end)
    ]
    sums = accumulate(message.tokens for message in reversed(inside))
    fit = sum(budget is None or tokens <= budget for tokens in sums)
    return [message.id for message in inside[len(inside) - fit :]], fit < len(inside)


@pytest.mark.django_db
@settings(max_examples=60, **QUIET)
@given(
    sent=MESSAGES,
    gaps=st.sets(st.integers(0, 29), max_size=8),
    start=BOUND,
    end=BOUND,
    budget=st.none() | st.integers(0, 400),
)
def test_a_window_holds_the_newest_messages_between_its_times(
    sent: Any, gaps: set[int], start: int | None, end: int | None, budget: int | None
) -> None:
    thread_id = str(uuid4())
    messages: Any = [
        {
            "id": f"{thread_id} {number}",
            "role": "user",
            "content": "word " * words,
            "created_at": moment(hours),
        }
        for number, (hours, words) in enumerate(sent)
    ]
    for engine in (PostgresEngine(), MockMastraEngine(url="mock://windows")):
        memory = engine.memory
        memory.embeds_at_once = False
        saved = memory.save_memory(thread_id=thread_id, resource_id="alice", messages=messages)
        memory.delete_messages(ids=[saved[gap].id for gap in gaps if gap < len(saved)])
        remaining = [message for number, message in enumerate(saved) if number not in gaps]
        window = memory.get_context_window(
            thread_id=thread_id, start=moment(start), end=moment(end), max_tokens=budget
        )
        visible = [message.id for message in window.messages]
        assert (visible, window.truncated) == expected(
            remaining, moment(start), moment(end), budget
        ), engine
