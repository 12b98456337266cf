# The help text of a column; the database does not change.

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mastra_engine', '0014_syncs'),
    ]

    operations = [
        migrations.AlterField(
            model_name='vectorindex',
            name='storage',
            field=models.TextField(help_text='The type of the vectors in the search structure, which determines its size.'),
        ),
    ]
