from __future__ import annotations

from django.db import migrations, models

SET_OLDEST = """
UPDATE mastra_engine_thread
SET oldest_at = messages.oldest_at
FROM (
    SELECT thread_id, min(created_at) AS oldest_at FROM mastra_engine_message GROUP BY thread_id
) AS messages
WHERE id = thread_id
"""


class Migration(migrations.Migration):

    dependencies = [
        ('mastra_engine', '0011_labels_and_permissions'),
    ]

    operations = [
        migrations.AddField(
            model_name='thread',
            name='oldest_at',
            field=models.DateTimeField(
                editable=False,
                help_text='No message of the thread is older. Empty in a thread without messages.',
                null=True,
                verbose_name='oldest message',
            ),
        ),
        migrations.RunSQL(SET_OLDEST, migrations.RunSQL.noop),
    ]
