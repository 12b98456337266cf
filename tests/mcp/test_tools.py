"""What the tools take and return, and who may call them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from jsonschema import Draft202012Validator

from mastra_engine import engine
from mastra_engine.api.access import own_or_staff
from mastra_engine.mcp.schemas import TEXTS
from mastra_engine.mcp.tools import TOOLS
from mastra_engine.types import Scope
from tests.mcp.conftest import LATEST, MODERN, Host
from tests.mcp.data import Owner, calls, own_calls


def text_of(result: Any) -> str:
    (content,) = result["content"]
    return str(content["text"])


def test_every_tool_has_a_call_in_the_tests(ann: Owner) -> None:
    assert list(calls(ann)) == list(TOOLS)


@pytest.mark.parametrize("version", ["2025-06-18", LATEST, MODERN])
@pytest.mark.parametrize("name", TOOLS)
def test_results_are_structured_and_fit_the_output_schema(
    host: Host, ann: Owner, name: str, version: str
) -> None:
    result = host.call(name, calls(ann)[name], version=version)
    assert not result["isError"], text_of(result)
    assert json.loads(text_of(result)) == result["structuredContent"]
    listed = {
        tool["name"]: tool for tool in host.send("tools/list", version=version)["result"]["tools"]
    }
    Draft202012Validator(listed[name]["outputSchema"]).validate(result["structuredContent"])
    Draft202012Validator(listed[name]["inputSchema"]).validate(calls(ann)[name])


@pytest.mark.parametrize("name", TOOLS)
def test_owners_default_to_the_caller(host: Host, ann: Owner, bob: Owner, name: str) -> None:
    own = host.call(name, own_calls(ann)[name])
    assert not own["isError"], text_of(own)
    assert bob.secret not in text_of(own)
    if TOOLS[name].writes:
        return
    assert own == host.call(name, calls(ann)[name])


def test_the_defaults_of_staff_are_their_own_too(ann: Owner, bob: Owner) -> None:
    ann.user.is_staff = ann.user.is_superuser = True
    ann.user.save()
    host = Host(ann.token)
    assert text_of(host.call("list_threads")).count(ann.secret) == 1
    assert bob.secret not in text_of(host.call("recall", {"query": "soup"}))
    others = host.call("recall", {"query": "soup", "thread_id": bob.thread_id})
    assert bob.secret in text_of(others)


@pytest.mark.parametrize("name", TOOLS)
@pytest.mark.parametrize("version", [LATEST, MODERN])
def test_nothing_of_another_user_is_read_or_written(
    ann: Owner, bob: Owner, name: str, version: str
) -> None:
    before = (
        engine.memory.list_messages(thread_id=ann.thread_id),
        engine.memory.get_working_memory(resource_id=ann.id),
        engine.facts.list_facts(resource_id=ann.id),
    )
    response = Host(bob.token).send(
        "tools/call", {"name": name, "arguments": calls(ann)[name]}, version=version
    )
    assert ann.secret not in json.dumps(response)
    assert response["result"]["isError"] or not response["result"]["structuredContent"]["items"]
    after = (
        engine.memory.list_messages(thread_id=ann.thread_id),
        engine.memory.get_working_memory(resource_id=ann.id),
        engine.facts.list_facts(resource_id=ann.id),
    )
    assert before == after


@pytest.mark.parametrize("name", TOOLS)
def test_another_users_objects_look_like_missing_ones(ann: Owner, bob: Owner, name: str) -> None:
    missing = replace(ann, user=User(pk=0), thread_id="nothing", entity_id=str(uuid4()))

    def answer_of(owner: Owner) -> str:
        text = text_of(Host(bob.token).call(name, calls(owner)[name]))
        for id in (owner.entity_id, owner.thread_id, owner.id):
            text = text.replace(f'"{id}"', "…").replace(f"Entity {id}", "…")
        return text

    assert answer_of(ann) == answer_of(missing)


@pytest.mark.parametrize("name", TOOLS)
def test_anonymous_calls_are_401(ann: Owner, name: str) -> None:
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": name, "arguments": calls(ann)[name]},
    }
    for host in (Host(), Host("wrong")):
        response = host.post(message)
        assert response.status_code == 401
        assert response["WWW-Authenticate"] == "Token"
        assert ann.secret not in response.content.decode()


@pytest.mark.parametrize(
    ("name", "changes", "text"),
    [
        ("recall", {"query": 7}, "/query: must be text, not int"),
        ("recall", {"top_k": 1001}, "/top_k: must be at most 1000, got 1001"),
        ("recall", {"topk": 1}, '/topk: unknown argument "topk"; did you mean "top_k"?'),
        ("recall", {"query": "a\0b"}, "/query"),
        ("recall", {"query": "\ud800"}, "/query"),
        ("recall", {"explain": "yes"}, "/explain: must be true or false"),
        ("save_messages", {"messages": [{"role": "wizard", "content": "x"}]}, "/messages/0/role"),
        ("list_threads", {"cursor": "x"}, "/cursor: is not a cursor of this query"),
        ("query_records", {"filters": {"$where": 1}}, "$where"),
        ("query_records", {"limit": 1001}, "/limit: must be at most 1000, got 1001"),
        ("get_changes", {"entity_id": "x"}, "/entity_id"),
        ("search_vectors", {"index_name": "people"}, 'Vector index "people" does not exist'),
        ("get_context_window", {"format": "csv"}, "/format"),
        ("update_working_memory", {"content": "x"}, "/content: give either content or a patch"),
        ("update_working_memory", {"if_version": 9}, "was changed by another process"),
    ],
)
def test_errors_have_the_engines_message_and_path(
    host: Host, ann: Owner, name: str, changes: dict[str, Any], text: str
) -> None:
    result = host.call(name, {**calls(ann)[name], **changes})
    assert result["isError"]
    assert text in text_of(result)
    assert "structuredContent" not in result


def test_a_missing_argument_is_named(host: Host) -> None:
    assert text_of(host.call("recall")) == "/query: is missing"


def test_pages_continue_with_their_cursor_for_the_same_user_only(
    host: Host, ann: Owner, bob: Owner
) -> None:
    query = {"entity_name": "Contacts", "limit": 1}
    first = host.call("query_records", query)["structuredContent"]
    following = {**query, "cursor": first["next_cursor"]}
    second = host.call("query_records", following)["structuredContent"]
    assert [item["external_id"] for item in (*first["items"], *second["items"])] == ["c/1", "c2"]
    assert second["next_cursor"] is None
    assert text_of(Host(bob.token).call("query_records", following)).startswith("/cursor: ")


def test_the_same_key_appends_once(host: Host, ann: Owner) -> None:
    arguments = {**calls(ann)["save_messages"], "idempotency_key": "k"}
    first, second = (host.call("save_messages", arguments) for _ in range(2))
    assert first == second
    assert len(engine.memory.list_messages(thread_id=ann.thread_id)) == 3


def test_annotations_say_what_tools_do(host: Host) -> None:
    tools = host.send("tools/list")["result"]["tools"]
    hints = {tool["name"]: tool["annotations"] for tool in tools}
    assert list(hints) == list(TOOLS)
    writing = {name for name, hint in hints.items() if not hint["readOnlyHint"]}
    assert writing == {"save_messages", "update_working_memory", "remember_fact"}
    assert [name for name, hint in hints.items() if hint["destructiveHint"]] == [
        "update_working_memory"
    ]
    assert [name for name, hint in hints.items() if not hint["idempotentHint"]] == ["save_messages"]
    assert not any(hint["openWorldHint"] for hint in hints.values())


def test_every_argument_and_every_own_text_is_described(host: Host) -> None:
    tools = {tool["name"]: tool for tool in host.send("tools/list")["result"]["tools"]}
    for tool in tools.values():
        for argument in tool["inputSchema"]["properties"].values():
            assert argument["description"].endswith(".")
    places = {
        f"{name}.{argument}"
        for name, tool in tools.items()
        for argument in tool["inputSchema"]["properties"]
    }
    assert {*TEXTS} <= places | {place.partition(".")[2] for place in places}


def test_tools_that_the_policy_denies_are_not_listed_and_fail(
    host: Host, ann: Owner, settings: Any
) -> None:
    def only_threads(request: Any, permission: str) -> Any:
        return own_or_staff(request, permission) if permission == "view_thread" else None

    settings.MASTRA_ENGINE = {
        "default": {**settings.MASTRA_ENGINE["default"], "ACCESS_POLICY": only_threads}
    }
    assert [tool["name"] for tool in host.send("tools/list")["result"]["tools"]] == ["list_threads"]
    assert host.call("list_threads")["structuredContent"]["items"]
    for name in TOOLS.keys() - {"list_threads"}:
        result = host.call(name, calls(ann)[name])
        assert result["isError"]
        assert text_of(result) == f"You do not have permission to use the tool {name}"


def test_a_policy_may_allow_anonymous_users(ann: Owner, settings: Any) -> None:
    def of_ann(request: Any, permission: str) -> Scope | None:
        none: frozenset[str] = frozenset()
        scope = Scope(resource_ids=frozenset([ann.id]), connection_ids=none, namespaces=none)
        return scope if permission == "view_thread" else None

    settings.MASTRA_ENGINE = {
        "default": {**settings.MASTRA_ENGINE["default"], "ACCESS_POLICY": of_ann}
    }
    assert ann.secret in text_of(Host().call("list_threads"))
