"""Facts over HTTP: both times, the history, and requests of which nothing may be stored."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.api.conftest import API, World, stored
from tests.api.test_http import refusal

FACTS = f"{API}/facts/"
BERLIN = {"subject": "Ann", "predicate": "lives in", "object": "Berlin"}
HAMBURG = {**BERLIN, "object": "Hamburg", "valid_from": "2024-01-01T00:00:00Z"}


def remember(world: World, *facts: dict[str, Any]) -> Any:
    return world.ann.post(FACTS, {"facts": facts}, format="json")


def objects(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [fact["object"] for fact in answer.json()["items"]]


def test_facts_are_listed_at_two_times(world: World) -> None:
    (hamburg,) = remember(world, HAMBURG).json()["items"]
    (berlin,) = remember(world, {**BERLIN, "valid_from": "2025-05-01T00:00:00Z"}).json()["items"]
    claim = {"subject": "ANN", "predicate": "lives in"}

    def listed(**times: str) -> list[str]:
        return objects(world.ann.get(FACTS, {**claim, **times}))

    assert listed() == ["Berlin"]
    assert listed(valid_at="2024-06-01T00:00:00Z") == ["Hamburg"]
    assert listed(known_at=hamburg["created_at"]) == ["Hamburg"]
    assert listed(include_superseded="true") == ["Hamburg", "Berlin"]
    assert objects(world.ann.get(f"{FACTS}{berlin['id']}/history/")) == ["Hamburg", "Berlin"]


def test_a_filter_and_a_cursor_page_through_the_facts(world: World) -> None:
    remember(world, *({**BERLIN, "object": f"city {number}", "many": True} for number in range(3)))
    query = {"filter": '{"predicate": "lives in"}', "limit": 2}
    first = world.ann.get(FACTS, query)
    second = world.ann.get(FACTS, {**query, "cursor": first.json()["next_cursor"]})
    assert objects(first) + objects(second) == ["city 0", "city 1", "city 2"]
    assert second.json()["next_cursor"] is None


def test_a_retracted_fact_stays_in_the_history(world: World) -> None:
    (fact,) = remember(world, HAMBURG).json()["items"]
    url = f"{FACTS}{fact['id']}/"
    body = {"reason": "Misheard", "at": "2024-03-01T00:00:00Z"}
    retracted = world.ann.post(f"{url}retract/", body, format="json").json()
    assert (retracted["reason"], retracted["valid_to"]) == ("Misheard", "2024-03-01T00:00:00Z")
    assert world.ann.get(url).json() == retracted
    assert objects(world.ann.get(FACTS, {"predicate": "lives in"})) == []


def test_a_forgotten_fact_is_gone_with_its_history(world: World) -> None:
    (hamburg,) = remember(world, HAMBURG).json()["items"]
    remember(world, BERLIN)
    url = f"{FACTS}{hamburg['id']}/"
    assert world.ann.delete(url).json() == {"deleted": 2}
    for place in ("", "history/", "sources/"):
        assert refusal(world.ann.get(f"{url}{place}")) == (404, "fact_not_found", None)


def test_a_fact_rests_on_its_messages(world: World) -> None:
    sources = [{"message_id": "m-1", "quote": "vegan"}, {"message_id": "m-2"}]
    (fact,) = remember(world, {**BERLIN, "sources": sources}).json()["items"]
    url = f"{FACTS}{fact['id']}/"
    assert world.ann.get(f"{url}sources/").json()["items"] == [
        {"message_id": "m-1", "record_id": None, "quote": "vegan"},
        {"message_id": "m-2", "record_id": None, "quote": ""},
    ]
    world.engine.memory.delete_messages(ids=["m-1", "m-2"])
    assert refusal(world.ann.get(url)) == (404, "fact_not_found", None)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"valid_from": "10000-01-01T00:00:00Z"}, "valid_from"),
        ({"valid_from": "-4714-01-01T00:00:00Z"}, "valid_from"),
        ({"valid_from": "0001-01-01T00:00:00+14:00"}, "valid_from"),
        ({"valid_to": "9999-12-31T23:59:59-14:00"}, "valid_to"),
        ({"valid_from": "2025-01-01T00:00:00"}, "valid_from"),
        ({"valid_from": "infinity"}, "valid_from"),
        ({"valid_from": 0}, "valid_from"),
        ({"valid_from": "2025-01-02T00:00:00Z", "valid_to": "2025-01-01T00:00:00Z"}, "valid_to"),
        ({"valid_from": "2025-01-01T00:00:00Z", "valid_to": "2025-01-01T00:00:00Z"}, "valid_to"),
        ({"valid_to": "2020-01-01T00:00:00Z"}, "valid_to"),
        ({"confidence": 2}, "confidence"),
        ({"aliases": [""]}, "aliases/0"),
        ({"many": "yes"}, "many"),
        ({"sources": [{"quote": "vegan"}]}, "sources/0"),
        ({"sources": [{"message_id": "m-1"}] * 1_001}, "sources"),
        ({"object": "x" * 16_385}, "object"),
        ({"resource_id": "8"}, "resource_id"),
    ],
)
def test_an_invalid_fact_is_refused_with_all_others(
    world: World, change: dict[str, Any], path: str
) -> None:
    before = stored(world.engine)
    refused = remember(world, HAMBURG, {**BERLIN, **change})
    assert refusal(refused) == (400, "invalid_input", f"/facts/1/{path}")
    assert stored(world.engine) == before


@pytest.mark.parametrize("number", [1_001, 10_000, 10_001])
def test_too_many_facts_are_refused(world: World, number: int) -> None:
    before = stored(world.engine)
    refused = remember(world, *[BERLIN] * number)
    assert refusal(refused) == (400, "invalid_input", "/facts")
    assert stored(world.engine) == before


def test_sources_of_others_are_not_found(world: World) -> None:
    said: Any = [{"id": "m-bob", "role": "user", "content": "Hello"}]
    world.engine.memory.save_memory(thread_id="bobs", resource_id="8", messages=said)
    synced = world.engine.sync_records(
        name="Notes", connection_id="8", records=[{"external_id": "n1", "data": {}}]
    )
    note = world.engine.get_record(entity_id=synced.entity.id, external_id="n1")
    before = stored(world.engine)
    for source, code in (
        ({"message_id": "m-bob"}, "message_not_found"),
        ({"message_id": "m-none"}, "message_not_found"),
        ({"record_id": str(note.id)}, "record_not_found"),
        ({"record_id": str(uuid4())}, "record_not_found"),
    ):
        refused = remember(world, HAMBURG, {**BERLIN, "sources": [source]})
        assert refusal(refused) == (404, code, None)
    assert stored(world.engine) == before


@pytest.mark.parametrize("argument", ["valid_at", "known_at"])
@pytest.mark.parametrize("value", ["10000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "now"])
def test_a_time_that_does_not_exist_is_refused(world: World, argument: str, value: str) -> None:
    refused = world.ann.get(FACTS, {argument: value})
    assert refusal(refused) == (400, "invalid_input", f"/{argument}")
    refused = world.ann.post(f"{FACTS}search/", {"query": "food", argument: value}, format="json")
    assert refusal(refused) == (400, "invalid_input", f"/{argument}")


def test_the_first_and_the_last_time_are_times(world: World) -> None:
    ends = {"valid_from": "0001-01-01T00:00:00Z", "valid_to": "9999-12-31T23:59:59.999999Z"}
    (fact,) = remember(world, {**BERLIN, **ends}).json()["items"]
    assert {name: fact[name] for name in ends} == ends
    first = {"valid_at": ends["valid_from"], "predicate": "lives in"}
    assert objects(world.ann.get(FACTS, first)) == ["Berlin"]
    last = {"valid_at": ends["valid_to"], "predicate": "lives in"}
    assert objects(world.ann.get(FACTS, last)) == []
