from __future__ import annotations

from django.db import migrations, models

# Until now, a deletion changed the sums of all later messages, so that both sums were equal.
SET_CUM_TOKENS = "UPDATE mastra_engine_thread SET cum_tokens = total_tokens"


class Migration(migrations.Migration):

    dependencies = [
        ('mastra_engine', '0012_message_ages'),
    ]

    operations = [
        migrations.AddField(
            model_name='message',
            name='gap_tokens',
            field=models.BigIntegerField(db_default=0, editable=False, help_text='The tokens of deleted messages between the previous message and this one.'),
        ),
        migrations.AddField(
            model_name='thread',
            name='cum_tokens',
            field=models.BigIntegerField(db_default=0, editable=False, help_text='The cumulative tokens of the newest message.', verbose_name='cumulative tokens'),
        ),
        migrations.AlterField(
            model_name='message',
            name='cum_tokens',
            field=models.BigIntegerField(help_text='The sum of the tokens of the thread up to and including this message. It counts messages that were deleted after this one was appended.', verbose_name='cumulative tokens'),
        ),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(condition=models.Q(('gap_tokens__gt', 0)), fields=['thread', 'cum_tokens'], name='mastra_engine_message_gaps'),
        ),
        migrations.RunSQL(SET_CUM_TOKENS, migrations.RunSQL.noop),
    ]
