"""A column of sparse vectors. It is empty in existing rows, which are not rewritten."""

import pgvector.django.sparsevec
import pgvector.django.vector
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('mastra_engine', '0015_storage_of_vectors'),
    ]

    operations = [
        migrations.AddField(
            model_name='embedding',
            name='sparse_embedding',
            field=pgvector.django.sparsevec.SparseVectorField(null=True),
        ),
        migrations.AlterField(
            model_name='embedding',
            name='embedding',
            field=pgvector.django.vector.VectorField(null=True),
        ),
    ]
