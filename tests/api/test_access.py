"""No user reads or changes objects of another user: every operation, with every foreign id."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User

from mastra_engine.api.access import own_or_staff
from mastra_engine.types import Scope
from mastra_engine.web import CONTENT
from tests.api.catalogue import Case, call, cases, sent
from tests.api.conftest import World, client_of, state

#: Texts of ann's objects, which must not be in a response to another user.
SECRETS = ("vegan", "lentil", "plant-based", "Lunch", "Alice", "the way east", "page-1", '"7"')
#: Arguments that name the owner.
OWNERS = ("resource_id", "connection_id", "namespace")
every_operation = pytest.mark.parametrize("case", cases(), ids=lambda case: case.operation.name)


def content_of(response: Any) -> Any:
    """Return all of an answer that may tell something."""
    body = b"".join(response) if response.streaming else response.content
    headers = {name: value for name, value in response.items() if name != "X-Request-ID"}
    return response.status_code, body, headers


def unknown(path: dict[str, str]) -> dict[str, str]:
    """Return a URL's variables with ids of objects that do not exist."""
    made_up = {
        "thread_id": "no-such-thread",
        "resource_id": "nobody",
        "entity_id": str(uuid4()),
        "fact_id": str(uuid4()),
        "run_id": str(uuid4()),
        "sync": "no-such-sync",
        "id": "nowhere",
    }
    return {**path, **{name: made_up[name] for name in path.keys() & made_up.keys()}}


def unnamed(answer: Any, identifiers: dict[str, str]) -> Any:
    """Return an answer with the identifiers that the request named replaced by their kind."""
    body = answer[1].decode()
    for kind, value in identifiers.items():
        for written in (rf"\"{value}\"", f" {value} "):
            body = body.replace(written, f"<{kind}>")
    headers = {name: value for name, value in answer[2].items() if name != "Content-Length"}
    return answer[0], body, headers


@every_operation
def test_without_a_login_there_is_nothing(case: Case, world: World) -> None:
    before, path = state(world.engine), world.path_of(case)
    answer = content_of(call(world.nobody, case, path))
    assert answer[0] in (401, 403)
    assert answer == content_of(call(world.nobody, case, unknown(path)))
    assert state(world.engine) == before


@every_operation
def test_a_foreign_id_is_like_one_that_does_not_exist(case: Case, world: World) -> None:
    before, path = state(world.engine), world.path_of(case)
    foreign = content_of(call(world.bob, case, path))
    assert state(world.engine) == before
    if case.variables:
        missing = unknown(path)
        assert unnamed(foreign, path) == unnamed(
            content_of(call(world.bob, case, missing)), missing
        )
    if set(case.variables) - {"index_name"}:
        assert foreign[0] == (403 if case.for_staff else 404)
    told_secrets = {secret for secret in SECRETS if secret in unnamed(foreign, path)[1]}
    assert [secret for secret in told_secrets if secret not in str(sent(case))] == []


def naming_an_owner() -> Iterator[Any]:
    for case in cases():
        for owner in OWNERS:
            is_path = case.noun == "state"  # its namespaces begin with an owner
            is_named = owner in case.operation.takes.parameters and owner not in case.variables
            if is_named and not is_path:
                yield pytest.param(case, owner, id=f"{case.operation.name}-{owner}")


@pytest.mark.parametrize(("case", "owner"), [*naming_an_owner()])
def test_to_name_another_does_not_help(case: Case, owner: str, world: World) -> None:
    before = state(world.engine)
    path = unknown(world.path_of(case)) | {"thread_id": "chat-1"}
    example = sent(case)
    foreign, nobodys = (
        content_of(call(world.bob, case, path, value={**example, owner: name}))
        for name in ("7", "nobody")
    )
    foreign, nobodys = unnamed(foreign, {owner: "7"}), unnamed(nobodys, {owner: "nobody"})
    assert foreign == nobodys
    # Lists and searches leave out objects beyond the user's scope.
    assert foreign[0] in ((403,) if case.for_staff else (200, 404))
    assert [secret for secret in SECRETS if secret in foreign[1]] == []
    assert state(world.engine) == before


@pytest.mark.parametrize(
    "case", [case for case in cases() if case.noun == "state"], ids=lambda case: case.operation.name
)
def test_the_state_of_another_is_not_found(case: Case, world: World) -> None:
    before, answers = state(world.engine), []
    for owner in ("7", "nobody"):
        document = json.loads(json.dumps(sent(case)).replace("7", owner))
        if case.operation.name == "list_state_namespaces":
            document = {"prefix": json.dumps([owner])}
        answers.append(
            unnamed(content_of(call(world.bob, case, {}, value=document)), {"owner": owner})
        )
    assert answers[0] == answers[1]
    assert answers[0][0] == 404
    assert state(world.engine) == before


def test_ids_in_a_body_are_looked_for_among_ones_own(world: World) -> None:
    before = state(world.engine)
    messages = {"ids": ["m-1", "m-2"]}
    assert world.bob.post("/api/v1/messages/read/", messages, format="json").json() == {
        "items": [],
        "next_cursor": None,
    }
    assert world.bob.post("/api/v1/messages/delete/", messages, format="json").json() == {
        "deleted": 0
    }
    for body in ({"query": "vegan", "thread_id": "chat-1"}, {"query": "vegan", "resource_id": "7"}):
        assert world.bob.post("/api/v1/recall/", body, format="json").status_code == 404
    assert state(world.engine) == before


