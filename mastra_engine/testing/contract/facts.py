"""Facts: claims and their versions, on two time axes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from mastra_engine import MastraEngine
from mastra_engine.exceptions import (
    FactNotFound,
    IdempotencyConflict,
    InvalidFilter,
    InvalidInput,
)
from mastra_engine.types import Fact, FactInput

DAY = timedelta(days=1)


def day(number: int) -> datetime:
    """Return a day of the past, in the order of its number."""
    return datetime(2020, 1, 1, tzinfo=UTC) + number * DAY


def remember(engine: MastraEngine, object: str, **fact: Any) -> Fact:
    """Remember where Anna lives, or another fact."""
    fact = {"subject": "Anna", "predicate": "lives in", "object": object, **fact}
    (remembered,) = engine.facts.remember(resource_id="user", facts=[fact])
    return remembered


def listed(engine: MastraEngine, **criteria: Any) -> list[str]:
    """Return the objects of the facts that a list contains."""
    return [fact.object for fact in engine.facts.list_facts(resource_id="user", **criteria)]


class TestFacts:
    def test_a_fact_has_the_values_it_was_remembered_with(self, engine: MastraEngine) -> None:
        fact = FactInput(
            subject="Anna",
            predicate="lives in",
            object="Berlin",
            valid_from="2020-01-02T00:00:00Z",
            valid_to=day(9),
            confidence=0.5,
            aliases=["Annie"],
            pinned=True,
        )
        (remembered,) = engine.facts.remember(resource_id="user", facts=[fact])
        assert remembered == Fact(
            id=remembered.id,
            resource_id="user",
            subject="Anna",
            predicate="lives in",
            object="Berlin",
            valid_from=day(1),
            valid_to=day(9),
            created_at=remembered.created_at,
            superseded_at=None,
            retracted_at=None,
            reason="",
            confidence=0.5,
            aliases=("Annie",),
            pinned=True,
            many=False,
        )
        assert engine.facts.get_fact(id=remembered.id) == remembered
        assert engine.facts.get_fact(id=str(remembered.id)) == remembered

    def test_a_fact_is_valid_from_the_time_of_remembering(self, engine: MastraEngine) -> None:
        fact = remember(engine, "Berlin")
        assert fact.valid_from == fact.created_at
        assert fact.valid_to is None
        assert listed(engine) == ["Berlin"]

    def test_a_new_object_supersedes_the_current_version(self, engine: MastraEngine) -> None:
        old = remember(engine, "Hamburg", valid_from=day(0))
        new = remember(engine, "Berlin", valid_from=day(5))
        old = engine.facts.get_fact(id=old.id)
        assert (old.valid_to, old.superseded_at) == (day(5), new.created_at)
        assert engine.facts.history(id=new.id) == [old, new]
        assert engine.facts.history(id=old.id) == [old, new]
        assert listed(engine) == ["Berlin"]

    def test_a_validity_includes_its_start_and_excludes_its_end(self, engine: MastraEngine) -> None:
        remember(engine, "Hamburg", valid_from=day(0))
        remember(engine, "Berlin", valid_from=day(5), valid_to=day(9))
        instants = [day(0) - DAY, day(0), day(5) - DAY, day(5), day(8), day(9)]
        assert [listed(engine, valid_at=instant) for instant in instants] == [
            [],
            ["Hamburg"],
            ["Hamburg"],
            ["Berlin"],
            ["Berlin"],
            [],
        ]

    def test_an_earlier_end_is_not_prolonged(self, engine: MastraEngine) -> None:
        old = remember(engine, "Hamburg", valid_from=day(0), valid_to=day(3))
        remember(engine, "Berlin", valid_from=day(5))
        assert engine.facts.get_fact(id=old.id).valid_to == day(3)
        assert listed(engine, valid_at=day(4)) == []

    def test_a_fact_told_late_ends_every_version_that_is_valid_later(
        self, engine: MastraEngine
    ) -> None:
        first = remember(engine, "Hamburg", valid_from=day(0))
        second = remember(engine, "Berlin", valid_from=day(5))
        third = remember(engine, "Munich", valid_from=day(3))
        ends = [fact.valid_to for fact in engine.facts.history(id=first.id)]
        assert ends == [day(3), day(3), None]
        assert engine.facts.get_fact(id=second.id).superseded_at == third.created_at
        assert engine.facts.get_fact(id=first.id).superseded_at == second.created_at
        assert listed(engine, valid_at=day(6)) == ["Munich"]
        assert listed(engine, valid_at=day(2)) == ["Hamburg"]

    def test_an_end_counts_from_the_time_at_which_it_became_known(
        self, engine: MastraEngine
    ) -> None:
        first = remember(engine, "Hamburg", valid_from=day(0))
        second = remember(engine, "Berlin", valid_from=day(5))
        third = remember(engine, "Munich", valid_from=day(3))
        for known_at, expected in [
            (first.created_at - DAY, []),
            (first.created_at, ["Hamburg"]),
            (second.created_at, ["Berlin"]),
            (third.created_at, ["Munich"]),
        ]:
            assert listed(engine, valid_at=day(6), known_at=known_at) == expected
            assert listed(engine, known_at=known_at) == expected
        assert listed(engine, valid_at=day(4), known_at=second.created_at) == ["Hamburg"]

    def test_an_end_that_was_told_is_known_from_the_start(self, engine: MastraEngine) -> None:
        fact = remember(engine, "Hamburg", valid_from=day(0), valid_to=day(3))
        assert listed(engine, valid_at=day(3), known_at=fact.created_at) == []
        assert listed(engine, valid_at=day(2), known_at=fact.created_at) == ["Hamburg"]

    def test_a_fact_of_the_future_ends_the_current_one_then(self, engine: MastraEngine) -> None:
        remember(engine, "Hamburg")
        move = datetime.now(UTC) + 30 * DAY
        remember(engine, "Berlin", valid_from=move)
        assert listed(engine) == ["Hamburg"]
        assert listed(engine, valid_at=move) == ["Berlin"]

    def test_all_versions_are_listed_whatever_their_validity(self, engine: MastraEngine) -> None:
        first = remember(engine, "Hamburg", valid_from=day(0))
        remember(engine, "Berlin", valid_from=day(5))
        everything = {"include_superseded": True, "valid_at": day(-9)}
        assert listed(engine, **everything) == ["Hamburg", "Berlin"]
        assert listed(engine, **everything, known_at=first.created_at) == ["Hamburg"]

    def test_the_same_object_again_makes_no_new_version(self, engine: MastraEngine) -> None:
        first = remember(engine, "Berlin", valid_from=day(0))
        again = remember(engine, "Berlin", aliases=["Annie"], pinned=True)
        assert again.id == first.id
        assert (again.aliases, again.pinned, again.valid_from) == (("Annie",), True, day(0))
        assert engine.facts.history(id=first.id) == [again]
        assert remember(engine, "Berlin") == again

    def test_the_same_object_is_a_new_version_after_the_current_one_ended(
        self, engine: MastraEngine
    ) -> None:
        first = remember(engine, "Berlin", valid_from=day(0), valid_to=day(3))
        again = remember(engine, "Berlin", valid_from=day(5))
        assert again.id != first.id
        assert [listed(engine, valid_at=day(number)) for number in (2, 4, 6)] == [
            ["Berlin"],
            [],
            ["Berlin"],
        ]

    def test_facts_of_one_call_are_remembered_in_order(self, engine: MastraEngine) -> None:
        claim = {"subject": "Anna", "predicate": "lives in"}
        facts = [{**claim, "object": object} for object in ("Hamburg", "Berlin", "Berlin")]
        first, second, third = engine.facts.remember(resource_id="user", facts=facts)
        assert (first.object, first.superseded_at) == ("Hamburg", second.created_at)
        assert second == third
        assert listed(engine) == ["Berlin"]
        assert engine.facts.remember(resource_id="user", facts=[]) == []

    def test_names_match_in_any_case_and_form_of_unicode(self, engine: MastraEngine) -> None:
        remember(engine, "Hamburg", subject="Straße ﬁve", predicate="Lies IN")
        remember(engine, "Berlin", subject="STRASSE Five", predicate="lies in")
        assert listed(engine) == ["Berlin"]
        assert listed(engine, subject="strasse five", predicate="LIES in") == ["Berlin"]
        assert listed(engine, subject="strasse") == []

    def test_objects_of_a_set_do_not_supersede_each_other(self, engine: MastraEngine) -> None:
        speaks = {"predicate": "speaks", "many": True}
        first = remember(engine, "German", **speaks)
        remember(engine, "English", **speaks)
        assert remember(engine, "German", **speaks).id == first.id
        assert listed(engine) == ["German", "English"]
        engine.facts.retract(id=first.id)
        assert listed(engine) == ["English"]

    def test_a_fact_about_an_alias_belongs_to_the_subject(self, engine: MastraEngine) -> None:
        remember(engine, "Hamburg", aliases=["Annie"])
        fact = remember(engine, "Berlin", subject="ANNIE")
        assert (fact.subject, listed(engine)) == ("Anna", ["Berlin"])
        assert listed(engine, subject="annie") == ["Berlin"]
        other = {"subject": "Annie", "predicate": "lives in", "object": "Rome"}
        (stranger,) = engine.facts.remember(resource_id="stranger", facts=[other])
        assert stranger.subject == "Annie"

    def test_the_first_subject_with_an_alias_keeps_it(self, engine: MastraEngine) -> None:
        remember(engine, "Hamburg", aliases=["A."])
        remember(engine, "Rome", subject="Alex", aliases=["A."])
        assert remember(engine, "Berlin", subject="A.").subject == "Anna"

    def test_an_alias_stays_with_every_fact_that_has_it(self, engine: MastraEngine) -> None:
        first = remember(engine, "Hamburg", aliases=["Annie"])
        remember(engine, "tea", subject="ANNA", predicate="likes", aliases=["Annie"])
        engine.facts.forget(id=first.id)
        assert remember(engine, "Berlin", subject="annie").subject == "ANNA"

    def test_aliases_do_not_lead_in_a_circle(self, engine: MastraEngine) -> None:
        facts = [
            FactInput("Anna", "likes", "tea", aliases=["Annie", "ANNA"]),
            FactInput("Annie", "likes", "milk", aliases=["Anna", "Ann"]),
            FactInput("Maria", "likes", "water", aliases=["Anna"]),
            FactInput("Ann", "likes", "coffee", aliases=["Maria"]),
        ]
        remembered = engine.facts.remember(resource_id="user", facts=facts)
        assert [fact.subject for fact in remembered] == ["Anna", "Anna", "Maria", "Maria"]
        assert remembered[0].aliases == ("Annie",)
        assert remember(engine, "Berlin", subject="annie").subject == "Maria"

    def test_a_retracted_fact_stays_in_the_history(self, engine: MastraEngine) -> None:
        fact = remember(engine, "Berlin", valid_from=day(0))
        retracted = engine.facts.retract(id=fact.id, reason="A mistake")
        assert retracted.reason == "A mistake"
        assert retracted.valid_to == retracted.retracted_at
        assert retracted.superseded_at is None
        assert listed(engine) == []
        assert listed(engine, valid_at=day(1)) == ["Berlin"]
        assert listed(engine, known_at=fact.created_at) == ["Berlin"]
        assert engine.facts.history(id=fact.id) == [retracted]
        assert engine.facts.retract(id=fact.id, reason="Another") == retracted

    def test_a_fact_is_retracted_at_a_time(self, engine: MastraEngine) -> None:
        fact = remember(engine, "Berlin", valid_from=day(0), valid_to=day(8))
        assert engine.facts.retract(id=fact.id, at=day(9)).valid_to == day(8)
        fact = remember(engine, "Rome", valid_from=day(20))
        assert engine.facts.retract(id=fact.id, at=day(21)).valid_to == day(21)
        assert [listed(engine, valid_at=day(number)) for number in (20, 21)] == [["Rome"], []]

    def test_a_retracted_fact_can_be_remembered_again(self, engine: MastraEngine) -> None:
        fact = remember(engine, "Berlin", valid_from=day(0))
        engine.facts.retract(id=fact.id)
        again = remember(engine, "Berlin")
        assert again.id != fact.id
        assert engine.facts.get_fact(id=fact.id).superseded_at is None
        assert listed(engine) == ["Berlin"]

    def test_a_forgotten_fact_leaves_no_history(self, engine: MastraEngine) -> None:
        remember(engine, "Hamburg")
        fact = remember(engine, "Berlin")
        kept = remember(engine, "tea", predicate="likes")
        assert engine.facts.forget(id=fact.id) == 2
        assert listed(engine, include_superseded=True) == ["tea"]
        for method in ("get_fact", "history", "retract", "forget", "sources"):
            with pytest.raises(FactNotFound) as caught:
                getattr(engine.facts, method)(id=fact.id)
            assert caught.value.id == fact.id
        assert engine.facts.get_fact(id=kept.id) == kept

    def test_facts_are_listed_in_pages(self, engine: MastraEngine) -> None:
        for number in range(5):
            remember(engine, f"city {number}", subject=f"person {number}")
        first = engine.facts.list_facts(resource_id="user", limit=2)
        second = engine.facts.list_facts(resource_id="user", limit=2, cursor=first.next_cursor)
        third = engine.facts.list_facts(resource_id="user", limit=2, cursor=second.next_cursor)
        objects = [fact.object for page in (first, second, third) for fact in page]
        assert objects == [f"city {number}" for number in range(5)]
        assert third.next_cursor is None
        with pytest.raises(InvalidInput) as caught:
            engine.facts.list_facts(resource_id="other", cursor=first.next_cursor)
        assert caught.value.path == "/cursor"

    def test_a_filter_applies_to_the_parts_of_a_fact(self, engine: MastraEngine) -> None:
        remember(engine, "Berlin", confidence=0.4, aliases=["Annie"])
        remember(engine, "tea", predicate="likes", pinned=True)
        for filter, expected in [
            ({"confidence": {"$lt": 0.5}}, ["Berlin"]),
            ({"confidence": 1}, ["tea"]),
            ({"aliases": "Annie"}, ["Berlin"]),
            ({"pinned": True, "many": False}, ["tea"]),
            ({"object": {"$in": ["Berlin", "tea"]}, "subject": "Anna"}, ["Berlin", "tea"]),
            ({"predicate": {"$ne": "likes"}, "reason": ""}, ["Berlin"]),
        ]:
            assert listed(engine, filter=filter) == expected
        with pytest.raises(InvalidFilter):
            listed(engine, filter={"confidence": {"$regex": "x"}})

    def test_a_repeated_call_with_a_key_remembers_once(self, engine: MastraEngine) -> None:
        arguments: dict[str, Any] = {"resource_id": "user", "idempotency_key": "1"}
        facts = [FactInput("Anna", "lives in", "Hamburg")]
        first = engine.facts.remember(**arguments, facts=facts)
        remember(engine, "Berlin")
        again = engine.facts.remember(**arguments, facts=facts)
        assert [fact.id for fact in again] == [fact.id for fact in first]
        assert listed(engine) == ["Berlin"]
        with pytest.raises(IdempotencyConflict):
            engine.facts.remember(**arguments, facts=[FactInput("Anna", "lives in", "Rome")])
        arguments["resource_id"] = "other"
        assert engine.facts.remember(**arguments, facts=facts)[0].resource_id == "other"

    @pytest.mark.parametrize(
        ("fact", "path"),
        [
            ("Anna lives in Berlin", ""),
            ({"subject": None}, "/subject"),
            ({"subject": "x" * 513}, "/subject"),
            ({"predicate": None}, "/predicate"),
            ({"object": ""}, "/object"),
            ({"object": {"city": "Berlin"}}, "/object"),
            ({"object": "x" * 16_385}, "/object"),
            ({"valid_from": "yesterday"}, "/valid_from"),
            ({"valid_from": datetime(2020, 1, 1)}, "/valid_from"),  # noqa: DTZ001
            ({"valid_from": day(1), "valid_to": day(1)}, "/valid_to"),
            ({"valid_to": day(1)}, "/valid_to"),
            ({"confidence": 1.5}, "/confidence"),
            ({"confidence": float("nan")}, "/confidence"),
            ({"aliases": "Annie"}, "/aliases"),
            ({"aliases": [f"alias {number}" for number in range(101)]}, "/aliases"),
            ({"pinned": 1}, "/pinned"),
            ({"many": "yes"}, "/many"),
            ({"sources": {"message_id": "1"}}, "/sources"),
            ({"sources": [{}]}, "/sources/0"),
            ({"sources": [{"message_id": "1", "record_id": uuid4()}]}, "/sources/0"),
            ({"sources": [{"record_id": "1"}]}, "/sources/0/record_id"),
            ({"sources": [{"message_id": "1", "quote": None}]}, "/sources/0/quote"),
            ({"sources": [{"message": "1"}]}, "/sources/0/message"),
            ({"resource_id": "other"}, "/resource_id"),
        ],
    )
    def test_an_invalid_fact_is_refused_and_nothing_is_remembered(
        self, engine: MastraEngine, fact: Any, path: str
    ) -> None:
        valid = {"subject": "Anna", "predicate": "lives in", "object": "Berlin"}
        if isinstance(fact, dict):
            fact = {**valid, **fact}
        with pytest.raises(InvalidInput) as caught:
            engine.facts.remember(resource_id="user", facts=[valid, fact])
        assert caught.value.path == f"/facts/1{path}"
        assert listed(engine, include_superseded=True) == []

    @pytest.mark.parametrize("part", ["subject", "predicate", "object"])
    def test_a_fact_needs_its_parts(self, engine: MastraEngine, part: str) -> None:
        fact = {"subject": "Anna", "predicate": "lives in", "object": "Berlin"}
        del fact[part]
        with pytest.raises(InvalidInput) as caught:
            engine.facts.remember(resource_id="user", facts=[fact])
        assert caught.value.path == f"/facts/0/{part}"

    def test_too_many_facts_are_refused(self, engine: MastraEngine) -> None:
        facts = (FactInput("Anna", "likes", f"{n}", many=True) for n in range(10_000))
        with pytest.raises(InvalidInput) as caught:
            engine.facts.remember(resource_id="user", facts=facts)
        assert caught.value.path == "/facts"
        assert next(facts).object == "1001"

    def test_a_thousand_facts_are_remembered_at_once(self, engine: MastraEngine) -> None:
        facts = [FactInput("Anna", "likes", f"{n}", many=True) for n in range(1_000)]
        assert len(engine.facts.remember(resource_id="user", facts=facts)) == 1_000
        page = engine.facts.list_facts(resource_id="user", limit=1_000)
        assert [fact.object for fact in page] == [fact.object for fact in facts]

    @pytest.mark.parametrize(
        ("method", "arguments", "path"),
        [
            ("get_fact", {"id": "1"}, "/id"),
            ("retract", {"id": uuid4(), "reason": 1}, "/reason"),
            ("retract", {"id": uuid4(), "at": "now"}, "/at"),
            ("list_facts", {"resource_id": ""}, "/resource_id"),
            ("list_facts", {"resource_id": "user", "subject": ""}, "/subject"),
            ("list_facts", {"resource_id": "user", "predicate": 1}, "/predicate"),
            ("list_facts", {"resource_id": "user", "valid_at": 1}, "/valid_at"),
            ("list_facts", {"resource_id": "user", "known_at": "then"}, "/known_at"),
            ("list_facts", {"resource_id": "user", "include_superseded": 1}, "/include_superseded"),
            ("list_facts", {"resource_id": "user", "limit": -1}, "/limit"),
            ("list_facts", {"resource_id": "user", "cursor": "1"}, "/cursor"),
            ("remember", {"resource_id": "user", "facts": "none"}, "/facts"),
            (
                "remember",
                {"resource_id": "user", "facts": [], "idempotency_key": ""},
                "/idempotency_key",
            ),
        ],
    )
    def test_an_invalid_argument_is_named(
        self, engine: MastraEngine, method: str, arguments: dict[str, Any], path: str
    ) -> None:
        with pytest.raises(InvalidInput) as caught:
            getattr(engine.facts, method)(**arguments)
        assert caught.value.path == path
