"""The search playground: its results, its errors and its cost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from mastra_engine import engine
from mastra_engine.models import Embedding
from mastra_engine.testing.hostile import TEXTS, UNFIT_FILTERS
from tests.admin.conftest import page_of
from tests.integration.queries import statements

pytestmark = pytest.mark.django_db
ASKED = {"query": "north", "index": "ways", "top_k": 3, "hybrid": "0.5"}
#: JSON knows no numbers as keys.
UNFIT = [refused for refused in UNFIT_FILTERS if refused.name != "number as a field"]
PLACES = ["north", "east", "south", "west"]


class Compass:
    """An embedder of four directions."""

    def embed_query(self, text: str) -> list[float]:
        return {"north": [0.1, 1], "east": [1, 0], "south": [0, -1]}.get(text, [-1.0, 0.1])

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


@pytest.fixture(autouse=True)
def ways(db: None, settings: Any) -> Iterator[None]:
    """Create an index of four directions, and configure the embedder."""
    settings.MASTRA_ENGINE = {
        "default": {"BACKEND": "mastra_engine.PostgresEngine", "EMBEDDER": Compass()}
    }
    engine.vectors.create_index(index_name="ways", dimension=2)
    engine.vectors.upsert(
        index_name="ways",
        ids=PLACES,
        documents=PLACES,
        metadata=[{"place": place, "number": i} for i, place in enumerate(PLACES)],
    )
    engine.vectors.upsert(
        index_name="ways", ids=["home"], vectors=[[0.5, 0.5]], namespace="inside", documents=["in"]
    )


@pytest.fixture
def address() -> str:
    return reverse("admin:mastra_engine_playground")


def matches(answer: Any) -> list[list[str]]:
    return [[hit.match.id for hit in ranking.hits] for ranking in answer.context["rankings"]]


def test_shows_what_is_nearest_and_leads_to_it(owner: Client, address: str) -> None:
    answer = owner.post(address, ASKED)
    assert matches(answer)[0] == ["north", "home", "east"]
    row = Embedding.objects.get(vector_id="north")
    assert page_of(row) in answer.content.decode()


def test_vectors_words_and_both_are_shown_beside_each_other(owner: Client, address: str) -> None:
    answer = owner.post(address, {**ASKED, "query": "south", "hybrid": "0.3"})
    rankings = answer.context["rankings"]
    assert [each.title for each in rankings] == ["Vectors alone", "Words alone", "Hybrid"]
    vectors, words, both = (ranking.hits for ranking in rankings)
    assert vectors[0].match.id == words[0].match.id == both[0].match.id == "south"
    assert [hit.rank for hit in vectors] == [1, 2, 3]
    ranks = {hit.match.id: hit.rank for hit in vectors}
    assert [hit.rank for hit in both] == [ranks.get(hit.match.id) for hit in both]
    assert vectors[0].match.lexical == 0
    assert words[0].match.lexical == both[0].match.lexical > 0
    assert words[0].match.similarity == pytest.approx(1)


def test_a_hit_is_explained(owner: Client, address: str) -> None:
    answer = owner.post(address, {**ASKED, "query": "south", "hybrid": "0.3"})
    first = answer.context["rankings"][2].hits[0].match
    similarity, lexical = first.explanation.parts
    assert (similarity.weight, lexical.weight) == (0.3, pytest.approx(0.7))
    (contribution,) = lexical.words.values()
    page = answer.content.decode()
    assert f"<bdi>south</bdi> {contribution:.2f}" in page
    assert f"<dt>Similarity</dt><dd>{first.similarity:.3f}</dd>" in page
    assert f"<dt>Lexical</dt><dd>{first.lexical:.2f}</dd>" in page


def test_the_reranker_orders_the_hybrid_search(owner: Client, address: str) -> None:
    titles = [
        ranking.title
        for ranking in owner.post(address, {**ASKED, "rerank": "on"}).context["rankings"]
    ]
    assert titles == ["Vectors alone", "Words alone", "Hybrid, reranked"]


def test_a_least_similarity_holds_in_every_search(owner: Client, address: str) -> None:
    rankings = owner.post(address, {**ASKED, "min_score": "0.9"}).context["rankings"]
    assert [[hit.match.id for hit in ranking.hits] for ranking in rankings] == [["north"]] * 3
    nothing = owner.post(address, {**ASKED, "min_score": "1.1"})
    assert matches(nothing) == [[], [], []]
    assert nothing.content.decode().count("No vectors match.") == 3


def test_filters_and_namespaces_narrow(owner: Client, address: str) -> None:
    narrow = owner.post(address, {**ASKED, "filter": '{"number": {"$gte": 2}}'})
    assert matches(narrow)[0] == ["west", "south"]
    inside = owner.post(address, {**ASKED, "namespace": "inside"})
    assert matches(inside) == [["home"]] * 3


def test_leads_to_the_message_or_record_that_it_was_made_from(owner: Client, address: str) -> None:
    engine.memory.save_memory(
        thread_id="chat", resource_id="ann", messages=[{"role": "user", "content": "north"}]
    )
    engine.memory.embed_pending()  # this transaction never commits
    entity = engine.create_entity(name="Places", connection_id="atlas")
    engine.upsert_records(entity_id=entity.id, records=[{"external_id": "p1", "data": {}}])
    record = engine.get_record(entity_id=entity.id, external_id="p1")
    metadata = [
        {"@entity_id": str(entity.id), "@external_id": "p1"},
        {"@entity_id": str(entity.id), "@external_id": "gone"},
        {"@entity_id": 7, "@external_id": None},
    ]
    engine.vectors.upsert(
        index_name="ways",
        ids=["p1", "p2", "p3"],
        documents=["north"] * 3,
        namespace="atlas",
    )
    for id, properties in zip(["p1", "p2", "p3"], metadata, strict=True):
        Embedding.objects.filter(vector_id=id).update(metadata=properties)
    ranking, *_ = owner.post(address, {**ASKED, "top_k": 4}).context["rankings"]
    urls = {hit.match.id: hit.origin and hit.origin.url for hit in ranking.hits}
    of_record = reverse("admin:mastra_engine_record_change", args=[record.id])
    assert urls == {"north": None, "p1": of_record, "p2": None, "p3": None}
    ranking, *_ = owner.post(address, {**ASKED, "index": "memory"}).context["rankings"]
    assert ranking.hits[0].origin.url == (
        reverse("admin:mastra_engine_thread_change", args=["chat"]) + "?at=1"
    )


@pytest.mark.parametrize("refused", UNFIT, ids=lambda refused: refused.name)
def test_a_bad_filter_is_refused_at_its_field(owner: Client, address: str, refused: Any) -> None:
    answer = owner.post(address, {**ASKED, "filter": json.dumps(refused.value)})
    assert list(answer.context["form"].errors) == ["filter"]
    assert answer.context["rankings"] == []


@pytest.mark.parametrize(
    ("arguments", "field", "message"),
    [
        ({"filter": '{"a": 1,\nb}'}, "filter", "line 2, column 1"),
        ({"filter": "[" * 100_000}, "filter", "nested too deeply"),
        ({"filter": "1" * 5_000}, "filter", "number with too many digits"),
        ({"query": ""}, "query", "required"),
        ({"index": "nowhere"}, "index", "nowhere is not one"),
        ({"top_k": "0"}, "top_k", "greater than or equal to 1"),
        ({"hybrid": "1.5"}, "hybrid", "less than or equal to 1"),
        ({"hybrid": "nan"}, "hybrid", "Enter a number"),
        ({"min_score": "much"}, "min_score", "Enter a number"),
        ({"namespace": "n" * 513}, "namespace", "the limit is 512"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_errors_are_shown_at_their_fields(
    owner: Client, address: str, arguments: dict[str, str], field: str, message: str
) -> None:
    answer = owner.post(address, {**ASKED, **arguments})
    assert message in answer.context["form"].errors[field].as_text()


def test_without_an_index_it_says_so(owner: Client, address: str) -> None:
    engine.vectors.delete_index(index_name="ways")
    assert "There is no vector index to search" in owner.get(address).content.decode()


def test_without_an_embedder_it_says_so(owner: Client, address: str, settings: Any) -> None:
    settings.MASTRA_ENGINE = {"default": {"BACKEND": "mastra_engine.PostgresEngine"}}
    answer = owner.post(address, ASKED)
    assert "the engine has none" in answer.context["form"].errors["query"].as_text()


@pytest.mark.parametrize("text", [text.value for text in TEXTS], ids=ascii)
def test_any_query_is_only_text(owner: Client, address: str, text: str) -> None:
    answer = owner.post(address, {**ASKED, "query": text})
    assert answer.status_code == 200
    assert "<script>alert" not in answer.content.decode()


def test_a_query_is_sent_by_post_only(owner: Client, address: str) -> None:
    answer = owner.get(address, {**ASKED, "index": "ways"})
    assert answer.context["rankings"] == []
    assert answer.context["form"].initial["index"] == "ways"


def test_needs_the_permission_to_read_content(onlooker: Client, address: str) -> None:
    assert onlooker.get(address).status_code == 403
    assert onlooker.post(address, ASKED).status_code == 403


@pytest.mark.parametrize("top_k", [1, 50])
def test_the_number_of_statements_is_that_of_any_result(
    owner: Client, address: str, top_k: int
) -> None:
    many = [str(i) for i in range(100)]
    engine.vectors.upsert(index_name="ways", ids=many, documents=many)
    query = {**ASKED, "top_k": top_k, "rerank": "on"}
    sent = statements(lambda: owner.post(address, query))
    assert len(sent) <= 17, "\n".join(sent)  # each search may send one more, for ties
