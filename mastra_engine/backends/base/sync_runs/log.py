"""The log of a run: the lines that its sync writes with `ctx.log`."""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import Iterable, MutableMapping
from datetime import UTC, datetime
from typing import Any

from mastra_engine.backends.base.sync_runs.redaction import described, without_secrets
from mastra_engine.types import SyncLogLine, SyncRun

logger = logging.getLogger("mastra_engine.syncs")

#: The most lines that are kept of a run, and the most characters of their messages together.
KEPT_LINES, KEPT_CHARACTERS = 500, 50_000
#: The most characters that are kept of a message.
LONGEST_MESSAGE = 2_000


class RunLog(logging.LoggerAdapter[logging.Logger]):
    """Begins each message with the run's sync and connection, and keeps the newest lines.

    Lines of INFO and above are kept even if the logger is configured to drop them.
    """

    def __init__(self, run: SyncRun, lines: Iterable[SyncLogLine] = ()) -> None:
        super().__init__(logger, {"run": f"{run.sync} of {run.connection_id!r}"})
        self._attempt = run.attempts
        self._lines = deque(lines, maxlen=KEPT_LINES)
        self._stored = list(self._lines)

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        return f"{self.extra['run']}: {msg}" if self.extra else msg, kwargs

    def log(self, level: int, msg: Any, *args: Any, **kwargs: Any) -> None:
        if level >= logging.INFO or self.isEnabledFor(level):
            line = SyncLogLine(
                at=datetime.now(UTC),
                level=logging.getLevelName(level),
                message=_message(level, msg, args, kwargs.get("exc_info")),
                attempt=self._attempt,
            )
            self._lines.append(line)
        stacklevel = kwargs.pop("stacklevel", 1) + 1  # the caller is not in this module
        super().log(level, msg, *args, stacklevel=stacklevel, **kwargs)

    def unstored(self) -> list[SyncLogLine] | None:
        """Return the newest lines that fit, oldest first; None if they are stored already."""
        rest, fitting = KEPT_CHARACTERS, deque[SyncLogLine]()
        for line in reversed(tuple(self._lines)):
            rest -= len(line.message)
            if rest < 0:
                break
            fitting.appendleft(line)
        lines = list(fitting)
        return None if lines == self._stored else lines

    def stored(self, lines: list[SyncLogLine] | None) -> None:
        """Note that these lines are stored now."""
        if lines is not None:
            self._stored = lines


def _message(level: int, msg: Any, args: tuple[Any, ...], exc_info: Any) -> str:
    """Return the message of a line without secrets; one that cannot be formatted says so."""
    try:
        text = logging.LogRecord("", level, "", 0, msg, args, None).getMessage()
    except Exception as error:  # logging would report it too, and the sync must go on
        text = f"A line could not be formatted: {type(error).__name__}"
    cause = _exception(exc_info)
    if cause is not None:
        description = described(cause, "")
        text = f"{text}\n{description.type}: {description.message}"
    return without_secrets(text[: 2 * LONGEST_MESSAGE], longest=LONGEST_MESSAGE)


def _exception(exc_info: Any) -> BaseException | None:
    """Return the exception that a call of a logger names."""
    if isinstance(exc_info, tuple):
        exc_info = exc_info[1]
    if isinstance(exc_info, BaseException):
        return exc_info
    return sys.exc_info()[1] if exc_info else None
