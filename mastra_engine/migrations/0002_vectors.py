from __future__ import annotations

import django.db.models.deletion
import django.db.models.functions.datetime
import pgvector.django.vector
from django.db import migrations, models

import mastra_engine.models.fields

# Without SCHEMA an extension is created in the first schema of the search path, which may be one
# tenant's: other tenants would not find it, and it would be dropped with that schema.
CREATE_EXTENSION = """
DO $$
DECLARE
    place text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'vector') THEN
        IF 'public' = ANY (current_schemas(false)) THEN
            CREATE EXTENSION IF NOT EXISTS vector SCHEMA public;
        ELSE
            CREATE EXTENSION IF NOT EXISTS vector;
        END IF;
    END IF;
    IF to_regtype('vector') IS NULL THEN
        SELECT extnamespace::regnamespace::text INTO place FROM pg_extension
        WHERE extname = 'vector';
        RAISE EXCEPTION 'the extension vector is in the schema %, which is not searched', place
        USING HINT = 'Run ALTER EXTENSION vector SET SCHEMA public, and add public to search_path.';
    END IF;
END
$$
"""

# The table is partitioned by index, so that each index has its own search structure and its deletion
# drops a table. Django cannot create partitioned tables, so SQL creates this one, and the state gets
# a model that describes it.
CREATE_EMBEDDING = """
CREATE TABLE mastra_engine_embedding (
    index_id integer NOT NULL,
    row_id uuid NOT NULL,
    id text COLLATE "C" NOT NULL,
    namespace text COLLATE "C" NOT NULL DEFAULT '',
    document text,
    metadata jsonb NOT NULL,
    embedding vector NOT NULL,
    created_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    PRIMARY KEY (index_id, row_id),
    UNIQUE (index_id, namespace, id)
) PARTITION BY LIST (index_id);
CREATE INDEX mastra_engine_embedding_metadata
    ON mastra_engine_embedding USING gin (metadata jsonb_path_ops);
"""


class Migration(migrations.Migration):
    dependencies = [("mastra_engine", "0001_records")]

    operations = [
        # The reverse keeps the extension: other apps may use it, and only its owner may drop it.
        migrations.RunSQL(CREATE_EXTENSION, migrations.RunSQL.noop),
        migrations.CreateModel(
            name="VectorIndex",
            fields=[
                ("id", models.AutoField(primary_key=True, serialize=False)),
                ("name", models.TextField(db_collation="C", unique=True)),
                ("dimension", models.PositiveIntegerField()),
                ("metric", models.TextField()),
                ("index_type", models.TextField()),
                ("storage", models.TextField()),
                ("language", models.TextField()),
                ("m", models.PositiveSmallIntegerField()),
                ("ef_construction", models.PositiveSmallIntegerField()),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
            options={"verbose_name_plural": "vector indexes"},
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(CREATE_EMBEDDING, "DROP TABLE mastra_engine_embedding"),
            ],
            state_operations=[
                migrations.CreateModel(
                    name="Embedding",
                    fields=[
                        (
                            "row_id",
                            models.UUIDField(
                                default=mastra_engine.models.fields.new_id,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("vector_id", models.TextField(db_collation="C", db_column="id")),
                        ("namespace", models.TextField(db_collation="C", db_default="")),
                        ("document", models.TextField(null=True)),
                        ("metadata", models.JSONField(decoder=mastra_engine.models.fields.Decoder)),
                        ("embedding", pgvector.django.vector.VectorField()),
                        (
                            "created_at",
                            models.DateTimeField(
                                db_default=django.db.models.functions.datetime.Now()
                            ),
                        ),
                        (
                            "updated_at",
                            models.DateTimeField(
                                db_default=django.db.models.functions.datetime.Now()
                            ),
                        ),
                        (
                            "vector_index",
                            models.ForeignKey(
                                db_column="index_id",
                                db_constraint=False,
                                db_index=False,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="embeddings",
                                to="mastra_engine.vectorindex",
                            ),
                        ),
                    ],
                ),
            ],
        ),
    ]
