"""Message ranges of a thread, one page each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from django.db.models import QuerySet

from mastra_engine.admin.beginnings import size_of
from mastra_engine.models import Message, Thread

PAGE = 50
#: The most characters of content that a page of a transcript reads.
BUDGET = 2_000_000


@dataclass(frozen=True, slots=True)
class MessageRange:
    """Contiguous messages of a thread.

    `before` and `after` are the positions from which the neighbouring pages are read, or None.
    """

    messages: Sequence[Message]
    before: int | None
    after: int | None


def message_range(
    messages: QuerySet[Message], thread: Thread, *, at: int | None, before: int | None
) -> MessageRange:
    """Return the messages at and after a position, those before a position, or the last ones."""
    messages = messages.defer("content", "text", "metadata")
    if at is not None:
        rows = list(messages.filter(position__gte=at).order_by("position")[: PAGE + 1])
        page = rows[:PAGE]
        return MessageRange(
            page,
            before=at if at > 1 and thread.last_position else None,
            after=rows[PAGE].position if len(rows) > PAGE else None,
        )
    if before is not None:
        messages = messages.filter(position__lt=before)
    rows = list(messages.order_by("-position")[: PAGE + 1])[::-1]
    page = rows[-PAGE:]
    return MessageRange(
        page,
        before=page[0].position if len(rows) > PAGE else None,
        after=before if before is not None and before <= thread.last_position else None,
    )


def load_content(messages: QuerySet[Message], page: Sequence[Message]) -> None:
    """Load the content and the metadata of messages, as many as fit into the budget of a page.

    The others get the attributes `too_long` and `size`.
    """
    rows = messages.filter(id__in=[message.id for message in page])
    sizes = dict(rows.values_list("id", size_of(Message, "content", "metadata")))
    rest, fitting = BUDGET, []
    for message in page:
        size = sizes.get(message.id, 0)
        if size <= rest:
            rest -= size
            fitting.append(message.id)
    contents = {
        id: (content, metadata)
        for id, content, metadata in messages.filter(id__in=fitting).values_list(
            "id", "content", "metadata"
        )
    }
    for message in page:
        message.content, message.metadata = contents.get(message.id, ([], {}))
        if message.id not in contents:
            message.too_long = True  # type: ignore[attr-defined]
            message.size = sizes.get(message.id)  # type: ignore[attr-defined]


def note_gaps(page: Sequence[Message]) -> None:
    """Give each message the attribute `gap`, the time since the message before it on the page.

    Messages that a caller stores with times of their own may be earlier than the one before.
    """
    for before, message in pairwise(page):
        message.gap = max(message.created_at - before.created_at, timedelta())  # type: ignore[attr-defined]
