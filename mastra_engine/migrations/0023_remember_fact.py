from django.db import migrations, models

# Most calls remember one fact. This function does it in one round trip, and holds the lock no
# longer than it works. Each of its statements sees what was committed before that statement began:
# after the lock, the facts of the call that held it before. All of a single statement would see
# what was committed before it waited.
#
# It follows the rules of backends/base/facts/versions.py. A fact that needs more than them has no
# effect and returns no action: one that gives an alias as its subject, that ends before it begins,
# or that rests on a source out of reach. Then its caller goes the way of any facts.
#
# Plans are made once, for any parameters, and use indexes even if the table was empty then.
FUNCTION = """
DO $$
DECLARE
    of_tables text := (SELECT relnamespace::regnamespace FROM pg_class
                       WHERE oid = 'mastra_engine_fact'::regclass);
BEGIN
    EXECUTE format($function$
CREATE FUNCTION %s.mastra_engine_remember_fact(
    of_resource text, kind_of_lock bigint, lock_wait text, new_id uuid,
    new_subject text, new_predicate text, new_object text,
    of_subject uuid, of_predicate uuid, of_object uuid, starts_at timestamptz, ends_at timestamptz,
    new_confidence float8, is_pinned boolean, is_many boolean,
    messages text[], records uuid[], connections text[], sources json,
    OUT action text, OUT fact mastra_engine_fact, OUT written uuid[]
) LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $body$
DECLARE
    latest timestamptz;
    moment timestamptz;
    start timestamptz;
    number integer;
BEGIN
    IF lock_wait IS NOT NULL THEN
        PERFORM set_config('lock_timeout', lock_wait, true);
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended(of_resource, kind_of_lock));

    -- The locks keep the sources from deletion. A message stays with its resource, since the thread
    -- is locked as well; a tombstone is an update, which FOR KEY SHARE would let pass.
    IF messages IS NOT NULL THEN
        PERFORM FROM mastra_engine_message AS message
        JOIN mastra_engine_thread AS thread ON thread.id = message.thread_id
        WHERE message.id = ANY(messages) AND thread.resource_id = of_resource
        ORDER BY message.id FOR KEY SHARE;
        GET DIAGNOSTICS number = ROW_COUNT;
        IF number < cardinality(messages) THEN
            RETURN;
        END IF;
    END IF;
    IF records IS NOT NULL THEN
        PERFORM FROM mastra_engine_record AS record
        JOIN mastra_engine_entity AS entity ON entity.id = record.entity_id
        WHERE record.id = ANY(records) AND record.deleted_at IS NULL
          AND (connections IS NULL OR entity.connection_id = ANY(connections))
        ORDER BY record.id FOR SHARE OF record;
        GET DIAGNOSTICS number = ROW_COUNT;
        IF number < cardinality(records) THEN
            RETURN;
        END IF;
    END IF;

    IF EXISTS (SELECT FROM mastra_engine_fact WHERE alias_keys @> ARRAY[of_subject]) THEN
        RETURN;
    END IF;
    latest := (
        SELECT max(created_at) FROM mastra_engine_fact
        WHERE subject_key = of_subject AND predicate_key = of_predicate AND object_key = of_object
    );
    moment := greatest(clock_timestamp(), latest);
    start := coalesce(starts_at, moment);
    IF ends_at <= start THEN
        RETURN;
    END IF;

    action := 'remembered';
    IF latest IS NOT NULL THEN
        SELECT * INTO fact FROM mastra_engine_fact
        WHERE subject_key = of_subject AND predicate_key = of_predicate AND object_key = of_object
          AND superseded_at IS NULL AND retracted_at IS NULL
        FOR NO KEY UPDATE;
        IF fact.object = new_object AND coalesce(fact.valid_to, 'infinity') > start THEN
            action := 'unchanged';
            IF is_pinned AND NOT fact.pinned THEN
                UPDATE mastra_engine_fact SET pinned = true WHERE id = fact.id RETURNING * INTO fact;
            END IF;
        ELSE
            IF fact.id IS NOT NULL THEN
                action := 'superseded';
            END IF;
            -- The end of a version is the earliest of its ends.
            WITH ended AS (
                UPDATE mastra_engine_fact
                SET superseded_at = CASE WHEN id = fact.id THEN moment ELSE superseded_at END,
                    valid_to = least(valid_to, start),
                    ends = ends || start,
                    ends_known_at = ends_known_at || moment
                WHERE subject_key = of_subject AND predicate_key = of_predicate
                  AND object_key = of_object
                  AND (id = fact.id OR coalesce(valid_to, 'infinity') > start)
                RETURNING id, created_at
            )
            SELECT array_agg(id ORDER BY created_at, id) INTO written FROM ended;
        END IF;
    END IF;

    IF action <> 'unchanged' THEN
        INSERT INTO mastra_engine_fact (
            id, resource_id, subject, predicate, object, subject_key, predicate_key, object_key,
            aliases, valid_from, valid_to, ends, ends_known_at, created_at, confidence, pinned,
            many, source_count
        ) VALUES (
            new_id, of_resource, new_subject, new_predicate, new_object, of_subject, of_predicate,
            of_object, '{}', start, ends_at, array_remove(ARRAY[ends_at], NULL),
            CASE WHEN ends_at IS NULL THEN '{}' ELSE ARRAY[moment] END, moment, new_confidence,
            is_pinned, is_many, coalesce(json_array_length(sources), 0)
        ) RETURNING * INTO fact;
    END IF;
    written := array_append(written, fact.id);
    IF sources IS NOT NULL THEN
        INSERT INTO mastra_engine_factsource (id, fact_id, message_id, record_id, quote)
        SELECT source.id, fact.id, source.message_id, source.record_id, source.quote
        FROM json_to_recordset(sources) AS source (
            id uuid, message_id text, record_id uuid, quote text
        )
        WHERE NOT EXISTS (
            SELECT FROM mastra_engine_factsource AS stored
            WHERE stored.fact_id = fact.id AND stored.quote = source.quote
              AND stored.message_id IS NOT DISTINCT FROM source.message_id
              AND stored.record_id IS NOT DISTINCT FROM source.record_id
        );
        GET DIAGNOSTICS number = ROW_COUNT;
        IF action = 'unchanged' AND number > 0 THEN
            UPDATE mastra_engine_fact SET source_count = source_count + number WHERE id = fact.id;
        END IF;
    END IF;
END
$body$
    $function$, of_tables);
END
$$;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('mastra_engine', '0022_sync_logs'),
    ]

    operations = [
        # Keys differ between resources, so that these indexes need no column for the resource.
        migrations.RemoveConstraint(
            model_name='fact',
            name='mastra_engine_fact_current',
        ),
        migrations.RemoveIndex(
            model_name='fact',
            name='mastra_engine_fact_claim',
        ),
        migrations.AddConstraint(
            model_name='fact',
            constraint=models.UniqueConstraint(condition=models.Q(('retracted_at', None), ('superseded_at', None)), fields=('subject_key', 'predicate_key', 'object_key'), name='mastra_engine_fact_current'),
        ),
        migrations.AddIndex(
            model_name='fact',
            index=models.Index(fields=['subject_key', 'predicate_key', 'object_key', 'created_at'], name='mastra_engine_fact_claim'),
        ),
        migrations.RunSQL(FUNCTION, 'DROP FUNCTION mastra_engine_remember_fact'),
    ]
