"""Message ranges of a thread, one page each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from mastra_engine.models import Message, Thread

PAGE = 50


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
