"""Names before ids, for users who may read them."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils.html import escape

from mastra_engine import engine
from mastra_engine.admin.names import LONGEST_NAME, Name, vector_title
from mastra_engine.checks import check_admin
from mastra_engine.models import (
    Embedding,
    Entity,
    Fact,
    IndexProgress,
    Message,
    Record,
    StateItem,
    SyncPage,
    Thread,
    WorkingMemory,
)
from tests.admin.conftest import list_of, page_of, signed_in, view
from tests.admin.store import SECRET

pytestmark = pytest.mark.django_db


def text(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return response.content.decode()


def linked(row: Any, name: str) -> str:
    return f'<a href="{page_of(row)}"><bdi>{escape(name)}</bdi></a>'


def id_of(row: Any) -> str:
    return f'<bdi class="me-id">{escape(row.pk)}</bdi>'


def test_a_thread_has_its_title_or_its_first_words(owner: Client, store: dict[str, Any]) -> None:
    engine.memory.create_thread(thread_id="untitled", resource_id="ann")
    messages = [
        {"role": "assistant", "content": [{"type": "tool-call", "tool_name": "t", "args": {}}]},
        {"role": "user", "content": "  What is\na sled? " + "Tell me. " * 50},
    ]
    engine.memory.save_memory(thread_id="untitled", messages=messages)
    titled, untitled = Thread.objects.get(id="chat/1"), Thread.objects.get(id="untitled")
    page = text(owner, list_of(Thread))
    assert linked(titled, SECRET) in page
    assert id_of(titled) in page
    assert f'<a href="{page_of(untitled)}"><bdi>What is a sled? Tell me.' in page
    for address in (view("resources", resource_id="ann"), list_of(WorkingMemory)):
        if "resource" in address:
            assert linked(titled, SECRET) in text(owner, address)
    assert f"<h1><bdi>{SECRET}</bdi></h1>" in text(owner, page_of(titled))


def test_a_message_has_its_text_or_its_tool(owner: Client, store: dict[str, Any]) -> None:
    question, call, answer, _last = Message.objects.order_by("position")
    assert f"<h1><bdi>What is *{SECRET}*?</bdi></h1>" in text(owner, page_of(question))
    assert "<h1><bdi>Calls look_up</bdi></h1>" in text(owner, page_of(call))
    assert "<h1><bdi>Result of look_up</bdi></h1>" in text(owner, page_of(answer))
    assert linked(question.thread, SECRET) in text(owner, page_of(question))


def test_rows_are_named_wherever_a_column_refers_to_them(
    owner: Client, store: dict[str, Any]
) -> None:
    run, entity = store["syncrun"], Entity.objects.get(name="Contacts")
    run_name = linked(run, "contacts of crm-1")
    assert run_name in text(owner, page_of(store["syncpage"]))
    assert run_name in text(owner, list_of(SyncPage, run__id__exact=run.pk))
    progress = text(owner, list_of(IndexProgress))
    assert linked(entity, "Contacts of crm-1") in progress
    assert linked(store["indexprogress"].vector_index, "docs") in progress
    source = text(owner, page_of(store["factsource"]))
    assert (
        linked(Fact.objects.get(pk=store["factsource"].fact_id), " ".join([SECRET] * 3)) in source
    )


def test_a_record_has_its_title_and_its_external_id(owner: Client, store: dict[str, Any]) -> None:
    record = Record.objects.get(external_id="c1")
    named = f'{linked(record, SECRET)} <bdi class="me-id">c1</bdi>'
    assert named in text(owner, list_of(Record))
    assert named in text(owner, view("changes", record.entity_id, after=0))
    assert f"<h1><bdi>{SECRET}</bdi></h1>" in text(owner, page_of(record))
    Record.objects.update(data={"title": "", "name": None, "subject": {"a": 1}, "n": 1})
    assert linked(record, '{"a": 1}') in text(owner, list_of(Record))
    Record.objects.update(data={"n": 1})
    assert linked(record, "c1") in text(owner, list_of(Record))


def test_a_vector_has_the_title_of_its_document(owner: Client, store: dict[str, Any]) -> None:
    vector = Embedding.objects.get(vector_id="a")
    assert f"{linked(vector, f'{SECRET} 0')} " in text(owner, list_of(Embedding))
    Embedding.objects.update(metadata={"title": "A sled"})
    assert linked(vector, "A sled") in text(owner, list_of(Embedding))
    assert "<h1><bdi>A sled</bdi></h1>" in text(owner, page_of(vector))


@pytest.mark.parametrize(
    ("metadata", "document", "title"),
    [
        ({"title": "T", "name": "N"}, "D", "T"),
        ({"title": 5, "name": "N"}, "D", "N"),
        ({}, "D", "D"),
        ({}, None, ""),
        ({"name": "x" * 500}, None, "x" * (LONGEST_NAME - 1) + "…"),
    ],
)
def test_a_search_result_has_a_title(
    metadata: dict[str, Any], document: str | None, title: str
) -> None:
    assert vector_title(metadata, document) == title


def test_names_are_escaped() -> None:
    hostile = '"><script>'
    html = Name(hostile, hostile[::-1], f"/?{hostile}").__html__()
    assert "<script" not in html
    assert html.count("&quot;&gt;&lt;script&gt;") == 2
    assert str(Name("", "id")) == "id"


# Permissions


def test_onlookers_see_ids(onlooker: Client, store: dict[str, Any]) -> None:
    thread = Thread.objects.get(id="chat/1")
    assert f'<a href="{page_of(thread)}">{id_of(thread)}</a>' in text(onlooker, list_of(Thread))
    record = Record.objects.get(external_id="c1")
    assert linked(record, "c1") in text(onlooker, list_of(Record))
    assert linked(store["syncrun"], "contacts of crm-1") in text(
        onlooker, page_of(store["syncpage"])
    )


def test_a_name_leads_to_pages_that_the_user_may_view(store: dict[str, Any]) -> None:
    codenames = ["view_syncpage", "view_workingmemory"]
    clerk = signed_in("clerk", Permission.objects.filter(codename__in=codenames))
    page = text(clerk, page_of(store["syncpage"]))
    assert id_of(store["syncrun"]) in page
    assert f'<a href="{page_of(store["syncrun"])}"><bdi' not in page
    assert view("resources") not in text(clerk, list_of(WorkingMemory))


# Names of resources


def names_of(resource_ids: list[str]) -> dict[str, str]:
    CALLS.append(resource_ids)
    return {"ann": "Ann <Smith>"}


CALLS: list[list[str]] = []


@pytest.fixture
def named(settings: Any) -> None:
    settings.MASTRA_ENGINE_ADMIN = {"RESOURCE_NAMES": f"{__name__}.names_of"}
    CALLS.clear()


def test_the_project_names_resources(owner: Client, store: dict[str, Any], named: None) -> None:
    engine.memory.create_thread(resource_id="bob")
    name = "<bdi>Ann &lt;Smith&gt;</bdi>"
    resources = text(owner, view("resources"))
    assert f'<a href="{view("resources", resource_id="ann")}">{name}</a>' in resources
    assert '<bdi class="me-id">bob</bdi>' in resources
    for address in (
        list_of(Thread),
        page_of(Thread.objects.get(id="chat/1")),
        list_of(WorkingMemory),
        list_of(Fact),
        view("resources", resource_id="ann"),
        view("erasure", resource_id="ann"),
        page_of(WorkingMemory.objects.all()[0]),
        list_of(StateItem),
        page_of(StateItem.objects.get()),
    ):
        CALLS.clear()
        assert name in text(owner, address).replace("Working memory of Ann", "<bdi>Ann"), address
        assert all(ids == sorted({*ids}) for ids in CALLS)
    CALLS.clear()
    text(owner, list_of(Thread))
    assert CALLS == [["ann", "bob"]] * 2  # for the filter, and for the rows of the list


def test_a_filter_names_resources(
    owner: Client, onlooker: Client, store: dict[str, Any], named: None
) -> None:
    assert "Ann &lt;Smith&gt; (ann)" in text(owner, list_of(Thread))
    assert "Smith" not in text(onlooker, list_of(Thread))


def test_a_message_without_text_has_the_name_of_its_tool(
    owner: Client, store: dict[str, Any]
) -> None:
    other = {"type": "tool-call", "tool_call_id": "c2", "tool_name": "other", "args": {}}
    named = {"type": "tool-call", "toolCallId": "c3", "toolName": "third", "args": {}}
    results = [
        {"role": "tool", "content": [{"type": "tool-result", "tool_call_id": id, "result": 1}]}
        for id in ("c3", "c2", "unknown")
    ]
    call = {"role": "assistant", "content": [other, named]}
    engine.memory.save_memory(thread_id="chat/1", messages=[call, *results])
    page = text(owner, list_of(Message))
    for name in ("Calls look_up", "Result of look_up", "Calls other", "Result of third"):
        assert f"<bdi>{name}</bdi>" in page
    assert "<bdi>Result of other</bdi>" in page
    unknown = Message.objects.get(tool_call_id="unknown")
    assert f'#m{unknown.position}"><bdi>tool</bdi>' in page


def test_onlookers_do_not_see_the_names_of_resources(
    onlooker: Client, store: dict[str, Any], named: None
) -> None:
    assert "Smith" not in text(onlooker, list_of(Thread))
    assert CALLS == []


@pytest.mark.parametrize("statement", ["SELECT 1/0", ""])
def test_a_function_that_fails_leaves_the_ids(
    owner: Client, store: dict[str, Any], settings: Any, caplog: Any, statement: str
) -> None:
    def fail(resource_ids: list[str]) -> dict[str, str]:
        if statement:
            Thread.objects.raw(f"{statement} AS id")[0]
        raise ValueError("not a number")

    settings.MASTRA_ENGINE_ADMIN = {"RESOURCE_NAMES": fail}
    assert '<bdi class="me-id">ann</bdi>' in text(owner, list_of(Thread))
    assert "RESOURCE_NAMES of MASTRA_ENGINE_ADMIN failed" in caplog.text


@pytest.mark.parametrize("setting", [5, "no.such.function", "tests.admin.store.SECRET"])
def test_a_check_reports_a_setting_that_is_no_function(settings: Any, setting: Any) -> None:
    settings.MASTRA_ENGINE_ADMIN = {"RESOURCE_NAMES": setting}
    (error,) = check_admin()
    assert error.id == "mastra_engine.E010"
    assert "/RESOURCE_NAMES" in error.msg
