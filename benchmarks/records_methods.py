"""Methods to write the same records to PostgreSQL."""

from __future__ import annotations

import os
import tempfile
from abc import ABC, abstractmethod
from typing import Any, ClassVar
from urllib.parse import quote
from uuid import UUID

import orjson
import psycopg
from django.db import connection
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier
from psycopg.types.json import set_json_dumps
from uuid_utils.compat import uuid7

from benchmarks.database import connect
from benchmarks.harness import installed
from benchmarks.records_data import Dataset, Record
from mastra_engine import engine
from mastra_engine.models import Entity
from mastra_engine.models import Record as RecordRow
from mastra_engine.validation.jsonb import canonical, content_hash

CONNECTION = "benchmark"
NAME = "Contacts"


class Method(ABC):
    """A method to write records into the tables that `prepare` emptied."""

    name: ClassVar[str]
    #: Whether it can be asked to write again what is there.
    repeatable: ClassVar[bool] = True

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def prepare(self) -> None:
        """Empty the tables and create the entity; this is not measured."""
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE mastra_engine_entity CASCADE")
            # The harness vacuums between passes; autovacuum would disturb them at random times.
            cursor.execute("ALTER TABLE mastra_engine_record SET (autovacuum_enabled = off)")
        self.entity = Entity.objects.create(name=NAME, connection_id=CONNECTION)

    @abstractmethod
    def write(self, records: list[Record]) -> None:
        """Write `records` to the table."""

    def worker(self) -> psycopg.Connection[Any] | None:
        """Return the connection of the method, if it is persistent."""
        return connection.connection  # type: ignore[no-any-return]


class Floor(Method):
    """One binary COPY of orjson's output into the same table with the same indexes.

    Nothing can load the rows faster over one connection. Keys and hashes are made beforehand.
    """

    name = "COPY floor"
    repeatable = False

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset)
        self._keys = [(uuid7(), _hash(record)) for record in dataset.original]
        self._connection = connect()
        set_json_dumps(orjson.dumps, self._connection)

    def write(self, records: list[Record]) -> None:
        sql = """
            COPY mastra_engine_record
                (id, entity_id, external_id, data, content_hash, rev, created_rev)
            FROM STDIN (FORMAT BINARY)
        """
        types = ["uuid", "uuid", "text", "jsonb", "uuid", "int8", "int8"]
        entity_id = self.entity.id
        with self._connection.cursor() as cursor, cursor.copy(sql) as copy:
            copy.set_types(types)
            for rev, (record, (id, hashed)) in enumerate(zip(records, self._keys, strict=True), 1):
                copy.write_row(
                    (id, entity_id, record["external_id"], record["data"], hashed, rev, rev)
                )

    def worker(self) -> psycopg.Connection[Any] | None:
        return self._connection


class Upsert(Method):
    name = "upsert_records"

    def write(self, records: list[Record]) -> None:
        engine.upsert_records(records=records, entity_id=self.entity.id)


class FullSync(Method):
    name = "sync_records (full)"

    def write(self, records: list[Record]) -> None:
        engine.sync_records(name=NAME, connection_id=CONNECTION, records=records, mode="full")


class BulkCreate(Method):
    """Django's bulk_create() on the same model."""

    name = "bulk_create"

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset)
        # Created before, because Django's bulk_create() does not compute it.
        self._hashes = [_hash(record) for record in dataset.original]

    def write(self, records: list[Record]) -> None:
        rows = [
            RecordRow(
                entity_id=self.entity.id,
                external_id=record["external_id"],
                data=record["data"],
                content_hash=hashed,
                rev=rev,
                created_rev=rev,
            )
            for rev, (record, hashed) in enumerate(zip(records, self._hashes, strict=True), 1)
        ]
        RecordRow.objects.bulk_create(
            rows,
            batch_size=1000,
            update_conflicts=True,
            unique_fields=["entity", "external_id"],
            update_fields=["data", "content_hash", "updated_at"],
        )


class Dlt(Method):
    """The merge of the library dlt, into its own tables, which have fewer indexes."""

    name = "dlt (merge)"

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset)
        os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
        os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
        self._files = tempfile.TemporaryDirectory(prefix="mastra-benchmarks-dlt-")

    def prepare(self) -> None:
        import dlt

        super().prepare()
        with connect() as admin:
            admin.execute(SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(Identifier(CONNECTION)))
        self._pipeline = dlt.pipeline(
            pipeline_name=CONNECTION,
            pipelines_dir=tempfile.mkdtemp(dir=self._files.name),  # it stores the schema there
            destination=dlt.destinations.postgres(_dlt_credentials(os.environ["DB_URL"])),
            dataset_name=CONNECTION,
        )

    def write(self, records: list[Record]) -> None:
        self._pipeline.run(
            records,
            table_name="contacts",
            write_disposition="merge",
            primary_key="external_id",
            columns={"data": {"data_type": "json"}},
        ).raise_on_failed_jobs()

    def worker(self) -> None:
        return None


def methods(dataset: Dataset) -> list[Method]:
    """Return the methods whose libraries are installed."""
    kinds: list[type[Method]] = [Floor, Upsert, FullSync, BulkCreate]
    if installed("dlt"):
        kinds.append(Dlt)
    return [kind(dataset) for kind in kinds]


def _hash(record: Record) -> UUID:
    return UUID(bytes=content_hash(canonical(record["data"])))


def _dlt_credentials(conninfo: str) -> dict[str, Any]:
    """Return connection parameters for dlt, which requires a host and a password."""
    parameters = conninfo_to_dict(conninfo)
    # The host may be the directory of a socket, whose slashes have to be quoted.
    return {
        "host": quote(str(parameters.pop("host", "localhost")), safe=""),
        "port": int(parameters.pop("port", None) or 5432),
        "database": parameters.pop("dbname"),
        "username": parameters.pop("user", None) or "postgres",
        "password": parameters.pop("password", None) or "none",
        "query": {key: str(value) for key, value in parameters.items()},
    }
