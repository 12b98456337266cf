from django.db import migrations, models

# Words are made of documents here, at the place that every way to write passes, COPY among them.
# Writers that know nothing of words, such as `loaddata` and processes of an earlier release, send
# the document alone. Those that know send `analyzed`, or the words themselves with an empty
# `analyzed` where a row is replaced: otherwise an unchanged value would look as if it was not sent.
ADD_WORDS = """
ALTER TABLE mastra_engine_embedding
    ADD COLUMN words tsvector, ADD COLUMN word_count integer, ADD COLUMN analyzed text;

DO $$
BEGIN
    -- The function is where the tables are, which need not be the first schema of the search path.
    EXECUTE format($function$
CREATE FUNCTION %s.mastra_engine_set_words() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF NEW.analyzed IS NULL THEN
        IF TG_OP = 'INSERT' AND NEW.words IS NULL
           OR TG_OP = 'UPDATE' AND NEW.document IS DISTINCT FROM OLD.document THEN
            NEW.words := NULL;
            NEW.word_count := NULL;
            NEW.analyzed := left(NEW.document, 100000);
        END IF;
    END IF;
    IF NEW.analyzed <> '' OR NEW.words IS NULL AND NEW.analyzed IS NOT NULL THEN
        NEW.words := to_tsvector(TG_ARGV[0]::regconfig, NEW.analyzed);
        NEW.word_count := (SELECT coalesce(sum(cardinality(positions)), 0) FROM unnest(NEW.words));
    END IF;
    NEW.analyzed := NULL;
    RETURN NEW;
END
$body$
    $function$, (SELECT relnamespace::regnamespace FROM pg_class
                 WHERE oid = 'mastra_engine_embedding'::regclass));
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
                'CREATE TRIGGER words BEFORE INSERT OR UPDATE OF document, analyzed ON %I '
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
            EXECUTE format('DROP TRIGGER IF EXISTS words ON %I', stored.name);
            EXECUTE format(
                'CREATE INDEX IF NOT EXISTS %I ON %I USING gin (to_tsvector(%L::regconfig, document))',
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
