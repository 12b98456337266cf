from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('mastra_engine', '0027_labels'),
    ]

    operations = [
        migrations.RunSQL(
            # It is SQL because Django's BrinIndex needs django.contrib.postgres in INSTALLED_APPS.
            sql="""
                CREATE INDEX mastra_engine_message_days
                ON mastra_engine_message USING brin (created_at) WITH (autosummarize = on)
            """,
            reverse_sql='DROP INDEX mastra_engine_message_days',
        ),
    ]
