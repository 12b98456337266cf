"""Vector indexes and embeddings."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.urls import reverse

from mastra_engine import engine, index_records
from mastra_engine.models import Embedding, IndexProgress, VectorIndex
from mastra_engine.registry import registry
from tests.admin.conftest import list_of, page_of, view
from tests.admin.store import SECRET

pytestmark = pytest.mark.usefixtures("store")


class FixedEmbedder:
    """An embedder whose vectors do not depend on the text."""

    def embed_query(self, text: str) -> list[float]:
        return [1.0, 0.0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


@pytest.fixture
def docs(store: dict[str, Any]) -> VectorIndex:
    return VectorIndex.objects.get(name="docs")


def test_the_list_has_the_status_of_each_index(owner: Client, docs: VectorIndex) -> None:
    text = owner.get(list_of(VectorIndex)).content.decode()
    for part in ("ready", "cosine", "KB"):
        assert part in text


def test_a_build_is_confirmed_and_done_by_a_task(owner: Client, docs: VectorIndex) -> None:
    engine.vectors.create_index(index_name="later", dimension=3, index_type="ivfflat")
    index = VectorIndex.objects.get(name="later")
    address = view("build", index.pk)
    assert address in owner.get(page_of(index)).content.decode()
    assert owner.get(address).status_code == 200
    assert engine.vectors.describe_index(index_name="later").status == "missing"
    owner.post(address)
    assert engine.vectors.describe_index(index_name="later").status == "ready"


def test_a_failed_build_is_reported(
    owner: Client, docs: VectorIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(engine.vectors, "build_index", fail)
    answer = owner.post(view("build", docs.pk), follow=True)
    assert "MemoryError" in "".join(str(message) for message in answer.context["messages"])


@pytest.mark.django_db(transaction=True)
def test_writers_do_not_wait_for_a_build_under_atomic_requests(
    owner: Client, docs: VectorIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(**_: Any) -> None:
        builds.append(connection.get_autocommit())

    builds: list[bool] = []
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    monkeypatch.setattr(engine.vectors, "build_index", build)
    owner.post(view("build", docs.pk))
    assert builds == [True]


def test_building_needs_the_permission_to_change(onlooker: Client, docs: VectorIndex) -> None:
    assert onlooker.post(view("build", docs.pk)).status_code == 403
    assert view("build", docs.pk) not in onlooker.get(page_of(docs)).content.decode()


def test_vectors_are_listed_by_index_only(owner: Client, docs: VectorIndex) -> None:
    everything = reverse("admin:mastra_engine_embedding_changelist")
    answer = owner.get(everything, follow=True)
    assert answer.redirect_chain == [(reverse("admin:mastra_engine_vectorindex_changelist"), 302)]
    text = owner.get(list_of(Embedding)).content.decode()
    for number, id in enumerate("abc"):
        assert f"<bdi>{SECRET} {number}</bdi></a>" in text
        assert f'<bdi class="me-id">{id}</bdi>' in text
    assert page_of(Embedding.objects.get(vector_id="a")) in text


def test_a_vector_shows_its_neighbours_and_not_its_numbers(
    owner: Client, docs: VectorIndex
) -> None:
    text = owner.get(page_of(Embedding.objects.get(vector_id="a"))).content.decode()
    assert re.findall(r'<td>(-?[\d.]+)</td><td><a.*?"me-id">(\w+)', text) == [
        ("0.994", "b"),
        ("0.000", "c"),
    ]
    assert "0.9, " not in text
    assert f"{SECRET} 1" in text


def test_onlookers_see_no_neighbours(onlooker: Client, docs: VectorIndex) -> None:
    text = onlooker.get(page_of(Embedding.objects.get(vector_id="a"))).content.decode()
    assert "neighbours" not in text


@pytest.mark.parametrize("key", ["x", "1.x", "x.1", "1", "9999999999999999999999.{}"])
def test_an_address_of_no_vector_is_not_found(owner: Client, docs: VectorIndex, key: str) -> None:
    row = Embedding.objects.get(vector_id="a")
    address = reverse("admin:mastra_engine_embedding_change", args=[key.format(row.pk)])
    assert owner.get(address).status_code == 404


def test_a_vector_is_found_by_its_primary_key_as_djangos_own_links_have_it(
    owner: Client, docs: VectorIndex
) -> None:
    row = Embedding.objects.get(vector_id="a")
    address = reverse("admin:mastra_engine_embedding_change", args=[row.pk])
    assert owner.get(address).context["row"] == row


def add_vector(metadata: dict[str, Any], *, namespace: str, id: str = "of") -> None:
    """Store a vector with metadata that the engine reserves for itself, as old rows may have it."""
    engine.vectors.upsert(index_name="docs", ids=[id], vectors=[[1, 1, 1]], namespace=namespace)
    Embedding.objects.filter(vector_id=id).update(metadata=metadata)


def test_a_record_and_its_vectors_lead_to_each_other(owner: Client, store: dict[str, Any]) -> None:
    record, progress = store["record"], IndexProgress.objects.get()
    properties = {"@entity_id": str(record.entity_id), "@external_id": record.external_id}
    add_vector(properties, namespace="crm-1")
    add_vector(properties, namespace="mallory", id="forged")
    vector = Embedding.objects.get(vector_id="of")
    page = owner.get(page_of(record)).content.decode()
    assert page_of(vector) in page
    assert "forged" not in page
    assert page_of(record) in owner.get(page_of(vector)).content.decode()
    assert page_of(progress.vector_index) in owner.get(page_of(progress.entity)).content.decode()
    assert page_of(progress.entity) in owner.get(page_of(progress.vector_index)).content.decode()


def test_a_vector_of_a_message_leads_to_its_place(owner: Client, store: dict[str, Any]) -> None:
    properties = {"@thread_id": "chat/1", "@position": 2}
    add_vector(properties, namespace="ann")
    text = owner.get(page_of(Embedding.objects.get(vector_id="of"))).content.decode()
    assert f"{page_of(store['thread'])}?at=2" in text


@pytest.mark.parametrize(
    "properties",
    [
        {"@entity_id": "x", "@external_id": 1},
        {"@entity_id": None},
        {"@thread_id": 5},
        {"@thread_id": "", "@position": 1},
        {"@thread_id": {"a": "b"}, "@position": 1},
        {"@thread_id": "chat/1"},
        {"@thread_id": "chat/1", "@position": "1"},
        {"@thread_id": "chat/1", "@position": 2**63},
        {"@thread_id": "chat/2", "@position": 1},
        {"@thread_id": "bobs", "@position": 1},
    ],
    ids=str,
)
def test_forged_metadata_has_no_link(
    owner: Client, store: dict[str, Any], properties: dict[str, Any]
) -> None:
    engine.memory.create_thread(resource_id="bob", thread_id="bobs")
    add_vector(properties, namespace="ann")
    page = owner.get(page_of(Embedding.objects.get(vector_id="of")))
    assert page.status_code == 200
    assert ">Message<" not in page.content.decode()
    assert ">Record<" not in page.content.decode()


def test_the_records_of_a_declared_index_are_read_again(owner: Client, db: None) -> None:
    texts = {"word": "old"}
    with registry.empty():
        index_records(
            entity="Notes", index="notes", text=lambda data: texts["word"], embedder=FixedEmbedder()
        )
        engine.sync_records(
            name="Notes", connection_id="c", records=[{"external_id": "n", "data": {}}]
        )
        engine.index_pending()
        index = VectorIndex.objects.get(name="notes")
        assert Embedding.objects.get(vector_index=index).document == "old"
        texts["word"] = "new"
        address = view("rebuild", index.pk)
        assert address in owner.get(page_of(index)).content.decode()
        assert owner.get(address).status_code == 200
        assert Embedding.objects.get(vector_index=index).document == "old"
        answer = owner.post(address, follow=True)
        assert "was started" in "".join(str(message) for message in answer.context["messages"])
        assert Embedding.objects.get(vector_index=index).document == "new"
    assert LogEntry.objects.get().object_id == str(index.pk)
    answer = owner.post(address, follow=True)  # it is no longer declared
    assert "IndexNotFound" in "".join(str(message) for message in answer.context["messages"])
    assert address not in owner.get(page_of(index)).content.decode()


@pytest.mark.parametrize("name", ["memory", "state", "facts"])
def test_an_index_of_the_engine_is_made_again(
    owner: Client, db: None, settings: Any, name: str
) -> None:
    settings.MASTRA_ENGINE = {
        "default": {"BACKEND": "mastra_engine.PostgresEngine", "EMBEDDER": FixedEmbedder()}
    }
    engine.memory.save_memory(
        thread_id="chat", resource_id="ann", messages=[{"role": "user", "content": "a sled"}]
    )
    engine.memory.embed_pending()
    engine.state.put(namespace=("ann",), key="toy", value={"name": "a sled"})
    engine.state.index_pending()
    fact = {"subject": "ann", "predicate": "owns", "object": "a sled"}
    engine.facts.remember(resource_id="ann", facts=[fact])
    engine.facts.index_pending()
    index = VectorIndex.objects.get(name=name)
    before = set(Embedding.objects.filter(vector_index=index).values_list("vector_id", "document"))
    assert view("rebuild", index.pk) in owner.get(page_of(index)).content.decode()
    answer = owner.post(view("rebuild", index.pk), follow=True)
    assert "was started" in "".join(str(message) for message in answer.context["messages"])
    assert answer.status_code == 200  # the list of the indexes: this one was replaced
    again = Embedding.objects.filter(vector_index__name=name)
    assert set(again.values_list("vector_id", "document")) == before
    assert not VectorIndex.objects.filter(pk=index.pk).exists()
    assert LogEntry.objects.get().object_id == str(index.pk)


def test_reading_again_needs_the_permission_to_change(onlooker: Client, docs: VectorIndex) -> None:
    assert onlooker.post(view("rebuild", docs.pk)).status_code == 403
