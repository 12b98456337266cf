"""The SQL of checkpoints.

Each operation is one statement. It is atomic without a transaction, so a process that is killed
leaves all of it or nothing, and it reads from one snapshot, so a concurrent deletion is seen whole
or not at all.
"""

from __future__ import annotations

# A version is stored as the text that `->>` returns. A value that is stored a second time under
# its version replaces the first, and identical values are not written again.
PUT = """
WITH stored AS (
    INSERT INTO mastra_langgraph_channelvalue AS stored
        (thread_id, checkpoint_ns, channel, version, type, value)
    SELECT %(thread_id)s, %(checkpoint_ns)s, channel, %(new_versions)s::jsonb ->> channel,
        type, value
    FROM unnest(%(channels)s::text[], %(types)s::text[], %(values)s::bytea[])
        AS new (channel, type, value)
    ON CONFLICT (thread_id, checkpoint_ns, channel, version)
    DO UPDATE SET type = excluded.type, value = excluded.value
    WHERE (stored.type, stored.value) IS DISTINCT FROM (excluded.type, excluded.value)
)
INSERT INTO mastra_langgraph_checkpoint
    (thread_id, checkpoint_ns, checkpoint_id, parent_id, channel_versions, metadata, type, value)
VALUES (%(thread_id)s, %(checkpoint_ns)s, %(checkpoint_id)s, %(parent_id)s,
    %(channel_versions)s::jsonb, %(metadata)s::jsonb, %(type)s, %(value)s)
ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id)
DO UPDATE SET parent_id = excluded.parent_id, channel_versions = excluded.channel_versions,
    metadata = excluded.metadata, type = excluded.type, value = excluded.value
"""

# A task that runs again keeps the writes it made first, but its error, interrupt or answer to an
# interrupt is replaced. Those have negative positions.
PUT_WRITES = """
INSERT INTO mastra_langgraph_write (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path,
    position, channel, type, value)
SELECT %(thread_id)s, %(checkpoint_ns)s, %(checkpoint_id)s, %(task_id)s, %(task_path)s,
    position, channel, type, value
FROM unnest(%(positions)s::int[], %(channels)s::text[], %(types)s::text[], %(values)s::bytea[])
    AS new (position, channel, type, value)
ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id, task_id, position)
DO UPDATE SET task_path = excluded.task_path, channel = excluded.channel, type = excluded.type,
    value = excluded.value
WHERE excluded.position < 0
"""

# One row per checkpoint, stored value and write, so that no row is larger than one value. Those of
# checkpoints have no channel, those of values no task. The planner cannot know how few rows a page
# has. LIMIT 1 and OFFSET 0 leave it no choice but the indexes of the keys.
READ = """
WITH page AS (
    SELECT thread_id, checkpoint_ns, checkpoint_id, parent_id, channel_versions, metadata,
        type, value
    FROM mastra_langgraph_checkpoint
    WHERE (%(thread_id)s::text IS NULL OR thread_id = %(thread_id)s)
        AND (%(checkpoint_ns)s::text IS NULL OR checkpoint_ns = %(checkpoint_ns)s)
        AND (%(checkpoint_id)s::text IS NULL OR checkpoint_id = %(checkpoint_id)s)
        AND (%(before)s::text IS NULL OR checkpoint_id < %(before)s)
        AND metadata @> %(metadata)s::jsonb
        AND (%(after_checkpoint_id)s::text IS NULL OR (checkpoint_id, thread_id, checkpoint_ns)
            < (%(after_checkpoint_id)s, %(after_thread_id)s, %(after_checkpoint_ns)s))
    ORDER BY checkpoint_id DESC, thread_id DESC, checkpoint_ns DESC
    LIMIT %(limit)s
)
SELECT thread_id, checkpoint_ns, checkpoint_id, parent_id, channel_versions, metadata,
    NULL::text AS channel, NULL::text AS task_id, NULL::text AS task_path, NULL::int AS position,
    type, value
FROM page
UNION ALL
SELECT thread_id, checkpoint_ns, checkpoint_id, NULL, NULL, NULL,
    stored.channel, NULL, NULL, NULL, stored.type, stored.value
FROM page
CROSS JOIN jsonb_each_text(page.channel_versions) AS current (channel, version)
CROSS JOIN LATERAL (
    SELECT channel, type, value FROM mastra_langgraph_channelvalue AS item
    WHERE item.thread_id = page.thread_id AND item.checkpoint_ns = page.checkpoint_ns
        AND item.channel = current.channel AND item.version = current.version
    LIMIT 1
) AS stored
UNION ALL
SELECT thread_id, checkpoint_ns, checkpoint_id, NULL, NULL, NULL,
    made.channel, made.task_id, made.task_path, made.position, made.type, made.value
FROM page CROSS JOIN LATERAL (
    SELECT channel, task_id, task_path, position, type, value
    FROM mastra_langgraph_write AS item
    WHERE item.thread_id = page.thread_id AND item.checkpoint_ns = page.checkpoint_ns
        AND item.checkpoint_id = page.checkpoint_id
    OFFSET 0
) AS made
"""