def test_a_cursor_fits_the_user_it_was_made_for(world: World) -> None:
    for name in ("chat-2", "chat-3"):
        world.engine.memory.create_thread(resource_id="7", thread_id=name)
    first = world.ann.get("/api/v1/threads/", {"limit": 1}).json()
    again = {"limit": 1, "cursor": first["next_cursor"], "resource_id": "7"}
    second = world.ann.get("/api/v1/threads/", again).json()
    assert second["items"][0]["id"] != first["items"][0]["id"]
    for client in (world.bob, world.staff):
        refused = client.get("/api/v1/threads/", again)
        assert refused.status_code == 400
        assert refused.json()["errors"][0]["attr"] == "/cursor"
    forged = first["next_cursor"][:-1] + "x"
    assert world.ann.get("/api/v1/threads/", {"cursor": forged}).status_code == 400


def test_a_cache_of_the_whole_site_gives_nobody_what_is_anothers(
    world: World, settings: Any
) -> None:
    cache = "django.middleware.cache."
    settings.MIDDLEWARE = [
        f"{cache}UpdateCacheMiddleware",
        *settings.MIDDLEWARE,
        f"{cache}FetchFromCacheMiddleware",
    ]
    assert [item["id"] for item in world.ann.get("/api/v1/threads/").json()["items"]] == ["chat-1"]
    assert world.bob.get("/api/v1/threads/").json()["items"] == []


def test_vectors_made_of_messages_and_records_are_not_touched(world: World) -> None:
    memory = world.engine.memory
    assert memory.prepare_index() is not None
    assert memory.embed_pending() == 2
    for index in (memory.index_name, "people"):
        body = {"query_text": "vegan"}
        refused = world.ann.post(f"/api/v1/indexes/{index}/query/", body, format="json")
        assert refused.json()["errors"][0]["code"] == "index_not_found"


# The policy that holds unless the project names its own


class Asking:
    """A request of a user with some permissions."""

    def __init__(self, *permissions: str, **fields: Any) -> None:
        self.user = User(pk=5, username="x", **fields)
        had = {f"mastra_engine.{permission}" for permission in permissions}
        self.user.has_perm = had.__contains__  # type: ignore[assignment]


MINE = frozenset(["5"])
OWN = Scope(resource_ids=MINE, connection_ids=MINE, namespaces=MINE)


def test_staff_needs_the_permission_that_is_asked_for() -> None:
    staff = Asking("view_entity", "view_message", is_staff=True)
    assert own_or_staff(staff, "view_entity") == Scope()
    assert own_or_staff(staff, "delete_thread") == OWN
    assert own_or_staff(Asking("view_entity"), "view_entity") == OWN


@pytest.mark.parametrize("permission", sorted(CONTENT))
def test_staff_needs_one_more_permission_for_content(permission: str) -> None:
    assert own_or_staff(Asking(permission, is_staff=True), permission) == OWN
    assert own_or_staff(Asking(permission, "read_content", is_staff=True), permission) == Scope()


def test_declared_syncs_are_started_by_staff_with_the_permission_only() -> None:
    assert own_or_staff(Asking("add_syncrun"), "add_syncrun") is None
    assert own_or_staff(Asking(is_staff=True), "add_syncrun") is None
    assert own_or_staff(Asking("add_syncrun", is_staff=True), "add_syncrun") == Scope()


@pytest.mark.parametrize("verb", ["add", "view", "change", "delete"])
def test_indexes_are_for_staff(verb: str) -> None:
    permission = f"{verb}_vectorindex"
    assert own_or_staff(Asking(permission), permission) is None
    assert own_or_staff(Asking(is_staff=True), permission) is None
    assert own_or_staff(Asking(permission, is_staff=True), permission) == Scope()


def test_a_projects_own_users_have_what_django_asks_of_them_and_no_more() -> None:
    plain = SimpleNamespace(pk=5, is_authenticated=True)
    assert own_or_staff(SimpleNamespace(user=plain), "view_entity") == OWN
    has_perm = {"mastra_engine.view_entity"}.__contains__
    admin = SimpleNamespace(**vars(plain), is_staff=True, has_perm=has_perm)
    assert own_or_staff(SimpleNamespace(user=admin), "view_entity") == Scope()
    assert own_or_staff(SimpleNamespace(user=admin), "view_message") == OWN


def only_views(request: Any, permission: str) -> Scope | None:
    return Scope(resource_ids=frozenset(["7"])) if permission == "view_thread" else None


@pytest.mark.parametrize("policy", [only_views, f"{__name__}.only_views"])
@pytest.mark.parametrize("user", [User(pk=99), None], ids=["a user", "UNAUTHENTICATED_USER"])
def test_a_project_may_name_its_own_policy(
    world: World, settings: Any, policy: Any, user: User | None
) -> None:
    of_default = {**settings.MASTRA_ENGINE["default"], "ACCESS_POLICY": policy}
    world.engine.memory.create_thread(resource_id="8", thread_id="bobs")
    stored = world.engine  # the mock's store is there as long as its engine
    settings.MASTRA_ENGINE = {"default": of_default}
    settings.REST_FRAMEWORK = {"UNAUTHENTICATED_USER": None}
    client = client_of(user)
    assert client.get("/api/v1/threads/").json()["items"][0]["id"] == "chat-1"
    assert client.get("/api/v1/threads/bobs/").status_code == 404
    assert client.get("/api/v1/threads/chat-1/messages/").status_code == 403
    assert stored.memory.get_thread(thread_id="bobs")
