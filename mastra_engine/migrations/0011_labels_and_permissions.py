from __future__ import annotations

from typing import Any

import mastra_engine.models.fields
import django
from django.db import migrations, models
from django.db.models import Model, Q
from django.db.models.fields.reverse_related import ManyToManyRel

#: The models that the migration before this one renamed.
RENAMED = {
    "answer": "idempotencyrecord",
    "append": "idempotentappend",
    "bookmark": "indexprogress",
}
LABELS = {
    "answer": "answer",
    "append": "append",
    "bookmark": "bookmark",
    "idempotencyrecord": "idempotency record",
    "idempotentappend": "idempotent append",
    "indexprogress": "index progress",
}
READ_CONTENT = "Can read the content of conversations, records and vectors"
READ_CONTENT_BEFORE = "Can read what conversations, records and vectors hold"

# Renaming a constraint changes the catalog only: its index is not built again.
RENAME_CONSTRAINTS = """
ALTER TABLE mastra_engine_idempotentappend
    RENAME CONSTRAINT mastra_engine_append_key TO mastra_engine_idempotentappend_key;
ALTER TABLE mastra_engine_idempotentappend
    RENAME CONSTRAINT mastra_engine_append_thread TO mastra_engine_idempotentappend_thread;
ALTER TABLE mastra_engine_indexprogress
    RENAME CONSTRAINT mastra_engine_bookmark_of TO mastra_engine_indexprogress_of;
ALTER TABLE mastra_engine_indexprogress
    RENAME CONSTRAINT mastra_engine_bookmark_entity TO mastra_engine_indexprogress_entity;
ALTER TABLE mastra_engine_indexprogress
    RENAME CONSTRAINT mastra_engine_bookmark_index TO mastra_engine_indexprogress_index
"""
RENAME_CONSTRAINTS_BACK = """
ALTER TABLE mastra_engine_indexprogress
    RENAME CONSTRAINT mastra_engine_indexprogress_index TO mastra_engine_bookmark_index;
ALTER TABLE mastra_engine_indexprogress
    RENAME CONSTRAINT mastra_engine_indexprogress_entity TO mastra_engine_bookmark_entity;
ALTER TABLE mastra_engine_indexprogress
    RENAME CONSTRAINT mastra_engine_indexprogress_of TO mastra_engine_bookmark_of;
ALTER TABLE mastra_engine_idempotentappend
    RENAME CONSTRAINT mastra_engine_idempotentappend_thread TO mastra_engine_append_thread;
ALTER TABLE mastra_engine_idempotentappend
    RENAME CONSTRAINT mastra_engine_idempotentappend_key TO mastra_engine_append_key
"""

# In its first form, the migration 0001_records created this constraint without a condition. Databases
# of that time get the partial index here; in all others there is no constraint of this name, because
# PostgreSQL stores a condition with an index only. Going back changes nothing.
REPLACE_CONSTRAINT_BY_PARTIAL_INDEX = """
DO $$ BEGIN
    IF EXISTS (
        SELECT FROM pg_constraint
        WHERE conrelid = 'mastra_engine_record'::regclass AND conname = 'mastra_engine_record_rev'
    ) THEN
        ALTER TABLE mastra_engine_record DROP CONSTRAINT mastra_engine_record_rev;
        CREATE UNIQUE INDEX mastra_engine_record_rev
            ON mastra_engine_record (entity_id, rev) WHERE rev >= 0;
    END IF;
END $$
"""


class ChangePermissions(migrations.RunPython):
    """Change permissions in the database that holds them, wherever the engine's tables are."""

    def database_forwards(self, app_label: str, *args: Any) -> None:
        """Ask the routers about the app of the permissions, not about the engine's."""
        super().database_forwards("auth", *args)

    def database_backwards(self, app_label: str, *args: Any) -> None:
        super().database_backwards("auth", *args)


def rename_permissions(apps: Any, schema_editor: Any) -> None:
    """Give the permissions of renamed models their new codenames: Django renames models only."""
    _rename(apps, schema_editor.connection.alias, RENAMED, READ_CONTENT)


