"""Documents that an earlier release stored get words, while others read and write."""

from __future__ import annotations

import uuid
from io import StringIO

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from mastra_engine import engine
from mastra_engine.postgres.definitions import find_definition
from mastra_engine.postgres.partitions import Partition
from mastra_engine.postgres.word_filling import add_words, without_words
from mastra_engine.postgres.word_statistics import WordStatistics
from tests.commands.conftest import Process, Project, run_sql
from tests.commands.test_upgrade import fill, migrate, query, query_none
from tests.waiting import wait_until

BEFORE = "0016"
TABLE = "mastra_engine_embedding_1"
MANY = 1_200
DOCUMENTS = {
    "v1": "a sled",
    "v2": "a boat",
    "chinese": "東京都の天気",
    "none": None,
    "signs": "!!!",
    "long": "harbour " * 20_000,
}


@pytest.fixture
def unfilled(old: None) -> None:
    """The tables of the migration before, with documents."""
    migrate(BEFORE)
    fill(BEFORE)
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO mastra_engine_embedding (index_id, row_id, id, document, metadata, "
            "embedding) VALUES (1, gen_random_uuid(), %s, %s, '{}', '[0, 0, 1]')",
            [(id, text) for id, text in DOCUMENTS.items() if id not in ("v1", "v2")],
        )
        cursor.execute(
            "INSERT INTO mastra_engine_embedding (index_id, row_id, id, document, metadata, "
            "embedding) SELECT 1, gen_random_uuid(), 'n' || i, 'number ' || i, '{}', '[0, 1, 1]' "
            f"FROM generate_series(10001, {10_000 + MANY}) AS i"
        )


def upgrade() -> str:
    out = StringIO()
    call_command("engine_migrate", verbosity=0, stdout=out, stderr=out)
    return out.getvalue()


def lexical(text: str, index_name: str = "docs") -> dict[str, float]:
    """Return the lexical scores of the documents that share words with a text."""
    matches = engine.vectors.query(
        index_name=index_name, query_vector=[1, 0, 0], query_text=text, hybrid=0.0, top_k=2_000
    )
    return {match.id: match.lexical or 0.0 for match in matches if match.lexical}


def without() -> int:
    ((number,),) = query(f"SELECT count(*) FROM {TABLE} WHERE words IS NULL")
    return int(number)


def waits_for_a_lock() -> bool:
    ((waiting,),) = query(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
        "AND datname = current_database()"
    )
    return bool(waiting)


def end(process: Process) -> None:
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err


def test_they_score_as_documents_of_this_release(unfilled: None) -> None:
    assert "'docs': adding words" in upgrade()
    engine.vectors.create_index(index_name="new", dimension=3, language="english")
    ids = [id for (id,) in query(f"SELECT id FROM {TABLE} ORDER BY id")]
    documents = [DOCUMENTS.get(id, f"number {id[1:]}") for id in ids]
    engine.vectors.upsert(
        index_name="new", ids=ids, documents=documents, vectors=[[0, 1, 1]] * len(ids)
    )
    for text in ("sleds", "東京", "harbour boats", "number 10007"):
        scores = lexical(text)
        assert scores
        assert scores == pytest.approx(lexical(text, "new"))
    assert set(lexical("東京")) == {"chinese"}
    assert query(f"SELECT id FROM {TABLE} WHERE words IS NULL") == [("none",)]
    assert query(
        f"SELECT id, word_count FROM {TABLE} WHERE id IN ('long', 'signs') ORDER BY 1"
    ) == [
        ("long", 255),
        ("signs", 0),
    ]
    assert query(f"SELECT count(*) FROM {TABLE} WHERE analyzed IS NOT NULL") == [(0,)]
    assert "adding words" not in upgrade()


def test_the_index_of_words_is_that_of_a_new_partition(unfilled: None) -> None:
    upgrade()
    engine.vectors.create_index(index_name="new", dimension=3, language="english")
    of_tables = {}
    for table in (TABLE, "mastra_engine_embedding_2"):
        rows = query(f"SELECT indexdef FROM pg_indexes WHERE indexname = '{table}_words'")
        rows += query(
            f"SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = '{table}'::regclass"
        )
        of_tables[table] = [definition.replace(table, "") for (definition,) in rows]
    one, other = of_tables.values()
    assert len(one) == 2
    assert one == other


def test_engine_status_says_which_index_is_incomplete(unfilled: None) -> None:
    call_command("migrate", verbosity=0)
    with pytest.raises(CommandError, match=r"'docs' that an earlier .* Run engine_migrate\."):
        call_command("engine_status", stdout=StringIO())
    assert lexical("sled") == {}
    upgrade()
    call_command("engine_status", stdout=StringIO())
    assert set(lexical("sled")) == {"v1"}


