"""Name all models and fields explicitly, so that the names can be translated: no SQL is needed."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import mastra_engine.models.fields
from django.db import migrations, models

# Names of models and fields, which the admin shows in the language of its user.
NAMES = [
    migrations.AlterModelOptions(
        name='embedding',
        options={'verbose_name': 'embedding', 'verbose_name_plural': 'embeddings'},
    ),
    migrations.AlterModelOptions(
        name='entity',
        options={'verbose_name': 'entity', 'verbose_name_plural': 'entities'},
    ),
    migrations.AlterModelOptions(
        name='evaluationcase',
        options={'verbose_name': 'evaluation case', 'verbose_name_plural': 'evaluation cases'},
    ),
    migrations.AlterModelOptions(
        name='evaluationresult',
        options={'verbose_name': 'evaluation result', 'verbose_name_plural': 'evaluation results'},
    ),
    migrations.AlterModelOptions(
        name='fact',
        options={'verbose_name': 'fact', 'verbose_name_plural': 'facts'},
    ),
    migrations.AlterModelOptions(
        name='factreading',
        options={'verbose_name': 'fact reading', 'verbose_name_plural': 'fact readings'},
    ),
    migrations.AlterModelOptions(
        name='factsource',
        options={'verbose_name': 'fact source', 'verbose_name_plural': 'fact sources'},
    ),
    migrations.AlterModelOptions(
        name='idempotencyrecord',
        options={'verbose_name': 'idempotency record', 'verbose_name_plural': 'idempotency records'},
    ),
    migrations.AlterModelOptions(
        name='idempotentappend',
        options={'verbose_name': 'idempotent append', 'verbose_name_plural': 'idempotent appends'},
    ),
    migrations.AlterModelOptions(
        name='message',
        options={'verbose_name': 'message', 'verbose_name_plural': 'messages'},
    ),
    migrations.AlterModelOptions(
        name='record',
        options={'verbose_name': 'record', 'verbose_name_plural': 'records'},
    ),
    migrations.AlterModelOptions(
        name='stateitem',
        options={'verbose_name': 'state item', 'verbose_name_plural': 'state items'},
    ),
    migrations.AlterModelOptions(
        name='sync',
        options={'verbose_name': 'sync', 'verbose_name_plural': 'syncs'},
    ),
    migrations.AlterModelOptions(
        name='syncpage',
        options={'verbose_name': 'sync page', 'verbose_name_plural': 'sync pages'},
    ),
    migrations.AlterModelOptions(
        name='syncrun',
        options={'verbose_name': 'sync run', 'verbose_name_plural': 'sync runs'},
    ),
    migrations.AlterModelOptions(
        name='thread',
        options={'permissions': [('read_content', 'Can read the content of conversations, records and vectors')], 'verbose_name': 'thread', 'verbose_name_plural': 'threads'},
    ),
    migrations.AlterModelOptions(
        name='vectorindex',
        options={'verbose_name': 'vector index', 'verbose_name_plural': 'vector indexes'},
    ),
    migrations.AlterField(
        model_name='embedding',
        name='created_at',
        field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='created at'),
    ),
    migrations.AlterField(
        model_name='embedding',
        name='document',
        field=models.TextField(null=True, verbose_name='document'),
    ),
    migrations.AlterField(
        model_name='embedding',
        name='metadata',
        field=models.JSONField(decoder=mastra_engine.models.fields.Decoder, verbose_name='metadata'),
    ),
    migrations.AlterField(
        model_name='embedding',
        name='namespace',
        field=models.TextField(db_collation='C', db_default='', help_text='Searches can be limited to one namespace.', verbose_name='namespace'),
    ),
    migrations.AlterField(
        model_name='embedding',
        name='updated_at',
        field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='updated at'),
    ),
    migrations.AlterField(
        model_name='embedding',
        name='vector_index',
        field=models.ForeignKey(db_column='index_id', db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='embeddings', to='mastra_engine.vectorindex', verbose_name='vector index'),
    ),
    migrations.AlterField(
        model_name='entity',
        name='created_at',
        field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='created at'),
    ),
    migrations.AlterField(
        model_name='entity',
        name='name',
        field=models.TextField(db_collation='C', verbose_name='name'),
    ),
    migrations.AlterField(
        model_name='entity',
        name='updated_at',
        field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='updated at'),
    ),
    migrations.AlterField(
        model_name='evaluationcase',
        name='created_at',
        field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='created at'),
    ),
    migrations.AlterField(
        model_name='evaluationcase',
        name='filter',
        field=models.JSONField(decoder=mastra_engine.models.fields.Decoder, help_text='The filter of the search.', null=True, verbose_name='filter'),
    ),
    migrations.AlterField(
        model_name='evaluationcase',
        name='owner',
        field=models.TextField(blank=True, db_collation='C', db_default='', help_text='The namespace, the connection or the resource that is searched.', verbose_name='owner'),
    ),
    migrations.AlterField(
        model_name='evaluationcase',
        name='query',
        field=models.TextField(verbose_name='query'),
    ),
    migrations.AlterField(
        model_name='evaluationcase',
        name='target',
        field=models.TextField(db_collation='C', db_index=True, help_text='The search that should find them: vectors:INDEX, records:ENTITY or recall.', verbose_name='target'),
    ),
    migrations.AlterField(
        model_name='evaluationresult',
        name='created_at',
        field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='created at'),
    ),
    migrations.AlterField(
        model_name='evaluationresult',
        name='metrics',
        field=models.JSONField(decoder=mastra_engine.models.fields.Decoder, help_text='The value of each metric, and the limits of its confidence interval of 95 percent.', verbose_name='metrics'),
    ),
    migrations.AlterField(
        model_name='evaluationresult',
        name='target',
        field=models.TextField(db_collation='C', db_index=True, help_text='The search that was measured, with its options.', verbose_name='target'),
    ),
    migrations.AlterField(
        model_name='fact',
        name='aliases',
        field=django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), help_text='Other names of the subject.', size=None, verbose_name='aliases'),
    ),
    migrations.AlterField(
        model_name='fact',
        name='confidence',
        field=models.FloatField(help_text='From 0 to 1.', verbose_name='confidence'),
    ),
    migrations.AlterField(
        model_name='fact',
        name='is_indexed',
        field=models.BooleanField(db_default=False, editable=False, help_text='Whether searches find the fact.', verbose_name='is indexed'),
    ),
    migrations.AlterField(
        model_name='fact',
        name='many',
        field=models.BooleanField(help_text='Whether the subject may have several objects of the predicate at once.', verbose_name='many'),
    ),
    migrations.AlterField(
        model_name='fact',
        name='object',
        field=models.TextField(verbose_name='object'),
    ),
    migrations.AlterField(
        model_name='fact',
        name='pinned',
        field=models.BooleanField(help_text='Pinned facts come first in context windows.', verbose_name='pinned'),
    ),
    migrations.AlterField(
        model_name='fact',
        name='predicate',
        field=models.TextField(verbose_name='predicate'),
    ),
    migrations.AlterField(
        model_name='fact',
        name='reason',
        field=models.TextField(db_default='', help_text='Why the fact was retracted.', verbose_name='reason'),
    ),
    migrations.AlterField(
        model_name='fact',
        name='retracted_at',
        field=models.DateTimeField(null=True, verbose_name='retracted at'),
    ),
    migrations.AlterField(
        model_name='fact',
        name='subject',
        field=models.TextField(verbose_name='subject'),
    ),
    migrations.AlterField(
        model_name='fact',
        name='superseded_at',
        field=models.DateTimeField(help_text='When another version of the claim was remembered.', null=True, verbose_name='superseded at'),
    ),
    migrations.AlterField(
        model_name='fact',
        name='valid_from',
        field=models.DateTimeField(help_text='From then on the fact is true.', verbose_name='valid from'),
    ),
    migrations.AlterField(
        model_name='fact',
        name='valid_to',
        field=models.DateTimeField(help_text='From then on it is not true any more.', null=True, verbose_name='valid to'),
    ),
    migrations.AlterField(
        model_name='factreading',
        name='claimed_until',
        field=models.DateTimeField(editable=False, help_text='Until then, a worker is reading further messages.', null=True, verbose_name='claimed until'),
    ),
    migrations.AlterField(
        model_name='factreading',
        name='position',
        field=models.BigIntegerField(db_default=0, help_text='The messages up to this position were read.', verbose_name='position'),
    ),
    migrations.AlterField(
        model_name='factreading',
        name='thread',
        field=models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, primary_key=True, related_name='fact_reading', serialize=False, to='mastra_engine.thread', verbose_name='thread'),
    ),
    migrations.AlterField(
        model_name='factsource',
        name='fact',
        field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='sources', to='mastra_engine.fact', verbose_name='fact'),
    ),
    migrations.AlterField(
        model_name='factsource',
        name='message',
        field=models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='mastra_engine.message', verbose_name='message'),
    ),
    migrations.AlterField(
        model_name='factsource',
        name='quote',
        field=models.TextField(help_text='The text that says so.', verbose_name='quote'),
    ),
    migrations.AlterField(
        model_name='factsource',
        name='record',
        field=models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='mastra_engine.record', verbose_name='record'),
    ),
    migrations.AlterField(
        model_name='idempotentappend',
        name='created_at',
        field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='created at'),
    ),
    migrations.AlterField(
        model_name='idempotentappend',
        name='idempotency_key',
        field=models.TextField(db_collation='C', verbose_name='idempotency key'),
    ),
    migrations.AlterField(
        model_name='idempotentappend',
        name='last_position',
        field=models.BigIntegerField(help_text='The position of the last message stored.', verbose_name='last position'),
    ),
    migrations.AlterField(
        model_name='idempotentappend',
        name='thread',
        field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='mastra_engine.thread', verbose_name='thread'),
    ),
    migrations.AlterField(
        model_name='indexprogress',
        name='claimed_until',
        field=models.DateTimeField(editable=False, help_text='Until then, a worker is indexing further changes.', null=True, verbose_name='claimed until'),
    ),
    migrations.AlterField(
        model_name='indexprogress',
        name='complete',
        field=models.BooleanField(db_default=False, help_text='Whether the index has read all records of the entity once.', verbose_name='complete'),
    ),
    migrations.AlterField(
        model_name='indexprogress',
        name='created_at',
        field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='created at'),
    ),
    migrations.AlterField(
        model_name='indexprogress',
        name='entity',
        field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='index_progress', to='mastra_engine.entity', verbose_name='entity'),
    ),
    migrations.AlterField(
        model_name='indexprogress',
        name='updated_at',
        field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='updated at'),
    ),
    migrations.AlterField(
        model_name='indexprogress',
        name='vector_index',
        field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='index_progress', to='mastra_engine.vectorindex', verbose_name='vector index'),
    ),
    migrations.AlterField(
        model_name='message',
        name='content',
        field=models.JSONField(decoder=mastra_engine.models.fields.Decoder, help_text='The parts of the message.', verbose_name='content'),
    ),
    migrations.AlterField(
        model_name='message',
        name='created_at',
        field=models.DateTimeField(verbose_name='created at'),
    ),
    migrations.AlterField(
        model_name='message',
        name='embedded_at',
        field=models.DateTimeField(help_text='When its vector was stored, for semantic recall.', null=True, verbose_name='embedded at'),
    ),
    migrations.AlterField(
        model_name='message',
        name='metadata',
        field=models.JSONField(decoder=mastra_engine.models.fields.Decoder, verbose_name='metadata'),
    ),
    migrations.AlterField(
        model_name='message',
        name='position',
        field=models.BigIntegerField(help_text='Numbers the messages of a thread in commit order; a deletion leaves a gap.', verbose_name='position'),
    ),
    migrations.AlterField(
        model_name='message',
        name='role',
        field=models.TextField(help_text='system, user, assistant or tool.', verbose_name='role'),
    ),
    migrations.AlterField(
        model_name='message',
        name='text',
        field=models.TextField(help_text='The text parts, joined: the input of the embedder.', verbose_name='text'),
    ),
    migrations.AlterField(
        model_name='message',
        name='thread',
        field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='messages', to='mastra_engine.thread', verbose_name='thread'),
    ),
    migrations.AlterField(
        model_name='message',
        name='tokens',
        field=models.IntegerField(verbose_name='tokens'),
    ),
    migrations.AlterField(
        model_name='record',
        name='created_at',
        field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='created at'),
    ),
    migrations.AlterField(
        model_name='record',
        name='data',
        field=models.JSONField(decoder=mastra_engine.models.fields.Decoder, verbose_name='data'),
    ),
    migrations.AlterField(
        model_name='record',
        name='deleted_at',
        field=models.DateTimeField(help_text='Set on a tombstone: a deleted record that the change feed reports.', null=True, verbose_name='deleted at'),
    ),
    migrations.AlterField(
        model_name='record',
        name='entity',
        field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='records', to='mastra_engine.entity', verbose_name='entity'),
    ),
    migrations.AlterField(
        model_name='record',
        name='updated_at',
        field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='updated at'),
    ),
    migrations.AlterField(
        model_name='stateitem',
        name='created_at',
        field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='created at'),
    ),
    migrations.AlterField(
        model_name='stateitem',
        name='expires_at',
        field=models.DateTimeField(help_text='From then on the item is not found any more.', null=True, verbose_name='expires at'),
    ),
    migrations.AlterField(
        model_name='stateitem',
        name='is_indexed',
        field=models.BooleanField(db_default=False, editable=False, help_text='Whether a vector was stored of the item.', verbose_name='is indexed'),
    ),
    migrations.AlterField(
        model_name='stateitem',
        name='is_pending',
        field=models.BooleanField(editable=False, help_text='Whether the text is still to be indexed for searches.', verbose_name='is pending'),
    ),
    migrations.AlterField(
        model_name='stateitem',
        name='key',
        field=models.TextField(db_collation='C', help_text='The name of the item in its namespace.', verbose_name='key'),
    ),
    migrations.AlterField(
        model_name='stateitem',
        name='namespace',
        field=django.contrib.postgres.fields.ArrayField(base_field=models.TextField(db_collation='C'), help_text='The path to the item; its first element is the owner, such as a user.', size=None, verbose_name='namespace'),
    ),
    migrations.AlterField(
        model_name='stateitem',
        name='updated_at',
        field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='updated at'),
    ),
    migrations.AlterField(
        model_name='stateitem',
        name='value',
        field=models.JSONField(decoder=mastra_engine.models.fields.Decoder, help_text='The document; empty if the item was deleted.', null=True, verbose_name='value'),
    ),
    migrations.AlterField(
        model_name='stateitem',
        name='version',
        field=models.BigIntegerField(help_text='Grows with each write of the key, and goes on after a deletion.', verbose_name='version'),
    ),
    migrations.AlterField(
        model_name='sync',
        name='checkpoints',
        field=models.JSONField(db_default=[], decoder=mastra_engine.models.fields.Decoder, help_text='The checkpoint for each set of parameters; the last one is of the last run.', verbose_name='checkpoints'),
    ),
    migrations.AlterField(
        model_name='sync',
        name='created_at',
        field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='created at'),
    ),
    migrations.AlterField(
        model_name='sync',
        name='entity',
        field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='syncs', to='mastra_engine.entity', verbose_name='entity'),
    ),
    migrations.AlterField(
        model_name='sync',
        name='last_succeeded_at',
        field=models.DateTimeField(null=True, verbose_name='last succeeded at'),
    ),
    migrations.AlterField(
        model_name='sync',
        name='mode',
        field=models.TextField(help_text='The mode of the last run.', verbose_name='mode'),
    ),
    migrations.AlterField(
        model_name='sync',
        name='paused_at',
        field=models.DateTimeField(help_text='A paused sync begins no new runs.', null=True, verbose_name='paused at'),
    ),
    migrations.AlterField(
        model_name='sync',
        name='sync',
        field=models.TextField(db_collation='C', help_text='The name of the declared sync.', verbose_name='sync'),
    ),
    migrations.AlterField(
        model_name='sync',
        name='updated_at',
        field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='updated at'),
    ),
    migrations.AlterField(
        model_name='syncpage',
        name='attempt',
        field=models.IntegerField(help_text='The attempt of the run that committed the page.', verbose_name='attempt'),
    ),
    migrations.AlterField(
        model_name='syncpage',
        name='checkpoint',
        field=models.JSONField(decoder=mastra_engine.models.fields.Decoder, null=True, verbose_name='checkpoint'),
    ),
    migrations.AlterField(
        model_name='syncpage',
        name='committed_at',
        field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='committed at'),
    ),
    migrations.AlterField(
        model_name='syncpage',
        name='created',
        field=models.IntegerField(verbose_name='created'),
    ),
    migrations.AlterField(
        model_name='syncpage',
        name='deleted',
        field=models.IntegerField(verbose_name='deleted'),
    ),
    migrations.AlterField(
        model_name='syncpage',
        name='number',
        field=models.IntegerField(help_text='Numbers the pages of a run, beginning with 1.', verbose_name='number'),
    ),
    migrations.AlterField(
        model_name='syncpage',
        name='run',
        field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='history', to='mastra_engine.syncrun', verbose_name='run'),
    ),
    migrations.AlterField(
        model_name='syncpage',
        name='unchanged',
        field=models.IntegerField(verbose_name='unchanged'),
    ),
    migrations.AlterField(
        model_name='syncpage',
        name='updated',
        field=models.IntegerField(verbose_name='updated'),
    ),
    migrations.AlterField(
        model_name='syncrun',
        name='attempts',
        field=models.IntegerField(db_default=0, help_text='How many workers have started the run, retries included.', verbose_name='attempts'),
    ),
    migrations.AlterField(
        model_name='syncrun',
        name='checkpoint',
        field=models.JSONField(decoder=mastra_engine.models.fields.Decoder, help_text='The state that the next attempt or run resumes from.', null=True, verbose_name='checkpoint'),
    ),
    migrations.AlterField(
        model_name='syncrun',
        name='created',
        field=models.BigIntegerField(db_default=0, verbose_name='created'),
    ),
    migrations.AlterField(
        model_name='syncrun',
        name='created_at',
        field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='created at'),
    ),
    migrations.AlterField(
        model_name='syncrun',
        name='deleted',
        field=models.BigIntegerField(db_default=0, verbose_name='deleted'),
    ),
    migrations.AlterField(
        model_name='syncrun',
        name='entity',
        field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='sync_runs', to='mastra_engine.entity', verbose_name='entity'),
    ),
    migrations.AlterField(
        model_name='syncrun',
        name='error',
        field=models.JSONField(decoder=mastra_engine.models.fields.Decoder, null=True, verbose_name='error'),
    ),
    migrations.AlterField(
        model_name='syncrun',
        name='finished_at',
        field=models.DateTimeField(null=True, verbose_name='finished at'),
    ),
    migrations.AlterField(
        model_name='syncrun',
        name='lease_expires_at',
        field=models.DateTimeField(help_text='A worker that stops renewing its lease loses the run at this time.', null=True, verbose_name='lease expires at'),
    ),
    migrations.AlterField(
        model_name='syncrun',
        name='log',
        field=models.JSONField(db_default=[], decoder=mastra_engine.models.fields.Decoder, help_text='The newest lines that the sync wrote.', verbose_name='log'),
    ),
    migrations.AlterField(
        model_name='syncrun',
        name='mode',
        field=models.TextField(help_text='full: records that the run does not yield are deleted. incremental: they stay.', verbose_name='mode'),
    ),
    migrations.AlterField(
        model_name='syncrun',
        name='pages',
        field=models.BigIntegerField(db_default=0, help_text='Pages of records committed, each with its checkpoint.', verbose_name='pages'),
    ),
    migrations.AlterField(
        model_name='syncrun',
        name='progress',
        field=models.JSONField(decoder=mastra_engine.models.fields.Decoder, null=True, verbose_name='progress'),
    ),
    migrations.AlterField(
        model_name='syncrun',
        name='started_at',
        field=models.DateTimeField(null=True, verbose_name='started at'),
    ),
    migrations.AlterField(
        model_name='syncrun',
        name='status',
        field=models.TextField(db_default='queued', verbose_name='status'),
    ),
    migrations.AlterField(
        model_name='syncrun',
        name='sync',
        field=models.TextField(db_collation='C', help_text='The name of the declared sync.', verbose_name='sync'),
    ),
    migrations.AlterField(
        model_name='syncrun',
        name='unchanged',
        field=models.BigIntegerField(db_default=0, verbose_name='unchanged'),
    ),
    migrations.AlterField(
        model_name='syncrun',
        name='updated',
        field=models.BigIntegerField(db_default=0, verbose_name='updated'),
    ),
    migrations.AlterField(
        model_name='thread',
        name='created_at',
        field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='created at'),
    ),
    migrations.AlterField(
        model_name='thread',
        name='last_position',
        field=models.BigIntegerField(db_default=0, help_text='The position of the newest message ever appended.', verbose_name='last position'),
    ),
    migrations.AlterField(
        model_name='thread',
        name='metadata',
        field=models.JSONField(decoder=mastra_engine.models.fields.Decoder, verbose_name='metadata'),
    ),
    migrations.AlterField(
        model_name='thread',
        name='title',
        field=models.TextField(db_default='', verbose_name='title'),
    ),
    migrations.AlterField(
        model_name='thread',
        name='updated_at',
        field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='updated at'),
    ),
    migrations.AlterField(
        model_name='thread',
        name='version',
        field=models.BigIntegerField(db_default=1, help_text='Grows with each change of the title or the metadata.', verbose_name='version'),
    ),
    migrations.AlterField(
        model_name='vectorindex',
        name='created_at',
        field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='created at'),
    ),
    migrations.AlterField(
        model_name='vectorindex',
        name='dimension',
        field=models.PositiveIntegerField(help_text='How many numbers each vector has.', verbose_name='dimension'),
    ),
    migrations.AlterField(
        model_name='vectorindex',
        name='index_type',
        field=models.TextField(help_text='hnsw and ivfflat search approximately; flat compares every vector.', verbose_name='index type'),
    ),
    migrations.AlterField(
        model_name='vectorindex',
        name='language',
        field=models.TextField(help_text='The text search configuration of hybrid searches.', verbose_name='language'),
    ),
    migrations.AlterField(
        model_name='vectorindex',
        name='metric',
        field=models.TextField(help_text='cosine, euclidean or dotproduct.', verbose_name='metric'),
    ),
    migrations.AlterField(
        model_name='vectorindex',
        name='model',
        field=models.TextField(blank=True, db_default='', help_text='The model that the engine embeds with; empty if it is not known.', verbose_name='model'),
    ),
    migrations.AlterField(
        model_name='vectorindex',
        name='name',
        field=models.TextField(db_collation='C', unique=True, verbose_name='name'),
    ),
    migrations.AlterField(
        model_name='vectorindex',
        name='storage',
        field=models.TextField(help_text='The type of the vectors in the search structure, which determines its size.', verbose_name='storage'),
    ),
    migrations.AlterField(
        model_name='workingmemory',
        name='content',
        field=models.TextField(help_text='Working memory written as text.', verbose_name='content'),
    ),
    migrations.AlterField(
        model_name='workingmemory',
        name='created_at',
        field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='created at'),
    ),
    migrations.AlterField(
        model_name='workingmemory',
        name='data',
        field=models.JSONField(decoder=mastra_engine.models.fields.Decoder, help_text='Working memory written as JSON.', verbose_name='data'),
    ),
    migrations.AlterField(
        model_name='workingmemory',
        name='thread',
        field=models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='working_memory', to='mastra_engine.thread', verbose_name='thread'),
    ),
    migrations.AlterField(
        model_name='workingmemory',
        name='updated_at',
        field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='updated at'),
    ),
    migrations.AlterField(
        model_name='workingmemory',
        name='version',
        field=models.BigIntegerField(help_text='Grows with each update.', verbose_name='version'),
    ),
]


class Migration(migrations.Migration):

    dependencies = [
        ('mastra_engine', '0026_sync_run_ends'),
    ]

    operations = [migrations.SeparateDatabaseAndState(state_operations=NAMES)]
