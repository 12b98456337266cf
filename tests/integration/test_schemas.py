"""Several schemas of one database, of which `search_path` says whose turn it is: one per tenant."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections
from django.db.backends.postgresql.base import DatabaseWrapper

from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.exceptions import ThreadNotFound
from mastra_engine.postgres.definitions import find_definition
from mastra_engine.postgres.partitions import Partition
from tests.integration.conftest import Elsewhere
from tests.integration.test_vectors import sql

pytestmark = pytest.mark.django_db(transaction=True)

ARE_COPIED = ("vectorindex", "thread", "message", "workingmemory")
#: Ids are given out anew in each schema, so those of tenants meet.
SAME_ID = 1_000_000


@pytest.fixture
def ours(engine: PostgresEngine) -> Any:
    """The vectors of the schema `public`, with an index."""
    sql(f"ALTER TABLE mastra_engine_vectorindex ALTER id RESTART WITH {SAME_ID}")
    engine.vectors.create_index(index_name="few", dimension=3)
    engine.vectors.upsert(index_name="few", vectors=[[1, 0, 0]], ids=["ours"])
    return engine.vectors


@pytest.fixture
def tenant(transactional_db: None) -> Iterator[str]:
    """The `search_path` of a tenant who has tables of their own, as everybody else has."""
    sql("CREATE SCHEMA tenant")
    for name in ARE_COPIED:
        table = f"mastra_engine_{name}"
        sql(f"CREATE TABLE tenant.{table} (LIKE public.{table} INCLUDING ALL)")
    sql(
        "CREATE TABLE tenant.mastra_engine_embedding "
        "(LIKE public.mastra_engine_embedding INCLUDING ALL) PARTITION BY LIST (index_id)"
    )
    sql(f"ALTER TABLE tenant.mastra_engine_vectorindex ALTER id RESTART WITH {SAME_ID}")
    yield "tenant,public"
    sql("DROP SCHEMA tenant CASCADE")


def test_a_tenants_index_leaves_that_of_another_alone(
    ours: Any, elsewhere: Elsewhere, tenant: str
) -> None:
    others = elsewhere(search_path=tenant).vectors
    others.create_index(index_name="few", dimension=3)
    assert [vector.id for vector in ours.get_vectors(index_name="few", ids=["ours"])] == ["ours"]
    others.upsert(index_name="few", vectors=[[1, 0, 0]], ids=["theirs"])
    for vectors, id in ((ours, "ours"), (others, "theirs")):
        (match,) = vectors.query(index_name="few", query_vector=[1, 0, 0])
        assert match.id == id


def test_a_tenants_structure_is_no_other(ours: Any, elsewhere: Elsewhere, tenant: str) -> None:
    others = elsewhere(search_path=tenant).vectors
    others.create_index(index_name="few", dimension=3, index_type="ivfflat")
    assert others.describe_index(index_name="few").status == "missing"
    assert [index.status for index in others.list_indexes()] == ["missing"]
    with others.bulk_load(index_name="few"):
        assert ours.describe_index(index_name="few").status == "ready"
    assert others.describe_index(index_name="few").status == "ready"


def test_tenants_build_at_the_same_time(ours: Any, elsewhere: Elsewhere, tenant: str) -> None:
    others = elsewhere(search_path=tenant).vectors
    others.create_index(index_name="few", dimension=3, index_type="ivfflat")
    index = find_definition(connection, "few")
    assert index is not None
    with Partition(connection, index)._only_builder():
        assert others.build_index(index_name="few").status == "ready"
        assert [index.status for index in others.list_indexes()] == ["ready"]


def test_the_extension_is_where_all_tenants_find_it(transactional_db: None) -> None:
    """Not in the schema of the tenant who is migrated first; that schema may be dropped."""
    name = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{name}_tenants" TEMPLATE template0')
    one = connection.copy("tenants")
    one.settings_dict["NAME"] = f"{name}_tenants"
    script = import_module("mastra_engine.migrations.0002_vectors").CREATE_EXTENSION
    try:
        with one.cursor() as cursor:
            cursor.execute("CREATE SCHEMA tenant_1; CREATE SCHEMA tenant_2")
            for tenant in ("tenant_1", "tenant_2"):
                cursor.execute(f"SET search_path = {tenant}, public")
                cursor.execute(script)
                cursor.execute(f"CREATE TABLE {tenant}.vectors (embedding vector)")
            cursor.execute("DROP SCHEMA tenant_1 CASCADE")
            cursor.execute("SELECT '[1,2]'::vector")
            cursor.execute("DROP EXTENSION vector CASCADE")
            cursor.execute("SET search_path = tenant_2")  # without public, there is no better place
            cursor.execute(script)
            cursor.execute("CREATE SCHEMA tenant_3; SET search_path = tenant_3")
            with pytest.raises(DatabaseError, match="tenant_2, which is not searched"):
                cursor.execute(script)
    finally:
        one.close()
        with connection.cursor() as cursor:
            cursor.execute(f'DROP DATABASE "{name}_tenants" WITH (FORCE)')


def test_an_index_is_where_the_tables_are(
    engine: PostgresEngine, elsewhere: Elsewhere, tenant: str
) -> None:
    """Tenants may share the tables and have others of their own, in a schema looked in first."""
    sql("DROP SCHEMA tenant CASCADE; CREATE SCHEMA tenant")
    others = elsewhere(search_path=tenant).vectors
    others.create_index(index_name="few", dimension=3)
    others.upsert(index_name="few", vectors=[[1, 0, 0]], ids=["shared"])
    (match,) = engine.vectors.query(index_name="few", query_vector=[1, 0, 0])
    assert match.id == "shared"


class Switching(DatabaseWrapper):
    """A backend that names the schema as it makes a cursor, as that of django-tenants does."""

    schema = "public"

    def _cursor(self, name: Any = None) -> Any:
        cursor = super()._cursor(name)
        cursor.execute(f"SET search_path = {self.schema}, public")
        return cursor


@pytest.mark.parametrize("times", [1, 10], ids=["at once", "prepared"])
def test_a_backend_that_changes_schemas_is_obeyed(
    engine: PostgresEngine, elsewhere: Elsewhere, tenant: str, times: int
) -> None:
    hello = [{"role": "user", "content": "hello"}]
    engine.memory.save_memory(thread_id="ours", resource_id="r", messages=hello)
    switching = elsewhere()
    existing = connections[switching.database]
    backend = connections[switching.database] = Switching(existing.settings_dict, existing.alias)
    for _ in range(times):
        assert switching.memory.get_thread(thread_id="ours").resource_id == "r"
    backend.schema = "tenant"
    with pytest.raises(ThreadNotFound):
        switching.memory.get_thread(thread_id="ours")
    switching.memory.save_memory(thread_id="theirs", resource_id="r", messages=hello)
    backend.schema = "public"
    with pytest.raises(ThreadNotFound):
        switching.memory.get_thread(thread_id="theirs")