# The walk visits the target, then its ancestors. The writes at a checkpoint to its `channels`
# count; `remaining` are those without a stored value there either: the walk goes on for them alone.
# UNION without ALL ends it even if the parents form a circle, since a row then repeats.
DELTA_HISTORY = """
WITH RECURSIVE walk AS (
    SELECT checkpoint_id, parent_id, '{}'::text[] AS channels, %(channels)s::text[] AS remaining
    FROM mastra_langgraph_checkpoint
    WHERE thread_id = %(thread_id)s AND checkpoint_ns = %(checkpoint_ns)s
        AND checkpoint_id = coalesce(%(checkpoint_id)s, (
            SELECT max(checkpoint_id) FROM mastra_langgraph_checkpoint
            WHERE thread_id = %(thread_id)s AND checkpoint_ns = %(checkpoint_ns)s))
    UNION
    SELECT ancestor.checkpoint_id, ancestor.parent_id, walk.remaining, ARRAY(
        SELECT channel FROM unnest(walk.remaining) AS channel
        WHERE NOT EXISTS (
            SELECT FROM mastra_langgraph_channelvalue stored
            WHERE stored.thread_id = %(thread_id)s AND stored.checkpoint_ns = %(checkpoint_ns)s
                AND stored.channel = channel.channel
                AND stored.version = ancestor.channel_versions ->> channel.channel))
    FROM walk CROSS JOIN LATERAL (
        SELECT checkpoint_id, parent_id, channel_versions FROM mastra_langgraph_checkpoint AS item
        WHERE item.thread_id = %(thread_id)s AND item.checkpoint_ns = %(checkpoint_ns)s
            AND item.checkpoint_id = walk.parent_id
        LIMIT 1
    ) AS ancestor
    WHERE cardinality(walk.remaining) > 0
)
SELECT checkpoint_id, parent_id, channels = '{}' AS is_target, NULL::text AS channel,
    NULL::text AS task_id, NULL::text AS task_path, NULL::int AS position, NULL::text AS type,
    NULL::bytea AS value
FROM walk
UNION ALL
SELECT checkpoint_id, NULL, NULL, stored.channel, NULL, NULL, NULL, stored.type, stored.value
FROM walk CROSS JOIN unnest(walk.channels) AS channel
CROSS JOIN LATERAL (
    SELECT item.channel, item.type, item.value
    FROM mastra_langgraph_checkpoint AS ancestor JOIN mastra_langgraph_channelvalue AS item
        ON item.thread_id = ancestor.thread_id AND item.checkpoint_ns = ancestor.checkpoint_ns
        AND item.channel = channel.channel
        AND item.version = ancestor.channel_versions ->> channel.channel
    WHERE ancestor.thread_id = %(thread_id)s AND ancestor.checkpoint_ns = %(checkpoint_ns)s
        AND ancestor.checkpoint_id = walk.checkpoint_id
    LIMIT 1
) AS stored
WHERE channel.channel <> ALL (walk.remaining)
UNION ALL
SELECT checkpoint_id, NULL, NULL, made.channel, made.task_id, made.task_path, made.position,
    made.type, made.value
FROM walk CROSS JOIN LATERAL (
    SELECT channel, task_id, task_path, position, type, value
    FROM mastra_langgraph_write AS item
    WHERE item.thread_id = %(thread_id)s AND item.checkpoint_ns = %(checkpoint_ns)s
        AND item.checkpoint_id = walk.checkpoint_id AND item.channel = ANY (walk.channels)
    OFFSET 0
) AS made
"""

