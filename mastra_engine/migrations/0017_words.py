from django.db import migrations, models

# Words are made of documents here, at the place that every way to insert passes, COPY among them.
# Without `analyzed`, which the engine sends and other writers do not, the document itself is taken.
ADD_WORDS = """
ALTER TABLE mastra_engine_embedding
    ADD COLUMN words tsvector, ADD COLUMN word_count integer, ADD COLUMN analyzed text;

CREATE FUNCTION mastra_engine_set_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' AND NEW.words IS NULL AND NEW.analyzed IS NULL THEN
        NEW.analyzed := left(NEW.document, 100000);
    END IF;
    IF NEW.analyzed IS NOT NULL THEN
        NEW.words := to_tsvector(TG_ARGV[0]::regconfig, NEW.analyzed);
        NEW.word_count := (SELECT coalesce(sum(cardinality(positions)), 0) FROM unnest(NEW.words));
        NEW.analyzed := NULL;
    END IF;
    RETURN NEW;
END
$$;

DO $$
DECLARE
    stored record;
BEGIN
    FOR stored IN
        SELECT 'mastra_engine_embedding_' || id AS name, language FROM mastra_engine_vectorindex
    LOOP
        IF to_regclass(stored.name) IS NOT NULL THEN
            EXECUTE format('DROP INDEX IF EXISTS %I', stored.name || '_text');
            EXECUTE format('ALTER TABLE %I ALTER words SET STATISTICS 500', stored.name);
            EXECUTE format(
                'CREATE TRIGGER words BEFORE INSERT OR UPDATE OF analyzed ON %I '
                'FOR EACH ROW EXECUTE FUNCTION mastra_engine_set_words(%L)',
                stored.name, stored.language
            );
        END IF;
    END LOOP;
END
$$;
"""

REMOVE_WORDS = """
DO $$
DECLARE
    stored record;
BEGIN
    FOR stored IN
        SELECT 'mastra_engine_embedding_' || id AS name, language FROM mastra_engine_vectorindex
    LOOP
        IF to_regclass(stored.name) IS NOT NULL THEN
            EXECUTE format('DROP TRIGGER words ON %I', stored.name);
            EXECUTE format(
                'CREATE INDEX %I ON %I USING gin (to_tsvector(%L::regconfig, document))',
                stored.name || '_text', stored.name, stored.language
            );
        END IF;
    END LOOP;
END
$$;
DROP FUNCTION mastra_engine_set_words;
ALTER TABLE mastra_engine_embedding DROP COLUMN words, DROP COLUMN word_count, DROP COLUMN analyzed;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('mastra_engine', '0016_sparse_embeddings'),
    ]

    operations = [
        migrations.RunSQL(ADD_WORDS, REMOVE_WORDS),
        # The documents that are stored already have no words; engine_migrate adds them.
        migrations.AddField(
            model_name='vectorindex',
            name='has_words',
            field=models.BooleanField(db_default=True, editable=False, help_text='Whether lexical search finds every document.'),
        ),
        migrations.RunSQL('UPDATE mastra_engine_vectorindex SET has_words = false', migrations.RunSQL.noop),
    ]
