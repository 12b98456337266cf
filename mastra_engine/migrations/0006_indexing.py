from __future__ import annotations

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mastra_engine', '0005_read_content'),
    ]

    operations = [
        migrations.CreateModel(
            name='Bookmark',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('rev', models.BigIntegerField(db_default=0)),
                ('complete', models.BooleanField(db_default=False)),
                ('claimed_until', models.DateTimeField(editable=False, null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('entity', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='bookmarks', to='mastra_engine.entity')),
                ('vector_index', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='bookmarks', to='mastra_engine.vectorindex')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('entity', 'vector_index'), name='mastra_engine_bookmark_of')],
            },
        ),
        migrations.RunSQL(
            # The database cascades in one statement, as it does for records. With an index, its
            # progress is deleted, so that a new index of that name reads all records.
            sql="""
                ALTER TABLE mastra_engine_bookmark
                ADD CONSTRAINT mastra_engine_bookmark_entity
                FOREIGN KEY (entity_id) REFERENCES mastra_engine_entity (id) ON DELETE CASCADE,
                ADD CONSTRAINT mastra_engine_bookmark_index
                FOREIGN KEY (vector_index_id) REFERENCES mastra_engine_vectorindex (id)
                ON DELETE CASCADE
            """,
            reverse_sql="""
                ALTER TABLE mastra_engine_bookmark
                DROP CONSTRAINT mastra_engine_bookmark_index,
                DROP CONSTRAINT mastra_engine_bookmark_entity
            """,
        ),
    ]
