"""Users see, change and learn nothing of other users, whatever resource they name."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import URLPattern

from mastra_engine import MastraEngine
from mastra_engine.contrib.mastra_server import urls
from tests.api.conftest import client_of
from tests.mastra_server.conftest import Mastra, ids, message

#: The calls of the client by method and route, each about a thread that is ann's. The others are
#: about vector indexes.
CALLS: dict[str, tuple[str, str, Any]] = {
    "GET memory/threads": ("get", "/memory/threads?resourceId=7", None),
    "POST memory/threads": ("post", "/memory/threads", {"resourceId": "7"}),
    "GET memory/threads/:thread_id": ("get", "/memory/threads/chat", None),
    "PATCH memory/threads/:thread_id": ("patch", "/memory/threads/chat", {"title": "Taken"}),
    "DELETE memory/threads/:thread_id": ("delete", "/memory/threads/chat", None),
    "POST memory/threads/:thread_id/clone": ("post", "/memory/threads/chat/clone", {}),
    "POST memory/threads/:thread_id/transfer": (
        "post",
        "/memory/threads/chat/transfer",
        {"resourceId": "8"},
    ),
    "GET memory/threads/:thread_id/messages": ("get", "/memory/threads/chat/messages", None),
    "POST memory/save-messages": ("post", "/memory/save-messages", {"messages": [message("x")]}),
    "GET memory/threads/:thread_id/working-memory": (
        "get",
        "/memory/threads/chat/working-memory",
        None,
    ),
    "POST memory/threads/:thread_id/working-memory": (
        "post",
        "/memory/threads/chat/working-memory",
        {"workingMemory": "Taken"},
    ),
    "GET memory/search": ("get", "/memory/search?searchQuery=lentil&resourceId=7", None),
}
#: Calls that are about vector indexes, which have no owner: they are for staff.
FOR_STAFF: dict[str, tuple[str, str, Any]] = {
    "GET vector/:store/indexes": ("get", "/vector/default/indexes", None),
    "GET vector/:store/indexes/:index_name": ("get", "/vector/default/indexes/docs", None),
    "DELETE vector/:store/indexes/:index_name": ("delete", "/vector/default/indexes/docs", None),
    "POST vector/:store/create-index": (
        "post",
        "/vector/default/create-index",
        {"indexName": "new", "dimension": 2},
    ),
}
#: Calls that every user may make, and that show nothing of another.
OF_ALL: dict[str, tuple[str, str, Any]] = {
    "GET memory/status": ("get", "/memory/status", None),
    "GET memory/config": ("get", "/memory/config", None),
    "GET vectors": ("get", "/vectors", None),
    "GET embedders": ("get", "/embedders", None),
    "POST memory/messages/delete": ("post", "/memory/messages/delete", {"messageIds": ["soup"]}),
    "POST vector/:store/upsert": (
        "post",
        "/vector/default/upsert",
        {"indexName": "docs", "vectors": [[0, 1]], "ids": ["east"]},
    ),
    "POST vector/:store/query": (
        "post",
        "/vector/default/query",
        {"indexName": "docs", "queryVector": [1, 0]},
    ),
}
EVERY = CALLS | FOR_STAFF | OF_ALL


def test_the_routes_are_those_of_the_client() -> None:
    routes = {
        f"{method} {pattern.pattern}"
        for pattern in urls.urlpatterns
        for method in ("GET", "POST", "PATCH", "DELETE")
        if isinstance(pattern, URLPattern) and hasattr(pattern.callback.cls, method.lower())  # type: ignore[attr-defined]
    }
    existing = {
        name.replace(":thread_id", "<str:thread_id>")
        .replace(":store", "<str:store>")
        .replace(":index_name", "<str:index_name>")
        for name in EVERY
    }
    assert routes == existing
    assert len(routes) == 23


@pytest.fixture
def world(ann: Mastra, staff: Mastra, engine: MastraEngine) -> Callable[[], Any]:
    """Ann, who has all of everything; returns what she has."""
    ann.save("soup", "lentil")
    ann.post("/memory/threads/chat/working-memory", {"workingMemory": "vegan"})
    ann.post("/memory/threads/chat/working-memory", {"workingMemory": "vegan", "resourceId": "7"})
    staff.post("/vector/default/create-index", {"indexName": "docs", "dimension": 2})
    body = {"indexName": "docs", "vectors": [[1, 0]], "ids": ["east"], "metadata": [{"a": "7's"}]}
    ann.post("/vector/default/upsert", body)

    def state() -> Any:
        memory = engine.memory
        return (
            memory.list_threads(resource_id="7"),
            memory.list_messages(thread_id="chat"),
            memory.get_working_memory(thread_id="chat"),
            memory.get_working_memory(resource_id="7"),
            engine.vectors.query(index_name="docs", query_vector=[1, 0], namespace="7"),
            [index.name for index in engine.vectors.list_indexes()],
        )

    return state


def send(user: Mastra, call: tuple[str, str, Any]) -> Any:
    method, path, body = call
    function = getattr(user.client, method)
    url = f"/api{path}"
    if body is None:
        return function(url)
    return function(url, json.dumps(body), content_type="application/json")


@pytest.mark.parametrize("name", EVERY)
def test_without_a_login_there_is_nothing(
    nobody: Mastra, world: Callable[[], Any], name: str
) -> None:
    before = world()
    response = send(nobody, EVERY[name])
    assert response.status_code in (401, 403)
    assert response.json().keys() == {"error"}
    assert world() == before


@pytest.mark.parametrize("name", CALLS | FOR_STAFF)
def test_what_is_another_users_is_refused(bob: Mastra, world: Callable[[], Any], name: str) -> None:
    before = world()
    response = send(bob, EVERY[name])
    assert response.status_code == 403, response.content
    assert response.json().keys() == {"error"}
    assert not any(secret in response.content for secret in (b"Lunch", b"lentil soup", b"vegan"))
    assert world() == before


@pytest.mark.parametrize("name", OF_ALL)
def test_calls_of_all_users_show_and_change_nothing_of_another(
    bob: Mastra, world: Callable[[], Any], name: str
) -> None:
    before = world()
    response = send(bob, OF_ALL[name])
    assert response.status_code == 200
    assert b"7's" not in response.content
    assert world() == before


@pytest.mark.parametrize("resource", ["7", "8", "undefined", "*"])
@pytest.mark.parametrize(
    "path",
    [
        "/memory/threads/chat",
        "/memory/threads/chat/messages",
        "/memory/threads/chat/working-memory",
    ],
)
def test_a_named_resource_never_widens_what_a_user_sees(
    bob: Mastra, world: Callable[[], Any], path: str, resource: str
) -> None:
    assert bob.get(path, expected=403, resourceId=resource).keys() == {"error"}


def test_a_named_resource_narrows_what_a_user_sees(ann: Mastra, staff: Mastra) -> None:
    """The client sends the text `undefined` for a resource that is missing."""
    for resource in ("8", "undefined"):
        for user in (ann, staff):
            user.get("/memory/threads/chat", expected=403, resourceId=resource)
            user.get("/memory/threads/chat/working-memory", expected=403, resourceId=resource)
    assert staff.get("/memory/threads/chat", resourceId="7")["title"] == "Lunch"
    ann.patch("/memory/threads/chat", {"resourceId": "8", "title": "x"}, expected=403)
    assert ann.get("/memory/threads/chat")["title"] == "Lunch"


def test_an_id_of_another_user_is_not_taken(ann: Mastra, bob: Mastra) -> None:
    bob.post("/memory/threads", {"threadId": "chat", "title": "Taken"}, expected=403)
    bob.post("/memory/threads", {"threadId": "bobs"})
    bob.post("/memory/threads/bobs/clone", {"newThreadId": "chat"}, expected=409)
    ann.save("one")
    body = {"messages": [message("one", thread="bobs", resource="8")]}
    bob.post("/memory/save-messages", body, expected=409)
    assert ann.get("/memory/threads/chat")["title"] == "Lunch"


def test_a_message_cannot_name_another_thread_or_resource(ann: Mastra, bob: Mastra) -> None:
    bob.post("/memory/threads", {"threadId": "bobs"})
    for wrong in (message("x"), message("x", resource="8"), message("x", thread="bobs")):
        body = {"messages": [message("mine", thread="bobs", resource="8"), wrong]}
        bob.post("/memory/save-messages", body, expected=403)
    assert ann.get("/memory/threads/chat/messages")["total"] == 0


def test_what_does_not_exist_is_not_found(ann: Mastra) -> None:
    for method, path, body in CALLS.values():
        if "/chat" in path:
            missing = path.replace("/chat", "/none")
            response = send(ann, (method, missing, body))
            reads_memory = method == "get" and path.endswith("working-memory")
            wrong = method == "post" and path.endswith("transfer")  # to another resource
            expected = 200 if reads_memory else 403 if wrong else 404
            assert response.status_code == expected, (method, path)
    body = {"messages": [message("x", thread="none")]}
    ann.post("/memory/save-messages", body, expected=404)


def test_users_delete_their_own_messages_only(ann: Mastra, bob: Mastra) -> None:
    ann.save("one", "two")
    answer = bob.post("/memory/messages/delete", {"messageIds": ["one"]})
    assert answer["message"] == "0 messages deleted successfully"
    bob.post("/memory/messages/delete?resourceId=7", {"messageIds": ["one"]}, expected=403)
    assert ids(ann.get("/memory/threads/chat/messages")["messages"]) == ["one", "two"]


def test_staff_without_a_permission_have_only_their_own(ann: Mastra, engine: MastraEngine) -> None:
    eve = User.objects.create_user("eve", is_staff=True)
    names = ("view_thread", "read_content")
    eve.user_permissions.set(Permission.objects.filter(codename__in=names))
    mastra = Mastra(client_of(User.objects.get(pk=eve.pk)))
    assert mastra.get("/memory/threads/chat")["title"] == "Lunch"
    mastra.get("/memory/threads/chat/messages", expected=403)
    mastra.patch("/memory/threads/chat", {"title": "x"}, expected=403)


def test_the_access_policy_of_the_project_decides(ann: Mastra, settings: Any) -> None:
    settings.MASTRA_ENGINE = {
        "default": {**settings.MASTRA_ENGINE["default"], "ACCESS_POLICY": of_a_team}
    }
    bob = Mastra(client_of(User(pk=8, username="bob")))
    assert bob.get("/memory/threads/chat")["title"] == "Lunch"
    assert ids(bob.get("/memory/threads")["threads"]) == ["chat"]
    bob.post("/memory/threads", {"threadId": "mine"}, expected=400)
    bob.post("/memory/threads", {"threadId": "mine", "resourceId": "8"})
    assert ids(bob.get("/memory/threads")["threads"]) == ["mine", "chat"]
    assert ids(bob.get("/memory/threads", resourceId="8")["threads"]) == ["mine"]
    moved = bob.post("/memory/threads/mine/transfer", {"resourceId": "7"})
    assert moved["resourceId"] == "7"


def of_a_team(request: Any, permission: str) -> Any:
    from mastra_engine.types import Scope

    return Scope(resource_ids=frozenset({"7", "8"}))
