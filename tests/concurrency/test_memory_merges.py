"""Many processes change one thread's metadata, or one working memory, at the same time."""

from __future__ import annotations

import pytest

from mastra_engine.backends.postgres import PostgresEngine
from tests.concurrency import memory_work as work
from tests.concurrency.conftest import Start
from tests.concurrency.processes import run_at_once

pytestmark = pytest.mark.django_db(transaction=True)

WRITERS, KEYS = 16, 25
EVERY_KEY = {f"{worker}-{number}": number for worker in range(WRITERS) for number in range(KEYS)}


def test_keys_merged_into_metadata_at_once_are_all_kept(
    engine: PostgresEngine, start: Start
) -> None:
    thread = engine.memory.create_thread(resource_id="anna", metadata={"before": True})
    arguments = [{"thread_id": thread.id, "worker": i, "keys": KEYS} for i in range(WRITERS)]
    run_at_once(start(work.merge_keys, arguments))
    after = engine.memory.get_thread(thread_id=thread.id)
    assert after.metadata == {"before": True, **EVERY_KEY}
    assert after.version == thread.version + WRITERS * KEYS


@pytest.mark.parametrize("holder", ["resource_id", "thread_id"])
def test_keys_patched_into_working_memory_at_once_are_all_kept(
    engine: PostgresEngine, start: Start, holder: str
) -> None:
    """There is none yet, so that they race for making it, too."""
    of = {holder: engine.memory.create_thread(resource_id="anna", thread_id="anna").id}
    run_at_once(start(work.patch_keys, [{**of, "worker": i, "keys": KEYS} for i in range(WRITERS)]))
    after = engine.memory.get_working_memory(**of)
    assert after.data["seen"] == EVERY_KEY
    assert after.version == WRITERS * KEYS


def test_counting_by_versions_counts_right(engine: PostgresEngine, start: Start) -> None:
    lost = run_at_once(start(work.count_up, [{"resource_id": "anna", "times": 20}] * 8))
    after = engine.memory.get_working_memory(resource_id="anna")
    assert after.data == {"count": 160}
    assert after.version == 160
    assert sum(lost) > 0, "nobody was in anybody's way"
