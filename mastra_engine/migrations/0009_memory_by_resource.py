from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mastra_engine', '0008_sync_pages'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='workingmemory',
            index=models.Index(fields=['resource_id', 'thread'], name='mastra_engine_memory_resource'),
        ),
    ]
