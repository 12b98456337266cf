"""What worker processes do with facts."""

from __future__ import annotations

import os
import random
import signal
from itertools import count

from mastra_engine import failpoints
from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.exceptions import MessageNotFound
from mastra_engine.testing.contract.fact_extraction import Scripted, current, told
from mastra_engine.types import FactInput, FactSource
from tests.concurrency.processes import report, wait_to_go

CLAIMS = 50
TURNS = 5


def engine() -> PostgresEngine:
    return PostgresEngine(lock_timeout=60)


def claim(number: int, object: str, **fact: object) -> FactInput:
    return FactInput(f"person {number}", "lives in", object, **fact)  # type: ignore[arg-type]


def remember(times: int, worker: int) -> list[str]:
    """Remember objects of the claims, and return all of them.

    Most calls have one fact, which takes one statement. Others take several: they have two facts in
    any order, an alias or a key.
    """
    chance, facts, objects = random.Random(worker), engine().facts, []
    for turn in range(times):
        numbers = chance.sample(range(CLAIMS), 2 if turn % 4 == 0 else 1)
        object = f"{worker}.{turn}"
        facts.remember(
            resource_id="ann",
            facts=[
                claim(number, object, aliases=[f"p. {number}"] if turn % 4 == 1 else [])
                for number in numbers
            ],
            idempotency_key=object if turn % 50 == 2 else None,
        )
        objects += [f"person {number} {object}" for number in numbers]
    return objects


def remember_one_after_the_other(first: int) -> None:
    """Remember an object of two claims in one call, and of another one in a call of its own."""
    facts = engine().facts
    for number in count(first):
        facts.remember(resource_id="ann", facts=[claim(0, str(number)), claim(1, str(number))])
        facts.remember(resource_id="ann", facts=[claim(2, str(number))])
        report(number)


def remember_with_key(worker: int) -> str:
    """Remember under one key, as all workers do, and return the fact's id."""
    facts = [claim(0, "Berlin")]
    (fact,) = engine().facts.remember(resource_id="ann", facts=facts, idempotency_key="1")
    return str(fact.id)


def remember_from(message_id: str) -> bool:
    """Remember a fact that rests on a message; return whether the message was there."""
    fact = claim(0, "Berlin", sources=[FactSource(message_id=message_id)])
    try:
        engine().facts.remember(resource_id="ann", facts=[fact])
    except MessageNotFound:
        return False
    return True


def delete_message(message_id: str) -> bool:
    return engine().memory.delete_messages(ids=[message_id]) == 1


def remember_until_killed() -> None:
    """Remember facts, and die before the commit."""

    def die(name: str) -> None:
        if name == "facts_written":
            os.kill(os.getpid(), signal.SIGKILL)

    failpoints.handler = die
    engine().facts.remember(resource_id="ann", facts=[claim(0, "Rome"), claim(1, "Rome")])


def extracting() -> PostgresEngine:
    """Return an engine whose extractor takes each message for the place where Anna lives."""
    return PostgresEngine(lock_timeout=60, fact_extractor=Scripted(told))


def extract() -> list[str]:
    """Extract facts, and return the objects that are new."""
    changes = extracting().facts.extract(thread_id="t")
    return [change.fact.object for change in changes if change.action != "unchanged"]


def say(text: str) -> None:
    messages = [{"role": "user", "content": text}]
    engine().memory.save_memory(thread_id="t", resource_id="user", messages=messages)


def say_and_extract(worker: int) -> None:
    """Save messages, each followed by the task that a queue would perform."""
    for turn in range(TURNS):
        say(f"{worker}.{turn}")
        extracting().facts.extract_pending(thread_id="t")


def extract_until_killed(place: str) -> None:
    """Extract facts, and die at a failpoint."""

    def die(name: str) -> None:
        if name == place:
            os.kill(os.getpid(), signal.SIGKILL)

    failpoints.handler = die
    extracting().facts.extract(thread_id="t")


def extract_late() -> list[str]:
    """Extract a fact as a worker does, and wait between the answer and its transaction."""

    def wait(name: str) -> None:
        if name == "facts_extracted":
            report(name)
            wait_to_go()

    failpoints.handler = wait
    engine = extracting()
    engine.facts.extraction.extractor = Scripted(lambda _: [claim(1, "late")])
    engine.facts.extract_pending(thread_id="t")
    return current(engine)