DELETE_THREADS = """
WITH checkpoints AS (
    DELETE FROM mastra_langgraph_checkpoint WHERE thread_id = ANY (%(thread_ids)s)
), writes AS (
    DELETE FROM mastra_langgraph_write WHERE thread_id = ANY (%(thread_ids)s)
)
DELETE FROM mastra_langgraph_channelvalue WHERE thread_id = ANY (%(thread_ids)s)
"""

COPY_THREAD = """
WITH checkpoints AS (
    INSERT INTO mastra_langgraph_checkpoint (thread_id, checkpoint_ns, checkpoint_id, parent_id,
        channel_versions, metadata, type, value)
    SELECT %(target)s, checkpoint_ns, checkpoint_id, parent_id, channel_versions, metadata, type,
        value
    FROM mastra_langgraph_checkpoint WHERE thread_id = %(source)s
    ON CONFLICT DO NOTHING
), channel_values AS (
    INSERT INTO mastra_langgraph_channelvalue
        (thread_id, checkpoint_ns, channel, version, type, value)
    SELECT %(target)s, checkpoint_ns, channel, version, type, value
    FROM mastra_langgraph_channelvalue WHERE thread_id = %(source)s
    ON CONFLICT DO NOTHING
)
INSERT INTO mastra_langgraph_write (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path,
    position, channel, type, value)
SELECT %(target)s, checkpoint_ns, checkpoint_id, task_id, task_path, position, channel, type, value
FROM mastra_langgraph_write WHERE thread_id = %(source)s
ON CONFLICT DO NOTHING
"""

# Deletes the checkpoints in `doomed`, their writes, and the values that no other checkpoint of
# their thread uses. All parts see the snapshot from before the deletions. Writes that arrived
# before their checkpoint stay, since that is not among the doomed.
_DELETE_DOOMED = """
, remaining AS (
    SELECT kept.* FROM mastra_langgraph_checkpoint kept
    JOIN (SELECT DISTINCT thread_id, checkpoint_ns FROM doomed) AS affected
        USING (thread_id, checkpoint_ns)
    WHERE NOT EXISTS (
        SELECT FROM doomed WHERE doomed.thread_id = kept.thread_id
            AND doomed.checkpoint_ns = kept.checkpoint_ns
            AND doomed.checkpoint_id = kept.checkpoint_id)
), unused AS (
    SELECT thread_id, checkpoint_ns, channel, version
    FROM doomed CROSS JOIN jsonb_each_text(channel_versions) AS used (channel, version)
    EXCEPT
    SELECT thread_id, checkpoint_ns, channel, version
    FROM remaining CROSS JOIN jsonb_each_text(channel_versions) AS used (channel, version)
), writes AS (
    DELETE FROM mastra_langgraph_write made USING doomed
    WHERE made.thread_id = doomed.thread_id AND made.checkpoint_ns = doomed.checkpoint_ns
        AND made.checkpoint_id = doomed.checkpoint_id
), checkpoints AS (
    DELETE FROM mastra_langgraph_checkpoint checkpoint USING doomed
    WHERE checkpoint.thread_id = doomed.thread_id
        AND checkpoint.checkpoint_ns = doomed.checkpoint_ns
        AND checkpoint.checkpoint_id = doomed.checkpoint_id
)
DELETE FROM mastra_langgraph_channelvalue stored USING unused
WHERE stored.thread_id = unused.thread_id AND stored.checkpoint_ns = unused.checkpoint_ns
    AND stored.channel = unused.channel AND stored.version = unused.version
"""

