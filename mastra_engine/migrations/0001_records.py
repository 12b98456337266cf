from __future__ import annotations

import django.db.models.deletion
import django.db.models.functions.datetime
import mastra_engine.models.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Entity',
            fields=[
                ('id', models.UUIDField(default=mastra_engine.models.fields.new_id, editable=False, primary_key=True, serialize=False)),
                ('connection_id', models.TextField(db_collation='C')),
                ('name', models.TextField(db_collation='C')),
                ('last_sync_id', models.TextField(null=True)),
                ('rev', models.BigIntegerField(db_default=0)),
                ('purged_rev', models.BigIntegerField(db_default=0)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'verbose_name_plural': 'entities',
                'constraints': [models.UniqueConstraint(fields=('connection_id', 'name'), name='mastra_engine_entity_name')],
            },
        ),
        migrations.CreateModel(
            name='Record',
            fields=[
                ('id', models.UUIDField(default=mastra_engine.models.fields.new_id, editable=False, primary_key=True, serialize=False)),
                ('external_id', models.TextField(db_collation='C')),
                ('data', models.JSONField(decoder=mastra_engine.models.fields.Decoder)),
                ('content_hash', models.UUIDField(editable=False)),
                ('rev', models.BigIntegerField(editable=False)),
                ('created_rev', models.BigIntegerField(editable=False)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('deleted_at', models.DateTimeField(null=True)),
                ('entity', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='records', to='mastra_engine.entity')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('entity', 'external_id'), name='mastra_engine_record_external_id'), models.UniqueConstraint(fields=('entity', 'rev'), condition=models.Q(('rev__gte', 0)), name='mastra_engine_record_rev')],
            },
        ),
        migrations.RunSQL(
            # Django 5.2 cascades in Python, row by row; the database cascades in one statement.
            # The GIN index is SQL because Django's GinIndex needs django.contrib.postgres in
            # INSTALLED_APPS.
            sql="""
                CREATE INDEX mastra_engine_record_data
                ON mastra_engine_record USING gin (data jsonb_path_ops);
                ALTER TABLE mastra_engine_record
                ADD CONSTRAINT mastra_engine_record_entity
                FOREIGN KEY (entity_id) REFERENCES mastra_engine_entity (id) ON DELETE CASCADE
            """,
            reverse_sql="""
                ALTER TABLE mastra_engine_record DROP CONSTRAINT mastra_engine_record_entity;
                DROP INDEX mastra_engine_record_data
            """,
        ),
    ]
