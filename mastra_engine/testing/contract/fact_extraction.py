"""Extracting facts from messages, with an extractor that the tests script."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from mastra_engine import MastraEngine
from mastra_engine.exceptions import (
    EngineConfigError,
    InvalidInput,
    MessageNotFound,
    ThreadNotFound,
    Unavailable,
)
from mastra_engine.testing.contract.fact_sources import save_messages
from mastra_engine.types import Fact, FactInput, FactSource, Message, Retraction


class Scripted:
    """An extractor that calls a function, and keeps the texts and the facts that it was given."""

    def __init__(self, answer: Callable[[Sequence[Message]], Any]) -> None:
        self.answer = answer
        self.texts: list[list[str]] = []
        self.known: list[list[str]] = []

    def extract(self, messages: Sequence[Message], known_facts: Sequence[Fact]) -> Any:
        self.texts.append([message.content[0]["text"] for message in messages])
        self.known.append([fact.object for fact in known_facts])
        return self.answer(messages)


def lives_in(*places: str, **fact: Any) -> list[FactInput]:
    return [FactInput("Anna", "lives in", place, **fact) for place in places]


def told(messages: Sequence[Message]) -> list[FactInput]:
    """Return a fact for each message: its text is where Anna lives."""
    return [
        FactInput("Anna", "lives in", message.content[0]["text"], sources=[FactSource(message.id)])
        for message in messages
    ]


def use(engine: MastraEngine, answer: Callable[[Sequence[Message]], Any] | list[Any]) -> Scripted:
    """Have the engine extract by a function, or always the same answer."""
    extractor = Scripted(answer if callable(answer) else lambda _: answer)
    engine.facts.extraction.extractor = extractor
    return extractor


def current(engine: MastraEngine) -> list[str]:
    return [fact.object for fact in engine.facts.list_facts(resource_id="user")]


class TestFactExtraction:
    def test_without_an_extractor_it_raises(self, engine: MastraEngine) -> None:
        save_messages(engine, "Berlin")
        with pytest.raises(EngineConfigError, match="FACT_EXTRACTOR"):
            engine.facts.extract(thread_id="t")
        with pytest.raises(EngineConfigError, match="FACT_EXTRACTOR"):
            engine.facts.extract_pending()

    def test_messages_are_read_once_and_oldest_first(self, engine: MastraEngine) -> None:
        extractor = use(engine, told)
        save_messages(engine, "Hamburg", "Berlin")
        changes = engine.facts.extract(thread_id="t")
        assert [(change.action, change.fact.object) for change in changes] == [
            ("remembered", "Hamburg"),
            ("superseded", "Berlin"),
        ]
        assert engine.facts.extract(thread_id="t") == []
        save_messages(engine, "Berlin", "Rome")
        actions = [change.action for change in engine.facts.extract(thread_id="t")]
        assert actions == ["unchanged", "superseded"]
        assert extractor.texts == [["Hamburg", "Berlin"], ["Berlin", "Rome"]]
        assert extractor.known == [[], ["Berlin"]]
        assert current(engine) == ["Rome"]

    def test_a_fact_without_sources_rests_on_all_messages(self, engine: MastraEngine) -> None:
        use(engine, lives_in("Berlin"))
        ids = save_messages(engine, "I moved", "to Berlin")
        (change,) = engine.facts.extract(thread_id="t")
        sources = [FactSource(message_id=id) for id in ids]
        assert engine.facts.sources(id=change.fact.id) == sources
        engine.memory.delete_thread(thread_id="t")
        assert current(engine) == []

    def test_a_fact_may_name_its_messages(self, engine: MastraEngine) -> None:
        use(engine, told)
        ids = save_messages(engine, "Hamburg", "Berlin")
        *_, change = engine.facts.extract(thread_id="t")
        assert engine.facts.sources(id=change.fact.id) == [FactSource(message_id=ids[1])]

    def test_a_call_has_a_limited_number_of_messages(self, engine: MastraEngine) -> None:
        extractor = use(engine, [])
        save_messages(engine, *(f"{number}" for number in range(120)))
        assert engine.facts.extract(thread_id="t") == []
        assert [len(texts) for texts in extractor.texts] == [50, 50, 20]
        assert extractor.texts[2][0] == "100"

    def test_a_call_has_a_limited_size(self, engine: MastraEngine) -> None:
        extractor = use(engine, [])
        save_messages(engine, *("x" * 60_000 for _ in range(5)))
        engine.facts.extract(thread_id="t")
        assert [len(texts) for texts in extractor.texts] == [3, 2]

    def test_deleted_messages_are_not_read(self, engine: MastraEngine) -> None:
        extractor = use(engine, [])
        first, _ = save_messages(engine, "Hamburg", "Berlin")
        engine.memory.delete_messages(ids=[first])
        engine.facts.extract(thread_id="t")
        assert extractor.texts == [["Berlin"]]

    def test_a_retraction_ends_the_objects_of_a_claim(self, engine: MastraEngine) -> None:
        speaks = [FactInput("Anna", "speaks", word, many=True) for word in ("German", "French")]
        anna = FactInput("Anna", "lives in", "Berlin", aliases=["Annie"])
        engine.facts.remember(resource_id="user", facts=[*speaks, anna])
        save_messages(engine, "Je ne parle plus", "nor do I live there")
        use(engine, [Retraction("ANNIE", "Speaks", "french"), Retraction("Anna", "lives in")])
        changes = engine.facts.extract(thread_id="t")
        assert [(change.action, change.fact.object) for change in changes] == [
            ("retracted", "French"),
            ("retracted", "Berlin"),
        ]
        assert all(change.fact.retracted_at is not None for change in changes)
        assert current(engine) == ["German"]

    def test_a_retraction_of_an_unknown_claim_changes_nothing(self, engine: MastraEngine) -> None:
        engine.facts.remember(resource_id="user", facts=lives_in("Berlin"))
        save_messages(engine, "I never lived in Rome")
        use(engine, [Retraction("Anna", "lives in", "Rome"), Retraction("Bob", "lives in")])
        assert engine.facts.extract(thread_id="t") == []
        assert current(engine) == ["Berlin"]

    def test_retractions_precede_the_facts_of_an_answer(self, engine: MastraEngine) -> None:
        engine.facts.remember(resource_id="user", facts=lives_in("Berlin"))
        save_messages(engine, "I moved to Rome")
        use(engine, [*lives_in("Rome"), Retraction("Anna", "lives in")])
        changes = engine.facts.extract(thread_id="t")
        assert [change.action for change in changes] == ["retracted", "remembered"]
        assert current(engine) == ["Rome"]

    @pytest.mark.parametrize(
        ("answer", "path"),
        [
            (None, ""),
            ("Berlin", ""),
            ({"subject": "Anna"}, ""),
            (lives_in(*(f"{number}" for number in range(1_001))), ""),
            ([FactInput("Anna", "likes", "x" * 15_000 + f"{n}") for n in range(700)], ""),
            ([None], "/0"),
            ([*lives_in("Berlin"), ("Anna", "likes", "tea")], "/1"),
            (lives_in("x" * 10_000_000), "/0/object"),
            ([FactInput("x" * 10_000_000, "is", "x")], "/0/subject"),
            (lives_in(""), "/0/object"),
            (lives_in("\0"), "/0/object"),
            (lives_in("Berlin", confidence=2), "/0/confidence"),
            (lives_in("Berlin", valid_from="soon"), "/0/valid_from"),
            (
                lives_in(
                    "Berlin", valid_from="2020-01-02T00:00:00Z", valid_to="2020-01-01T00:00:00Z"
                ),
                "/0/valid_to",
            ),
            (lives_in("Berlin", valid_to="2020-01-01T00:00:00Z"), "/0/valid_to"),
            (lives_in("Berlin", sources=[{}]), "/0/sources/0"),
            (
                [{"subject": "A", "predicate": "is", "object": "b", "resource_id": "bob"}],
                "/0/resource_id",
            ),
            ([Retraction("", "likes")], "/0/subject"),
            ([Retraction("Anna", "\ud800")], "/0/predicate"),
            ([Retraction("Anna", "likes", "")], "/0/object"),
        ],
    )
    def test_an_invalid_answer_is_refused_and_nothing_is_written(
        self, engine: MastraEngine, answer: Any, path: str
    ) -> None:
        save_messages(engine, "Berlin")
        use(engine, lambda _: answer)
        with pytest.raises(InvalidInput) as caught:
            engine.facts.extract(thread_id="t")
        assert caught.value.path == f"/answer{path}"
        assert current(engine) == []
        use(engine, told)
        assert len(engine.facts.extract(thread_id="t")) == 1

    def test_an_answer_may_cite_only_the_messages_that_were_given(
        self, engine: MastraEngine
    ) -> None:
        (read,) = save_messages(engine, "Rome")
        use(engine, [])
        engine.facts.extract(thread_id="t")
        (other,) = save_messages(engine, "Paris", thread_id="other", resource_id="other")
        save_messages(engine, "Berlin")
        for message_id in (read, other, "unknown"):
            use(engine, lives_in("Berlin", sources=[FactSource(message_id)]))
            with pytest.raises(MessageNotFound) as caught:
                engine.facts.extract(thread_id="t")
            assert caught.value.id == message_id
        assert current(engine) == []

    def test_a_record_is_no_source_of_an_answer(self, engine: MastraEngine) -> None:
        records = [{"external_id": "anna", "data": {}}]
        entity = engine.sync_records(name="Contacts", connection_id="crm", records=records).entity
        record = engine.get_record(entity_id=entity.id, external_id="anna")
        save_messages(engine, "Berlin")
        use(engine, lives_in("Berlin", sources=[{"record_id": record.id}]))
        with pytest.raises(InvalidInput) as caught:
            engine.facts.extract(thread_id="t")
        assert caught.value.path == "/answer/0/sources/0"

    def test_an_error_of_the_extractor_passes_through(self, engine: MastraEngine) -> None:
        def fail(messages: Sequence[Message]) -> Any:
            raise Unavailable("The model is away")

        save_messages(engine, *(f"{number}" for number in range(60)))
        use(engine, lambda messages: told(messages) if len(messages) == 50 else fail(messages))
        with pytest.raises(Unavailable, match="The model is away"):
            engine.facts.extract(thread_id="t")
        assert current(engine) == ["49"]
        extractor = use(engine, told)
        assert engine.facts.extract_pending(thread_id="t") == 10
        assert extractor.texts[0][0] == "50"

    def test_two_that_read_the_same_messages_store_one_answer(self, engine: MastraEngine) -> None:
        """The extractor is overtaken by another call while it works."""
        save_messages(engine, "Berlin")

        def overtaken(messages: Sequence[Message]) -> Any:
            use(engine, lives_in("Rome"))
            assert len(engine.facts.extract(thread_id="t")) == 1
            return lives_in("Berlin")

        use(engine, overtaken)
        assert engine.facts.extract(thread_id="t") == []
        assert current(engine) == ["Rome"]

    def test_a_thread_is_left_to_the_worker_that_reads_it(self, engine: MastraEngine) -> None:
        save_messages(engine, "Berlin")

        def meanwhile(messages: Sequence[Message]) -> Any:
            if len(extractor.texts) == 1:
                save_messages(engine, "Rome")
                assert engine.facts.extract_pending(thread_id="t") == 0
                assert engine.facts.extract_pending() == 0
            return told(messages)

        extractor = use(engine, meanwhile)
        # The worker reads the message that was saved while it was reading.
        assert len(engine.facts.extract(thread_id="t")) == 2
        assert extractor.texts == [["Berlin"], ["Rome"]]

    def test_a_failed_reader_releases_no_claim_but_its_own(self, engine: MastraEngine) -> None:
        store = engine.facts.store
        save_messages(engine, "Berlin")
        reading = store.open_reading("t")
        assert reading is not None
        lost = store.claim_reading(reading, 60, takeover=False)
        assert lost is not None
        held = store.claim_reading(reading, 90, takeover=True)
        assert held is not None
        store.release_reading(lost)
        assert store.claim_reading(reading, 60, takeover=False) is None
        store.release_reading(held)
        assert store.claim_reading(reading, 60, takeover=False) is not None

    def test_an_answer_about_a_deleted_message_is_discarded(self, engine: MastraEngine) -> None:
        first, _ = save_messages(engine, "Hamburg", "Berlin")

        def forgotten(messages: Sequence[Message]) -> Any:
            if len(messages) == 2:
                engine.memory.delete_messages(ids=[first])
            return told(messages)

        extractor = use(engine, forgotten)
        assert engine.facts.extract_pending(thread_id="t") == 1
        assert extractor.texts == [["Hamburg", "Berlin"], ["Berlin"]]
        assert current(engine) == ["Berlin"]

    def test_a_thread_deleted_meanwhile_is_not_found(self, engine: MastraEngine) -> None:
        def deleted(messages: Sequence[Message]) -> Any:
            engine.memory.delete_thread(thread_id="t")
            return told(messages)

        save_messages(engine, "Berlin")
        use(engine, deleted)
        with pytest.raises(ThreadNotFound):
            engine.facts.extract(thread_id="t")
        assert current(engine) == []

    def test_a_thread_of_another_resource_is_read_again(self, engine: MastraEngine) -> None:
        save_messages(engine, "Berlin", resource_id="visitor")
        extractor = use(engine, lambda _: lives_in("Berlin"))
        (change,) = engine.facts.extract(thread_id="t")
        assert change.fact.resource_id == "visitor"
        engine.memory.transfer_thread(thread_id="t", resource_id="user")
        (change,) = engine.facts.extract(thread_id="t")
        assert change.fact.resource_id == "user"
        assert len(extractor.texts) == 2

    def test_all_threads_with_unread_messages_are_read(
        self, engine: MastraEngine, caplog: pytest.LogCaptureFixture
    ) -> None:
        def answer(messages: Sequence[Message]) -> Any:
            return None if messages[0].thread_id == "b" else told(messages)

        use(engine, answer)
        for thread in ("a", "b", "c"):
            save_messages(engine, thread, thread_id=thread)
        save_messages(engine, "d", thread_id="d", resource_id="other")
        assert engine.within(resource_ids=["user"]).facts.extract_pending() == 2
        assert "Messages of thread b wait to be read for facts" in caplog.messages
        extractor = use(engine, told)
        assert engine.facts.extract_pending() == 2
        assert extractor.texts == [["b"], ["d"]]

    def test_without_a_queue_saved_messages_wait(self, engine: MastraEngine) -> None:
        extractor = use(engine, told)
        save_messages(engine, "Berlin")
        assert extractor.texts == []


class TestScopedFactExtraction:
    def test_a_thread_outside_the_scope_is_not_found(self, engine: MastraEngine) -> None:
        use(engine, told)
        save_messages(engine, "Berlin")
        scoped = engine.within(resource_ids=["other"]).facts
        for thread_id in ("t", "unknown"):
            with pytest.raises(ThreadNotFound) as caught:
                scoped.extract(thread_id=thread_id)
            assert caught.value.id == thread_id
            with pytest.raises(ThreadNotFound):
                scoped.extract_pending(thread_id=thread_id)
        assert scoped.extract_pending() == 0
        assert len(engine.within(resource_ids=["user"]).facts.extract(thread_id="t")) == 1
