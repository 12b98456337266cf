from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Rename tables and columns to the field's own terms. Catalog changes only: no row is rewritten."""

    dependencies = [
        ('mastra_engine', '0009_memory_by_resource'),
    ]

    operations = [
        migrations.RenameModel(old_name='Answer', new_name='IdempotencyRecord'),
        migrations.RenameField(model_name='idempotencyrecord', old_name='answer', new_name='response'),
        migrations.RenameModel(old_name='Append', new_name='IdempotentAppend'),
        migrations.RenameModel(old_name='Bookmark', new_name='IndexProgress'),
        migrations.AlterModelOptions(
            name='indexprogress', options={'verbose_name_plural': 'index progress'}
        ),
        migrations.RenameField(model_name='syncpage', old_name='found', new_name='unchanged_revs'),
        migrations.AlterField(
            model_name='indexprogress',
            name='entity',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='index_progress', to='mastra_engine.entity'),
        ),
        migrations.AlterField(
            model_name='indexprogress',
            name='vector_index',
            field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='index_progress', to='mastra_engine.vectorindex'),
        ),
    ]
