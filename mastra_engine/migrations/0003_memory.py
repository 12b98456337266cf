from __future__ import annotations

import django.db.models.deletion
import django.db.models.functions.datetime
import mastra_engine.models.fields
from django.db import migrations, models


# Django 5.2 cascades in Python, row by row; the database cascades in one statement. Appending
# updates the row of a thread. The fill factor leaves room in each page of the table, so that the new
# version of the row stays in its page.
CASCADES = """
ALTER TABLE mastra_engine_thread SET (fillfactor = 70);
ALTER TABLE mastra_engine_message
    ADD CONSTRAINT mastra_engine_message_thread
    FOREIGN KEY (thread_id) REFERENCES mastra_engine_thread (id) ON DELETE CASCADE;
ALTER TABLE mastra_engine_append
    ADD CONSTRAINT mastra_engine_append_thread
    FOREIGN KEY (thread_id) REFERENCES mastra_engine_thread (id) ON DELETE CASCADE;
ALTER TABLE mastra_engine_workingmemory
    ADD CONSTRAINT mastra_engine_workingmemory_thread
    FOREIGN KEY (thread_id) REFERENCES mastra_engine_thread (id) ON DELETE CASCADE;
"""
NO_CASCADES = """
ALTER TABLE mastra_engine_workingmemory DROP CONSTRAINT mastra_engine_workingmemory_thread;
ALTER TABLE mastra_engine_append DROP CONSTRAINT mastra_engine_append_thread;
ALTER TABLE mastra_engine_message DROP CONSTRAINT mastra_engine_message_thread;
ALTER TABLE mastra_engine_thread RESET (fillfactor);
"""

# This is the algorithm of RFC 7396, section 2. SQL merges, so that concurrent patches are not lost.
CREATE_MERGE_PATCH = """
CREATE FUNCTION mastra_engine_merge_patch(target jsonb, patch jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN jsonb_typeof(patch) <> 'object' THEN patch ELSE (
        SELECT coalesce(jsonb_object_agg(key, CASE
            WHEN given.value IS NULL THEN held.value
            ELSE mastra_engine_merge_patch(held.value, given.value)
        END), '{}')
        FROM jsonb_each(CASE jsonb_typeof(target) WHEN 'object' THEN target ELSE '{}' END) AS held
        FULL JOIN jsonb_each(patch) AS given USING (key)
        WHERE given.value IS DISTINCT FROM 'null'
    ) END
$$
"""
DROP_MERGE_PATCH = "DROP FUNCTION mastra_engine_merge_patch(jsonb, jsonb)"


class Migration(migrations.Migration):

    dependencies = [
        ('mastra_engine', '0002_vectors'),
    ]

    operations = [
        migrations.CreateModel(
            name='Thread',
            fields=[
                ('id', models.TextField(db_collation='C', primary_key=True, serialize=False)),
                ('resource_id', models.TextField(db_collation='C')),
                ('title', models.TextField(db_default='')),
                ('metadata', models.JSONField(decoder=mastra_engine.models.fields.Decoder)),
                ('version', models.BigIntegerField(db_default=1)),
                ('message_count', models.BigIntegerField(db_default=0)),
                ('last_position', models.BigIntegerField(db_default=0)),
                ('total_tokens', models.BigIntegerField(db_default=0)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'indexes': [models.Index(fields=['resource_id', 'updated_at', 'id'], name='mastra_engine_thread_resource')],
            },
        ),
        migrations.CreateModel(
            name='Message',
            fields=[
                ('id', models.TextField(db_collation='C', primary_key=True, serialize=False)),
                ('position', models.BigIntegerField()),
                ('role', models.TextField()),
                ('content', models.JSONField(decoder=mastra_engine.models.fields.Decoder)),
                ('text', models.TextField()),
                ('tool_call_id', models.TextField(null=True)),
                ('tokens', models.IntegerField()),
                ('cum_tokens', models.BigIntegerField()),
                ('metadata', models.JSONField(decoder=mastra_engine.models.fields.Decoder)),
                ('embedded_at', models.DateTimeField(null=True)),
                ('created_at', models.DateTimeField()),
                ('thread', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='messages', to='mastra_engine.thread')),
            ],
            options={
                'indexes': [models.Index(fields=['thread', 'cum_tokens'], name='mastra_engine_message_tokens'), models.Index(condition=models.Q(('embedded_at', None), models.Q(('text', ''), _negated=True)), fields=['thread', 'position'], name='mastra_engine_message_waiting')],
                'constraints': [models.UniqueConstraint(fields=('thread', 'position'), name='mastra_engine_message_position')],
            },
        ),
        migrations.CreateModel(
            name='Append',
            fields=[
                ('id', models.UUIDField(default=mastra_engine.models.fields.new_id, editable=False, primary_key=True, serialize=False)),
                ('idempotency_key', models.TextField(db_collation='C')),
                ('body_hash', models.UUIDField()),
                ('last_position', models.BigIntegerField()),
                ('message_count', models.IntegerField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('thread', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='mastra_engine.thread')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('thread', 'idempotency_key'), name='mastra_engine_append_key')],
            },
        ),
        migrations.CreateModel(
            name='WorkingMemory',
            fields=[
                ('id', models.UUIDField(default=mastra_engine.models.fields.new_id, editable=False, primary_key=True, serialize=False)),
                ('resource_id', models.TextField(db_collation='C')),
                ('content', models.TextField()),
                ('data', models.JSONField(decoder=mastra_engine.models.fields.Decoder)),
                ('version', models.BigIntegerField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('thread', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='working_memory', to='mastra_engine.thread')),
            ],
            options={
                'verbose_name_plural': 'working memory',
                'constraints': [models.UniqueConstraint(fields=('thread', 'resource_id'), name='mastra_engine_workingmemory_holder', nulls_distinct=False)],
            },
        ),
        migrations.RunSQL(CASCADES, NO_CASCADES),
        migrations.RunSQL(CREATE_MERGE_PATCH, DROP_MERGE_PATCH),
    ]
