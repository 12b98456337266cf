"""The contract of syncs that fail, and of invalid pages."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from mastra_engine.backends.base import MastraEngine
from mastra_engine.exceptions import InvalidInput, SyncNotFound
from mastra_engine.registry import sync
from mastra_engine.testing.contract.records import by_name
from mastra_engine.testing.contract.sync_runs import (
    CONNECTION,
    SourceFailed,
    WithSyncs,
    counts,
    record,
    records,
)
from mastra_engine.testing.hostile import UNFIT_COUNTS, UNFIT_NAMES, UNFIT_VALUES, Refused

SCHEMA = {
    "type": "object",
    "properties": {"team": {"type": "string"}, "tags": {"items": {"type": "string"}}},
    "required": ["team"],
}


class TestSyncFailures(WithSyncs):
    @pytest.mark.parametrize(
        ("result", "cause"),
        [
            (None, 'The sync "contacts" returned None; it must yield or return its records'),
            (7, "returned a value of type int"),
            ("text", "returned a value of type str"),
            ({"id": "1"}, "returned a value of type dict"),
            ([None], "/records/0: must be a JSON object, not None"),
            ([{"ID": "1", "name": "Ann"}], 'no key "id", which the sync declares'),
            ([{"ID": "1", "name": "Ann"}], "Its keys: ID, name"),
            ([{"id": None}], "/records/0/id: the external id must be text or an integer, not None"),
            ([{"id": 1.5}], "not a value of type float"),
        ],
        ids=str,
    )
    def test_the_error_names_the_cause(self, engine: MastraEngine, result: Any, cause: str) -> None:
        @sync(entity="Contacts", key="id")
        def contacts(_: Any) -> Any:
            return result

        run = self.run(engine)
        assert run.status == "failed"
        assert run.error is not None
        assert run.error.type.endswith("InvalidInput")
        assert cause in run.error.message

    @pytest.mark.parametrize("pages", [[], [[]], [[], []]], ids=str)
    def test_a_full_run_without_records_deletes_nothing(
        self, engine: MastraEngine, pages: list[Any]
    ) -> None:
        def declare(**options: Any) -> None:
            @sync(entity="Contacts", mode="full", **options)
            def contacts(_: Any) -> Any:
                yield from pages

        declare()
        assert self.run(engine).status == "succeeded", "there is nothing to delete"
        engine.sync_records(name="Contacts", connection_id=CONNECTION, records=records("a", "b"))
        run = self.run(engine)
        assert (run.status, counts(run)) == ("failed", (0, 0, 0, 0))
        assert run.error is not None
        assert run.error.type.endswith("SyncAborted")
        for part in ('"Contacts"', "all 2 live records", "allow_empty=True"):
            assert part in run.error.message
        assert list(self.stored(engine)) == ["a", "b"]
        declare(allow_empty=True)
        assert counts(self.run(engine)) == (0, 0, 0, 2)

    def test_a_full_run_may_return_an_empty_list(self, engine: MastraEngine) -> None:
        engine.sync_records(name="Contacts", connection_id=CONNECTION, records=records("a"))
        sync(entity="Contacts", name="contacts", mode="full")(lambda _: [])
        assert counts(self.run(engine)) == (0, 0, 0, 1)

    @pytest.mark.parametrize(
        ("ids", "places"),
        [
            ([1, "1"], ("/records/0/id", "/records/1/id")),
            (["a", "-20", "b", -20], ("/records/1/id", "/records/3/id")),
            ([0, 7, 7, "7"], ("/records/1/id", "/records/3/id")),
            ([10**30, str(10**30)], ("/records/0/id", "/records/1/id")),
        ],
        ids=str,
    )
    def test_an_integer_and_a_text_are_not_one_id(
        self, engine: MastraEngine, ids: list[Any], places: tuple[str, str]
    ) -> None:
        sync(entity="Contacts", name="contacts", key="id")(
            lambda _: [[{"id": id, "n": number} for number, id in enumerate(ids)]]
        )
        run = self.run(engine)
        assert run.error is not None
        assert run.error.type.endswith("InvalidInput")
        assert all(place in run.error.message for place in places)
        assert self.stored(engine) == {}

    def test_of_equal_ids_the_last_wins(self, engine: MastraEngine) -> None:
        ids = [1, "01", "a", 1, "a", "+1", "1.0"]
        sync(entity="Contacts", name="contacts", key="id")(
            lambda _: [[{"id": id, "n": number} for number, id in enumerate(ids)]]
        )
        assert self.run(engine).status == "succeeded"
        numbers = {id: data["n"] for id, data in self.stored(engine).items()}
        assert numbers == {"1": 3, "01": 1, "a": 4, "+1": 5, "1.0": 6}

    def test_pages_before_a_failure_stay(self, engine: MastraEngine, caplog: Any) -> None:
        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            yield records("a", "b")
            ctx.save_checkpoint(1)
            yield records("c")
            ctx.save_checkpoint(2)
            raise SourceFailed("the CRM is away")

        run = self.run(engine)
        assert (run.status, run.checkpoint, counts(run)) == ("failed", 2, (3, 0, 0, 0))
        assert run.error is not None
        assert run.error.type.endswith("SourceFailed")
        assert run.error.message == "the CRM is away"
        assert (run.error.place or "").startswith(f"{__name__}:contacts:")
        assert run.finished_at is not None
        assert list(self.stored(engine)) == ["a", "b", "c"]
        (logged,) = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert logged.exc_info is not None

    @pytest.mark.parametrize(
        ("message", "text"),
        [
            ("GET https://crm.example/v1/contacts?token=s3cret&page=2 failed", "crm.example/v1"),
            ("cannot connect to postgres://me:s3cret@db/crm", "db/crm"),
            ("401 for header Authorization: Bearer s3cret", "401"),
            ("api_key='s3cret' is invalid", "is invalid"),
            ('{"password": "s3cret", "user": "me"}', "me"),
            ("no access for sk1s3cret0123456789abcdef", "no access"),
            ("first line\nDETAIL: Key (email)=(s3cret) exists", "first line"),
            ("NUL \0 and surrogate \ud800", "NUL"),
            ("x" * 10_000, "xxx"),
        ],
    )
    def test_errors_are_stored_without_secrets(
        self, engine: MastraEngine, message: str, text: str
    ) -> None:
        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            raise SourceFailed(message)

        error = self.run(engine).error
        assert error is not None
        assert text in error.message
        assert "s3cret" not in error.message
        assert len(error.message) <= 500

    def test_errors_without_a_message_are_stored(self, engine: MastraEngine) -> None:
        class Mute(Exception):
            def __str__(self) -> str:
                raise RuntimeError

        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            raise Mute

        error = self.run(engine).error
        assert error is not None
        assert error.message == ""

    def test_a_bad_record_fails_its_page(self, engine: MastraEngine) -> None:
        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            yield records("a")
            ctx.save_checkpoint(1)
            yield [record("b"), record("")]
            ctx.save_checkpoint(2)
            yield records("c")

        run = self.run(engine)
        assert (run.status, run.checkpoint) == ("failed", 1)
        assert run.error is not None
        assert run.error.message == "/records/1/external_id: must not be empty"
        assert list(self.stored(engine)) == ["a"]

    @pytest.mark.parametrize("result", [None, 5, "text", {"external_id": "a"}], ids=str)
    def test_invalid_sources_fail(self, engine: MastraEngine, result: Any) -> None:
        sync(entity="Contacts", name="contacts")(lambda ctx: result)
        assert self.run(engine).status == "failed"

    @by_name(UNFIT_VALUES)
    def test_unfit_checkpoints_fail(self, engine: MastraEngine, hostile: Refused) -> None:
        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            yield records("a")
            ctx.save_checkpoint(hostile.value)

        run = self.run(engine)
        assert (run.status, run.checkpoint) == ("failed", None)
        assert run.error is not None
        assert run.error.message.startswith(f"/checkpoint{hostile.pointer}: ")

    @by_name(UNFIT_COUNTS)
    def test_unfit_progress_fails(self, engine: MastraEngine, hostile: Refused) -> None:
        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            ctx.progress(hostile.value)
            return []

        assert self.run(engine).status == "failed"


class TestSyncParams(WithSyncs):
    def test_a_schema_checks_params(self, engine: MastraEngine) -> None:
        pages = []

        @sync(entity="Contacts", params=SCHEMA)
        def contacts(ctx: Any) -> Any:
            pages.append(ctx.params)
            return []

        assert self.run(engine, params={"team": "a"}).status == "succeeded"
        assert pages == [{"team": "a"}]
        for params, pointer in (
            (None, "/params"),
            ({"team": 5}, "/params/team"),
            ({"team": "a", "tags": ["x", 5]}, "/params/tags/1"),
        ):
            with pytest.raises(InvalidInput) as caught:
                self.run(engine, params=params)
            assert caught.value.path == pointer
        assert len(engine.list_sync_runs()) == 1

    def test_a_model_checks_params(self, engine: MastraEngine) -> None:
        pydantic = pytest.importorskip("pydantic")
        model = pydantic.create_model("Team", team=(str, ...), size=(int, 10))
        pages = []

        @sync(entity="Contacts", params=model)
        def contacts(ctx: Any) -> Any:
            pages.append(ctx.params)
            return []

        run = self.run(engine, params={"team": "a"})
        assert (run.status, run.params) == ("succeeded", {"team": "a"})
        assert pages == [model(team="a", size=10)]
        for params, pointer in (({}, "/params/team"), ({"team": "a", "size": "x"}, "/params/size")):
            with pytest.raises(InvalidInput) as caught:
                self.enqueue(engine, params=params)
            assert caught.value.path == pointer

    @by_name(UNFIT_VALUES)
    def test_refuses_unfit_params(self, engine: MastraEngine, hostile: Refused) -> None:
        sync(entity="Contacts", name="contacts")(lambda ctx: [])
        with pytest.raises(InvalidInput) as caught:
            self.run(engine, params={"a": hostile.value})
        assert caught.value.path == f"/params/a{hostile.pointer}"
        with pytest.raises(InvalidInput) as caught:
            self.run(engine, params=[hostile.value])
        assert caught.value.path == "/params"
        assert engine.get_entity(name="Contacts") is None

    @by_name(UNFIT_NAMES)
    def test_invalid_names_are_refused(self, engine: MastraEngine, hostile: Refused) -> None:
        sync(entity="Contacts", name="contacts")(lambda ctx: [])
        for method in (engine.run_sync, engine.enqueue_sync):
            with pytest.raises(InvalidInput) as caught:
                method("contacts", connection_id=hostile.value)
            assert caught.value.path == "/connection_id"
            with pytest.raises(InvalidInput) as caught:
                method(hostile.value, connection_id=CONNECTION)
            assert caught.value.path == "/sync"

    def test_an_unknown_sync_is_not_found(self, engine: MastraEngine) -> None:
        for method in (engine.run_sync, engine.enqueue_sync):
            with pytest.raises(SyncNotFound):
                method("nothing", connection_id=CONNECTION)
        assert engine.list_entities().items == []
