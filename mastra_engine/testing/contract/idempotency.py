"""The contract of idempotency keys."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connections

from mastra_engine.backends.base import MastraEngine
from mastra_engine.exceptions import (
    Conflict,
    EntityExists,
    IdempotencyConflict,
    InFlight,
    InvalidInput,
)
from mastra_engine.testing.hostile import UNFIT_NAMES

CALL: dict[str, Any] = {"owner": "alice", "key": "1", "body": b"Contacts"}
HOUR = 60 * 60.0


@dataclass
class Maker:
    """Makes an entity, another each time."""

    engine: MastraEngine
    made: list[str] = field(default_factory=list)

    def __call__(self) -> bytes:
        name = f"entity {len(self.made)}"
        self.made.append(name)
        self.engine.create_entity(name=name, connection_id="crm")
        return name.encode()


def elsewhere(call: Callable[[], Any]) -> Any:
    """Call in another thread, and leave no connection there."""

    def run() -> Any:
        try:
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()


class TestIdempotency:
    @pytest.fixture
    def make(self, engine: MastraEngine) -> Maker:
        return Maker(engine)

    def names(self, engine: MastraEngine) -> list[str]:
        return [entity.name for entity in engine.list_entities(connection_id="crm")]

    def test_repeated_requests_get_the_stored_response(
        self, engine: MastraEngine, make: Maker
    ) -> None:
        assert [engine.run_idempotent(**CALL, act=make) for _ in range(3)] == [b"entity 0"] * 3
        assert self.names(engine) == ["entity 0"]

    def test_a_key_stands_for_one_body(self, engine: MastraEngine, make: Maker) -> None:
        engine.run_idempotent(**CALL, act=make)
        with pytest.raises(IdempotencyConflict):
            engine.run_idempotent(**{**CALL, "body": b"Deals"}, act=make)
        assert self.names(engine) == ["entity 0"]

    @pytest.mark.parametrize(
        "other",
        [
            {"owner": "bob"},
            {"key": "2"},
            {"owner": "bob", "body": b"Deals"},
            {"owner": "alice1", "key": "1"},
            {"owner": "1", "key": "alice"},
        ],
        ids=str,
    )
    def test_others_keys_are_others(
        self, engine: MastraEngine, make: Maker, other: dict[str, Any]
    ) -> None:
        engine.run_idempotent(**CALL, act=make)
        assert engine.run_idempotent(**{**CALL, **other}, act=make) == b"entity 1"
        assert engine.run_idempotent(**CALL, act=make) == b"entity 0"

    def test_failed_requests_can_be_repeated(self, engine: MastraEngine, make: Maker) -> None:
        entity = engine.create_entity(name="entity 0", connection_id="crm")
        with pytest.raises(EntityExists):
            engine.run_idempotent(**CALL, act=make)
        engine.delete_entity_by_id(id=entity.id)
        make.made.clear()
        # With another body too, since nothing came of the first.
        assert engine.run_idempotent(**{**CALL, "body": b"Deals"}, act=make) == b"entity 0"

    def test_while_it_is_under_way_it_is_not_begun_again(
        self, engine: MastraEngine, make: Maker
    ) -> None:
        again = partial(engine.run_idempotent, **CALL, act=make)

        def act() -> bytes:
            with pytest.raises(InFlight):
                elsewhere(again)
            return make()

        assert engine.run_idempotent(**CALL, act=act) == b"entity 0"
        assert again() == b"entity 0"

    def test_failed_requests_are_not_in_progress(self, engine: MastraEngine, make: Maker) -> None:
        def fail() -> bytes:
            raise Conflict

        with pytest.raises(Conflict):
            engine.run_idempotent(**CALL, act=fail)
        assert engine.run_idempotent(**CALL, act=make) == b"entity 0"

    def test_after_its_time_it_is_forgotten(self, engine: MastraEngine, make: Maker) -> None:
        engine.run_idempotent(**CALL, act=make, keep=0)
        assert (
            engine.run_idempotent(**{**CALL, "body": b"Deals"}, act=make, keep=HOUR) == b"entity 1"
        )
        assert engine.run_idempotent(**{**CALL, "body": b"Deals"}, act=make) == b"entity 1"

    @pytest.mark.parametrize("keep", [-1, float("nan"), float("inf"), 1e10, "a day", None, True])
    def test_invalid_times_are_refused(self, engine: MastraEngine, make: Maker, keep: Any) -> None:
        with pytest.raises(InvalidInput) as caught:
            engine.run_idempotent(**CALL, act=make, keep=keep)
        assert caught.value.path == "/keep"
        assert make.made == []

    def test_only_expired_records_are_deleted(self, engine: MastraEngine, make: Maker) -> None:
        engine.run_idempotent(**CALL, act=make)
        engine.run_idempotent(**{**CALL, "key": "2"}, act=make, keep=0)
        engine.expire_idempotency_records()
        assert engine.expire_idempotency_records() == 0
        assert engine.run_idempotent(**CALL, act=make) == b"entity 0"

    @pytest.mark.parametrize("subject", [{"resource_id": "ann"}, {"connection_id": "ann"}])
    def test_erasure_clears_responses_and_keeps_keys(
        self, engine: MastraEngine, make: Maker, subject: dict[str, Any]
    ) -> None:
        engine.run_idempotent(**CALL, act=make)
        engine.erase(**subject)
        with pytest.raises(Conflict, match="has been erased"):
            engine.run_idempotent(**CALL, act=make)
        assert self.names(engine) == ["entity 0"]

    def test_async(self, engine: MastraEngine, make: Maker) -> None:
        calls = [async_to_sync(engine.arun_idempotent)(**CALL, act=make) for _ in range(2)]
        assert calls == [b"entity 0"] * 2
        assert async_to_sync(engine.aexpire_idempotency_records)() == 0

    @pytest.mark.parametrize("size", [0, 1, 100_000])
    def test_responses_may_be_any_bytes(self, engine: MastraEngine, size: int) -> None:
        answer = bytes(range(256)) * (size // 256) + bytes(size % 256)
        assert engine.run_idempotent(**CALL, act=lambda: answer) == answer
        assert engine.run_idempotent(**CALL, act=lambda: b"") == answer

    @pytest.mark.parametrize("argument", ["owner", "key"])
    @pytest.mark.parametrize("unfit", UNFIT_NAMES, ids=lambda item: item.name)
    def test_invalid_names_are_refused(
        self, engine: MastraEngine, make: Maker, argument: str, unfit: Any
    ) -> None:
        with pytest.raises(InvalidInput) as caught:
            engine.run_idempotent(**{**CALL, argument: unfit.value}, act=make)
        assert caught.value.path == f"/{argument}"
        assert make.made == []
