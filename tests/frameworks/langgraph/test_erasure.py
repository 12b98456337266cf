"""Erasing a resource erases the checkpoints of its threads."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from mastra_engine import PostgresEngine
from mastra_engine.contrib.langgraph import DjangoCheckpointer
from mastra_engine.contrib.langgraph.models import ChannelValue, Checkpoint, Write
from mastra_engine.signals import resource_erased
from tests.frameworks.langgraph.agents import FULL, agent, message, thread


@pytest.fixture
def threads(db: None) -> None:
    """Conversations of ann and of others, on threads of the engine and on others."""
    memory = PostgresEngine().memory
    memory.create_thread(resource_id="ann", thread_id="a")
    memory.create_thread(resource_id="bob", thread_id="b")
    graph = agent(DjangoCheckpointer(), channel=FULL)
    for name, resource_id in [("a", None), ("b", None), ("c", "ann"), ("d", "anna"), ("e", None)]:
        owner = {} if resource_id is None else {"resource_id": resource_id}
        graph.invoke(message("Hello"), {"configurable": {"thread_id": name, **owner}})
    graph.invoke(message("Again"), thread("c"))  # without the resource


def kept(*models: Any) -> list[set[str]]:
    return [{*model.objects.values_list("thread_id", flat=True)} for model in models]


@pytest.mark.usefixtures("threads")
def test_threads_of_the_resource_and_threads_that_name_it_are_erased() -> None:
    engine = PostgresEngine()
    engine.erase(resource_id="ann", dry_run=True)
    assert kept(Checkpoint, ChannelValue, Write) == [{*"abcde"}] * 3
    engine.erase(resource_id="ann")
    assert kept(Checkpoint, ChannelValue, Write) == [{*"bde"}] * 3


@pytest.mark.usefixtures("threads")
def test_a_receiver_that_fails_keeps_everything() -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("no")

    resource_erased.connect(fail)
    try:
        with pytest.raises(RuntimeError):
            PostgresEngine().erase(resource_id="ann")
    finally:
        resource_erased.disconnect(fail)
    assert kept(Checkpoint, ChannelValue, Write) == [{*"abcde"}] * 3
    assert PostgresEngine().memory.get_thread(thread_id="a").resource_id == "ann"


@pytest.mark.usefixtures("threads")
def test_without_the_tables_the_rest_is_erased() -> None:
    call_command("migrate", "mastra_langgraph", "zero", verbosity=0)
    assert PostgresEngine().erase(resource_id="ann").threads == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("threads")
def test_the_command_frees_the_space_of_checkpoints() -> None:
    call_command("engine_erase", "--resource=ann", "--full", "--no-input")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT last_vacuum FROM pg_stat_user_tables WHERE relname LIKE '%langgraph%'"
        )
        assert cursor.rowcount == 3
