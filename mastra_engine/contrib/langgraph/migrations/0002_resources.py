import django.db.models.fields.json
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mastra_langgraph', '0001_checkpoints'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='checkpoint',
            index=models.Index(django.db.models.fields.json.KeyTextTransform('resource_id', 'metadata'), condition=models.Q(('metadata__has_key', 'resource_id')), name='mastra_langgraph_resource'),
        ),
    ]
