"""Many rows, and rows with hostile content, in every table."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.utils import timezone

from mastra_engine import engine, sync
from mastra_engine.models import EvaluationCase, EvaluationResult, SyncRun
from mastra_engine.registry import registry
from mastra_engine.testing.hostile import DOCUMENTS, TEXTS

#: Texts that would do something if a page took them for more than text.
ACTIVE = [
    "<img src=x onerror=alert(1)>",
    '"><script>alert(1)</script>',
    "'\"--></style></script><svg onload=alert(1)>",
    "![x](http://other.example/x.png)",
    "<iframe src=http://other.example></iframe>",
    "[x](javascript:alert(1)) <javascript:alert(1)>",
    "{{ 7*7 }} {% debug %} ${7*7}",
    "</script><script src=//other.example/x.js></script>",
]
HOSTILE = [*ACTIVE, *(text.value for text in TEXTS)]
TOPICS = ["billing", "shipping", "returns", "accounts"]
METRIC = {"value": 0.5, "low": 0.25, "high": 0.75}
WORDS = ["invoices and refunds", "parcels and carriers", "labels and boxes", "passwords and names"]


def fill_with_hostile() -> None:
    """Store hostile text in every column that takes text."""
    engine.vectors.create_index(index_name=ACTIVE[0], dimension=2)
    for i, text in enumerate(HOSTILE):
        messages = [{"role": "user", "content": text}, *_tool_use(text)]
        _converse(text, messages, thread_id=text)
        engine.memory.update_working_memory(resource_id=text, content=text)
        engine.memory.update_working_memory(resource_id=text, patch={text: text})
        engine.vectors.upsert(
            index_name=ACTIVE[0],
            vectors=[[1, i]],
            ids=[text],
            namespace=text,
            documents=[text],
            metadata=[{text: text, "kind": HOSTILE[i % 9]}],
        )
        engine.state.put(namespace=(text, text), key=text, value={text: text})
        _remember(text, text, thread_id=text)
        _sync(text, text, [text], error=text, paused=i % 2 == 1)
        EvaluationCase.objects.create(
            target=text, owner=text, query=text, expected_ids=[text], filter={text: text}
        )
        EvaluationResult.objects.create(target=text, case_count=i, metrics={"mrr": METRIC})
    documents = [document.value for document in DOCUMENTS]
    records = [{"external_id": str(i), "data": data} for i, data in enumerate(documents)]
    engine.sync_records(name="Documents", connection_id="hostile", records=records)
    leave_a_run_going()
    _converse("long", [{"role": "user", "content": "long " * 200_000}])


def fill_with_much() -> None:
    """Store as many rows as a busy month brings."""
    for i in range(120):
        messages = [
            {
                "role": "assistant" if j % 2 else "user",
                "content": f"Message {j} about {TOPICS[i % 4]}: "
                + "it is a long story. " * (j % 9),
            }
            for j in range(300 if i == 119 else 6)
        ]
        _converse(f"customer-{i % 40}", messages)
        engine.memory.update_working_memory(resource_id=f"customer-{i}", content="Is in a hurry")
        engine.state.put(namespace=(f"customer-{i}", "settings"), key="tone", value={"kind": i})
    for i in range(40):
        _remember(f"customer-{i}", f"Topic {TOPICS[i % 4]}")
    records = (
        {"external_id": f"T-{i:05}", "data": {"title": f"Ticket {i}", "topic": TOPICS[i % 4]}}
        for i in range(5_000)
    )
    engine.sync_records(name="Tickets", connection_id="desk", records=records)
    fill_with_articles(1_500)
    for i in range(60):
        error = "" if i else "no answer"
        _sync(f"tickets-{i % 3}", f"desk-{i}", [f"T-{i}"], error=error, paused=i % 2 == 1)
    leave_a_run_going()
    for i in range(60):
        EvaluationCase.objects.create(
            target="vectors:articles", query=f"Question {i}", expected_ids=[f"article-{i:04}"]
        )
        metrics = {name: {**METRIC, "value": 0.5 + i / 120} for name in ("recall@10", "mrr")}
        EvaluationResult.objects.create(target="vectors:articles", case_count=i, metrics=metrics)


def fill_with_articles(number: int) -> None:
    """Index articles on four topics."""
    engine.vectors.create_index(index_name="articles", dimension=256)
    documents = [
        f"{TOPICS[i % 4].capitalize()}, part {i}: how {WORDS[i % 4]} work with us, and what to do."
        for i in range(number)
    ]
    engine.vectors.upsert(
        index_name="articles",
        ids=[f"article-{i:04}" for i in range(number)],
        documents=documents,
        metadata=[{"topic": TOPICS[i % 4], "year": 2020 + i % 5} for i in range(number)],
    )


def leave_a_run_going() -> None:
    """Make the last run one that a worker is running."""
    last = SyncRun.objects.order_by("-id").first()
    assert last is not None
    SyncRun.objects.filter(id=last.id).update(
        status="running",
        finished_at=None,
        lease_expires_at=timezone.now() + timedelta(hours=1),
        progress={"done": 3, "total": 10},
    )


def _converse(
    resource: str, messages: list[dict[str, Any]], *, thread_id: str | None = None
) -> None:
    thread = engine.memory.create_thread(
        resource_id=resource,
        thread_id=thread_id,
        title=f"About {resource}",
        metadata={"from": resource},
    )
    engine.memory.save_memory(thread_id=thread.id, messages=messages)


def _remember(resource: str, text: str, *, thread_id: str | None = None) -> None:
    """Remember two facts of one claim, the second with a message as its source."""
    if thread_id is None:
        thread_id = engine.memory.list_threads(resource_id=resource, limit=1)[0].id
    message = engine.memory.list_messages(thread_id=thread_id, limit=1)[0]
    fact = {"subject": text, "predicate": text, "object": text, "aliases": [f"{text}!"]}
    engine.facts.remember(resource_id=resource, facts=[{**fact, "object": f"{text}?"}])
    source = {"message_id": message.id, "quote": text}
    engine.facts.remember(resource_id=resource, facts=[{**fact, "sources": [source]}])


def _tool_use(text: str) -> list[dict[str, Any]]:
    call = {"type": "tool-call", "tool_call_id": "1", "tool_name": text, "args": {text: text}}
    answer = {"type": "tool-result", "tool_call_id": "1", "result": {text: text}}
    return [
        {"role": "assistant", "content": [{"type": "text", "text": text}, call]},
        {"role": "tool", "content": [answer]},
        {"role": "system", "content": [{"type": text, text: text}]},
    ]


def _sync(name: str, connection_id: str, ids: list[str], *, error: str, paused: bool) -> None:
    """Run a sync that yields some records and then raises the error, if there is one."""
    with registry.empty():

        @sync(name=name, entity=name)
        def failing(ctx: Any) -> Iterator[Any]:
            yield [{"external_id": id, "data": {id: id}} for id in ids]
            ctx.save_checkpoint({name: ids})
            if error:
                raise ValueError(error)

        engine.run_sync(name, connection_id=connection_id, params={name: name})
        if paused:
            engine.pause_sync(name, connection_id=connection_id)
