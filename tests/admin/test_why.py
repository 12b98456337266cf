"""Why something was retrieved: the scores that a message has kept."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from mastra_engine import engine, index_records
from mastra_engine.admin.retrievals import names_retrieved, retrievals
from mastra_engine.models import Embedding, Message, Record
from mastra_engine.registry import registry
from mastra_engine.testing.contract.recall import BagOfWords
from mastra_engine.types import RecordMatch
from tests.admin.conftest import page_of, signed_in, view
from tests.admin.html import Page
from tests.integration.queries import statements

QUESTION = "Where is the kettle?"


@pytest.fixture
def match(db: None, settings: Any) -> Any:
    """Yield a record that a search found, with its explanation."""
    settings.MASTRA_ENGINE = {
        "default": {"BACKEND": "mastra_engine.PostgresEngine", "EMBEDDER": BagOfWords()}
    }
    with registry.empty():
        index_records(entity="Notes", index="notes", text=lambda data: data["text"])
        records = [
            {"external_id": id, "data": {"text": text}}
            for id, text in {"n1": "kettle on the stove", "n2": "red teapot"}.items()
        ]
        engine.sync_records(name="Notes", connection_id="home", records=records)
        yield search()[0]


def search() -> list[RecordMatch]:
    return engine.search_records(query="kettle", connection_id="home", explain=True)


def say(*messages: dict[str, Any]) -> list[Message]:
    """Save a question and messages after it, and return all of them."""
    saved = engine.memory.save_memory(
        thread_id="chat/1",
        resource_id="ann",
        messages=[{"role": "user", "content": QUESTION}, *messages],
    )
    rows = Message.objects.in_bulk([message.id for message in saved])
    return [rows[message.id] for message in saved]


def answer_with(*sources: Any, **metadata: Any) -> Message:
    metadata = {"sources": list(sources), **metadata}
    *_, answer = say({"role": "assistant", "content": "There.", "metadata": metadata})
    return answer


def tool_use(name: str, arguments: Any, result: Any) -> list[dict[str, Any]]:
    call = {"type": "tool-call", "tool_call_id": "1", "tool_name": name, "args": arguments}
    answered = {"type": "tool-result", "tool_call_id": "1", "result": result}
    return [
        {"role": "assistant", "content": [call]},
        {"role": "tool", "content": [answered]},
        {"role": "assistant", "content": "There."},
    ]


def as_json(value: Any) -> Any:
    return json.loads(json.dumps(asdict(value), default=str))


def opened(client: Client, message: Message) -> Any:
    answer = client.get(view("why", message.pk))
    assert answer.status_code == 200
    assert not list(Page(answer.content.decode()).faults())
    return answer


def test_an_answer_shows_the_scores_that_its_sources_had(owner: Client, match: RecordMatch) -> None:
    source = {
        "record_id": str(match.record.id),
        "title": "About the kettle",
        "score": match.score,
        "explanation": asdict(match.explanation),
        "cited": True,
    }
    answer = opened(owner, answer_with(source))
    ((reason,),) = [search.reasons for search in answer.context["searches"]]
    assert [(line.value, line.weight) for line in reason.scores] == [
        (part.value, part.weight) for part in match.explanation.parts
    ]
    page = answer.content.decode()
    assert page_of(Record.objects.get(external_id="n1")) in page
    for text in (QUESTION, "About the kettle", "kettle", "cited", f"{match.similarity:.3f}"):
        assert text in page


def test_scores_without_an_explanation_have_no_weight(owner: Client, match: RecordMatch) -> None:
    source = {"record_id": str(match.record.id), "similarity": 0.5, "lexical": 2, "score": True}
    answer = opened(owner, answer_with(source))
    ((reason,),) = [search.reasons for search in answer.context["searches"]]
    assert [(line.value, line.weight) for line in reason.scores] == [(0.5, None), (2.0, None)]
    assert reason.item.score is None


@pytest.mark.parametrize("wrapped", ["page", "text", "mcp", "structured"])
def test_the_result_of_a_search_tool_is_explained(
    owner: Client, match: RecordMatch, wrapped: str
) -> None:
    results = {"items": [as_json(match)]}
    text = {"type": "text", "text": json.dumps(results)}
    result = {
        "page": results,
        "text": json.dumps(results),
        "mcp": {"content": [text], "structuredContent": results},
        "structured": {"structuredContent": results},
    }[wrapped]
    *_, answered = say(*tool_use("search_records", {"query": "kettle"}, result))
    (search,) = opened(owner, answered).context["searches"]
    assert (search.retrieval.tool, search.retrieval.query) == ("search_records", "kettle")
    (reason,) = search.reasons
    assert reason.url == page_of(Record.objects.get(external_id="n1"))
    assert reason.item.text == match.text
    assert [line.value for line in reason.scores] == [p.value for p in match.explanation.parts]


def test_recalled_messages_and_vectors_are_linked(owner: Client, match: RecordMatch) -> None:
    say()
    recalled = engine.memory.recall(query="kettle", resource_id="ann", explain=True)
    vectors = engine.vectors.query(index_name="notes", query_text="kettle", explain=True, top_k=1)
    *_, one = say(*tool_use("recall", {"query": "kettle"}, {"items": list(map(as_json, recalled))}))
    (search,) = opened(owner, one).context["searches"]
    assert search.reasons[0].url == view("thread_change", "chat/1") + "?at=1"
    assert search.reasons[0].item.text == QUESTION
    asked = {"query_text": "kettle", "index_name": "notes"}
    *_, two = say(*tool_use("search_vectors", asked, {"items": list(map(as_json, vectors))}))
    (search,) = opened(owner, two).context["searches"]
    assert search.reasons[0].url == page_of(Embedding.objects.get(vector_id=vectors[0].id))


def test_only_what_was_retrieved_since_the_question_is_shown(
    owner: Client, match: RecordMatch
) -> None:
    answer_with({"record_id": str(match.record.id)})
    *_, other = say({"role": "assistant", "content": "Hello."})
    page = opened(owner, other)
    assert page.context["searches"] == []
    assert "Neither this message" in page.content.decode()


def test_the_search_can_be_repeated_in_the_playground(owner: Client, match: RecordMatch) -> None:
    message = answer_with({"record_id": str(match.record.id)}, query="kettle")
    page = Page(opened(owner, message).content.decode())
    fields = {
        element.attributes["name"]: element.attributes.get("value", "")
        for element in page.elements
        if element.tag == "input" and element.attributes.get("type") == "hidden"
    }
    again = owner.post(view("playground"), fields)
    (ranking,) = again.context["rankings"]
    assert [(hit.id, hit.score) for hit in ranking.hits] == [
        (found.record.external_id, found.score) for found in search()
    ]


def test_a_deleted_record_is_said_to_be_deleted(owner: Client, match: RecordMatch) -> None:
    message = answer_with({"record_id": str(match.record.id), "title": "Kettle"})
    engine.delete_entity_by_id(id=match.record.entity_id)
    page = opened(owner, message).content.decode()
    assert "Kettle" in page
    assert "deleted since" in page


def test_a_transcript_leads_to_the_reasons_and_the_context(
    owner: Client, onlooker: Client, match: RecordMatch
) -> None:
    message = answer_with({"record_id": str(match.record.id)})
    question = Message.objects.get(position=1)
    address = view("thread_change", "chat/1")
    page = owner.get(address).content.decode()
    assert view("why", message.pk) in page
    assert view("context", "chat/1", before=2) in page
    assert view("why", question.pk) not in page
    assert view("context", "chat/1", before=1) not in page
    assert view("why", message.pk) not in onlooker.get(address).content.decode()
    assert view("why", message.pk) in owner.get(page_of(message)).content.decode()


def test_needs_the_permission_to_read_messages(onlooker: Client, match: RecordMatch) -> None:
    message = answer_with({"record_id": str(match.record.id)})
    assert onlooker.get(view("why", message.pk)).status_code == 403
    names = ["view_message", "read_content"]
    some = signed_in("some", Permission.objects.filter(codename__in=names))
    page = opened(some, message)
    assert not page.context["playground"]


def test_sends_a_fixed_number_of_statements(owner: Client, match: RecordMatch) -> None:
    def sent(number: int) -> int:
        sources = [
            *[{"record_id": str(match.record.id)}] * number,
            *[{"message_id": f"m{i}"} for i in range(number)],
            *[{"index": "notes", "id": f"v{i}"} for i in range(number)],
        ]
        message = answer_with(*sources)
        return len(statements(lambda: owner.get(view("why", message.pk))))

    assert sent(1) == sent(15)


KEYS = (
    *("score", "record", "id", "thread_id", "content", "namespace", "document", "explanation"),
    *("parts", "name", "value", "weight", "words", "record_id", "type"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda values: (
        st.lists(values, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            values,
            max_size=5,
        )
    ),
    max_leaves=20,
)
PARTS = st.lists(
    st.fixed_dictionaries({"type": st.sampled_from(["tool-result", "tool-call", "text"])}).flatmap(
        lambda part: st.builds(lambda value: {**part, "text": "x", "result": value}, JSON)
    ),
    max_size=3,
)


@given(content=PARTS, sources=JSON, role=st.sampled_from(["user", "assistant", "tool"]))
def test_any_json_is_read_or_left_out(content: Any, sources: Any, role: str) -> None:
    metadata = {"sources": sources, "query": sources}
    message = Message(id="m", role=role, content=content, metadata=metadata)
    found = retrievals([message])
    assert names_retrieved(message) is bool(found)
    for item in (item for retrieval in found for item in retrieval.items):
        assert item.score is None or math.isfinite(item.score)
        assert all(isinstance(part, str) for part in item.key)
        for part in item.parts:
            assert math.isfinite(part.value)
            assert all(map(math.isfinite, part.words.values()))
