from __future__ import annotations

import django.db.models.deletion
import django.db.models.functions.datetime
import mastra_engine.models.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mastra_engine', '0007_answers'),
    ]

    operations = [
        migrations.RenameField(model_name='syncpage', old_name='unchanged', new_name='found'),
        migrations.AlterField(model_name='syncpage', name='found', field=models.BinaryField(null=True)),
        migrations.AlterField(
            model_name='syncpage',
            name='run',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='history', to='mastra_engine.syncrun'),
        ),
        migrations.AddField(model_name='syncpage', name='number', field=models.IntegerField(default=0), preserve_default=False),
        migrations.AddField(model_name='syncpage', name='attempt', field=models.IntegerField(default=1), preserve_default=False),
        migrations.AddField(model_name='syncpage', name='created', field=models.IntegerField(default=0), preserve_default=False),
        migrations.AddField(model_name='syncpage', name='updated', field=models.IntegerField(default=0), preserve_default=False),
        migrations.AddField(model_name='syncpage', name='unchanged', field=models.IntegerField(default=0), preserve_default=False),
        migrations.AddField(model_name='syncpage', name='deleted', field=models.IntegerField(default=0), preserve_default=False),
        migrations.AddField(model_name='syncpage', name='checkpoint', field=models.JSONField(decoder=mastra_engine.models.fields.Decoder, null=True)),
        migrations.AddField(model_name='syncpage', name='committed_at', field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
        migrations.RunSQL(
            # Existing rows belong to unfinished full runs, which still need the revisions in
            # them. Their counts are unknown and stay 0; each run's pages are numbered from 1.
            sql="""
                UPDATE mastra_engine_syncpage AS page SET number = counted.number
                FROM (
                    SELECT id, row_number() OVER (PARTITION BY run_id ORDER BY id) AS number
                    FROM mastra_engine_syncpage
                ) AS counted
                WHERE page.id = counted.id
            """,
            reverse_sql='DELETE FROM mastra_engine_syncpage WHERE found IS NULL',
        ),
        migrations.AddConstraint(
            model_name='syncpage',
            constraint=models.UniqueConstraint(fields=('run', 'number'), name='mastra_engine_syncpage_of'),
        ),
    ]
