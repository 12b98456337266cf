"""`flush`, which Django's tests call after each that commits, without what nobody needs.

Django truncates all tables and fills in content types and permissions again. Here these stay, and
only tables whose files hold anything are truncated: PostgreSQL makes each of them and its indexes
anew, and keeps the old files until a checkpoint, half a million of them in a run of this suite.
"""

from __future__ import annotations

from typing import Any

from django.core.management.commands import flush
from django.db import connections, transaction

_PARTITIONS = """
SELECT inhrelid::regclass::text FROM pg_inherits
WHERE inhparent = to_regclass('mastra_engine_embedding')
"""
_FILLED = """
SELECT oid::regclass::text FROM pg_class WHERE relname = ANY(%s) AND pg_relation_size(oid) > 0
"""
_WRITTEN_BY_MIGRATE = {"auth_permission", "django_content_type"}


class Command(flush.Command):
    def handle(self, *, database: str, **options: Any) -> None:
        connection = connections[database]
        tables = {*connection.introspection.django_table_names()} - _WRITTEN_BY_MIGRATE
        with transaction.atomic(using=database), connection.cursor() as cursor:
            cursor.execute(_PARTITIONS)
            if partitions := [name for (name,) in cursor]:
                cursor.execute(f"DROP TABLE {', '.join(partitions)}")
            cursor.execute(_FILLED, [[*tables]])
            if filled := [name for (name,) in cursor]:
                cursor.execute(f"TRUNCATE {', '.join(filled)} CASCADE")
