"""engine_erase: the data of a resource is counted and deleted, in the end to the last byte."""

from __future__ import annotations

import random
import struct
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models.functions import Now

from mastra_engine import engine
from mastra_engine.models import IdempotencyRecord, StateItem, Thread
from mastra_engine.registry import registry, sync
from mastra_engine.types import Erasure

pytestmark = pytest.mark.django_db(transaction=True)

# But for the planner's statistics, which go when the catalog is vacuumed.
_READ_TABLES = """
SELECT relname FROM pg_class
WHERE relnamespace IN ('public'::regnamespace, 'pg_toast'::regnamespace)
  AND oid IS DISTINCT FROM (
      SELECT reltoastrelid FROM pg_class WHERE oid = 'pg_statistic'::regclass)
  AND position(%s::bytea IN pg_read_binary_file(pg_relation_filepath(oid), true)) > 0
"""


class Dice:
    """An embedder with vectors that no other embedder returns."""

    def embed_query(self, text: str) -> list[float]:
        dice = random.Random(text)
        return [dice.random() for _ in range(32)]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


def configured(**options: Any) -> dict[str, Any]:
    postgres = {"BACKEND": "mastra_engine.PostgresEngine", "EMBEDDER": Dice, **options}
    mock = {"BACKEND": "mastra_engine.MockMastraEngine", "URL": "mock://erased"}
    return {"default": postgres, "mock": mock}


@pytest.fixture(autouse=True)
def _memory(settings: Any) -> None:
    """Ann's and Bob's messages lie side by side, in the tables' pages too."""
    settings.MASTRA_ENGINE = configured()
    for turn in range(10):
        for resource in "ann", "bob":
            engine.memory.save_memory(
                thread_id=f"{resource}-{turn % 2}",
                resource_id=resource,
                messages=[message(resource, 4 * turn + number) for number in range(4)],
                idempotency_key=f"{resource}'s {turn}",
            )
    for resource in "ann", "bob":
        engine.memory.update_working_memory(resource_id=resource, content=f"{resource}-is-vegan")
    engine.memory.embed_pending()  # the messages that wait on a busy machine


def message(resource: str, number: int) -> dict[str, Any]:
    text = f"{resource}-secret-{number} " + "and so on " * (number * 7 % 60)
    return {"role": "user", "content": text, "metadata": {"by": f"{resource}-secret"}}


def erase(*arguments: str, interactive: bool = False) -> str:
    out = StringIO()
    options = [] if interactive else ["--no-input"]
    call_command("engine_erase", *arguments, *options, stdout=out)
    return out.getvalue().strip()


def stored_counts(resource_id: str) -> Erasure:
    return engine.erase(resource_id=resource_id, dry_run=True)


EVERYTHING = Erasure(threads=2, messages=40, working_memory=1, vectors=40)
SPELLED_OUT = "2 threads, 40 messages, 1 working memory, 40 vectors"


def files_with(data: bytes) -> set[str]:
    """Return the tables and indexes that have the bytes in their files."""
    with connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")
        cursor.execute(_READ_TABLES, [data])
        return {name for (name,) in cursor}


def test_a_resource_is_erased_and_no_other() -> None:
    assert erase("--resource=ann") == f"Erased: {SPELLED_OUT}"
    assert stored_counts("ann") == Erasure()
    assert stored_counts("bob") == EVERYTHING
    assert engine.memory.recall(query=message("bob", 7)["content"], resource_id="bob", top_k=1)


def test_erasing_again_finds_nothing() -> None:
    erase("--resource=ann")
    assert erase("--resource=ann") == "Erased: nothing"


def test_a_dry_run_only_counts() -> None:
    assert erase("--resource=ann", "--dry-run") == f"To be erased: {SPELLED_OUT}"
    assert erase("--connection=ann", "--dry-run") == "To be erased: nothing"
    assert stored_counts("ann") == EVERYTHING


def test_a_connections_records_are_erased_and_no_others() -> None:
    for connection_id in "ann", "bob":
        for name in "Notes", "Contacts":
            records = [{"external_id": id, "data": {}} for id in "123"]
            engine.sync_records(name=name, connection_id=connection_id, records=records)
    notes = engine.get_entity(name="Notes", connection_id="ann")
    assert notes is not None
    engine.delete_records(entity_id=notes.id, external_ids=["1"])

    assert erase("--connection=ann") == "Erased: 2 entities, 6 records"  # one is a tombstone
    assert engine.erase(connection_id="ann", dry_run=True) == Erasure()
    assert engine.erase(connection_id="bob", dry_run=True) == Erasure(entities=2, records=6)
    assert stored_counts("ann") == EVERYTHING  # a resource of that name is another owner


