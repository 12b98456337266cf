from __future__ import annotations

import django.db.models.deletion
import django.db.models.functions.datetime
import mastra_engine.models.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mastra_engine', '0003_memory'),
    ]

    operations = [
        migrations.CreateModel(
            name='SyncRun',
            fields=[
                ('id', models.UUIDField(default=mastra_engine.models.fields.new_id, editable=False, primary_key=True, serialize=False)),
                ('sync', models.TextField(db_collation='C')),
                ('connection_id', models.TextField(db_collation='C')),
                ('mode', models.TextField()),
                ('status', models.TextField(db_default='queued')),
                ('params', models.JSONField(decoder=mastra_engine.models.fields.Decoder)),
                ('checkpoint', models.JSONField(decoder=mastra_engine.models.fields.Decoder, null=True)),
                ('progress', models.JSONField(decoder=mastra_engine.models.fields.Decoder, null=True)),
                ('pages', models.BigIntegerField(db_default=0)),
                ('created', models.BigIntegerField(db_default=0)),
                ('updated', models.BigIntegerField(db_default=0)),
                ('unchanged', models.BigIntegerField(db_default=0)),
                ('deleted', models.BigIntegerField(db_default=0)),
                ('attempts', models.IntegerField(db_default=0)),
                ('error', models.JSONField(decoder=mastra_engine.models.fields.Decoder, null=True)),
                ('start_rev', models.BigIntegerField(null=True)),
                ('lease_token', models.UUIDField(editable=False, null=True)),
                ('lease_expires_at', models.DateTimeField(null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('started_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('entity', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='sync_runs', to='mastra_engine.entity')),
            ],
            options={
                'indexes': [models.Index(fields=['sync', 'connection_id', 'id'], name='mastra_engine_syncrun_of')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('status__in', ('queued', 'running'))), fields=('sync', 'connection_id'), name='mastra_engine_syncrun_active')],
            },
        ),
        migrations.CreateModel(
            name='SyncPage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('unchanged', models.BinaryField()),
                ('run', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='found', to='mastra_engine.syncrun')),
            ],
        ),
        migrations.RunSQL(
            # The database cascades in one statement, as it does for records.
            sql="""
                ALTER TABLE mastra_engine_syncrun
                ADD CONSTRAINT mastra_engine_syncrun_entity
                FOREIGN KEY (entity_id) REFERENCES mastra_engine_entity (id) ON DELETE CASCADE;
                ALTER TABLE mastra_engine_syncpage
                ADD CONSTRAINT mastra_engine_syncpage_run
                FOREIGN KEY (run_id) REFERENCES mastra_engine_syncrun (id) ON DELETE CASCADE
            """,
            reverse_sql="""
                ALTER TABLE mastra_engine_syncpage DROP CONSTRAINT mastra_engine_syncpage_run;
                ALTER TABLE mastra_engine_syncrun DROP CONSTRAINT mastra_engine_syncrun_entity
            """,
        ),
    ]
