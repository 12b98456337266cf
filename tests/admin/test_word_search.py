"""Finding threads and messages by their words."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.utils.html import strip_tags
from hypothesis import given
from hypothesis import strategies as st

from mastra_engine import PostgresEngine, engine, index_records
from mastra_engine.admin import word_search
from mastra_engine.admin.word_search import distinct_words, in_messages, in_records, marked
from mastra_engine.models import Embedding, Entity, Message, Record, Thread
from mastra_engine.registry import registry
from mastra_engine.testing.contract.vectors import ToyEmbedder
from tests.admin.conftest import list_of, signed_in
from tests.integration.queries import plan_of, statements

#: Whether the messages have search vectors, or are scanned.
embedded_or_not = pytest.mark.parametrize("embedded", [True, False], ids=["vectors", "scanned"])


@pytest.fixture
def talks(db: None) -> None:
    """Store threads, of which one says "kumquat" and one has it in its title."""
    for i in range(3):
        engine.memory.create_thread(resource_id="ann", thread_id=f"t{i}", title=f"Talk {i}")
        said = [f"Hello {i}", "I like kumquats" if i == 1 else "I like pears"]
        messages = [{"role": "user", "content": text} for text in said]
        engine.memory.save_memory(thread_id=f"t{i}", messages=messages)
    engine.memory.create_thread(resource_id="bob", thread_id="titled", title="The kumquat trade")


def shown(client: Client, model: Any, **query: Any) -> set[str]:
    """Return the rows on a list."""
    answer = client.get(list_of(model, **query))
    assert answer.status_code == 200
    return {str(row.pk) for row in answer.context["cl"].result_list}


def embed() -> None:
    PostgresEngine(embedder=ToyEmbedder()).memory.embed_pending()
    assert not Message.objects.filter(embedded_at=None).exclude(text="").exists()


@embedded_or_not
def test_a_word_finds_its_messages_and_threads(owner: Client, talks: None, embedded: bool) -> None:
    if embedded:
        embed()
    said = Message.objects.get(thread_id="t1", position=2)
    assert shown(owner, Message, q="kumquats") == {said.id}
    assert shown(owner, Message, q="KUMQUATS like") == {said.id}
    assert shown(owner, Message, q="kumquats pears") == set()
    assert shown(owner, Thread, q="kumquats") == {"t1"}
    assert shown(owner, Thread, q="trade") == {"titled"}
    assert shown(owner, Thread, q="t") >= {"t0", "t1", "t2", "titled"}


@embedded_or_not
def test_a_search_is_limited_by_the_filters(owner: Client, talks: None, embedded: bool) -> None:
    if embedded:
        embed()
    assert shown(owner, Message, q="pears", thread__id__exact="t0") == {
        Message.objects.get(thread_id="t0", position=2).id
    }
    assert shown(owner, Message, q="like", role="assistant") == set()
    assert shown(owner, Thread, q="like", resource_id__exact="ann") == {"t0", "t1", "t2"}
    assert shown(owner, Thread, q="like", resource_id__exact="bob") == set()


def test_a_match_leads_to_its_place_in_the_transcript(owner: Client, talks: None) -> None:
    page = owner.get(list_of(Message, q="kumquat")).content.decode()
    assert "I like <mark>kumquat</mark>s" in page
    assert "/thread/t1/change/?at=2#m2" in page
    assert "Talk 1" in page


def test_a_long_message_is_shown_around_the_word(owner: Client, talks: None) -> None:
    text = f"{'filler ' * 500}durian{' filler' * 500}"
    engine.memory.save_memory(thread_id="t0", messages=[{"role": "user", "content": text}])
    page = owner.get(list_of(Message, q="durian")).content.decode()
    assert "<mark>durian</mark>" in page
    assert len(page) < 40_000


def test_onlookers_search_by_ids_only(onlooker: Client, talks: None) -> None:
    assert shown(onlooker, Thread, q="trade") == set()
    assert shown(onlooker, Message, q="kumquats") == set()
    assert "kumquat" not in onlooker.get(list_of(Message)).content.decode()
    some = Message.objects.get(thread_id="t1", position=2)
    assert shown(onlooker, Message, q=some.id) == {some.id}


def test_titles_are_hidden_from_readers_of_messages_alone(talks: None) -> None:
    allowed = Permission.objects.filter(codename__in=["view_message", "read_content"])
    reader = signed_in("reader", allowed)
    page = reader.get(list_of(Message, q="kumquats")).content.decode()
    assert "<mark>kumquats</mark>" in page
    assert "Talk 1" not in page


def test_only_the_newest_waiting_messages_are_scanned(
    talks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(word_search, "SCANNED", 4)
    found = in_messages(Message.objects.using("default"), ["like"], "thread_id")
    assert found == {"t1", "t2"}  # two messages each


def test_few_waiting_messages_are_scanned_beside_an_index(
    talks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed()
    waiting = Message.objects.filter(thread_id__in=["t1", "t2"])
    waiting.update(embedded_at=None)
    Embedding.objects.all().delete()
    monkeypatch.setattr(word_search, "WAITING", 2)
    found = in_messages(Message.objects.using("default"), ["like"], "thread_id")
    assert found == {"t2"}


@embedded_or_not
def test_searches_of_messages_use_indexes(owner: Client, talks: None, embedded: bool) -> None:
    if embedded:
        embed()
    sent = statements(lambda: owner.get(list_of(Message, q="kumquats")))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # of small tables it is the best plan
    plans = [plan_of(sql) for sql in sent if "plainto_tsquery" in sql or "strpos" in sql]
    assert len(plans) == 1 + embedded
    nodes = [node for plan in plans for node in plan]
    assert not [node for node in nodes if node["Node Type"] == "Seq Scan"]
    used = {node.get("Index Name") for node in nodes}
    assert "mastra_engine_message_waiting" in used
    assert not embedded or any(str(name).endswith("_words") for name in used)


def test_a_scan_reads_no_message_that_has_a_vector(talks: None) -> None:
    embed()
    (scan,) = (
        sql
        for sql in statements(lambda: in_messages(Message.objects.all(), ["like"], "pk"))
        if "strpos" in sql
    )
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {scan}")
        ((explained,),) = cursor.fetchall()
    assert explained[0]["Plan"]["Actual Rows"] == 0


@pytest.fixture
def tickets(db: None) -> Entity:
    """Store two entities with records, of which one has a word in its data."""
    for connection_id in ("desk", "shop"):
        records = [
            {"external_id": f"T-{i}", "data": {"title": f"{connection_id} quince" if i else "x"}}
            for i in range(2)
        ]
        engine.sync_records(name="Tickets", connection_id=connection_id, records=records)
    return Entity.objects.get(connection_id="desk")


def test_records_are_found_by_external_id_and_words(owner: Client, tickets: Entity) -> None:
    def found(**query: Any) -> set[str]:
        rows = owner.get(list_of(Record, **query)).context["cl"].result_list
        return {f"{row.entity.connection_id} {row.external_id}" for row in rows}

    assert found(q="T-1") == {"desk T-1", "shop T-1"}
    assert found(q="T-1", entity__id__exact=tickets.pk) == {"desk T-1"}
    assert found(q="T_1") == found(q="%-1") == set()
    assert found(q="quince") == {"desk T-1", "shop T-1"}
    assert found(q="quince desk") == {"desk T-1"}
    assert found(q="quince", entity__id__exact=tickets.pk) == {"desk T-1"}


def test_words_of_records_are_found_in_their_indexes(tickets: Entity) -> None:
    indexing = PostgresEngine(embedder=ToyEmbedder())
    with registry.empty():
        # A word that only the index has.
        index_records(entity="Tickets", index="tickets", text=lambda data: f"{data} medlar")
        indexing.record_search.index_pending()
    words = distinct_words("medlars")
    assert len(in_records(Record.objects.using("default"), words)) == 4
    of_desk = Record.objects.using("default").filter(entity=tickets)
    assert in_records(of_desk, words) == set(of_desk.values_list("pk", flat=True))


def test_onlookers_do_not_search_the_data_of_records(onlooker: Client, tickets: Entity) -> None:
    assert shown(onlooker, Record, q="quince") == set()
    assert len(shown(onlooker, Record, q="T-1")) == 2


def test_external_ids_are_looked_up_by_their_index(owner: Client, tickets: Entity) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # of small tables it is the best plan
        cursor.execute("SET LOCAL enable_hashjoin = off")
    sent = statements(lambda: owner.get(list_of(Record, q="T-1")))
    (search,) = (sql for sql in sent if "LATERAL" in sql)
    nodes = plan_of(search)
    conditions = [node.get("Index Cond", "") for node in nodes]
    assert any("external_id >= 'T-1'" in condition for condition in conditions), nodes


@given(st.text(max_size=60), st.text(max_size=10))
def test_marking_words_changes_no_text(text: str, term: str) -> None:
    html = marked(text, distinct_words(term))
    assert html.replace("<mark>", "").replace("</mark>", "") == marked(text, [])
    assert strip_tags(html) == strip_tags(marked(text, []))
