"""Vector indexes that others delete, make anew or guard, between two statements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.exceptions import EngineConfigError, IndexNotFound
from tests.integration.conftest import Elsewhere
from tests.integration.interleaving import just_before
from tests.integration.test_vectors import DIMENSION, few, random_vectors, sql  # noqa: F401

committing = pytest.mark.django_db(transaction=True)


@committing
def test_an_index_made_anew_elsewhere_is_found(
    engine: PostgresEngine,
    other: PostgresEngine,
    few: Any,  # noqa: F811
) -> None:
    assert engine.vectors.query(index_name="few", query_vector=few[0])
    other.vectors.delete_index(index_name="few")
    with pytest.raises(IndexNotFound):
        engine.vectors.query(index_name="few", query_vector=few[0])
    other.vectors.create_index(index_name="few", dimension=3)
    assert engine.vectors.query(index_name="few", query_vector=[1, 0, 0]) == []


CALLS: dict[str, Callable[[Any], Any]] = {
    "query": lambda vectors: vectors.query(index_name="few", query_vector=[1] * DIMENSION),
    "filter": lambda vectors: vectors.query(
        index_name="few", query_vector=[1] * DIMENSION, filter={"odd": True}
    ),
    "upsert": lambda vectors: vectors.upsert(index_name="few", vectors=random_vectors(2)),
    "given ids": lambda vectors: vectors.upsert(
        index_name="few", vectors=random_vectors(2), ids=["1", "x"]
    ),
    "update": lambda vectors: vectors.update_vector(index_name="few", id="1", metadata={}),
    "delete": lambda vectors: vectors.delete_vectors(index_name="few", ids=["1"]),
    "describe": lambda vectors: vectors.describe_index(index_name="few"),
    "build": lambda vectors: vectors.build_index(index_name="few"),
    "truncate": lambda vectors: vectors.truncate_index(index_name="few"),
}


@committing
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_index_deleted_in_between_is_not_found(
    engine: PostgresEngine,
    other: PostgresEngine,
    few: Any,  # noqa: F811
    call: Callable[[Any], Any],
) -> None:
    """Its definition was found, its table is gone."""
    delete = lambda: other.vectors.delete_index(index_name="few")  # noqa: E731
    # The COPY of an upsert is no statement to step in before; what begins its transaction is.
    step = "lock_timeout" if call is CALLS["upsert"] else "mastra_engine_embedding_"
    with just_before(step, delete), pytest.raises(IndexNotFound):
        call(engine.vectors)
    assert not connection.needs_rollback


@committing
def test_a_role_that_may_not_create_is_told(elsewhere: Elsewhere) -> None:
    sql("DROP ROLE IF EXISTS mastra_engine_reader")
    sql("CREATE ROLE mastra_engine_reader")
    sql("GRANT ALL ON ALL TABLES IN SCHEMA public TO mastra_engine_reader")
    sql("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO mastra_engine_reader")
    try:
        reader = elsewhere(role="mastra_engine_reader")
        with pytest.raises(EngineConfigError, match="GRANT CREATE"):
            reader.vectors.create_index(index_name="mine", dimension=3)
        assert reader.vectors.list_indexes() == []
    finally:
        sql("DROP OWNED BY mastra_engine_reader")
        sql("DROP ROLE mastra_engine_reader")
