"""The search playground: its results, its errors and its cost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from mastra_engine import engine, index_records
from mastra_engine.models import Embedding, Record
from mastra_engine.registry import registry
from mastra_engine.testing.hostile import TEXTS, UNFIT_FILTERS
from tests.admin.conftest import page_of, signed_in
from tests.integration.queries import statements

pytestmark = pytest.mark.django_db
ASKED = {"query": "north", "target": "vectors:ways", "top_k": 3, "hybrid": "0.5"}
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
    return [[hit.id for hit in ranking.hits] for ranking in answer.context["rankings"]]


def test_shows_what_is_nearest_and_leads_to_it(owner: Client, address: str) -> None:
    answer = owner.post(address, ASKED)
    assert matches(answer)[0] == ["north", "home", "east"]
    row = Embedding.objects.get(vector_id="north")
    assert page_of(row) in answer.content.decode()


def test_two_settings_are_shown_beside_each_other(owner: Client, address: str) -> None:
    query = {**ASKED, "query": "south", "hybrid": "1", "other-hybrid": "0", "other-top_k": "4"}
    first, second = owner.post(address, query).context["rankings"]
    assert [first.title, second.title] == ["First setting", "Second setting"]
    assert (len(first.hits), first.hits[0].id) == (3, "south")
    ranks = {hit.id: rank for rank, hit in enumerate(first.hits, start=1)}
    assert (len(second.hits), second.hits[0].id) == (4, "south")
    assert [hit.rank for hit in second.hits] == [ranks.get(hit.id) for hit in second.hits]
    engines = engine.vectors.query(index_name="ways", query_text="south", top_k=4, hybrid=0.0)
    assert [hit.score for hit in second.hits] == [match.score for match in engines]


@pytest.mark.parametrize(
    "other",
    [
        {"other-filter": "{}"},
        {"other-hybrid": "1"},
        {"other-top_k": "2"},
        {"other-min_score": "0.1"},
        {"other-rerank": "yes"},
    ],
    ids=str,
)
def test_the_second_setting_takes_its_empty_fields_from_the_first(
    owner: Client, address: str, other: dict[str, str]
) -> None:
    first = {**ASKED, "filter": '{"number": {"$gte": 2}}'}
    setting = {
        "top_k": 3,
        "hybrid": 0.5,
        "filter": {"number": {"$gte": 2}},
        "min_score": None,
        "reranker": False,
    }
    ((name, text),) = other.items()
    name = name.removeprefix("other-").replace("rerank", "reranker")
    setting[name] = True if text == "yes" else json.loads(text)
    if setting["hybrid"] == 1:
        setting["hybrid"] = False
    expected = engine.vectors.query(index_name="ways", query_text="north", **setting)
    _, second = matches(owner.post(address, {**first, **other}))
    assert second == [match.id for match in expected]


def test_the_same_setting_is_searched_once(owner: Client, address: str) -> None:
    rankings = owner.post(address, {**ASKED, "other-hybrid": "0.5"}).context["rankings"]
    assert [ranking.title for ranking in rankings] == ["Results"]


def test_a_hit_is_explained(owner: Client, address: str) -> None:
    answer = owner.post(address, {**ASKED, "query": "south", "hybrid": "0.3"})
    first, *others = answer.context["rankings"][0].hits
    (match, *_) = engine.vectors.query(
        index_name="ways", query_text="south", hybrid=0.3, explain=True
    )
    similarity, lexical = first.scores
    assert [(line.value, line.weight) for line in first.scores] == [
        (part.value, part.weight) for part in match.explanation.parts
    ]
    (word,) = lexical.lines
    assert word.value == match.explanation.parts[1].words["south"]
    page = answer.content.decode()
    assert "<bdi>south</bdi>" in page
    assert f'<td class="me-number">{match.similarity:.3f}</td>' in page
    assert 'width="100.00"' in word.bar  # the most that the words of a hit contribute
    for hit in others:
        assert 'width="0.00"' in hit.scores[1].bar
    assert similarity.bar in page


def test_a_reranked_hit_has_the_score_of_the_reranker(owner: Client, address: str) -> None:
    arguments = {**ASKED, "query": "south", "hybrid": "1", "rerank": "on"}
    (ranking,) = owner.post(address, arguments).context["rankings"]
    for hit in ranking.hits:
        assert (str(hit.scores[-1].label), hit.scores[-1].value) == ("Reranker", hit.score)


def test_a_least_similarity_holds_in_every_search(owner: Client, address: str) -> None:
    both = {**ASKED, "min_score": "0.9", "other-hybrid": "1"}
    assert matches(owner.post(address, both)) == [["north"]] * 2
    nothing = owner.post(address, {**both, "min_score": "1.1"})
    assert matches(nothing) == [[], []]
    assert nothing.content.decode().count("Nothing matches.") == 2


def test_messages_are_recalled_with_the_words_beside_them(owner: Client, address: str) -> None:
    said = [f"weather {n}" for n in range(8)] + ["where is the south", "over there"]
    messages = [{"role": "user", "content": text} for text in said]
    engine.memory.save_memory(thread_id="chat", resource_id="ann", messages=messages)
    arguments = {**ASKED, "query": "south", "target": "recall", "owner": "ann"}
    (ranking,) = owner.post(address, arguments).context["rankings"]
    expected = engine.memory.recall(
        query="south", resource_id="ann", top_k=3, message_range=(0, 0), hybrid=0.5
    )
    assert [hit.id for hit in ranking.hits] == [message.id for message in expected]
    assert ranking.hits[0].text == "where is the south"
    beside = next(hit for hit in ranking.hits if hit.text == "over there")
    assert "Words of a message beside it" in str(beside.scores[-1].label)
    assert beside.scores[-1].value > 0
    thread = reverse("admin:mastra_engine_thread_change", args=["chat"])
    assert ranking.hits[0].name.url == f"{thread}?at=9"


def test_records_of_a_connection_are_searched(owner: Client, address: str) -> None:
    with registry.empty():
        index_records(entity="Places", index="places", text=lambda data: data["name"])
        records = [{"external_id": place, "data": {"name": place}} for place in PLACES]
        engine.sync_records(name="Places", connection_id="atlas", records=records)
        arguments = {**ASKED, "target": "records:Places", "owner": "atlas", "top_k": 2}
        (ranking,) = owner.post(address, arguments).context["rankings"]
        assert ranking.hits[0].id == "north"
        record = Record.objects.get(external_id="north")
        assert ranking.hits[0].name.url == page_of(record)
        answer = owner.post(address, {**arguments, "owner": ""})
        assert list(answer.context["form"].errors) == ["owner"]
        none = owner.post(address, {**arguments, "filter": '{"name": "nowhere"}'})
        assert matches(none) == [[]]


def test_a_search_is_offered_to_those_who_may_read_its_results(db: None, address: str) -> None:
    names = ["view_vectorindex", "view_embedding", "read_content"]
    some = signed_in("some", Permission.objects.filter(codename__in=names))
    asked = {**ASKED, "target": "recall", "owner": "ann"}
    assert list(some.post(address, asked).context["form"].errors) == ["target"]
    assert matches(some.post(address, ASKED))[0][0] == "north"


def test_filters_and_namespaces_narrow(owner: Client, address: str) -> None:
    narrow = owner.post(address, {**ASKED, "filter": '{"number": {"$gte": 2}}'})
    assert matches(narrow)[0] == ["west", "south"]
    inside = owner.post(address, {**ASKED, "owner": "inside"})
    assert matches(inside) == [["home"]]


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
    urls = {hit.id: hit.origin and hit.origin.url for hit in ranking.hits}
    of_record = reverse("admin:mastra_engine_record_change", args=[record.id])
    assert urls == {"north": None, "p1": of_record, "p2": None, "p3": None}
    ranking, *_ = owner.post(address, {**ASKED, "target": "vectors:memory"}).context["rankings"]
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
        ({"target": "vectors:nowhere"}, "target", "vectors:nowhere is not one"),
        ({"target": "recall", "rerank": "on"}, "rerank", "not reranked"),
        ({"top_k": "0"}, "top_k", "greater than or equal to 1"),
        ({"hybrid": "1.5"}, "hybrid", "less than or equal to 1"),
        ({"hybrid": "nan"}, "hybrid", "Enter a number"),
        ({"min_score": "much"}, "min_score", "Enter a number"),
        ({"owner": "n" * 513}, "owner", "the limit is 512"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_errors_are_shown_at_their_fields(
    owner: Client, address: str, arguments: dict[str, str], field: str, message: str
) -> None:
    answer = owner.post(address, {**ASKED, **arguments})
    assert message in answer.context["form"].errors[field].as_text()


@pytest.mark.parametrize(
    ("arguments", "field"),
    [({"other-top_k": "0"}, "top_k"), ({"other-filter": '{"a": {"$like": 1}}'}, "filter")],
)
def test_errors_of_the_second_setting_are_shown_there(
    owner: Client, address: str, arguments: dict[str, str], field: str
) -> None:
    answer = owner.post(address, {**ASKED, **arguments})
    assert list(answer.context["other"].errors) == [field]
    assert not answer.context["form"].errors
    assert answer.context["rankings"] == []


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
    answer = owner.get(address, ASKED)
    assert answer.context["rankings"] == []
    assert answer.context["form"].initial["target"] == "vectors:ways"


def test_needs_the_permission_to_read_content(onlooker: Client, address: str) -> None:
    assert onlooker.get(address).status_code == 403
    assert onlooker.post(address, ASKED).status_code == 403


@pytest.mark.parametrize("top_k", [1, 50])
def test_the_number_of_statements_is_that_of_any_result(
    owner: Client, address: str, top_k: int
) -> None:
    many = [str(i) for i in range(100)]
    engine.vectors.upsert(index_name="ways", ids=many, documents=many)
    query = {**ASKED, "top_k": top_k, "rerank": "on", "other-hybrid": "1"}
    sent = statements(lambda: owner.post(address, query))
    assert len(sent) <= 14, "\n".join(sent)  # each search may send one more, for ties
