"""What the workers of these tests run: declared as in any app."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

from mastra_engine import SyncContext, sync

SIZE, PAGE = 400, 10


@sync(entity="Numbers", mode="full")
def numbers(ctx: SyncContext) -> Iterator[list[dict[str, Any]]]:
    """Bring in numbers, slowly; each tells the process that brought it."""
    for start in range(ctx.checkpoint or 0, SIZE, PAGE):
        time.sleep(0.1)
        yield [
            {"external_id": f"{number:03}", "data": {"by": os.getpid()}}
            for number in range(start, start + PAGE)
        ]
        ctx.save_checkpoint(start + PAGE)
