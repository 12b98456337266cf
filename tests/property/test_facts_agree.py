"""Facts: the mock, the PostgreSQL engine and a plain model remember the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mastra_engine import MastraEngine, MockMastraEngine, PostgresEngine
from mastra_engine.testing.contract.fact_extraction import Scripted
from mastra_engine.testing.contract.recall import BagOfWords
from mastra_engine.types import Fact, FactChange, FactInput, Retraction
from tests.property.fact_model import (
    EVENT,
    FUTURE,
    NEVER,
    NOW,
    PAST,
    FactModel,
    Time,
    Version,
    future,
    past,
)
from tests.property.pair import QUIET

NAMES = st.sampled_from(["Anna", "ANNA", "Annie", "A.", "Bob", "bob"])
PREDICATES = st.sampled_from(["lives in", "Lives In", "likes"])
OBJECTS = st.sampled_from(["Berlin", "berlin", "Rome", "Oslo"])
DAYS = st.integers(0, 9)
TIMES = DAYS.map(past) | DAYS.map(future)
STARTS = st.none() | TIMES
LENGTHS = st.none() | st.integers(1, 5)
ALIASES = st.lists(NAMES, max_size=2)
SOURCES = st.lists(st.integers(0, 7), max_size=3, unique=True)
BEGINNING = {PAST: datetime(2000, 1, 1, tzinfo=UTC), FUTURE: datetime(2900, 1, 1, tzinfo=UTC)}
MESSAGES, RECORDS = range(4), range(4, 8)


class Recorded:
    """One engine, with the ids of its facts and the times of its events."""

    def __init__(self, engine: MastraEngine) -> None:
        self.engine = engine
        self.ids: list[UUID] = []
        self.moments: dict[int, datetime] = {}
        messages = [{"id": f"m{n}", "role": "user", "content": "x"} for n in MESSAGES]
        engine.memory.save_memory(thread_id="t", resource_id="user", messages=messages)
        records = [{"external_id": str(n), "data": {}} for n in RECORDS]
        self.entity = engine.sync_records(name="People", connection_id="c", records=records).entity
        self.records = [
            record.id for record in engine.get_records_by_entity_id(entity_id=self.entity.id)
        ]

    def source(self, number: int) -> dict[str, Any]:
        if number in RECORDS:
            return {"record_id": self.records[number - RECORDS.start]}
        return {"message_id": f"m{number}"}

    def delete_source(self, number: int) -> None:
        if number in RECORDS:
            self.engine.delete_records(entity_id=self.entity.id, external_ids=[str(number)])
        else:
            self.engine.memory.delete_messages(ids=[f"m{number}"])

    def extract(self, number: int, answer: FactInput | Retraction) -> list[FactChange]:
        """Have an extractor give an answer to one more message."""
        self.engine.facts.extraction.extractor = Scripted(lambda _: [answer])
        message = {"id": f"m{number}", "role": "user", "content": "x"}
        self.engine.memory.save_memory(thread_id="u", resource_id="user", messages=[message])
        return self.engine.facts.extract(thread_id="u")

    def time(self, symbol: Time | None) -> datetime | None:
        """Return the time of this engine that a symbol stands for."""
        if symbol is None:
            return None
        kind, number = symbol
        if kind == EVENT:
            return self.moments[number]
        return BEGINNING[kind] + timedelta(days=number)

    def symbol(self, moment: datetime | None) -> Time:
        if moment is None:
            return NEVER
        for event, known in self.moments.items():
            if known == moment:
                return EVENT, event
        kind = PAST if moment.year < 2500 else FUTURE
        return kind, (moment - BEGINNING[kind]).days

    def event(self, moment: datetime | None) -> int | None:
        return None if moment is None else self.symbol(moment)[1]

    def shown(self, fact: Fact) -> tuple[object, ...]:
        """Return what the model shows of a version."""
        return (
            self.ids.index(fact.id),
            fact.subject,
            fact.predicate,
            fact.object,
            self.symbol(fact.valid_from),
            self.symbol(fact.valid_to),
            self.event(fact.created_at),
            self.event(fact.superseded_at),
            self.event(fact.retracted_at),
            fact.aliases,
            fact.pinned,
        )


class Claims(RuleBasedStateMachine):
    """Claims of one resource with names, objects and times that often meet."""

    def __init__(self) -> None:
        super().__init__()
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        mock = MockMastraEngine(url="mock://facts")
        mock.reset()
        self.engines = [Recorded(mock), Recorded(PostgresEngine())]
        self.model = FactModel()
        self.left = {*MESSAGES, *RECORDS}
        self.next_message = RECORDS.stop

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.transaction.__exit__(None, None, None)

    @rule(
        subject=NAMES,
        predicate=PREDICATES,
        object=OBJECTS,
        many=st.booleans(),
        start=STARTS,
        length=LENGTHS,
        aliases=ALIASES,
        pinned=st.booleans(),
        sources=SOURCES,
    )
    def remember(self, **fact: Any) -> None:
        start, length = fact.pop("start"), fact.pop("length")
        end = None
        if length is not None:
            end = future(length) if start is None else (start[0], start[1] + length)
        numbers = [number for number in fact.pop("sources") if number in self.left]
        count = self.model.count
        version = self.model.remember(
            **fact, start=start, end=end, sources=[("", str(number)) for number in numbers]
        )
        for recorded in self.engines:
            values = {
                **fact,
                "valid_from": recorded.time(start),
                "valid_to": recorded.time(end),
                "sources": [recorded.source(number) for number in numbers],
            }
            (remembered,) = recorded.engine.facts.remember(resource_id="user", facts=[values])
            if version.number == count:
                recorded.ids.append(remembered.id)
                recorded.moments[self.model.event] = remembered.created_at
            assert recorded.shown(remembered) == version.shown()

    @rule(subject=NAMES, predicate=PREDICATES, object=OBJECTS, many=st.booleans())
    def extract(self, **fact: Any) -> None:
        number, count = self.say(), self.model.count
        current = [version for version in self.model.versions if version.is_current]
        source = "", str(number)
        version = self.model.remember(
            **fact, start=None, end=None, aliases=(), pinned=False, sources=[source]
        )
        action = "remembered"
        if version in current:
            action = "unchanged"
        elif any(not other.is_current for other in current):
            action = "superseded"
        for recorded in self.engines:
            (change,) = recorded.extract(number, FactInput(**fact))
            if version.number == count:
                recorded.ids.append(change.fact.id)
                recorded.moments[self.model.event] = change.fact.created_at
            assert (change.action, recorded.shown(change.fact)) == (action, version.shown())

    @rule(subject=NAMES, predicate=PREDICATES, object=st.none() | OBJECTS)
    def extract_a_retraction(self, subject: str, predicate: str, object: str | None) -> None:
        number = self.say()
        versions = self.model.retract_claim(subject, predicate, object)
        for recorded in self.engines:
            changes = recorded.extract(number, Retraction(subject, predicate, object))
            facts = [change.fact for change in changes]
            if facts and (moment := facts[0].retracted_at):
                recorded.moments[self.model.event] = moment
            assert {change.action for change in changes} <= {"retracted"}
            self.same(recorded, facts, versions)

    @rule()
    def extract_pending(self) -> None:
        for recorded in self.engines:
            recorded.engine.facts.extraction.extractor = Scripted(lambda _: [])
            assert recorded.engine.facts.extract_pending() == 0

    def say(self) -> int:
        """Return the number of the next message, which can be a source and be deleted."""
        self.left.add(self.next_message)
        self.next_message += 1
        return self.next_message - 1

    @precondition(lambda self: self.model.versions)
    @rule(data=st.data(), at=STARTS)
    def retract(self, data: Any, at: Time | None) -> None:
        version = data.draw(st.sampled_from(self.model.versions))
        before = version.retracted
        self.model.retract(version, at)
        for recorded in self.engines:
            id = recorded.ids[version.number]
            retracted = recorded.engine.facts.retract(id=id, at=recorded.time(at))
            if before is None:
                assert retracted.retracted_at is not None
                recorded.moments[self.model.event] = retracted.retracted_at
            assert recorded.shown(retracted) == version.shown()

    @precondition(lambda self: self.model.versions)
    @rule(data=st.data())
    def forget(self, data: Any) -> None:
        version = data.draw(st.sampled_from(self.model.versions))
        gone = self.model.forget(version)
        for recorded in self.engines:
            assert recorded.engine.facts.forget(id=recorded.ids[version.number]) == gone

    @precondition(lambda self: self.left)
    @rule(data=st.data())
    def delete_source(self, data: Any) -> None:
        number = data.draw(st.sampled_from(sorted(self.left)))
        self.left.remove(number)
        self.model.delete_source(("", str(number)))
        for recorded in self.engines:
            recorded.delete_source(number)

    @rule(data=st.data(), valid=st.none() | TIMES, everything=st.booleans())
    def list_facts(self, data: Any, valid: Time | None, everything: bool) -> None:
        events = sorted(self.engines[0].moments)
        known = data.draw(st.none() | st.sampled_from(events)) if events else None
        if data.draw(st.booleans()) and events:
            valid = EVENT, data.draw(st.sampled_from(events))
        expected = self.model.listed(
            valid=valid or NOW, known=10**9 if known is None else known, everything=everything
        )
        for recorded in self.engines:
            facts = recorded.engine.facts.list_facts(
                resource_id="user",
                valid_at=recorded.time(valid),
                known_at=None if known is None else recorded.moments[known],
                include_superseded=everything,
            )
            self.same(recorded, list(facts), expected)

    @rule(word=st.sampled_from(["Anna", "Annie", "Berlin", "Rome", "Bob"]), data=st.data())
    def search(self, word: str, data: Any) -> None:
        """Facts with the word are found: all that are valid, and in any order."""
        events = sorted(self.engines[0].moments)
        known = data.draw(st.none() | st.sampled_from(events)) if events else None
        matching = [
            version
            for version in self.model.listed(known=10**9 if known is None else known)
            if any(
                word.lower() in (name.lower(), name.lower().rstrip("."))
                for name in (version.subject, *version.aliases, version.object)
            )
        ]
        for recorded in self.engines:
            known_at = None if known is None else recorded.moments[known]
            facts = recorded.engine.facts.within(resource_ids=["user"])
            found = facts.search(query=word, resource_id="user", known_at=known_at, top_k=99)
            numbers = sorted(recorded.ids.index(match.fact.id) for match in found)
            assert numbers == sorted(version.number for version in matching)

    @rule()
    def index(self) -> None:
        indexed = [recorded.engine.facts.index_pending() for recorded in self.engines]
        assert indexed[0] == indexed[1]

    @rule()
    def reindex(self) -> None:
        for recorded in self.engines:
            assert recorded.engine.facts.reindex() == len(self.model.versions)
            assert recorded.engine.facts.prepare_index() is None

    @rule(name=NAMES)
    def list_by_subject(self, name: str) -> None:
        names = {name.lower(), self.model.subject_of(name).lower()}
        expected = [v for v in self.model.listed() if v.subject.lower() in names]
        for recorded in self.engines:
            facts = recorded.engine.facts.list_facts(resource_id="user", subject=name)
            self.same(recorded, list(facts), expected)

    @precondition(lambda self: self.model.versions)
    @rule(data=st.data())
    def look(self, data: Any) -> None:
        version = data.draw(st.sampled_from(self.model.versions))
        claim = [other for other in self.model.versions if other.claim == version.claim]
        for recorded in self.engines:
            facts, id = recorded.engine.facts, recorded.ids[version.number]
            self.same(recorded, facts.history(id=id), claim)
            self.same(recorded, [facts.get_fact(id=id)], [version])
            sources = [recorded.source(int(number)) for _, number in version.sources]
            assert [
                {"message_id": source.message_id}
                if source.message_id
                else {"record_id": source.record_id}
                for source in facts.sources(id=id)
            ] == sources

    @invariant()
    def exactly_one_version_of_a_claim_is_current(self) -> None:
        current = [version.claim for version in self.model.versions if version.is_current]
        assert len(current) == len(set(current))
        for recorded in self.engines:
            facts = recorded.engine.facts.list_facts(resource_id="user", include_superseded=True)
            self.same(recorded, list(facts), self.model.versions)

    def same(self, recorded: Recorded, facts: Sequence[Fact], expected: Sequence[Version]) -> None:
        assert [recorded.shown(fact) for fact in facts] == [v.shown() for v in expected]


@pytest.mark.django_db
def test_both_engines_remember_what_the_model_does() -> None:
    run_state_machine_as_test(
        Claims, settings=settings(max_examples=60, stateful_step_count=30, **QUIET)
    )


def same_object(fact: Fact, duplicate: Fact) -> bool:
    return fact.object.lower() == duplicate.object.lower()


def of_user(engine: MastraEngine) -> list[Fact]:
    return list(engine.facts.list_facts(resource_id="user"))


@pytest.mark.django_db
@settings(max_examples=40, **QUIET)
@given(
    facts=st.lists(
        st.builds(FactInput, NAMES, PREDICATES, OBJECTS, many=st.just(True)), min_size=2, max_size=5
    )
)
def test_both_engines_find_the_same_duplicates_and_merge_all_of_them(
    facts: list[FactInput],
) -> None:
    mock = MockMastraEngine(url="mock://consolidation")
    mock.reset()
    reports = []
    with transaction.atomic():
        for engine in (mock, PostgresEngine()):
            engine.vectors.embedder = BagOfWords()
            engine.facts.remember(resource_id="user", facts=facts)
            ids = [fact.id for fact in of_user(engine)]
            consolidate = partial(engine.facts.consolidate, resource_id="user", min_score=0.55)
            pairs = {
                (ids.index(pair.fact.id), ids.index(pair.duplicate.id), round(pair.similarity, 3))
                for pair in consolidate()
            }
            reports.append(pairs)
            objects = {fact.object.lower() for fact in of_user(engine)}
            merged = [pair for pair in consolidate(judge=same_object) if pair.merged]
            assert len(of_user(engine)) == len(ids) - len(merged)
            assert {fact.object.lower() for fact in of_user(engine)} == objects
            assert not any(pair.merged for pair in consolidate(judge=same_object))
        transaction.set_rollback(True)
    assert reports[0] == reports[1]
