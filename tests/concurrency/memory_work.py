"""What worker processes do with memory. Each function is run whole in a process of its own."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from typing import Any

from mastra_engine import failpoints as pausing
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.exceptions import ThreadNotFound, VersionConflict
from tests.concurrency.histories import Appended, Read, message_id
from tests.concurrency.processes import report
from tests.concurrency.work import PATIENT
from tests.waiting import PATIENCE


class Letters:
    """Embeds a text as how often each of eight letters is in it."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[1.0 + text.count(letter) for letter in "aeinorst"] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def memory(*, embeds: bool = False) -> Memory:
    engine = PostgresEngine(lock_timeout=PATIENT, embedder=Letters() if embeds else None)
    return engine.memory


def message(id: str | None = None, text: str = "Hello") -> dict[str, Any]:
    return {"role": "user", "content": text, "id": id}


# Appends and reads of one thread


def sizes(worker: int, calls: int, most: int) -> int:
    """Return how many messages a worker appends in all."""
    mine = random.Random(worker)
    return sum(mine.randint(1, most) for _ in range(calls))


def append(
    *, thread_id: str, worker: int, calls: int, most: int, tells: bool = False
) -> list[Appended]:
    """Append so many times, up to `most` messages at once."""
    mine, here = random.Random(worker), memory()
    appended: list[Appended] = []
    number = 0
    for _ in range(calls):
        size = mine.randint(1, most)
        ids = [message_id(worker, number + i) for i in range(size)]
        number += size
        messages = [message(id, "a" * random.randint(1, 40)) for id in ids]
        called = time.monotonic()
        saved = here.save_memory(thread_id=thread_id, messages=messages)
        returned = time.monotonic()
        positions = {item.id: item.position for item in saved}
        call = Appended(worker, called, returned, [(id, positions[id]) for id in ids])
        appended.append(call)
        if tells:
            report(call)
    return appended


def read(*, thread_id: str, total: int, pause: float) -> list[Read]:
    """Read the thread whole, again and again, until it has `total` messages."""
    here, reads = memory(), []
    deadline = time.monotonic() + 10 * PATIENCE
    seen = 0
    while seen < total:
        assert time.monotonic() < deadline, f"The thread stays at {seen} messages"
        called = time.monotonic()
        page = here.list_messages(thread_id=thread_id, limit=total)
        reads.append(Read(called, time.monotonic(), [item.id for item in page]))
        seen = len(page)
        time.sleep(random.uniform(0, pause))
    return reads


def clone(*, thread_id: str, times: int) -> list[str]:
    """Clone a thread that grows; return the ids of the clones."""
    here = memory()
    clones = []
    for _ in range(times):
        clones.append(here.clone_thread(thread_id=thread_id).id)
        time.sleep(random.uniform(0, 0.02))
    return clones


def delete_some(*, thread_id: str, times: int) -> list[str]:
    """Delete messages of a thread that grows, one or two of the newest at a time."""
    here, deleted = memory(), []
    for _ in range(times):
        newest = here.list_messages(thread_id=thread_id, limit=6, order="desc").items
        ids = [item.id for item in random.sample(newest, min(2, len(newest)))]
        here.delete_messages(ids=ids)
        deleted += ids
        time.sleep(random.uniform(0, 0.01))
    return deleted


# Merges


def merge_keys(*, thread_id: str, worker: int, keys: int) -> None:
    here = memory()
    for number in range(keys):
        here.update_thread(thread_id=thread_id, metadata={f"{worker}-{number}": number})


def patch_keys(*, worker: int, keys: int, **holder: str) -> None:
    here = memory()
    for number in range(keys):
        patch = {"seen": {f"{worker}-{number}": number}, "last": worker}
        here.update_working_memory(patch=patch, **holder)


def count_up(*, resource_id: str, times: int) -> int:
    """Add one, by compare-and-swap, so many times; return how often another was faster."""
    here, lost, processed = memory(), 0, 0
    while processed < times:
        now = here.get_working_memory(resource_id=resource_id)
        try:
            here.update_working_memory(
                resource_id=resource_id,
                content={"count": now.data.get("count", 0) + 1},
                if_version=now.version,
            )
            processed += 1
        except VersionConflict:
            lost += 1
    return lost


# New threads


def save_to_new_threads(*, resource_id: str, threads: list[str]) -> list[int | None]:
    """Save one message to each thread, which is made if need be; None where it is another's."""
    here = memory()

    def save(thread_id: str) -> int | None:
        try:
            (saved,) = here.save_memory(
                thread_id=thread_id, messages=[message()], resource_id=resource_id
            )
        except ThreadNotFound:
            return None
        return saved.position

    return [save(thread_id) for thread_id in threads]


def save_with_one_key(*, thread_id: str, key: str, worker: int) -> list[str]:
    """Save what all the others save under the same key; return the ids that came back."""
    saved = memory().save_memory(
        thread_id=thread_id, messages=[message(text="The same")] * 3, idempotency_key=key
    )
    return [item.id for item in saved]


def save_and_embed(*, thread_id: str, worker: int, calls: int) -> None:
    here = memory(embeds=True)
    for number in range(calls):
        text = f"Message {number} of {worker}"
        here.save_memory(thread_id=thread_id, messages=[message(text=text)])


# Ends


def die(place: str) -> None:
    """Be killed at a pause point of memory."""

    def handler(name: str) -> None:
        if name == place:
            os.kill(os.getpid(), signal.SIGKILL)

    pausing.handler = handler


def change_and_die(*, change: Callable[[Memory], object], place: str) -> None:
    """Do to memory what `change` says and be killed on the way."""
    die(place)
    change(memory(embeds=True))
