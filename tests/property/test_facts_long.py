"""Long random histories of facts: the mock, the PostgreSQL engine and an oracle are the same."""

from __future__ import annotations

import random
from typing import Any

import pytest
from django.db import transaction

from mastra_engine import MockMastraEngine, PostgresEngine
from tests.property.fact_model import EVENT, NOW, Time, future, past
from tests.property.fact_oracle import FactOracle, Told, Version, folded
from tests.property.test_facts_agree import MESSAGES, RECORDS, Recorded

STEPS = 200
#: Instants of each history: a time of validity, and one of knowledge.
INSTANTS = 40
SUBJECTS = ["Anna", "ANNA", "Annie", "Straße", "STRASSE", "A.", "ﬁa", "Fia"]
PREDICATES, OBJECTS = ["likes", "Likes", "is"], ["Tea", "tea", "milk", "Süß", "SÜSS"]


class History:
    """One history, which both engines and the oracle go through."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        mock = MockMastraEngine(url="mock://facts")
        mock.reset()
        self.engines = [Recorded(mock), Recorded(PostgresEngine())]
        self.oracle = FactOracle()
        self.left = {*MESSAGES, *RECORDS}

    def step(self) -> None:
        versions = list(self.oracle.versions)
        kind = self.chance.random()
        if kind < 0.75 or not versions:
            self.remember()
        elif kind < 0.9:
            self.retract(self.chance.choice(versions))
        elif kind < 0.96 or not self.left:
            self.forget(self.chance.choice(versions))
        elif kind < 0.975:
            self.delete_source(self.chance.choice(sorted(self.left)))
        else:
            self.compare_instant()

    def remember(self) -> None:
        told = [self.told() for _ in range(self.chance.choice([1, 1, 1, 2, 3]))]
        count = self.oracle.count
        versions = self.oracle.remember(told)
        new = {v.number for v in versions if v.number >= count}
        for recorded in self.engines:
            facts = recorded.engine.facts.remember(
                resource_id="user", facts=[self.argument(recorded, fact) for fact in told]
            )
            by_number = {v.number: fact for v, fact in zip(versions, facts, strict=True)}
            recorded.ids += [by_number[number].id for number in sorted(new)]
            for number in new:
                recorded.moments[self.oracle.event] = by_number[number].created_at
            self.compare(recorded, facts, versions)

    def told(self) -> Told:
        choose = self.chance.choice
        number = min(len(self.left), choose([0, 0, 1, 2]))
        start = choose([None, None, *self.times()])
        end = None
        if choose([True, False, False]):
            day = self.chance.randint(1, 5)
            end = future(day) if start is None else (start[0], start[1] + day)
        return Told(
            subject=choose(SUBJECTS),
            predicate=choose(PREDICATES),
            object=choose(OBJECTS),
            many=self.chance.random() < 0.2,
            start=start,
            end=end,
            aliases=choose([[], [], [], self.chance.sample(SUBJECTS, 2)]),
            pinned=self.chance.random() < 0.1,
            sources=self.chance.sample(sorted(self.left), number),
        )

    def times(self) -> list[Time]:
        return [past(self.chance.randint(0, 9)), future(self.chance.randint(0, 9))]

    def argument(self, recorded: Recorded, told: Told) -> dict[str, Any]:
        return {
            "subject": told.subject,
            "predicate": told.predicate,
            "object": told.object,
            "many": told.many,
            "valid_from": recorded.time(told.start),
            "valid_to": recorded.time(told.end),
            "aliases": told.aliases,
            "pinned": told.pinned,
            "sources": [recorded.source(number) for number in told.sources],
        }

    def retract(self, number: int) -> None:
        at = self.chance.choice([None, *self.times()])
        before = self.oracle.versions[number].retracted
        version = self.oracle.retract(number, at)
        for recorded in self.engines:
            fact = recorded.engine.facts.retract(id=recorded.ids[number], at=recorded.time(at))
            if before is None:
                assert fact.retracted_at is not None
                recorded.moments[self.oracle.event] = fact.retracted_at
            self.compare(recorded, [fact], [version])

    def forget(self, number: int) -> None:
        count = self.oracle.forget(number)
        for recorded in self.engines:
            assert recorded.engine.facts.forget(id=recorded.ids[number]) == count

    def delete_source(self, number: int) -> None:
        self.left.remove(number)
        self.oracle.delete_source(number)
        for recorded in self.engines:
            recorded.delete_source(number)

    def compare_instant(self) -> None:
        """Compare the facts at a time of validity, as was known at a time of knowledge."""
        events = sorted(self.engines[0].moments)
        known = self.chance.choice([None, *events])
        valid = self.chance.choice([NOW, *self.times(), *((EVENT, event) for event in events)])
        expected = self.oracle.listed(valid, known)
        for recorded in self.engines:
            page = recorded.engine.facts.list_facts(
                resource_id="user",
                valid_at=None if valid == NOW else recorded.time(valid),
                known_at=None if known is None else recorded.moments[known],
                limit=1_000,
            )
            self.compare(recorded, list(page), expected)

    def compare_all(self) -> None:
        versions = list(self.oracle.versions.values())
        for recorded in self.engines:
            facts = recorded.engine.facts
            page = facts.list_facts(resource_id="user", include_superseded=True, limit=1_000)
            self.compare(recorded, list(page), versions)
            for version in versions:
                id = recorded.ids[version.number]
                self.compare(recorded, facts.history(id=id), self.oracle.history(version.claim))
                sources = [recorded.source(number) for number in version.sources]
                stored = [(s.message_id, s.record_id) for s in facts.sources(id=id)]
                assert stored == [(s.get("message_id"), s.get("record_id")) for s in sources]

    def compare(self, recorded: Recorded, facts: list[Any], versions: list[Version]) -> None:
        assert [spelled_alike(recorded.shown(fact)) for fact in facts] == [
            spelled_alike(version.shown) for version in versions
        ]


def spelled_alike(shown: tuple[Any, ...]) -> tuple[Any, ...]:
    """Fold the subject: of those that an alias stands for, any spelling may be stored."""
    number, subject, *others = shown
    return (number, folded(subject), *others)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "histories",
    [5, pytest.param(250, marks=[pytest.mark.long, pytest.mark.timeout(3_600)])],
)
def test_both_engines_remember_what_the_oracle_does(histories: int) -> None:
    """250 histories have 50,000 steps, and are asked about 10,000 instants."""
    for seed in range(histories):
        with transaction.atomic():
            history = History(seed)
            for _ in range(STEPS):
                history.step()
            history.compare_all()
            for _ in range(INSTANTS):
                history.compare_instant()
            transaction.set_rollback(True)
