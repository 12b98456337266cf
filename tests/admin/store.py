"""Rows of every table; their content contains one secret word."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.utils import timezone

from mastra_engine import engine, sync
from mastra_engine.evaluations.saved import save_result
from mastra_engine.evaluations.targets import Target
from mastra_engine.models import EvaluationCase, FactReading, IndexProgress, SyncRun, VectorIndex
from mastra_engine.registry import registry
from mastra_engine.web import APP

SECRET = "Rosebud"


def fill() -> dict[str, Any]:
    """Store rows through the engine, and return one row of each model, by the model's name."""
    remember()
    search()
    run()
    run_row, index = SyncRun.objects.get(), VectorIndex.objects.get(name="docs")
    IndexProgress.objects.create(entity=run_row.entity, vector_index=index)
    case = EvaluationCase.objects.create(target="vectors:docs", query=SECRET, expected_ids=["a"])
    evaluation = engine.evaluate([case.to_value()], search=lambda query, top_k: ["a"])
    save_result("default", Target("vectors", "docs"), evaluation)
    FactReading.objects.create(thread_id="chat/1", position=4)
    return {
        model._meta.model_name: model._default_manager.last()
        for model in apps.get_app_config(APP).get_models()
    }


def remember() -> None:
    engine.memory.create_thread(
        resource_id="ann", thread_id="chat/1", title=SECRET, metadata={"topic": SECRET}
    )
    call = {
        "type": "tool-call",
        "tool_call_id": "c1",
        "tool_name": "look_up",
        "args": {"q": SECRET},
    }
    answer = {"type": "tool-result", "tool_call_id": "c1", "result": {"found": SECRET}}
    engine.memory.save_memory(
        thread_id="chat/1",
        messages=[
            {"role": "user", "content": f"What is *{SECRET}*?", "metadata": {"about": SECRET}},
            {"role": "assistant", "content": [call]},
            {"role": "tool", "content": [answer]},
            {"role": "assistant", "content": f"**{SECRET}** is a sled."},
        ],
        idempotency_key="turn-1",
    )
    engine.memory.update_working_memory(resource_id="ann", content=f"She asks about {SECRET}")
    engine.memory.update_working_memory(resource_id="ann", patch={"asked": SECRET})
    engine.state.put(namespace=("ann", "prefs"), key="sled", value={"name": SECRET})
    engine.state.index_pending()
    source = engine.memory.list_messages(thread_id="chat/1")[0].id
    fact = {"subject": SECRET, "predicate": SECRET, "object": SECRET, "aliases": [SECRET]}
    quoted = {**fact, "sources": [{"message_id": source, "quote": SECRET}]}
    (fact,) = engine.facts.remember(resource_id="ann", facts=[quoted])
    engine.facts.retract(id=fact.id, reason=SECRET)
    engine.run_idempotent(owner="ann", key="turn-1", body=b"", act=SECRET.encode)


def search() -> None:
    engine.vectors.create_index(index_name="docs", dimension=3)
    engine.vectors.upsert(
        index_name="docs",
        ids=["a", "b", "c"],
        vectors=[[1, 0, 0], [0.9, 0.1, 0], [0, 0, 1]],
        documents=[f"{SECRET} {i}" for i in range(3)],
        metadata=[{"kind": SECRET}] * 3,
    )


def run() -> None:
    with registry.empty():

        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            yield [{"external_id": f"c{i}", "data": {"name": SECRET}} for i in range(3)]
            ctx.save_checkpoint({"next": SECRET})
            raise ValueError(f"{SECRET} was in the way, at {timezone.now().year}")

        engine.run_sync("contacts", connection_id="crm-1", params={"since": SECRET})
