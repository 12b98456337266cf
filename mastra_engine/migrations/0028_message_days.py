from __future__ import annotations

import django.contrib.postgres.indexes
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('mastra_engine', '0027_labels'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='message',
            index=django.contrib.postgres.indexes.BrinIndex(
                autosummarize=True, fields=['created_at'], name='mastra_engine_message_days'
            ),
        ),
    ]