def rename_permissions_back(apps: Any, schema_editor: Any) -> None:
    # Since Django 6.1, undoing the renaming of a model renames its permissions. If they had their old
    # names by then, it would refuse, because `migrate` creates those with the new names meanwhile.
    renamed_by_django = django.VERSION >= (6, 1)
    before = {} if renamed_by_django else {new: old for old, new in RENAMED.items()}
    _rename(apps, schema_editor.connection.alias, before, READ_CONTENT_BEFORE)


def _rename(apps: Any, alias: str, models: dict[str, str], read_content: str) -> None:
    try:
        permissions = apps.get_model("auth", "Permission").objects.using(alias)
    except LookupError:  # the project has no django.contrib.auth
        return
    own = permissions.filter(content_type__app_label="mastra_engine")
    own.filter(codename="read_content").update(name=read_content)
    for old, new in models.items():
        of_model = own.filter(Q(content_type__model=old) | Q(content_type__model=new))
        for action in ("add", "change", "delete", "view"):
            permission = of_model.filter(codename=f"{action}_{old}").first()
            if permission is None:
                continue
            # It exists already where `migrate` ran between the renaming of the models and this
            # migration: Django then created it after the run.
            duplicate = of_model.filter(codename=f"{action}_{new}").first()
            if duplicate is not None:
                _move_grants(duplicate, permission, alias)
                permission.content_type_id = duplicate.content_type_id
                duplicate.delete()
            permission.codename = f"{action}_{new}"
            permission.name = f"Can {action} {LABELS[new]}"
            permission.save(using=alias)


def _move_grants(source: Model, target: Model, alias: str) -> None:
    """Grant `target` to the users and groups that hold `source`."""
    for relation in type(source)._meta.related_objects:
        if isinstance(relation, ManyToManyRel):
            grants = relation.through._default_manager.using(alias)
            holder = relation.field.m2m_field_name()
            held = relation.field.m2m_reverse_field_name()
            have_both = grants.filter(**{held: target.pk}).values_list(holder, flat=True)
            of_source = grants.filter(**{held: source.pk})
            of_source.exclude(**{f"{holder}__in": list(have_both)}).update(**{held: target.pk})


