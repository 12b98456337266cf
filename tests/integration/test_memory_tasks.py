"""What memory leaves to tasks: embedding, when it is asked to, and the end of old messages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from mastra_engine import engine
from mastra_engine.models import Embedding, Thread
from mastra_engine.testing.contract.recall import BagOfWords
from mastra_engine.testing.contract.sync_runs import Held
from tests.integration.test_sync_runs import dummy

pytestmark = pytest.mark.django_db(transaction=True)

EMBEDDER = f"{BagOfWords.__module__}.{BagOfWords.__qualname__}"


@pytest.fixture(autouse=True)
def _configured(settings: Any) -> None:
    configure(settings)


def configure(settings: Any, **options: Any) -> None:
    options = {"BACKEND": "mastra_engine.PostgresEngine", "EMBEDDER": EMBEDDER, **options}
    settings.MASTRA_ENGINE = {"default": options}


def say(*texts: str, **options: Any) -> None:
    messages = [{"role": "user", "content": text, **options} for text in texts]
    engine.memory.save_memory(thread_id="chat", resource_id="ann", messages=messages)


def vectors() -> list[str]:
    return sorted(Embedding.objects.values_list("document", flat=True))


def sent() -> list[Any]:
    from mastra_engine.tasks import embed_thread

    results: list[Any] = embed_thread.get_backend().results
    return results


def test_messages_are_embedded_at_once_unless_tasks_are_set_up() -> None:
    say("dog", "cat")
    assert vectors() == ["cat", "dog"]


def test_the_task_is_sent_once_the_transaction_commits() -> None:
    with dummy():
        with transaction.atomic():
            say("dog")
            assert sent() == []
        (task,) = sent()
        assert (list(task.args), task.kwargs) == (["default", "chat"], {})
        with transaction.atomic():
            say("cat")
            transaction.set_rollback(True)
        assert len(sent()) == 1
        assert vectors() == []
        task.task.call(*task.args)
        task.task.call(*task.args)
        assert vectors() == ["dog"]


def test_a_failing_queue_does_not_fail_the_write(caplog: Any) -> None:
    class Away(Held):
        def embed(self, thread_id: str) -> None:
            raise ConnectionError

    engine.memory.queue = Away()
    say("dog")
    assert "Messages of thread chat wait for their vectors" in caplog.messages
    matches = engine.memory.recall(query="dog", resource_id="ann")
    assert [message.position for message in matches] == [1]


def test_the_task_of_a_thread_that_was_deleted_does_nothing() -> None:
    with dummy():
        say("dog")
        engine.memory.delete_thread(thread_id="chat")
        (task,) = sent()
        task.task.call(*task.args)
    assert vectors() == []


def test_messages_that_tasks_have_not_embedded_yet_are_recalled() -> None:
    with dummy():
        say("dog", "cat")
        matches = engine.memory.recall(query="dog", resource_id="ann", top_k=1)
        assert [message.position for message in matches] == [1, 2]
        assert vectors() == ["cat", "dog"]


def test_messages_expire_by_a_task_with_their_vectors(settings: Any) -> None:
    from mastra_engine.tasks import expire_messages

    configure(settings, RETENTION_DAYS=30)
    before = datetime.now(UTC) - timedelta(days=40)
    say("dog", created_at=before)
    say("cat")
    Thread.objects.update(created_at=before)
    assert expire_messages.enqueue().errors == []
    assert vectors() == ["cat"]
    assert [message.position for message in engine.memory.list_messages(thread_id="chat")] == [2]


def test_the_task_fails_where_the_setting_is_missing() -> None:
    from mastra_engine.tasks import expire_messages

    say("dog")
    (error,) = expire_messages.enqueue("default").errors
    assert error.exception_class_path == "mastra_engine.exceptions.InvalidInput"
    assert vectors() == ["dog"]
