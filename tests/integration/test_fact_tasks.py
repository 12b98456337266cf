"""Facts are extracted by tasks, after messages were saved and only with an extractor."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction

from mastra_engine import engine
from mastra_engine.testing.contract.fact_extraction import Scripted, current, told
from mastra_engine.testing.contract.fact_sources import save_messages
from mastra_engine.testing.contract.sync_runs import Held
from tests.integration.test_sync_runs import dummy

pytestmark = pytest.mark.django_db(transaction=True)


class Told(Scripted):
    """The extractor that the settings name."""

    def __init__(self) -> None:
        super().__init__(told)


@pytest.fixture(autouse=True)
def _configured(settings: Any) -> None:
    options = {
        "BACKEND": "mastra_engine.PostgresEngine",
        "FACT_EXTRACTOR": f"{Told.__module__}.{Told.__qualname__}",
    }
    settings.MASTRA_ENGINE = {"default": options}


def sent() -> list[Any]:
    from mastra_engine.tasks import extract_facts

    results: list[Any] = extract_facts.get_backend().results
    return [result for result in results if result.task.name == extract_facts.name]


def test_facts_are_extracted_at_once_unless_tasks_are_set_up() -> None:
    save_messages(engine, "Hamburg", "Berlin")
    assert current(engine) == ["Berlin"]
    assert engine.facts.extract(thread_id="t") == []


def test_facts_are_extracted_after_an_async_save() -> None:
    messages = [{"role": "user", "content": "Berlin"}]
    save = engine.memory.asave_memory
    async_to_sync(save)(thread_id="t", resource_id="user", messages=messages)
    assert current(engine) == ["Berlin"]


def test_the_task_is_sent_once_the_transaction_commits() -> None:
    with dummy():
        with transaction.atomic():
            save_messages(engine, "Berlin")
            assert sent() == []
        (task,) = sent()
        assert (list(task.args), task.kwargs) == (["default", "t"], {})
        with transaction.atomic():
            save_messages(engine, "Rome")
            transaction.set_rollback(True)
        assert len(sent()) == 1
        assert current(engine) == []
        task.task.call(*task.args)
        task.task.call(*task.args)
        assert current(engine) == ["Berlin"]


def test_without_an_extractor_no_task_is_sent(settings: Any) -> None:
    settings.MASTRA_ENGINE = {"default": {"BACKEND": "mastra_engine.PostgresEngine"}}
    with dummy():
        save_messages(engine, "Berlin")
        assert sent() == []


def test_the_task_of_a_deleted_thread_succeeds() -> None:
    with dummy():
        save_messages(engine, "Berlin")
        (task,) = sent()
    engine.memory.delete_thread(thread_id="t")
    task.task.call(*task.args)


def test_a_scheduled_task_reads_all_that_waits() -> None:
    from mastra_engine.tasks import extract_facts

    with dummy():
        save_messages(engine, "Berlin")
        save_messages(engine, "Rome", thread_id="u")
    assert extract_facts.enqueue().errors == []
    assert current(engine) == ["Rome"]


def test_a_failing_queue_does_not_fail_the_save(caplog: pytest.LogCaptureFixture) -> None:
    class Away(Held):
        def extract_facts(self, thread_id: str) -> None:
            raise ConnectionError

    engine.queue = Away()
    save_messages(engine, "Berlin")
    assert "Messages of thread t wait to be read for facts" in caplog.messages
    assert len(engine.facts.extract(thread_id="t")) == 1
