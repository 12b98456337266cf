import django.db.models.deletion
import django.db.models.functions.datetime
import mastra_engine.models.fields
from django.db import migrations, models


# The database deletes a sync with its entity.
ADD_CONSTRAINT = """
ALTER TABLE mastra_engine_sync ADD CONSTRAINT mastra_engine_sync_entity
FOREIGN KEY (entity_id) REFERENCES mastra_engine_entity (id) ON DELETE CASCADE
"""

# Until now the next run began at the checkpoint of the newest run with the same parameters. For
# each of them it is kept, the one of the newest run of all as the last.
COPY_RUNS = """
WITH newest_of_params AS (
    SELECT DISTINCT ON (sync, connection_id, params) *
    FROM mastra_engine_syncrun
    ORDER BY sync, connection_id, params, created_at DESC, id DESC
), newest AS (
    SELECT DISTINCT ON (sync, connection_id) *
    FROM mastra_engine_syncrun
    ORDER BY sync, connection_id, created_at DESC, id DESC
)
INSERT INTO mastra_engine_sync
    (id, sync, connection_id, entity_id, mode, checkpoints, last_run_id, last_succeeded_at)
SELECT gen_random_uuid(), sync, connection_id, entity_id, mode,
    (
        SELECT jsonb_agg(
            jsonb_build_object('params', params, 'checkpoint', checkpoint) ORDER BY created_at, id
        )
        FROM newest_of_params AS other
        WHERE other.sync = newest.sync AND other.connection_id = newest.connection_id
    ),
    id,
    (
        SELECT max(finished_at) FROM mastra_engine_syncrun AS run
        WHERE run.sync = newest.sync AND run.connection_id = newest.connection_id
          AND run.status = 'succeeded'
    )
FROM newest
"""


class Migration(migrations.Migration):

    dependencies = [
        ('mastra_engine', '0013_token_gaps'),
    ]

    operations = [
        migrations.CreateModel(
            name='Sync',
            fields=[
                ('id', models.UUIDField(default=mastra_engine.models.fields.new_id, editable=False, primary_key=True, serialize=False, verbose_name='ID')),
                ('sync', models.TextField(db_collation='C', help_text='The name of the declared sync.')),
                ('connection_id', models.TextField(db_collation='C', verbose_name='connection ID')),
                ('mode', models.TextField(help_text='The mode of the last run.')),
                ('checkpoints', models.JSONField(db_default=[], decoder=mastra_engine.models.fields.Decoder, help_text='The checkpoint for each set of parameters; the last one is of the last run.')),
                ('last_run_id', models.UUIDField(null=True, verbose_name='last run ID')),
                ('last_succeeded_at', models.DateTimeField(null=True)),
                ('paused_at', models.DateTimeField(help_text='A paused sync begins no new runs.', null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.RemoveIndex(
            model_name='syncrun',
            name='mastra_engine_syncrun_of',
        ),
        migrations.AddIndex(
            model_name='entity',
            index=models.Index(fields=['created_at', 'id'], name='mastra_engine_entity_age'),
        ),
        migrations.AddIndex(
            model_name='syncrun',
            index=models.Index(fields=['sync', 'connection_id', 'created_at', 'id'], name='mastra_engine_syncrun_of'),
        ),
        migrations.AddIndex(
            model_name='syncrun',
            index=models.Index(fields=['created_at', 'id'], name='mastra_engine_syncrun_age'),
        ),
        migrations.AddField(
            model_name='sync',
            name='entity',
            field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='syncs', to='mastra_engine.entity'),
        ),
        migrations.AddConstraint(
            model_name='sync',
            constraint=models.UniqueConstraint(fields=('sync', 'connection_id'), name='mastra_engine_sync_name'),
        ),
        migrations.RunSQL(ADD_CONSTRAINT, migrations.RunSQL.noop),
        migrations.RunSQL(COPY_RUNS, migrations.RunSQL.noop),
    ]
