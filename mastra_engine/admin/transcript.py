"""A thread's messages, a page at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from mastra_engine.exceptions import InvalidInput
from mastra_engine.inputs import count
from mastra_engine.models import Message, Thread

PAGE = 50


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some messages in a row; `before` and `after` are positions to go on from, or None."""

    messages: Sequence[Message]
    before: int | None
    after: int | None


def stretch(messages: QuerySet[Message], thread: Thread, asked: Mapping[str, str]) -> Stretch:
    """Return the messages from the position `at`, those before `before`, or else the last ones.

    Raises InvalidInput for what is no position.
    """
    at, before = position(asked, "at"), position(asked, "before")
    if at is not None:
        found = list(messages.filter(position__gte=at).order_by("position")[: PAGE + 1])
        shown = found[:PAGE]
        return Stretch(
            shown,
            before=at if at > 1 and thread.last_position else None,
            after=found[PAGE].position if len(found) > PAGE else None,
        )
    if before is not None:
        messages = messages.filter(position__lt=before)
    found = list(messages.order_by("-position")[: PAGE + 1])[::-1]
    shown = found[-PAGE:]
    return Stretch(
        shown,
        before=shown[0].position if len(found) > PAGE else None,
        after=before if before is not None and before <= thread.last_position else None,
    )


def position(asked: Mapping[str, str], name: str) -> int | None:
    """Return the position that an address asks for; raises InvalidInput where it is none."""
    written = asked.get(name, "").strip()
    if not written:
        return None
    if not (written.isascii() and written.isdigit() and len(written) < 20):
        raise InvalidInput("must be a position: a whole number", path=f"/{name}")
    return count(int(written), f"/{name}")
