"""Partitions where Django or another session changes the tables."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import InternalError, connection, connections

from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.exceptions import Unavailable
from mastra_engine.models import Embedding, VectorIndex
from mastra_engine.postgres import partitions
from tests.integration.conftest import Elsewhere
from tests.integration.test_vectors import sql

pytestmark = pytest.mark.django_db(transaction=True)


def tables() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits "
            "WHERE inhparent = 'mastra_engine_embedding'::regclass"
        )
        return [name for (name,) in cursor.fetchall()]


def filled(engine: PostgresEngine, name: str) -> None:
    engine.vectors.create_index(index_name=name, dimension=2)
    engine.vectors.upsert(index_name=name, vectors=[[1, 0], [0, 1]], ids=["a", "b"])


def test_flush_drops_partitions(engine: PostgresEngine) -> None:
    for name in ("one", "two"):
        filled(engine, name)
    assert len(tables()) == 2
    call_command("flush", interactive=False, verbosity=0)
    assert tables() == []
    filled(engine, "one")
    call_command("migrate", verbosity=0)
    assert len(tables()) == 1
    assert engine.vectors.describe_index(index_name="one").count == 2


def test_loaddata_into_another_database(engine: PostgresEngine, tmp_path: Path) -> None:
    filled(engine, "one")
    engine.vectors.create_index(index_name="two", dimension=3, metric="euclidean")
    dump = io.StringIO()
    call_command("dumpdata", "mastra_engine", stdout=dump)
    call_command("flush", interactive=False, verbosity=0)
    fixture = tmp_path / "dump.json"
    fixture.write_text(dump.getvalue())
    assert len(json.loads(dump.getvalue())) >= 4
    call_command("loaddata", str(fixture), verbosity=0)
    matches = engine.vectors.query(index_name="one", query_vector=[1, 0.1])
    assert [match.id for match in matches] == ["a", "b"]
    listed = engine.vectors.list_indexes()
    assert [(index.name, index.count, index.status) for index in listed] == [
        ("one", 2, "ready"),
        ("two", 0, "ready"),
    ]
    call_command("loaddata", str(fixture), verbosity=0)  # again, over what is there
    assert engine.vectors.describe_index(index_name="one").count == 2
    filled(engine, "three")
    assert len(tables()) == 3


def test_documents_that_django_writes_have_words(engine: PostgresEngine, tmp_path: Path) -> None:
    def ids_of(text: str) -> set[str]:
        matches = engine.vectors.query(
            index_name="one", query_vector=[1, 0], query_text=text, hybrid=0.0
        )
        return {match.id for match in matches if match.lexical}

    filled(engine, "one")
    engine.vectors.upsert(index_name="one", ids=["c"], vectors=[[1, 1]], documents=["two sleds"])
    dump = io.StringIO()
    call_command("dumpdata", "mastra_engine", stdout=dump)
    call_command("flush", interactive=False, verbosity=0)
    fixture = tmp_path / "dump.json"
    fixture.write_text(dump.getvalue())
    call_command("loaddata", str(fixture), verbosity=0)
    assert ids_of("sled") == {"c"}
    fixture.write_text(dump.getvalue().replace("two sleds", "three boats"))
    call_command("loaddata", str(fixture), verbosity=0)
    assert (ids_of("sled"), ids_of("boat")) == (set(), {"c"})
    Embedding.objects.filter(vector_id="c").update(document="four lakes")
    assert (ids_of("boat"), ids_of("lake")) == (set(), {"c"})


def test_an_index_saved_by_the_model_can_be_used(engine: PostgresEngine) -> None:
    VectorIndex.objects.create(
        name="own",
        dimension=2,
        metric="cosine",
        index_type="flat",
        storage="vector",
        language="simple",
        m=16,
        ef_construction=64,
    )
    engine.vectors.upsert(index_name="own", vectors=[[1, 0]], ids=["a"])
    assert engine.vectors.describe_index(index_name="own").count == 1


def test_concurrent_ddl_is_tried_again(engine: PostgresEngine) -> None:
    attempts = []

    def work() -> str:
        attempts.append(1)
        if len(attempts) < 3:
            sql(
                "DO $$ BEGIN RAISE EXCEPTION 'tuple concurrently updated' "
                "USING ERRCODE = 'XX000'; END $$"
            )
        return "done"

    assert engine.session.run(work) == "done"
    assert len(attempts) == 3
    with pytest.raises(InternalError):  # another internal error is a bug, and passes
        engine.session.run(
            lambda: sql("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = 'XX000'; END $$")
        )


@pytest.mark.parametrize("snapshot", [True, False], ids=["a backup", "a writer"])
def test_a_build_does_not_wait_forever(
    elsewhere: Elsewhere, snapshot: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says whom it waited for, and is looked at before it waits, too."""
    monkeypatch.setattr(partitions, "_WATCH_PAUSE", 0)
    engine = elsewhere(lock_timeout=1.0)
    engine.vectors.create_index(index_name="few", dimension=2, index_type="ivfflat")
    engine.vectors.upsert(index_name="few", vectors=[[1, 0], [0, 1]], ids=["a", "b"])
    other: Any = connections[elsewhere(application_name="nightly").database]
    with other.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        process = other.connection.info.backend_pid
        if snapshot:
            cursor.execute("SELECT count(*) FROM mastra_engine_thread")
        else:
            cursor.execute("DELETE FROM mastra_engine_embedding WHERE id = 'b'")
        holder = rf"by process {process} \(idle in transaction, nightly\); try again"
        with pytest.raises(Unavailable, match=holder):
            engine.vectors.build_index(index_name="few")
        assert engine.vectors.describe_index(index_name="few").status in ("missing", "invalid")
        cursor.execute("ROLLBACK")
    assert engine.vectors.build_index(index_name="few").status == "ready"


def test_a_build_does_not_wait_for_who_looks_at_it(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even if somebody looks at it all the time, and slowly."""
    slowly = partitions._BUILD_PHASE.replace("WHERE", "WHERE pg_sleep(0.01) IS NOT NULL AND")
    monkeypatch.setattr(partitions, "_WATCH_PAUSE", 0)
    monkeypatch.setattr(partitions, "_BUILD_PHASE", slowly)
    engine = elsewhere(lock_timeout=30.0)
    engine.vectors.create_index(index_name="few", dimension=2, index_type="ivfflat")
    engine.vectors.upsert(index_name="few", vectors=[[1, 0], [0, 1]])
    assert engine.vectors.build_index(index_name="few").status == "ready"