def test_a_namespaces_vectors_are_erased_and_no_others() -> None:
    for index in "notes", "files":
        engine.vectors.create_index(index_name=index, dimension=2)
        for namespace in "ann", "bob", "":
            engine.vectors.upsert(
                index_name=index, ids=["1", "2"], vectors=[[1, 0], [0, 1]], namespace=namespace
            )

    def vectors(namespace: str) -> int:
        return engine.erase(namespace=namespace, dry_run=True).vectors

    assert erase("--namespace=ann", "--dry-run") == "To be erased: 4 vectors"
    with pytest.raises(CommandError, match="--no-input"):
        erase("--namespace=ann", interactive=True)
    assert vectors("ann") == 4
    assert erase("--namespace=ann") == "Erased: 4 vectors"
    assert (vectors("ann"), vectors("bob"), vectors("")) == (0, 4, 4)
    assert stored_counts("ann") == EVERYTHING  # a resource of that name is another owner
    assert erase("--namespace=") == "Erased: 4 vectors"
    with pytest.raises(CommandError, match="not allowed with"):
        erase("--namespace=bob", "--resource=bob")


def test_no_byte_of_it_stays_in_the_tables() -> None:
    text, mind = b"ann-secret", b"ann-is-vegan"
    engine.run_idempotent(owner="ann", key="1", body=b"", act=lambda: text)
    vector = struct.pack("=32f", *Dice().embed_query(message("ann", 7)["content"].strip()))
    assert files_with(text) >= {"mastra_engine_message", "mastra_engine_idempotencyrecord"}
    assert files_with(mind) == {"mastra_engine_workingmemory"}
    assert [name.startswith("mastra_engine_embedding") for name in files_with(vector)] == [True]

    erase("--resource=ann", "--no-vacuum")
    assert files_with(text)  # deleted rows are still there

    erase("--resource=ann", "--full")
    assert not any(map(files_with, (text, mind, vector, b"ann's ")))
    assert files_with(b"bob-secret") >= {"mastra_engine_message"}
    assert stored_counts("bob") == EVERYTHING


#: A fact about the resource "ann", and the texts that are stored of it.
FACT = {"subject": "ann-subject", "predicate": "ann-predicate", "object": "ann-object"}
TRACES = [f"ann-{part}".encode() for part in ("subject", "predicate", "object", "alias", "quote")]


def remember_facts() -> bytes:
    """Remember a fact from an old message of each user; return the vector of Ann's."""
    for resource in "ann", "bob":
        before = datetime.now(UTC) - timedelta(days=40)
        (old,) = engine.memory.save_memory(
            thread_id=f"{resource}-before",
            resource_id=resource,
            messages=[{**message(resource, 1), "created_at": before}],
        )
        quote = f"{resource}-quote"
        fact = {key: text.replace("ann", resource) for key, text in FACT.items()}
        source = {"message_id": old.id, "quote": quote}
        engine.facts.remember(
            resource_id=resource,
            facts=[{**fact, "aliases": [f"{resource}-alias"], "sources": [source]}],
            idempotency_key=f"{resource}-key",
        )
    engine.facts.index_pending()
    text = "ann-subject, ann-alias ann-predicate ann-object"
    return struct.pack("=32f", *Dice().embed_query(text))


def test_no_byte_of_a_resources_facts_stays_in_the_tables() -> None:
    vector = remember_facts()
    assert files_with(b"ann-object") >= {"mastra_engine_fact"}
    assert files_with(b"ann-quote") == {"mastra_engine_factsource"}
    assert [name.startswith("mastra_engine_embedding") for name in files_with(vector)] == [True]
    amount = "3 threads, 41 messages, 1 working memory, 1 facts, 42 vectors"
    assert erase("--resource=ann", "--full") == f"Erased: {amount}"
    assert not any(map(files_with, [*TRACES, vector]))
    assert files_with(b"bob-quote") == {"mastra_engine_factsource"}
    (fact,) = engine.facts.list_facts(resource_id="bob")
    assert fact.object == "bob-object"


