"""Editing conversations: titles of threads, messages, working memory."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client

from mastra_engine import engine
from mastra_engine.admin import editing
from mastra_engine.models import Message, Thread, WorkingMemory
from tests.admin.conftest import list_of, page_of, signed_in, view
from tests.admin.html import Page
from tests.admin.store import SECRET

SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}}


def values_of(client: Client, address: str) -> dict[str, str]:
    """Return the values of a form as a browser would send them."""
    answer = client.get(address)
    assert answer.status_code == 200
    text = answer.content.decode()
    values = {
        element.attributes["name"]: element.attributes.get("value", "")
        for element in Page(text).elements
        if element.tag == "input" and "name" in element.attributes
    }
    for name, value in re.findall(r'<textarea name="(\w+)"[^>]*>\n?([^<]*)</textarea>', text):
        values[name] = unescape(value)
    values.pop("csrfmiddlewaretoken", None)
    return values


def explained(answer: Any) -> str:
    """Return the page of a refused form."""
    assert answer.status_code == 200
    assert not LogEntry.objects.exists()
    return unescape(answer.content.decode())


def shown_messages(answer: Any) -> str:
    return " ".join(str(message) for message in answer.context["messages"])


@pytest.fixture
def chat(db: None) -> Thread:
    engine.memory.create_thread(resource_id="ann", thread_id="chat", title="Old title")
    engine.memory.save_memory(
        thread_id="chat", messages=[{"role": "user", "content": f"word{i}"} for i in range(1, 6)]
    )
    return Thread.objects.get()


@pytest.fixture
def memory(db: None) -> WorkingMemory:
    engine.memory.update_working_memory(resource_id="ann", content="Likes tea\nand cake")
    engine.memory.update_working_memory(resource_id="ann", content={"age": 40, "ä": [1.5, None]})
    return WorkingMemory.objects.get()


# Titles


def test_a_thread_is_renamed(owner: Client, chat: Thread) -> None:
    address = view("rename_thread", chat.id)
    assert address in owner.get(page_of(chat)).content.decode()
    values = values_of(owner, address)
    assert values["title"] == "Old title"
    answer = owner.post(address, {**values, "title": "New title"}, follow=True)
    assert "The thread was renamed." in shown_messages(answer)
    assert Thread.objects.get().title == "New title"
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.object_repr) == ("chat", "Thread chat")
    assert "title" not in entry.get_change_message()


def test_a_title_that_was_changed_meanwhile_is_a_conflict(owner: Client, chat: Thread) -> None:
    address = view("rename_thread", chat.id)
    values = values_of(owner, address)
    engine.memory.update_thread(thread_id="chat", title="Theirs")
    page = explained(owner.post(address, {**values, "title": "Mine"}))
    assert "changed meanwhile" in page
    assert "Theirs" in page
    assert Thread.objects.get().title == "Theirs"
    (version,) = re.findall(r'name="version" value="(\d+)"', page)
    owner.post(address, {"title": "Mine", "version": version})
    assert Thread.objects.get().title == "Mine"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"title": "x" * 1_001}, "at most 1,000 characters"),
        ({"title": "a\0b"}, "Null characters are not allowed"),
        ({"version": "1; drop"}, "changed meanwhile"),
        ({"version": ""}, "changed meanwhile"),
    ],
)
def test_a_wrong_title_is_explained(
    owner: Client, chat: Thread, change: dict[str, str], message: str
) -> None:
    address = view("rename_thread", chat.id)
    values = {**values_of(owner, address), "title": "New", **change}
    assert message in explained(owner.post(address, values))
    assert Thread.objects.get().title == "Old title"


def test_a_thread_that_is_gone_is_not_found(owner: Client, chat: Thread) -> None:
    address = view("rename_thread", chat.id)
    values = values_of(owner, address)
    engine.memory.delete_thread(thread_id="chat")
    assert owner.post(address, values).status_code == 404


def test_a_thread_that_goes_during_the_request_is_explained(
    owner: Client, chat: Thread, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = view("rename_thread", chat.id)
    values = values_of(owner, address)
    read = editing.ThreadEditing.row

    def read_and_delete(self: Any, request: Any, object_id: str) -> Any:
        row = read(self, request, object_id)
        assert row.title
        engine.memory.delete_thread(thread_id="chat")
        return row

    monkeypatch.setattr(editing.ThreadEditing, "row", read_and_delete)
    assert "does not exist" in explained(owner.post(address, values))


# Messages


def test_a_message_is_deleted_and_its_thread_is_shown(owner: Client, chat: Thread) -> None:
    message = Message.objects.get(position=3)
    address = f"/admin/mastra_engine/message/{message.pk}/delete/"
    assert address in owner.get(page_of(message)).content.decode()
    assert "facts that rest on it" in owner.get(address).content.decode()
    answer = owner.post(address, follow=True)
    assert answer.request["PATH_INFO"] == page_of(chat)
    assert not Message.objects.filter(pk=message.pk).exists()
    assert LogEntry.objects.get().object_id == message.pk


def test_chosen_messages_are_deleted(owner: Client, chat: Thread) -> None:
    transcript = owner.get(page_of(chat)).content.decode()
    ids = re.findall(
        r'<input type="checkbox" name="id" value="([^"]+)" form="me-chosen"', transcript
    )
    assert ids == [message.pk for message in Message.objects.order_by("position")]
    address = view("delete_messages")
    assert f'action="{address}"' in transcript
    page = owner.get(address, {"id": ids[1:3]}).content.decode()
    assert [word for word in ("word1", "word2", "word3", "word4") if word in page] == [
        "word2",
        "word3",
    ]
    assert Message.objects.count() == 5
    answer = owner.post(address, {"id": ids[1:3]}, follow=True)
    assert "2 messages were deleted." in shown_messages(answer)
    assert [message.position for message in Message.objects.order_by("position")] == [1, 4, 5]
    assert {entry.object_id for entry in LogEntry.objects.all()} == set(ids[1:3])
    assert not any("word" in str(entry) for entry in LogEntry.objects.all())
    answer = owner.post(address, {"id": ids[1:3]}, follow=True)
    assert "deleted already" in shown_messages(answer)


@pytest.mark.parametrize("ids", [[], ["\0"], ["x"] * 51])
def test_a_wrong_choice_of_messages_is_explained(
    owner: Client, chat: Thread, ids: list[str]
) -> None:
    for method in (owner.get, owner.post):
        answer = method(view("delete_messages"), {"id": ids})
        assert answer.status_code == 400
        assert "must name 1 to 50 messages" in answer.content.decode()


# Working memory


def test_working_memory_is_edited(owner: Client, memory: WorkingMemory) -> None:
    address = view("edit_memory", memory.pk)
    assert address in owner.get(page_of(memory)).content.decode()
    values = values_of(owner, address)
    assert values["content"] == "Likes tea\nand cake"
    answer = owner.post(
        address,
        {**values, "content": "Likes coffee\r\nand cake", "document": '{"age": 41}'},
        follow=True,
    )
    assert "The working memory was changed." in shown_messages(answer)
    stored = engine.memory.get_working_memory(resource_id="ann")
    assert (stored.content, stored.data) == ("Likes coffee\nand cake", {"age": 41})
    entry = LogEntry.objects.get()
    assert entry.object_id == str(memory.pk)
    assert "coffee" not in f"{entry} {entry.get_change_message()}"


def test_the_working_memory_of_a_thread_is_edited(owner: Client, chat: Thread) -> None:
    engine.memory.update_working_memory(thread_id="chat", content="Own")
    address = view("edit_memory", WorkingMemory.objects.get().pk)
    owner.post(address, {**values_of(owner, address), "content": "Edited"})
    assert engine.memory.get_working_memory(thread_id="chat").content == "Edited"
    assert WorkingMemory.objects.count() == 1


def test_saving_without_a_change_writes_nothing(owner: Client, memory: WorkingMemory) -> None:
    address = view("edit_memory", memory.pk)
    values = values_of(owner, address)
    assert owner.post(address, values).status_code == 302
    values["content"] = values["content"].replace("\n", "\r\n")  # as browsers send it
    assert owner.post(address, values).status_code == 302
    assert WorkingMemory.objects.get().version == memory.version
    assert WorkingMemory.objects.get().data == memory.data


def test_working_memory_that_was_changed_meanwhile_is_a_conflict(
    owner: Client, memory: WorkingMemory
) -> None:
    address = view("edit_memory", memory.pk)
    values = values_of(owner, address)
    engine.memory.update_working_memory(resource_id="ann", content="Theirs")
    page = explained(owner.post(address, {**values, "content": "Mine"}))
    assert "It was changed meanwhile, and has version 3 now" in page
    assert "Theirs" in page
    assert "Mine" in page
    assert engine.memory.get_working_memory(resource_id="ann").content == "Theirs"


def test_a_conflict_within_the_request_is_explained(
    owner: Client, memory: WorkingMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = view("edit_memory", memory.pk)
    values = values_of(owner, address)
    store = editing._store

    def change_first(row: WorkingMemory, **fields: Any) -> None:
        engine.memory.update_working_memory(resource_id="ann", content="Theirs")
        store(row, **fields)

    monkeypatch.setattr(editing, "_store", change_first)
    page = explained(owner.post(address, {**values, "content": "Mine", "document": "{}"}))
    assert "has version 3, not 2" in page or "changed by another process" in page
    assert engine.memory.get_working_memory(resource_id="ann").data == memory.data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{", "Invalid JSON at line 1"),
        ("[1]", "It must be a JSON object"),
        ('{"age": 1e999}', "/content/age"),
        ('{"a": "\\u0000"}', "/content/a"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_wrong_json_is_explained(
    owner: Client, memory: WorkingMemory, data: str, message: str
) -> None:
    address = view("edit_memory", memory.pk)
    page = explained(owner.post(address, {**values_of(owner, address), "document": data}))
    assert message in page
    assert WorkingMemory.objects.get().version == memory.version


def test_the_schema_is_shown_and_holds_and_both_or_none_are_stored(
    owner: Client, memory: WorkingMemory, settings: Any
) -> None:
    settings.MASTRA_ENGINE = {
        "default": {
            "BACKEND": "mastra_engine.PostgresEngine",
            "EMBEDDER": "mastra_engine.embedders.WordLlamaEmbedder",
            "WORKING_MEMORY_SCHEMA": SCHEMA,
        }
    }
    address = view("edit_memory", memory.pk)
    values = values_of(owner, address)
    assert "&quot;integer&quot;" in owner.get(address).content.decode()
    page = explained(
        owner.post(address, {**values, "content": "New", "document": '{"age": "old"}'})
    )
    assert "age" in page
    assert WorkingMemory.objects.get().version == memory.version


def test_very_long_working_memory_is_not_edited(
    owner: Client, memory: WorkingMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(editing, "EDITED", 20)
    answer = owner.get(view("edit_memory", memory.pk))
    assert answer.status_code == 400
    assert "a page edits at most 20" in answer.content.decode()


# Permissions


ACTIONS = {
    "rename_thread": lambda: view("rename_thread", Thread.objects.get().pk),
    "edit_memory": lambda: view("edit_memory", WorkingMemory.objects.get().pk),
    "delete_messages": lambda: view("delete_messages", id=Message.objects.all()[0].pk),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_editing_needs_permissions(
    onlooker: Client, chat: Thread, memory: WorkingMemory, name: str
) -> None:
    address = ACTIONS[name]()
    assert onlooker.get(address).status_code == 403
    assert onlooker.post(address).status_code == 403
    pages = [onlooker.get(page_of(row)).content.decode() for row in (chat, memory)]
    assert address.partition("?")[0] not in "".join(pages)


@pytest.mark.parametrize("name", ["rename_thread", "edit_memory"])
def test_editing_content_needs_the_permission_to_read_it(
    chat: Thread, memory: WorkingMemory, name: str
) -> None:
    changes = Permission.objects.filter(codename__regex="^(view|change)_")
    changer = signed_in("changer", changes)
    assert changer.get(ACTIONS[name]()).status_code == 403
    readers = Permission.objects.filter(codename__regex="^(view_|change_|read_content)")
    assert signed_in("reader", readers).get(ACTIONS[name]()).status_code == 200


def test_messages_are_deleted_without_reading_them(chat: Thread) -> None:
    cleaner = signed_in("cleaner", Permission.objects.filter(codename__regex="^(view|delete)_"))
    address = view("delete_messages", id=Message.objects.all()[0].pk)
    page = cleaner.get(address)
    assert page.status_code == 200
    assert "word" not in page.content.decode()


def test_a_row_that_was_deleted_meanwhile_leads_to_the_list(
    owner: Client, chat: Thread, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> None:
        Thread.objects.all().delete()
        engine.memory.get_thread(thread_id="chat")

    monkeypatch.setattr(type(engine.memory), "delete_thread", lambda self, **_: refuse())
    answer = owner.post(f"/admin/mastra_engine/thread/{chat.pk}/delete/", follow=True)
    assert answer.request["PATH_INFO"] == list_of(Thread)
    assert "does not exist" in shown_messages(answer)


def test_no_secret_in_titles_of_pages(owner: Client, store: dict[str, Any]) -> None:
    for address in (
        view("rename_thread", "chat/1"),
        view("edit_memory", WorkingMemory.objects.all()[0].pk),
        view("delete_messages", id=Message.objects.all()[0].pk),
    ):
        assert SECRET not in Page(owner.get(address).content.decode()).title
