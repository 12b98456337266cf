"""What `celery beat` sends, as docs/howto/run-on-celery.md shows it."""

from __future__ import annotations

from contextlib import suppress

from celery import shared_task

from mastra_engine import engine
from mastra_engine.exceptions import SyncConflict


@shared_task
def ask_for_numbers() -> None:
    with suppress(SyncConflict):
        engine.enqueue_sync("numbers", connection_id="east")
