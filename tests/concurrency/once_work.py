"""What worker processes do once. Each function is run whole in a process of its own."""

from __future__ import annotations

from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.exceptions import InFlight
from tests.concurrency.memory_work import die, message


def append_once(*, thread_id: str) -> bytes:
    """Append a message and return its id, or that of the one appended before."""
    engine = PostgresEngine(lock_timeout=60)

    def append() -> bytes:
        (saved,) = engine.memory.save_memory(thread_id=thread_id, messages=[message()])
        return saved.id.encode()

    return engine.run_idempotent(owner="anna", key="the key", body=b"Hello", act=append)


def append_once_if_free(*, thread_id: str, worker: int, times: int) -> list[bytes | None]:
    """Append so many times at once with others; None is "under way"."""
    answers: list[bytes | None] = []
    for _ in range(times):
        try:
            answers.append(append_once(thread_id=thread_id))
        except InFlight:
            answers.append(None)
    return answers


def append_once_and_die(*, thread_id: str, place: str) -> None:
    """Be killed on the way."""
    die(place)
    append_once(thread_id=thread_id)
