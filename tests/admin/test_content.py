"""Content of a model needs the permission to view it and the permission to read content."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from mastra_engine import engine, sync
from mastra_engine.models import (
    Embedding,
    EvaluationCase,
    IndexProgress,
    Record,
    Sync,
    SyncRun,
    VectorIndex,
)
from mastra_engine.registry import registry
from mastra_engine.web import CONTENT, READ_CONTENT
from tests.admin.conftest import signed_in, view
from tests.admin.test_sites import visit

#: A word in the content of each model, which is nowhere else.
SECRETS = {
    "view_embedding": "Embeddingsecret",
    "view_evaluationcase": "Evaluationsecret",
    "view_fact": "Factsecret",
    "view_factsource": "Quotesecret",
    "view_message": "Messagesecret",
    "view_record": "Recordsecret",
    "view_sync": "Syncsecret",
    "view_stateitem": "Statesecret",
    "view_syncrun": "Runsecret",
    "view_thread": "Threadsecret",
    "view_workingmemory": "Memorysecret",
}


@pytest.fixture
def secrets(db: None, settings: Any) -> None:
    """Store rows of every model with its secret, which link to each other."""
    settings.MASTRA_ENGINE = {
        "default": {
            "BACKEND": "mastra_engine.PostgresEngine",
            "EMBEDDER": "mastra_engine.embedders.WordLlamaEmbedder",
        }
    }
    word = SECRETS
    with registry.empty():

        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            yield [{"external_id": "c1", "data": {"name": word["view_record"]}}]
            ctx.save_checkpoint({"next": word["view_syncrun"]})
            raise ValueError(f"{word['view_syncrun']} failed")

        engine.run_sync("contacts", connection_id="ann", params={"a": word["view_syncrun"]})
    record, run = Record.objects.get(), SyncRun.objects.get()
    Sync.objects.update(checkpoints=[{"params": {}, "checkpoint": {"next": word["view_sync"]}}])
    memory = engine.memory
    memory.create_thread(
        resource_id="ann",
        thread_id="chat",
        title=word["view_thread"],
        metadata={"topic": word["view_thread"]},
    )
    message = {
        "role": "user",
        "content": word["view_message"],
        "metadata": {"about": word["view_message"], "sources": [{"record_id": str(record.id)}]},
    }
    (saved,) = memory.save_memory(thread_id="chat", messages=[message])
    source = {"message_id": saved.id, "quote": word["view_factsource"]}
    fact = dict.fromkeys(("subject", "predicate", "object"), word["view_fact"])
    engine.facts.remember(resource_id="ann", facts=[{**fact, "sources": [source]}])
    for place in ({"resource_id": "ann"}, {"resource_id": "ann", "thread_id": "chat"}):
        memory.update_working_memory(**place, content=word["view_workingmemory"])  # type: ignore[arg-type]
    engine.state.put(namespace=("ann",), key="k", value={"a": word["view_stateitem"]}, index=False)
    engine.vectors.create_index(index_name="docs", dimension=256)
    engine.vectors.upsert(
        index_name="docs",
        ids=["a", "b"],
        documents=[f"one {word['view_embedding']}", f"two {word['view_embedding']}"],
        namespace="ann",
    )
    Embedding.objects.update(
        metadata={
            "kind": word["view_embedding"],
            "@entity_id": str(run.entity_id),
            "@external_id": "c1",
        }
    )
    EvaluationCase.objects.create(
        target="vectors:docs",
        query=word["view_evaluationcase"],
        expected_ids=["a"],
    )
    index = VectorIndex.objects.get(name="docs")
    IndexProgress.objects.create(entity_id=run.entity_id, vector_index=index)


def words_by_page(client: Client) -> dict[str, set[str]]:
    """Return which secrets are on the pages that links reach."""
    pages = visit(client, "/admin/", allow=(200, 403))
    return {address: words_in(text) for address, text in pages.items()}


def words_in(text: str) -> set[str]:
    return {*re.findall(r"[A-Z][a-z]+secret", text)}


def words_found(client: Client) -> set[str]:
    """Return the secrets in the results of a search."""
    form = {"query": "one", "target": "vectors:docs", "top_k": 5, "hybrid": "0.5", "owner": "ann"}
    return words_in(client.post(view("playground"), form).content.decode())


def reader(*without: str) -> Client:
    views = Permission.objects.filter(codename__regex=f"^(view_.*|{READ_CONTENT})$")
    return signed_in(f"reader without {without}", views.exclude(codename__in=without))


def test_the_secrets_are_of_every_permission_to_read() -> None:
    assert set(SECRETS) == CONTENT


def test_content_needs_the_permission_to_view_its_model(secrets: None) -> None:
    """Who may view less is shown the pages that have a secret for who may view all."""
    everything = reader()
    pages = words_by_page(everything)
    assert set().union(*pages.values()) == set(SECRETS.values())
    for permission, word in SECRETS.items():
        client = reader(permission)
        for address in [address for address, words in pages.items() if word in words]:
            answer = client.get(address)
            assert answer.status_code in (200, 403), address
            assert word not in answer.content.decode(), address
        assert word not in words_found(client)
    assert words_found(everything) == {SECRETS["view_embedding"], SECRETS["view_record"]}


def test_no_content_is_shown_without_the_permission_to_read_content(secrets: None) -> None:
    client = reader(READ_CONTENT)
    assert set().union(*words_by_page(client).values(), words_found(client)) == set()