def test_no_byte_of_a_fact_stays_that_rests_on_an_expired_message_alone() -> None:
    vector = remember_facts()
    engine.facts.remember(resource_id="ann", facts=[{**FACT, "object": "kept-object"}])
    assert erase("--older-than=30", "--full") == "Erased: 2 messages"
    assert not any(map(files_with, [b"ann-object", b"ann-quote", vector]))
    (fact,) = engine.facts.list_facts(resource_id="ann")
    assert fact.object == "kept-object"
    assert engine.facts.list_facts(resource_id="bob").items == []


def test_no_byte_of_a_forgotten_fact_stays_in_the_tables() -> None:
    vector = remember_facts()
    (fact,) = engine.facts.list_facts(resource_id="ann")
    engine.facts.retract(id=fact.id, reason="ann-reason")
    engine.facts.forget(id=fact.id)
    engine.vacuum(full=True)
    assert not any(map(files_with, [*TRACES, b"ann-reason", vector]))


def test_no_byte_of_a_connection_stays_in_the_tables() -> None:
    def failing(_context: Any) -> Any:
        yield [{"external_id": "1", "data": {"key": "ann-record"}}]
        raise ValueError("ann-failure")

    with registry.empty():
        sync(entity="Notes", name="notes")(failing)
        engine.run_sync("notes", connection_id="ann", params={"key": "ann-parameter"})
    assert files_with(b"ann-record") >= {"mastra_engine_record"}
    assert files_with(b"ann-failure") >= {"mastra_engine_syncrun"}
    assert erase("--connection=ann", "--full") == "Erased: 1 entities, 1 records, 1 sync runs"
    traces = b"ann-record", b"ann-parameter", b"ann-failure"
    assert not any(map(files_with, traces))


def test_the_room_it_took_is_given_back() -> None:
    erase("--resource=bob", "--no-vacuum")
    erase("--resource=ann", "--no-vacuum")
    assert size("mastra_engine_message") > 0
    erase("--resource=ann")
    assert size("mastra_engine_message") == size("mastra_engine_workingmemory") == 0


