"""Many processes write the same records at the same time."""

from __future__ import annotations

import pytest

from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.models import Entity, Record
from mastra_engine.types import UpsertResult
from tests.concurrency import work
from tests.concurrency.conftest import Start
from tests.concurrency.processes import run_at_once

pytestmark = pytest.mark.django_db(transaction=True)


def check_upserts_in_any_order(engine: PostgresEngine, start: Start, rounds: int) -> None:
    entity = engine.create_entity(name="Contacts", connection_id="crm")
    workers = start(
        work.upsert_windows,
        [{"entity_id": entity.id, "worker": i, "rounds": rounds} for i in range(8)],
    )
    results = [result for results in run_at_once(workers) for result in results]

    rows = Record.objects.filter(entity_id=entity.id)
    ids = list(rows.order_by("external_id").values_list("external_id", flat=True))
    assert ids == [f"{i:05}" for i in range((rounds - 1) * 20 + 100)]

    total = sum(results, start=UpsertResult())
    assert len(results) == 8 * rounds
    assert total.created == len(ids)
    assert total.created + total.updated + total.unchanged == 8 * rounds * 100

    revs = set(rows.values_list("rev", flat=True))
    rev = Entity.objects.get(id=entity.id).rev
    assert len(revs) == len(ids)
    assert max(revs) == rev == total.created + total.updated


def check_stored_hashes_fit(engine: PostgresEngine) -> None:
    """What is stored is taken for unchanged, so hash and document come from one write."""
    entity = engine.get_entity(name="Contacts", connection_id="crm")
    assert entity is not None
    stored = engine.get_records_by_entity_id(entity_id=entity.id)
    records = [{"external_id": record.external_id, "data": record.data} for record in stored]
    result = engine.upsert_records(entity_id=entity.id, records=records)
    assert result == UpsertResult(unchanged=len(stored))


def test_upserts_of_the_same_ids_in_any_order_neither_fail_nor_duplicate(
    engine: PostgresEngine, start: Start
) -> None:
    check_upserts_in_any_order(engine, start, rounds=40)
    check_stored_hashes_fit(engine)


@pytest.mark.long
def test_upserts_of_the_same_ids_in_any_order_for_minutes(
    engine: PostgresEngine, start: Start
) -> None:
    check_upserts_in_any_order(engine, start, rounds=1_000)
    check_stored_hashes_fit(engine)


def test_merges_of_different_keys_into_one_record_are_all_kept(
    engine: PostgresEngine, start: Start
) -> None:
    entity = engine.create_entity(name="Profiles", connection_id="crm")
    keys = [f"key {i}" for i in range(20)]
    run_at_once(
        start(work.merge_key, [{"entity_id": entity.id, "key": k, "rounds": 5} for k in keys])
    )
    stored = engine.get_records_by_entity_id(entity_id=entity.id)
    assert [record.data for record in stored] == [dict.fromkeys(keys, i) for i in range(5)]


def test_an_entity_asked_for_by_many_at_once_is_made_once(
    engine: PostgresEngine, start: Start
) -> None:
    names = [f"Kind {i}" for i in range(20)]
    workers = start(work.make_entities, [{"connection_id": "crm", "names": names}] * 16)
    answers = run_at_once(workers)
    stored = dict(Entity.objects.values_list("name", "id"))
    assert stored.keys() == set(names)
    for i, name in enumerate(names):
        assert {answer[i][0] for answer in answers} == {stored[name]}
        assert sum(answer[i][1] for answer in answers) == 1


def test_syncs_beside_deletions_of_their_entity_leave_it_whole_or_gone(
    engine: PostgresEngine, start: Start
) -> None:
    target = {"name": "Contacts", "connection_id": "crm"}
    syncs = start(work.sync_entity, [target] * 2)
    for worker in syncs:
        worker.go()
    run_at_once(start(work.delete_entity, [{**target, "times": 10}] * 2))
    run_at_once(syncs)  # which stops them
    sizes = [Record.objects.filter(entity_id=entity.id).count() for entity in Entity.objects.all()]
    assert sizes in ([], [20])
    assert not Record.objects.exclude(entity_id__in=Entity.objects.values("id")).exists()
