"""The number of statements that each operation sends, with the examples of the API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.catalogue import Case, call, cases
from tests.api.conftest import World
from tests.integration.queries import statements

pytestmark = pytest.mark.django_db(transaction=True)  # as it is outside of tests

COUNTS = {
    "batch_state": 2,
    "build_index": 4,
    "cancel_sync_run": 6,
    "clone_thread": 7,
    "count_records": 2,
    "create_entity": 4,
    "create_index": 19,
    "create_thread": 3,
    "delete_entity": 7,
    "delete_index": 5,
    "delete_messages": 7,
    "delete_records": 7,
    "delete_state_item": 4,
    "delete_thread": 5,
    "delete_vectors": 3,
    "describe_index": 3,
    "enqueue_sync": 7,
    "export_records": 3,
    "export_thread": 2,
    "forget_fact": 6,
    "get_changes": 1,
    "get_context_window": 4,
    "get_entity": 1,
    "get_fact": 1,
    "get_fact_history": 2,
    "get_fact_sources": 2,
    "get_memory": 3,
    "get_messages_by_id": 1,
    "get_record": 1,
    "get_resource_working_memory": 1,
    "get_state_item": 1,
    "get_sync": 1,
    "get_sync_run": 1,
    "get_thread": 1,
    "get_thread_working_memory": 2,
    "get_vectors": 2,
    "import_thread": 4,
    "list_entities": 1,
    "list_facts": 2,
    "list_indexes": 3,
    "list_messages": 2,
    "list_records": 2,
    "list_state_items": 1,
    "list_state_namespaces": 1,
    "list_sync_pages": 2,
    "list_sync_runs": 1,
    "list_syncs": 1,
    "list_threads": 1,
    "patch_resource_working_memory": 2,
    "patch_thread_working_memory": 3,
    "pause_sync": 5,
    "purge_records": 4,
    "put_state_item": 1,
    "query_records": 2,
    "query_vectors": 2,
    "recall": 7,
    "remember_facts": 1,
    "replace_resource_working_memory": 2,
    "replace_thread_working_memory": 3,
    "reset_sync": 4,
    "resume_sync": 3,
    "retract_fact": 5,
    "retry_sync_run": 5,
    "save_messages": 1,
    "search_facts": 5,
    "search_records": 7,
    "search_state": 5,
    "sync_records": 12,
    "truncate_index": 4,
    "update_thread": 3,
    "update_vector": 3,
    "upsert_records": 8,
    "upsert_vectors": 2,
}


#: Statements of a key: its lock, the look for a response, storing one, deleting old ones.
WITH_A_KEY, AGAIN = 4, 3
#: Its transaction sets the lock timeout once, these by themselves not at all and twice.
BUT = {
    "cancel_sync_run": -1,
    "put_state_item": +1,
    "remember_facts": +1,
    "reset_sync": +1,
    "resume_sync": +1,
    "save_messages": +1,
    "upsert_vectors": +1,
}


def sent_for(case: Case, world: World, **headers: str) -> list[str]:
    client = world.staff if case.for_staff else world.ann
    path = world.path_of(case)

    def ask() -> Any:
        response = call(client, case, path, **headers)
        assert response.status_code == case.operation.status
        return b"".join(response) if response.streaming else response.content

    world.engine.memory.embed_pending()
    world.engine.state.index_pending()
    world.engine.facts.index_pending()
    world.engine.index_pending()
    return statements(ask)


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
@pytest.mark.parametrize("case", cases(), ids=lambda case: case.operation.name)
def test_the_number_of_statements_is_known(case: Case, world: World) -> None:
    sent = sent_for(case, world)
    assert len(sent) == COUNTS[case.operation.name], sent


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
@pytest.mark.parametrize(
    "case",
    [case for case in cases() if case.operation.keyed],
    ids=lambda case: case.operation.name,
)
def test_a_key_adds_a_known_number(case: Case, world: World) -> None:
    key, name = {"Idempotency-Key": "1"}, case.operation.name
    sent = sent_for(case, world, **key)
    assert len(sent) == COUNTS[name] + WITH_A_KEY + BUT.get(name, 0), sent
    assert len(sent_for(case, world, **key)) == AGAIN


def test_every_operation_is_counted() -> None:
    names = {case.operation.name for case in cases()}
    assert set(COUNTS) == names, (
        f"Add operations to COUNTS in {__file__}, or remove them: "
        + ", ".join(sorted(names ^ set(COUNTS)))
    )
