"""A thread's messages, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from mastra_engine.models import Message, Thread

PAGE = 50


@dataclass(frozen=True, slots=True)
class MessageRange:
    """Some messages in a row; `before` and `after` are positions to go on from, or None."""

    messages: Sequence[Message]
    before: int | None
    after: int | None


def stretch(
    messages: QuerySet[Message], thread: Thread, *, at: int | None, before: int | None
) -> MessageRange:
    """Return the messages from a position on, those before one, or else the last ones."""
    if at is not None:
        found = list(messages.filter(position__gte=at).order_by("position")[: PAGE + 1])
        shown = found[:PAGE]
        return MessageRange(
            shown,
            before=at if at > 1 and thread.last_position else None,
            after=found[PAGE].position if len(found) > PAGE else None,
        )
    if before is not None:
        messages = messages.filter(position__lt=before)
    found = list(messages.order_by("-position")[: PAGE + 1])[::-1]
    shown = found[-PAGE:]
    return MessageRange(
        shown,
        before=shown[0].position if len(found) > PAGE else None,
        after=before if before is not None and before <= thread.last_position else None,
    )
