"""The routes of working memory, of the search, and of the configuration."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mastra_engine import MastraEngine
from tests.mastra_server.conftest import Mastra, ids

CHAT = "/memory/threads/chat/working-memory"


def test_a_resource_and_a_thread_have_working_memory(ann: Mastra) -> None:
    empty = {
        "workingMemory": None,
        "source": "resource",
        "workingMemoryTemplate": None,
        "threadExists": True,
    }
    assert ann.get(CHAT, agentId="a", resourceId="7") == empty
    body = {"workingMemory": "# Likes tea", "resourceId": "7"}
    assert ann.post(f"{CHAT}?agentId=a", body) == {"success": True}
    assert ann.get(CHAT, resourceId="7")["workingMemory"] == "# Likes tea"
    assert ann.get(CHAT) == {**empty, "source": "thread"}
    ann.post(CHAT, {"workingMemory": "Plans lunch"})
    assert ann.get(CHAT)["workingMemory"] == "Plans lunch"
    config = json.dumps({"workingMemory": {"scope": "thread"}})
    answer = ann.get(CHAT, resourceId="7", memoryConfig=config)
    assert (answer["source"], answer["workingMemory"]) == ("thread", "Plans lunch")


def test_a_thread_need_not_exist_to_read_its_resource(ann: Mastra) -> None:
    ann.post(CHAT, {"workingMemory": "Likes tea", "resourceId": "7"})
    other = "/memory/threads/none/working-memory"
    answer = ann.get(other, resourceId="7")
    assert (answer["threadExists"], answer["workingMemory"]) == (False, "Likes tea")
    assert ann.get(other)["workingMemory"] is None
    ann.post(other, {"workingMemory": "x", "resourceId": "7"}, expected=404)


def test_a_schema_makes_it_json_with_a_template(ann: Mastra, engine: MastraEngine) -> None:
    engine.memory.working_memory_schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "tags": {"type": "array"},
            "age": {"type": "number"},
            "home": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
        "additionalProperties": False,
    }
    template = ann.get(CHAT, resourceId="7")["workingMemoryTemplate"]
    assert template["format"] == "json"
    empty = {"name": "", "tags": [], "age": None, "home": {"city": ""}}
    assert json.loads(template["content"]) == empty
    ann.post(CHAT, {"workingMemory": '{"name": "Änn"}', "resourceId": "7"})
    assert engine.memory.get_working_memory(resource_id="7").data == {"name": "Änn"}
    assert ann.get(CHAT, resourceId="7")["workingMemory"] == '{"name": "Änn"}'
    for wrong in ("text", "[1]", '{"x": 1}', '{"name": 7}'):
        ann.post(CHAT, {"workingMemory": wrong, "resourceId": "7"}, expected=400)
    assert "schema" in ann.get("/memory/config", agentId="a")["config"]["workingMemory"]


def test_json_of_the_engine_is_read_as_text(ann: Mastra, engine: MastraEngine) -> None:
    engine.memory.update_working_memory(resource_id="7", content={"diet": "vegan"})
    assert ann.get(CHAT, resourceId="7")["workingMemory"] == '{"diet": "vegan"}'
    engine.memory.update_working_memory(resource_id="7", content="Vegan")
    assert ann.get(CHAT, resourceId="7")["workingMemory"] == "Vegan"


@pytest.mark.parametrize("value", [None, 7, {}, "a\0"], ids=str)
def test_working_memory_is_text(ann: Mastra, value: Any) -> None:
    answer = ann.post(CHAT, {"workingMemory": value, "resourceId": "7"}, expected=400)
    assert answer["issues"][0]["field"] == "workingMemory"


def test_status_and_configuration(ann: Mastra, engine: MastraEngine) -> None:
    assert ann.get("/memory/status", agentId="a") == {"result": True, "memoryType": "local"}
    config = ann.get("/memory/config", agentId="a")["config"]
    assert config["lastMessages"] == 10
    assert config["workingMemory"] == {"enabled": True, "scope": "resource"}
    assert config["semanticRecall"]["scope"] == "resource"
    engine.vectors.embedder = None
    assert ann.get("/memory/config", agentId="a")["config"]["semanticRecall"] is False


# Search


@pytest.fixture
def pets(ann: Mastra) -> Mastra:
    ann.save("my cat sleeps", "my dog barks", "the weather", "a walk", "rain")
    ann.post("/memory/threads", {"threadId": "other"})
    ann.save("the dog eats", thread="other")
    return ann


def test_a_search_finds_messages_of_the_resource(pets: Mastra) -> None:
    answer = pets.get("/memory/search", searchQuery="dog barks", resourceId="7", agentId="a")
    assert answer["count"] == len(answer["results"])
    assert answer["query"] == "dog barks"
    assert (answer["searchScope"], answer["searchType"]) == ("resource", "semantic")
    best = answer["results"][0]
    around = best.pop("context")
    assert best == {
        "id": "my dog barks",
        "role": "user",
        "content": "my dog barks",
        "createdAt": "2026-01-02T03:04:05.678Z",
        "threadId": "chat",
        "threadTitle": "Lunch",
    }
    assert ids(around["before"]) == ["my cat sleeps"]
    assert ids(around["after"]) == ["the weather", "a walk"]
    assert around["before"][0].keys() == {"id", "role", "content", "createdAt"}
    assert {item["threadTitle"] for item in answer["results"]} == {"Lunch", "other"}


def test_a_search_may_stay_in_a_thread(pets: Mastra) -> None:
    config = json.dumps({"semanticRecall": {"scope": "thread", "topK": 1, "messageRange": 1}})
    answer = pets.get(
        "/memory/search", searchQuery="dog", threadId="chat", limit="5", memoryConfig=config
    )
    assert answer["searchScope"] == "thread"
    (hit,) = answer["results"]
    assert (hit["id"], len(hit["context"]["after"])) == ("my dog barks", 1)
    for limit in (1, 2):
        answer = pets.get("/memory/search", searchQuery="dog", limit=str(limit))
        assert answer["count"] == limit


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "searchQuery"),
        ({"searchQuery": ""}, "searchQuery"),
        ({"searchQuery": "x", "limit": "-1"}, "limit"),
        ({"searchQuery": "x", "limit": "9999"}, "limit"),
        ({"searchQuery": "x", "memoryConfig": "{"}, "memoryConfig"),
        ({"searchQuery": "x", "memoryConfig": "[]"}, "memoryConfig"),
        ({"searchQuery": "x", "memoryConfig": '{"semanticRecall":{"topK":0}}'}, None),
        ({"searchQuery": "x", "memoryConfig": '{"semanticRecall":{"messageRange":"x"}}'}, None),
        ({"searchQuery": "a\0"}, "query"),
    ],
    ids=str,
)
def test_a_wrong_search_is_refused(pets: Mastra, query: dict[str, str], field: str | None) -> None:
    answer = pets.get("/memory/search", expected=400, **query)
    assert field in (None, answer["issues"][0]["field"])


def test_a_search_needs_an_embedder(pets: Mastra, engine: MastraEngine) -> None:
    engine.vectors.embedder = None
    answer = pets.get("/memory/search", searchQuery="dog", expected=400)
    assert "EMBEDDER" in answer["error"]
