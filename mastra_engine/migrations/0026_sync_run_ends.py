from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mastra_engine', '0025_evaluations'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='syncrun',
            index=models.Index(fields=['finished_at', 'id'], name='mastra_engine_syncrun_end'),
        ),
    ]
