"""Answers as server-sent events."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse

from example_project.desk.answering import answer
from example_project.desk.model import ModelFailed
from example_project.desk.turns import Turn
from mastra_engine.exceptions import EngineError

EVENTS = "text/event-stream"

logger = logging.getLogger(__name__)


def stream(request: HttpRequest, turn: Turn) -> StreamingHttpResponse:
    """Respond with the parts of an answer as they are made, on WSGI and on ASGI servers."""
    events = (f"data: {json.dumps(event)}\n\n" for event in answer_events(turn))
    return StreamingHttpResponse(
        _threaded(events) if isinstance(request, ASGIRequest) else events,
        content_type=EVENTS,
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def answer_events(turn: Turn) -> Iterator[dict[str, str]]:
    """Answer a question, and yield each part as an event; the last one may be an error."""
    try:
        for part in answer(turn):
            yield {"text": part}
    except ModelFailed as error:
        logger.exception("A question was not answered")
        yield {"error": str(error)}
    except EngineError:
        logger.exception("A question was not answered")
        yield {"error": "Something went wrong on our side."}


async def _threaded(items: Iterator[str]) -> AsyncIterator[str]:
    """Yield items that are made in the thread of the request, which has its database connection."""
    next_item = sync_to_async(lambda: next(items, None))
    while (item := await next_item()) is not None:
        yield item