def test_a_killed_upgrade_is_continued(unfilled: None, project: Project, database: str) -> None:
    """A lock on a row of the second batch stops it there."""
    call_command("migrate", verbosity=0)
    with psycopg.connect(database) as other:
        other.execute(f"SELECT FROM {TABLE} WHERE id = 'n10900' FOR UPDATE")
        process = project.start("engine_migrate", DATABASE_URL=database)
        wait_until(waits_for_a_lock)
        process.kill()
        process.communicate()
    assert 0 < without() < MANY
    assert without_words(connection) == ["docs"]
    wait_until(lambda: query("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)])
    project.must("engine_migrate", DATABASE_URL=database)
    assert without_words(connection) == []
    assert without() == 1  # that without a document
    assert set(lexical("10900")) == {"n10900"}


@pytest.mark.parametrize("size", [1, 20], ids=["one row", "many rows"])
def test_what_others_write_meanwhile_is_kept(
    unfilled: None, project: Project, database: str, size: int
) -> None:
    call_command("migrate", verbosity=0)
    ids = [f"n{number}" for number in range(10_900, 10_900 + size)]
    with psycopg.connect(database) as other:
        other.execute(f"SELECT FROM {TABLE} WHERE id = 'n10899' FOR UPDATE")
        process = project.start("engine_migrate", DATABASE_URL=database)
        wait_until(waits_for_a_lock)
        engine.vectors.upsert(
            index_name="docs",
            ids=ids,
            documents=["東京 lighthouse"] * size,
            vectors=[[1, 0, 0]] * size,
        )
        engine.vectors.delete_vectors(index_name="docs", ids=["n10950"])
    end(process)
    assert set(lexical("lighthouses")) == set(lexical("東京")) - {"chinese"} == set(ids)
    assert lexical("10900 10950") == {}
    assert without_words(connection) == []


def test_a_process_of_the_earlier_release_may_still_write(unfilled: None) -> None:
    """It knows neither the columns nor the trigger."""
    put = (
        f"INSERT INTO {TABLE} (index_id, row_id, id, document, metadata, embedding)"
        " VALUES (1, gen_random_uuid(), '{}', '{}', '{{}}', '[0, 0, 1]')"
        " ON CONFLICT (index_id, namespace, id) DO UPDATE SET document = excluded.document"
    )
    call_command("migrate", verbosity=0)
    query_none(put.format("v1", "a glacier"))
    upgrade()
    query_none(put.format("v2", "two glaciers"))
    query_none(put.format("v3", "three glaciers"))
    assert set(lexical("glacier")) == {"v1", "v2", "v3"}
    assert lexical("sled boat") == {}
    query_none(f"UPDATE {TABLE} SET document = NULL WHERE id = 'v1'")
    assert set(lexical("glacier")) == {"v2", "v3"}


def test_an_invalid_index_of_words_is_replaced(unfilled: None) -> None:
    call_command("migrate", verbosity=0)
    query_none(f"CREATE INDEX {TABLE}_words ON {TABLE} USING gin (words)")
    query_none(
        f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{TABLE}_words'::regclass"
    )
    upgrade()
    ((valid,),) = query(
        f"SELECT indisvalid FROM pg_index WHERE indexrelid = '{TABLE}_words'::regclass"
    )
    assert valid
    assert set(lexical("sled")) == {"v1"}


def test_while_another_process_builds_the_words_wait(unfilled: None) -> None:
    call_command("migrate", verbosity=0)
    index = find_definition(connection, "docs")
    assert index is not None
    with Partition(connection, index)._only_builder():
        assert "run engine_migrate again" in upgrade()
    assert without_words(connection) == ["docs"]
    assert add_words(connection, "docs")
    assert without_words(connection) == []
    assert add_words(connection, "deleted meanwhile")


def test_a_step_back_and_forth(unfilled: None) -> None:
    upgrade()
    migrate(BEFORE)
    assert query(f"SELECT count(*) FROM {TABLE}") == [(len(DOCUMENTS) + MANY,)]
    assert query("SELECT count(*) FROM pg_proc WHERE proname = 'mastra_engine_set_words'") == [(0,)]
    assert "'docs': adding words" in upgrade()
    assert set(lexical("sled")) == {"v1"}


def test_another_role_searches_what_the_owner_has_filled(unfilled: None, database: str) -> None:
    upgrade()
    role = f"reader_{uuid.uuid4().hex}"
    run_sql(
        database, f"CREATE ROLE {role} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
    )
    index = find_definition(connection, "docs")
    assert index is not None
    partition = Partition(connection, index)
    as_owner = WordStatistics.read(partition)
    assert as_owner.documents == pytest.approx(len(DOCUMENTS) + MANY - 1)
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {role}")
        try:
            assert WordStatistics.read(partition) == as_owner
            assert set(lexical("sled")) == {"v1"}
            # With row security the statistics are hidden, and every word counts as a rare one.
            cursor.execute(f"RESET ROLE; ALTER TABLE {TABLE} ENABLE ROW LEVEL SECURITY")
            cursor.execute(f"CREATE POLICY every ON {TABLE} FOR SELECT USING (true)")
            cursor.execute(f"SET ROLE {role}")
            assert WordStatistics.read(partition) == WordStatistics()
            assert set(lexical("sled")) == {"v1"}
        finally:
            cursor.execute("RESET ROLE")
            cursor.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
