from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mastra_engine', '0006_indexing'),
    ]

    operations = [
        migrations.CreateModel(
            name='Answer',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('body_hash', models.UUIDField()),
                ('answer', models.BinaryField(null=True)),
                ('expires_at', models.DateTimeField(db_index=True)),
            ],
        ),
    ]