class Migration(migrations.Migration):
    """Label the columns, and let constraints and permissions follow the renamed models.

    No row of the engine's tables is rewritten.
    """

    dependencies = [
        ('mastra_engine', '0010_glossary_names'),
    ]

    operations = [
        migrations.RunSQL(REPLACE_CONSTRAINT_BY_PARTIAL_INDEX, migrations.RunSQL.noop),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(RENAME_CONSTRAINTS, RENAME_CONSTRAINTS_BACK),
            ],
            state_operations=[
                migrations.RemoveConstraint(
                    model_name='idempotentappend',
                    name='mastra_engine_append_key',
                ),
                migrations.RemoveConstraint(
                    model_name='indexprogress',
                    name='mastra_engine_bookmark_of',
                ),
                migrations.AddConstraint(
                    model_name='idempotentappend',
                    constraint=models.UniqueConstraint(fields=('thread', 'idempotency_key'), name='mastra_engine_idempotentappend_key'),
                ),
                migrations.AddConstraint(
                    model_name='indexprogress',
                    constraint=models.UniqueConstraint(fields=('entity', 'vector_index'), name='mastra_engine_indexprogress_of'),
                ),
            ],
        ),
        ChangePermissions(rename_permissions, rename_permissions_back),
        migrations.AlterModelOptions(
            name='indexprogress',
            options={'verbose_name': 'index progress', 'verbose_name_plural': 'index progress'},
        ),
        migrations.AlterModelOptions(
            name='thread',
            options={'permissions': [('read_content', 'Can read the content of conversations, records and vectors')]},
        ),
        migrations.AlterModelOptions(
            name='workingmemory',
            options={'verbose_name': 'working memory', 'verbose_name_plural': 'working memory'},
        ),
        migrations.AlterField(
            model_name='embedding',
            name='namespace',
            field=models.TextField(db_collation='C', db_default='', help_text='Searches can be limited to one namespace.'),
        ),
        migrations.AlterField(
            model_name='embedding',
            name='row_id',
            field=models.UUIDField(default=mastra_engine.models.fields.new_id, editable=False, primary_key=True, serialize=False, verbose_name='row ID'),
        ),
        migrations.AlterField(
            model_name='embedding',
            name='vector_id',
            field=models.TextField(db_collation='C', db_column='id', verbose_name='ID'),
        ),
        migrations.AlterField(
            model_name='entity',
            name='connection_id',
            field=models.TextField(db_collation='C', help_text="The connection that the records come from, such as a customer's account.", verbose_name='connection ID'),
        ),
        migrations.AlterField(
            model_name='entity',
            name='id',
            field=models.UUIDField(default=mastra_engine.models.fields.new_id, editable=False, primary_key=True, serialize=False, verbose_name='ID'),
        ),
        migrations.AlterField(
            model_name='entity',
            name='last_sync_id',
            field=models.TextField(help_text='The cursor that the last sync_records() stored.', null=True, verbose_name='last sync ID'),
        ),
        migrations.AlterField(
            model_name='entity',
            name='purged_rev',
            field=models.BigIntegerField(db_default=0, help_text='Tombstones up to this revision were deleted: readers of the change feed that stopped before it start over.', verbose_name='purged revision'),
        ),
        migrations.AlterField(
            model_name='entity',
            name='rev',
            field=models.BigIntegerField(db_default=0, help_text='Numbers the changes to the records of the entity.', verbose_name='revision'),
        ),
        migrations.AlterField(
            model_name='idempotencyrecord',
            name='body_hash',
            field=models.UUIDField(help_text='A hash of the request: the same key with another request is refused.', verbose_name='request hash'),
        ),
        migrations.AlterField(
            model_name='idempotencyrecord',
            name='expires_at',
            field=models.DateTimeField(db_index=True, help_text='Until then, a repeated request gets the stored response.', verbose_name='expires at'),
        ),
        migrations.AlterField(
            model_name='idempotencyrecord',
            name='id',
            field=models.UUIDField(editable=False, primary_key=True, serialize=False, verbose_name='ID'),
        ),
        migrations.AlterField(
            model_name='idempotencyrecord',
            name='response',
            field=models.BinaryField(null=True, verbose_name='stored response'),
        ),
        migrations.AlterField(
            model_name='idempotentappend',
            name='body_hash',
            field=models.UUIDField(help_text='A hash of the messages: the same key with other messages is refused.', verbose_name='request hash'),
        ),
        migrations.AlterField(
            model_name='idempotentappend',
            name='id',
            field=models.UUIDField(default=mastra_engine.models.fields.new_id, editable=False, primary_key=True, serialize=False, verbose_name='ID'),
        ),
        migrations.AlterField(
            model_name='idempotentappend',
            name='last_position',
            field=models.BigIntegerField(help_text='The position of the last message stored.'),
        ),
        migrations.AlterField(
            model_name='idempotentappend',
            name='message_count',
            field=models.IntegerField(verbose_name='messages'),
        ),
        migrations.AlterField(
            model_name='indexprogress',
            name='claimed_until',
            field=models.DateTimeField(editable=False, help_text='Until then, a worker is indexing further changes.', null=True),
        ),
        migrations.AlterField(
            model_name='indexprogress',
            name='complete',
            field=models.BooleanField(db_default=False, help_text='Whether the index has read all records of the entity once.'),
        ),
        migrations.AlterField(
            model_name='indexprogress',
            name='rev',
            field=models.BigIntegerField(db_default=0, help_text='The index holds the changes of the entity up to this revision.', verbose_name='revision'),
        ),
        migrations.AlterField(
            model_name='message',
            name='content',
            field=models.JSONField(decoder=mastra_engine.models.fields.Decoder, help_text='The parts of the message.'),
        ),
        migrations.AlterField(
            model_name='message',
            name='cum_tokens',
            field=models.BigIntegerField(help_text='The sum of the tokens of the thread up to and including this message.', verbose_name='cumulative tokens'),
        ),
        migrations.AlterField(
            model_name='message',
            name='embedded_at',
            field=models.DateTimeField(help_text='When its vector was stored, for semantic recall.', null=True),
        ),
        migrations.AlterField(
            model_name='message',
            name='id',
            field=models.TextField(db_collation='C', primary_key=True, serialize=False, verbose_name='ID'),
        ),
        migrations.AlterField(
            model_name='message',
            name='position',
            field=models.BigIntegerField(help_text='Numbers the messages of a thread in commit order; a deletion leaves a gap.'),
        ),
        migrations.AlterField(
            model_name='message',
            name='role',
            field=models.TextField(help_text='system, user, assistant or tool.'),
        ),
        migrations.AlterField(
            model_name='message',
            name='text',
            field=models.TextField(help_text='The text parts, joined: the input of the embedder.'),
        ),
        migrations.AlterField(
            model_name='message',
            name='tool_call_id',
            field=models.TextField(null=True, verbose_name='tool call ID'),
        ),
        migrations.AlterField(
            model_name='record',
            name='created_rev',
            field=models.BigIntegerField(editable=False, help_text="The entity's revision when the record was created.", verbose_name='created revision'),
        ),
        migrations.AlterField(
            model_name='record',
            name='deleted_at',
            field=models.DateTimeField(help_text='Set on a tombstone: a deleted record that the change feed reports.', null=True),
        ),
        migrations.AlterField(
            model_name='record',
            name='external_id',
            field=models.TextField(db_collation='C', help_text='The ID of the record at its connection.', verbose_name='external ID'),
        ),
        migrations.AlterField(
            model_name='record',
            name='id',
            field=models.UUIDField(default=mastra_engine.models.fields.new_id, editable=False, primary_key=True, serialize=False, verbose_name='ID'),
        ),
        migrations.AlterField(
            model_name='record',
            name='rev',
            field=models.BigIntegerField(editable=False, help_text="The entity's revision at the record's last change.", verbose_name='revision'),
        ),
        migrations.AlterField(
            model_name='syncpage',
            name='attempt',
            field=models.IntegerField(help_text='The attempt of the run that committed the page.'),
        ),
        migrations.AlterField(
            model_name='syncpage',
            name='number',
            field=models.IntegerField(help_text='Numbers the pages of a run, beginning with 1.'),
        ),
        migrations.AlterField(
            model_name='syncrun',
            name='attempts',
            field=models.IntegerField(db_default=0, help_text='How many workers have started the run, retries included.'),
        ),
        migrations.AlterField(
            model_name='syncrun',
            name='checkpoint',
            field=models.JSONField(decoder=mastra_engine.models.fields.Decoder, help_text='The state that the next attempt or run resumes from.', null=True),
        ),
        migrations.AlterField(
            model_name='syncrun',
            name='connection_id',
            field=models.TextField(db_collation='C', verbose_name='connection ID'),
        ),
        migrations.AlterField(
            model_name='syncrun',
            name='id',
            field=models.UUIDField(default=mastra_engine.models.fields.new_id, editable=False, primary_key=True, serialize=False, verbose_name='ID'),
        ),
        migrations.AlterField(
            model_name='syncrun',
            name='lease_expires_at',
            field=models.DateTimeField(help_text='A worker that stops renewing its lease loses the run at this time.', null=True),
        ),
        migrations.AlterField(
            model_name='syncrun',
            name='mode',
            field=models.TextField(help_text='full: records that the run does not yield are deleted. incremental: they stay.'),
        ),
        migrations.AlterField(
            model_name='syncrun',
            name='pages',
            field=models.BigIntegerField(db_default=0, help_text='Pages of records committed, each with its checkpoint.'),
        ),
        migrations.AlterField(
            model_name='syncrun',
            name='params',
            field=models.JSONField(decoder=mastra_engine.models.fields.Decoder, verbose_name='parameters'),
        ),
        migrations.AlterField(
            model_name='syncrun',
            name='start_rev',
            field=models.BigIntegerField(help_text="The entity's revision when the run started.", null=True, verbose_name='start revision'),
        ),
        migrations.AlterField(
            model_name='syncrun',
            name='sync',
            field=models.TextField(db_collation='C', help_text='The name of the declared sync.'),
        ),
        migrations.AlterField(
            model_name='thread',
            name='id',
            field=models.TextField(db_collation='C', primary_key=True, serialize=False, verbose_name='ID'),
        ),
        migrations.AlterField(
            model_name='thread',
            name='last_position',
            field=models.BigIntegerField(db_default=0, help_text='The position of the newest message ever appended.'),
        ),
        migrations.AlterField(
            model_name='thread',
            name='message_count',
            field=models.BigIntegerField(db_default=0, verbose_name='messages'),
        ),
        migrations.AlterField(
            model_name='thread',
            name='resource_id',
            field=models.TextField(db_collation='C', help_text='The owner of the thread, such as a user.', verbose_name='resource ID'),
        ),
        migrations.AlterField(
            model_name='thread',
            name='total_tokens',
            field=models.BigIntegerField(db_default=0, verbose_name='tokens'),
        ),
        migrations.AlterField(
            model_name='thread',
            name='version',
            field=models.BigIntegerField(db_default=1, help_text='Grows with each change of the title or the metadata.'),
        ),
        migrations.AlterField(
            model_name='vectorindex',
            name='dimension',
            field=models.PositiveIntegerField(help_text='How many numbers each vector has.'),
        ),
        migrations.AlterField(
            model_name='vectorindex',
            name='ef_construction',
            field=models.PositiveSmallIntegerField(help_text='HNSW: more candidates find more of the nearest vectors and insert more slowly.', verbose_name='candidates at insertion (ef_construction)'),
        ),
        migrations.AlterField(
            model_name='vectorindex',
            name='id',
            field=models.AutoField(primary_key=True, serialize=False, verbose_name='ID'),
        ),
        migrations.AlterField(
            model_name='vectorindex',
            name='index_type',
            field=models.TextField(help_text='hnsw and ivfflat search approximately; flat compares every vector.'),
        ),
        migrations.AlterField(
            model_name='vectorindex',
            name='language',
            field=models.TextField(help_text='The text search configuration of hybrid searches.'),
        ),
        migrations.AlterField(
            model_name='vectorindex',
            name='m',
            field=models.PositiveSmallIntegerField(help_text='HNSW: more links find more of the nearest vectors and take more space.', verbose_name='links per vector (m)'),
        ),
        migrations.AlterField(
            model_name='vectorindex',
            name='metric',
            field=models.TextField(help_text='cosine, euclidean or dotproduct.'),
        ),
        migrations.AlterField(
            model_name='vectorindex',
            name='storage',
            field=models.TextField(help_text='vector has 4 bytes per number, halfvec has 2.'),
        ),
        migrations.AlterField(
            model_name='workingmemory',
            name='content',
            field=models.TextField(help_text='Working memory written as text.'),
        ),
        migrations.AlterField(
            model_name='workingmemory',
            name='data',
            field=models.JSONField(decoder=mastra_engine.models.fields.Decoder, help_text='Working memory written as JSON.'),
        ),
        migrations.AlterField(
            model_name='workingmemory',
            name='id',
            field=models.UUIDField(default=mastra_engine.models.fields.new_id, editable=False, primary_key=True, serialize=False, verbose_name='ID'),
        ),
        migrations.AlterField(
            model_name='workingmemory',
            name='resource_id',
            field=models.TextField(db_collation='C', verbose_name='resource ID'),
        ),
        migrations.AlterField(
            model_name='workingmemory',
            name='version',
            field=models.BigIntegerField(help_text='Grows with each update.'),
        ),
    ]