def size(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_relation_size(%s)", [table])
        return int(cursor.fetchone()[0])


@pytest.fixture
def aged() -> None:
    """Ann said something 10 days ago, and Bob 40 days ago, in a thread that he still uses."""
    for resource, days in ("ann", 10), ("bob", 40):
        before = datetime.now(UTC) - timedelta(days=days)
        engine.memory.save_memory(
            thread_id=f"{resource}-before",
            resource_id=resource,
            messages=[{**message(resource, 1), "created_at": before}, message(resource, 2)],
        )
        Thread.objects.filter(id=f"{resource}-before").update(created_at=before)


@pytest.mark.usefixtures("aged")
def test_messages_of_an_age_are_erased_with_their_vectors() -> None:
    assert erase("--older-than=30", "--dry-run") == "To be erased: 1 messages"
    assert erase("--older-than=30") == "Erased: 1 messages"
    assert (stored_counts("ann").messages, stored_counts("bob").messages) == (42, 41)
    assert erase("--older-than=9.5") == "Erased: 1 messages"
    assert (stored_counts("ann").messages, stored_counts("ann").vectors) == (41, 41)
    assert erase("--older-than=9.5") == "Erased: nothing"


@pytest.mark.usefixtures("aged")
def test_expired_messages_are_erased(settings: Any) -> None:
    settings.MASTRA_ENGINE = configured(RETENTION_DAYS=30)
    assert erase("--expired", "--dry-run") == "To be erased: 1 messages"
    assert erase("--expired") == "Erased: 1 messages"
    assert (stored_counts("ann").messages, stored_counts("bob").messages) == (42, 41)
    settings.MASTRA_ENGINE = configured(RETENTION_DAYS=9)
    assert erase("--expired") == "Erased: 1 messages"


def test_answers_whose_time_is_over_go_with_anything() -> None:
    for key in "12":
        engine.run_idempotent(owner="bob", key=key, body=b"", act=bytes)
    IdempotencyRecord.objects.filter(pk=IdempotencyRecord.objects.values("pk")[:1]).update(
        expires_at=Now()
    )
    erase("--resource=ann", "--dry-run")
    assert IdempotencyRecord.objects.count() == 2
    erase("--resource=ann")
    assert IdempotencyRecord.objects.count() == 1


def test_state_is_erased_and_expired_state_goes_with_anything() -> None:
    for resource in ("ann", "bob"):
        engine.state.put(namespace=(resource,), key="kept", value={"said": "tea"}, index=False)
    engine.state.put(namespace=("bob",), key="expired", value={}, expires_in=1e-6)
    assert (
        erase("--resource=ann")
        == f"Erased: {SPELLED_OUT.replace(', 40 vec', ', 1 state items, 40 vec')}"
    )
    assert [item.key for item in engine.state.list_items(namespace_prefix=())] == ["kept"]
    assert (
        StateItem.objects.filter(value__isnull=True).count() == 1
    )  # the tombstone of the expired one


def test_nothing_expires_without_the_setting() -> None:
    with pytest.raises(CommandError, match="RETENTION_DAYS is not set"):
        erase("--expired")


def test_other_engines_are_named() -> None:
    assert erase("--engine=mock", "--resource=ann") == "Erased: nothing"
    assert stored_counts("ann") == EVERYTHING
    with pytest.raises(CommandError, match='unknown engine alias "third"'):
        erase("--engine=third", "--resource=ann")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--dry-run"],
        ["--resource=ann", "--connection=ann"],
        ["--resource=ann", "--expired"],
        ["--resource="],
        ["--older-than=soon"],
        ["--older-than=-1"],
        ["--older-than=nan"],
        ["--older-than=1e9"],
        ["--older-than=0"],
        ["--older-than=-0.0"],
        ["--older-than=0", "--dry-run"],
        ["--resource=ann", "--full", "--no-vacuum"],
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_erases_nothing(arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        erase(*arguments)
    assert stored_counts("ann") == EVERYTHING


SUBJECTS = [["--resource=ann"], ["--connection=ann"], ["--older-than=0.00001"], ["--expired"]]


class Terminal(StringIO):
    """A terminal where a user types one line."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("arguments", SUBJECTS, ids=" ".join)
def test_without_a_terminal_it_needs_no_input(
    settings: Any, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    settings.MASTRA_ENGINE = configured(RETENTION_DAYS=1)
    monkeypatch.setattr("sys.stdin", StringIO("yes\n"))
    with pytest.raises(CommandError, match="--no-input"):
        erase(*arguments, interactive=True)
    assert stored_counts("ann") == EVERYTHING


@pytest.mark.parametrize("reply", ["no", "", "y", "YES", "yes please"])
def test_a_user_may_decline(monkeypatch: pytest.MonkeyPatch, reply: str) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(f"{reply}\n"))
    with pytest.raises(CommandError, match="Nothing was erased"):
        erase("--resource=ann", interactive=True)
    assert stored_counts("ann") == EVERYTHING


def test_a_user_may_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("yes\n"))
    out = erase("--resource=ann", interactive=True)
    assert out.startswith(f"To be erased: {SPELLED_OUT}\nThis cannot be undone.")
    assert out.endswith(f"Erased: {SPELLED_OUT}")
    assert stored_counts("ann") == Erasure()


def test_within_a_transaction_there_is_no_vacuum() -> None:
    with pytest.raises(CommandError, match="cannot run within a transaction"), transaction.atomic():
        erase("--resource=ann")
    assert stored_counts("ann") == EVERYTHING
    with transaction.atomic():
        erase("--resource=ann", "--no-vacuum")
    assert stored_counts("ann") == Erasure()


@pytest.mark.parametrize("arguments", [[], ["--full"]], ids=" ".join)
def test_a_role_that_may_not_vacuum_is_told(arguments: list[str]) -> None:
    """The server only warns it, and leaves every byte where it is."""
    rights = "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public"
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE mastra_engine_eraser")
        cursor.execute(f"GRANT {rights} TO mastra_engine_eraser")
        cursor.execute("SET ROLE mastra_engine_eraser")
    try:
        with pytest.raises(CommandError, match=r"did not vacuum.*mastra_engine_"):
            erase("--resource=ann", *arguments)
        assert stored_counts("ann") == Erasure()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET ROLE")
            cursor.execute("DROP OWNED BY mastra_engine_eraser")
            cursor.execute("DROP ROLE mastra_engine_eraser")