DELETE_RUNS = (
    """
WITH doomed AS (
    SELECT thread_id, checkpoint_ns, checkpoint_id, channel_versions
    FROM mastra_langgraph_checkpoint
    WHERE metadata ? 'run_id' AND metadata ->> 'run_id' = ANY (%(run_ids)s)
)"""
    + _DELETE_DOOMED
)

# Kept are the latest checkpoint of each namespace and, because a delta channel is rebuilt from the
# writes since its last snapshot, the ancestors back to that snapshot. A delta channel without a
# stored value is told from an empty channel by the counters that LangGraph keeps in the metadata.
KEEP_LATEST = (
    """
WITH RECURSIVE latest AS (
    SELECT DISTINCT ON (thread_id, checkpoint_ns)
        thread_id, checkpoint_ns, checkpoint_id, parent_id, channel_versions
    FROM mastra_langgraph_checkpoint WHERE thread_id = ANY (%(thread_ids)s)
    ORDER BY thread_id, checkpoint_ns, checkpoint_id DESC
), delta_channels AS (
    SELECT DISTINCT thread_id, checkpoint_ns, channel
    FROM mastra_langgraph_checkpoint CROSS JOIN jsonb_object_keys(
        coalesce(metadata -> 'counters_since_delta_snapshot', '{}')) AS channel
    WHERE thread_id = ANY (%(thread_ids)s)
), kept AS (
    SELECT thread_id, checkpoint_ns, checkpoint_id, parent_id, ARRAY(
        SELECT delta.channel FROM delta_channels delta
        WHERE delta.thread_id = latest.thread_id AND delta.checkpoint_ns = latest.checkpoint_ns
            AND latest.channel_versions ? delta.channel
            AND NOT EXISTS (
                SELECT FROM mastra_langgraph_channelvalue stored
                WHERE stored.thread_id = latest.thread_id
                    AND stored.checkpoint_ns = latest.checkpoint_ns
                    AND stored.channel = delta.channel
                    AND stored.version = latest.channel_versions ->> delta.channel)
    ) AS remaining
    FROM latest
    UNION
    SELECT ancestor.thread_id, ancestor.checkpoint_ns, ancestor.checkpoint_id, ancestor.parent_id,
        ARRAY(
            SELECT channel FROM unnest(kept.remaining) AS channel
            WHERE NOT EXISTS (
                SELECT FROM mastra_langgraph_channelvalue stored
                WHERE stored.thread_id = ancestor.thread_id
                    AND stored.checkpoint_ns = ancestor.checkpoint_ns
                    AND stored.channel = channel.channel
                    AND stored.version = ancestor.channel_versions ->> channel.channel))
    FROM kept JOIN mastra_langgraph_checkpoint ancestor
        ON ancestor.thread_id = kept.thread_id AND ancestor.checkpoint_ns = kept.checkpoint_ns
        AND ancestor.checkpoint_id = kept.parent_id
    WHERE cardinality(kept.remaining) > 0
), doomed AS (
    SELECT thread_id, checkpoint_ns, checkpoint_id, channel_versions
    FROM mastra_langgraph_checkpoint checkpoint
    WHERE thread_id = ANY (%(thread_ids)s) AND NOT EXISTS (
        SELECT FROM kept WHERE kept.thread_id = checkpoint.thread_id
            AND kept.checkpoint_ns = checkpoint.checkpoint_ns
            AND kept.checkpoint_id = checkpoint.checkpoint_id)
)"""
    + _DELETE_DOOMED
)
