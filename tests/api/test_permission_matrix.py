"""Every operation with every combination of the app's permissions, on own and foreign objects."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations
from typing import Any

import pytest
from django.contrib.admin import site
from django.contrib.auth.models import User

from mastra_engine.models import Thread
from mastra_engine.web import CONTENT
from tests.api.catalogue import Case, call, cases
from tests.api.conftest import World, client_of, furnish, state

APP = "mastra_engine"
#: Texts of foreign objects, and the permissions of which one is needed to read each, besides
#: "read_content". The table is independent of the API's own.
SECRETS = {
    "lentil": {"view_message"},
    "I am vegan": {"view_message", "view_factsource"},
    "plant-based": {"view_fact"},
    '"diet"': {"view_workingmemory"},
    "green tea": {"view_stateitem"},
    '"Lunch"': {"view_thread"},
    '"channel"': {"view_thread"},
    '"Alice"': {"view_record"},
    "the way east": {"view_embedding"},
    '"checkpoint":"': {"view_sync", "view_syncrun"},
}
#: Operations with examples that send one of these texts, which the response repeats.
SENT = {"create_thread": {'"channel"'}, "import_thread": {'"channel"'}}
ALL = {
    f"{verb}_{noun}"
    for verb in ("add", "change", "delete", "view")
    for noun in (
        *("embedding", "entity", "fact", "factsource", "message", "record", "stateitem"),
        *("sync", "syncrun", "thread", "vectorindex", "workingmemory"),
    )
}


def staff(permissions: set[str]) -> Any:
    user = User(pk=5, username="eve", is_staff=True)
    user.has_perm = {f"{APP}.{name}" for name in permissions}.__contains__  # type: ignore[assignment]
    return client_of(user)


def required_permissions(case: Case) -> set[str]:
    """Return the permissions that staff needs for the operation on foreign objects."""
    permissions = set(case.operation.permissions)
    return permissions | {"read_content"} if permissions & CONTENT else permissions


def insufficient(case: Case) -> Iterator[set[str]]:
    """Yield each proper subset of the needed permissions, alone and with all others of the app."""
    required = sorted(required_permissions(case))
    others = (ALL | {"read_content"}) - set(required)
    subsets = chain.from_iterable(combinations(required, size) for size in range(len(required)))
    for subset in subsets:
        yield set(subset)
        yield set(subset) | others


def body(response: Any) -> str:
    return b"".join(response).decode() if response.streaming else response.content.decode()


def leaks(case: Case, text: str, permissions: set[str]) -> list[str]:
    """Return the secrets in a response that these permissions do not show."""
    return [
        secret
        for secret, readers in SECRETS.items()
        if secret in text and secret not in SENT.get(case.operation.name, ())
        if "read_content" not in permissions or not readers & permissions
    ]


def foreign(case: Case, world: World) -> dict[str, Any]:
    """Return the arguments of the example, which name ann as the owner where they can."""
    example = case.operation.example
    sends_query = case.method in ("get", "delete")
    arguments = dict(example.query if sends_query else example.body or {})
    owners = {"resource_id": "7", "connection_id": "7", "namespace": "7"}
    takes = case.operation.takes.parameters.keys() - set(case.variables)
    return {**{name: owners[name] for name in owners.keys() & takes}, **arguments}


@pytest.mark.parametrize("engine", ["mock"], indirect=True)
@pytest.mark.parametrize("case", cases(), ids=lambda case: case.operation.name)
def test_staff_reads_and_changes_foreign_objects_with_all_permissions_only(
    case: Case, world: World
) -> None:
    before, path, arguments = state(world.engine), world.path_of(case), foreign(case, world)
    for permissions in insufficient(case):
        response = call(staff(permissions), case, path, value=arguments)
        text = body(response)
        assert response.status_code in (200, 204, 403, 404), (permissions, text)
        assert leaks(case, text, permissions) == [], permissions
        assert state(world.engine) == before, permissions
    response = call(staff(required_permissions(case)), case, path, value=arguments)
    text = body(response)
    assert response.status_code == case.operation.status, text
    assert leaks(case, text, required_permissions(case)) == []


@pytest.mark.parametrize("engine", ["mock"], indirect=True)
@pytest.mark.parametrize("case", cases(), ids=lambda case: case.operation.name)
def test_users_need_no_permissions_for_their_own_objects(case: Case, world: World) -> None:
    """Vector indexes have no owner, and syncs run the project's code: these are for staff."""
    response = call(world.ann, case, world.path_of(case))
    expected = 403 if case.for_staff else case.operation.status
    assert response.status_code == expected, body(response)


@pytest.mark.parametrize("engine", ["mock"], indirect=True)
@pytest.mark.parametrize(
    "permissions",
    [{"view_thread", "add_thread"}, {"view_thread", "add_thread", "add_message", "read_content"}],
    ids=["without content", "without messages"],
)
def test_a_clone_does_not_show_messages_that_the_user_may_not_read(
    world: World, permissions: set[str]
) -> None:
    clone = {"new_thread_id": "copy", "resource_id": "5"}
    client = staff(permissions)
    response = client.post("/api/v1/threads/chat-1/clone/", clone, format="json")
    assert response.status_code == 404
    assert client.get("/api/v1/threads/copy/messages/").status_code == 404


@pytest.mark.parametrize("engine", ["mock"], indirect=True)
def test_an_empty_patch_does_not_show_the_working_memory(world: World) -> None:
    client = staff({"change_workingmemory"})
    for owner in ("threads/chat-1", "resources/7"):
        url = f"/api/v1/{owner}/working-memory/"
        for arguments in ({"patch": {}}, {"patch": {"x": 1}}):
            response = client.patch(url, arguments, format="json")
            assert (response.status_code, "diet" in body(response)) == (404, False)


def test_the_admin_hides_the_same_models() -> None:
    """A model with documents in its admin is content in the API."""
    hidden = {
        f"view_{model._meta.model_name}"
        for model, admin in site._registry.items()
        if model._meta.app_label == APP and getattr(admin, "documents", ())
    }
    assert "view_thread" in hidden
    assert {name.replace("view_syncpage", "view_syncrun") for name in hidden} == CONTENT


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
def test_staff_without_read_content_sees_no_titles(world: World) -> None:
    furnish(world.engine, "5", prefix="own-")
    client = staff({"view_thread", "change_thread", "delete_thread"})
    assert client.get("/api/v1/threads/chat-1/").status_code == 404
    assert client.patch("/api/v1/threads/chat-1/", {}, format="json").status_code == 404
    assert client.delete("/api/v1/threads/chat-1/").status_code == 404
    assert client.get("/api/v1/threads/own-chat-1/").json()["title"] == "Lunch"
    assert Thread.objects.filter(id="chat-1").exists()
