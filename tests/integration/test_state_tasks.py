"""What agent state leaves to tasks: indexing, when it is asked to, and the end of expired items."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.db import transaction

from mastra_engine import engine
from mastra_engine.models import Embedding
from mastra_engine.testing.contract.recall import BagOfWords
from mastra_engine.testing.contract.sync_runs import Held
from tests.integration.test_sync_runs import dummy

pytestmark = pytest.mark.django_db(transaction=True)

EMBEDDER = f"{BagOfWords.__module__}.{BagOfWords.__qualname__}"


@pytest.fixture(autouse=True)
def _configured(settings: Any) -> None:
    options = {"BACKEND": "mastra_engine.PostgresEngine", "EMBEDDER": EMBEDDER}
    settings.MASTRA_ENGINE = {"default": options}


def put(text: str, **options: Any) -> None:
    engine.state.put(namespace=("ann", "notes"), key=text, value={"text": text}, **options)


def vectors() -> list[str]:
    return sorted(Embedding.objects.values_list("document", flat=True))


def sent() -> list[Any]:
    from mastra_engine.tasks import index_state

    results: list[Any] = index_state.get_backend().results
    return results


def test_items_are_indexed_at_once_unless_tasks_are_set_up() -> None:
    put("dog")
    put("cat", index=False)
    assert vectors() == ["dog"]


def test_the_task_is_sent_once_the_transaction_commits() -> None:
    with dummy():
        with transaction.atomic():
            put("dog")
            assert sent() == []
        (task,) = sent()
        assert (list(task.args), task.kwargs) == (["default", "ann"], {})
        with transaction.atomic():
            put("cat")
            transaction.set_rollback(True)
        assert len(sent()) == 1
        assert vectors() == []
        task.task.call(*task.args)
        task.task.call(*task.args)
        assert vectors() == ["dog"]


def test_a_failing_queue_does_not_fail_the_write(caplog: Any) -> None:
    class Away(Held):
        def index_state(self, resource_id: str) -> None:
            raise ConnectionError

    engine.state.index.queue = Away()
    put("dog")
    assert any("wait" in message for message in caplog.messages)
    (match,) = engine.state.search(namespace_prefix=("ann",), query="dog")
    assert match.item.key == "dog"


def test_expired_items_are_deleted_by_a_task_with_their_vectors() -> None:
    from mastra_engine.tasks import delete_expired_state

    put("dog", expires_in=0.5)
    put("cat")
    assert vectors() == ["cat", "dog"]
    time.sleep(0.6)
    assert delete_expired_state.enqueue().errors == []
    assert vectors() == ["cat"]
