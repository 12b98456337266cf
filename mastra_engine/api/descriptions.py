"""The texts of the OpenAPI document: one text for each parameter, property and component.

A name that occurs in many places has one text. Where a name means something else in one place, the
key is the component's or the operation's name, a dot and the name.
"""

from __future__ import annotations

COMPONENTS: dict[str, str] = {
    "BatchStateRequest": "The operations to carry out together.",
    "Action": "How a record changed since the reader's `after`.",
    "Change": (
        "The latest state of a record that changed. `added` means that the record was created "
        "after the reader's `after`; an older record is reported as `updated` or `deleted`."
    ),
    "Changes": "A part of the change feed, ordered by `rev`.",
    "CloneThreadRequest": "The copy's id, owner and title, and the message to stop at.",
    "ContextWindow": "The newest messages that fit the token budget, oldest first.",
    "CountRecordsRequest": "The condition on the records to count.",
    "Counted": "The number of objects that match.",
    "CreateEntityRequest": "The name of the new entity and its connection.",
    "CreateIndexRequest": "The definition of a vector index.",
    "CreateThreadRequest": "The new thread's owner, id, title and metadata.",
    "DeleteMessagesRequest": "The messages to delete.",
    "DeleteRecordsRequest": "The records to delete.",
    "DeleteVectorsRequest": "The vectors to delete: by `ids`, or by a `filter`.",
    "Deleted": "The number of deleted objects.",
    "EnqueueSyncRequest": "The declared sync, its connection and its parameters.",
    "Entity": 'A named set of records of one connection, such as the "Contacts" of a CRM account.',
    "EntityPage": "A page of entities.",
    "ErrorResponse": "The errors of a request that was not carried out.",
    "Explanation": "The parts of which a score is made.",
    "Filter": "One condition of a filter in list form.",
    "GetMessagesByIdRequest": "The messages to read.",
    "GetVectorsRequest": "The vectors to read.",
    "Ids": "Ids in the order of the request.",
    "ImportThreadRequest": "The lines of an exported thread, and the new thread's id and owner.",
    "IndexStatus": "The state of the search structure. Unless it is `ready`, searches are exact.",
    "IndexType": "The kind of search structure; `flat` has no structure and searches exactly.",
    "Fact": "A version of a claim about a resource, true from one time up to another.",
    "FactInput": "A fact to remember.",
    "FactMatch": "A fact that matches a search.",
    "FactMatchPage": "The matches of a search, best first.",
    "FactPage": "A page of facts.",
    "FactSource": "A message or a record that a fact rests on.",
    "FactSourcePage": "The sources of a fact, in the order of their addition.",
    "Match": "A vector that matches a search.",
    "MatchPage": "The matches of a search, best first.",
    "MemoryView": "The latest messages of a thread, recalled messages and the working memory.",
    "Message": "A stored message of a thread.",
    "MessageInput": "A message to store.",
    "MessagePage": "A page of messages.",
    "Metric": "The measure of similarity of an index.",
    "Order": "Ascending or descending order.",
    "Part": "A part of a score: its value, and the weight with which it counts.",
    "PatchResourceWorkingMemoryRequest": "A change of the resource's working memory.",
    "PatchThreadWorkingMemoryRequest": "A change of the thread's working memory.",
    "Problem": "One error of a request.",
    "Progress": "The progress that a sync reports.",
    "PauseSyncRequest": "The connection whose sync is paused.",
    "PurgeRecordsRequest": "The limit up to which tombstones are removed.",
    "QueryRecordsRequest": "The filter, order and page of a query, and the fields to return.",
    "QueryVectorsRequest": "A search by a vector, by a text, or by both.",
    "RememberFactsRequest": "The facts to remember, and the resource that they are about.",
    "RetractFactRequest": "The reason, and the time up to which the fact was true.",
    "RecallRequest": "The text to search messages for, and the limits of the search.",
    "RecallScope": "Whether to search one thread or all threads of its resource.",
    "RecalledMessage": "A message that matches a recall, or a neighbour of one.",
    "RecalledMessagePage": "Recalled messages, the best message range first.",
    "Record": "A document of an entity, as the source system last sent it.",
    "RecordInput": "A record to store.",
    "RecordMatch": "A record that matches a search, with its best matching chunk.",
    "RecordMatchPage": "The matches of a search, best first.",
    "RecordPage": "A page of records.",
    "PutStateItemRequest": "The item's namespace, key and value, its lifetime and its texts.",
    "ReplaceResourceWorkingMemoryRequest": "The resource's new working memory.",
    "ReplaceThreadWorkingMemoryRequest": "The thread's new working memory.",
    "ResetSyncRequest": "The connection whose sync is reset.",
    "ResumeSyncRequest": "The connection whose sync is resumed.",
    "Role": "The author of a message.",
    "RunStatus": "The state of a sync run.",
    "SaveMessagesRequest": "The messages to append.",
    "SearchFactsRequest": "The text to search facts for, and the limits of the search.",
    "SearchRecordsRequest": "The text to search records for, and the limits of the search.",
    "SearchStateRequest": "The text to search agent state for, and the limits of the search.",
    "StateItem": "A JSON document that an agent keeps under a namespace and a key.",
    "StateItemPage": "A page of items of agent state.",
    "StateMatch": "An item of agent state that matches a search.",
    "StateMatchPage": "The matches of a search, best first.",
    "StateNamespaces": "A page of namespaces.",
    "StateResults": "The results of a batch of operations, in order.",
    "Sort": "One key of a sort order.",
    "Storage": "How the structure stores numbers: in 4 bytes, 2 bytes or 1 bit; or sparsely.",
    "StoredVector": "A vector of an index with its document and metadata.",
    "StoredVectorPage": "A page of stored vectors.",
    "Sync": "A declared sync of one connection, to which its runs belong.",
    "SyncError": "The error that made a run fail, with secrets removed.",
    "SyncList": "A page of declared syncs of connections.",
    "SyncMode": "`incremental` keeps records that are not sent; `full` deletes them.",
    "SyncPage": "The changes that a run committed in one transaction.",
    "SyncPagePage": "A page of a run's commits.",
    "SyncRecordsRequest": "The records of a sync, and the sync cursor.",
    "SyncResult": "The entity after a sync, and the numbers of changed records.",
    "SyncRun": "One run of a declared sync on a connection.",
    "SyncRunPage": "A page of sync runs.",
    "SyncStatus": (
        "`paused`, the state of the active run, `failed` if the last run failed, otherwise `idle`."
    ),
    "Thread": "A conversation that belongs to a resource.",
    "ThreadOrder": "The time of the last use, or of the creation.",
    "ThreadPage": "A page of threads.",
    "UpdateThreadRequest": "The thread's new title and metadata.",
    "UpdateVectorRequest": "The parts of a stored vector to replace.",
    "UpsertRecordsRequest": "The records to insert or update.",
    "UpsertResult": "The numbers of created, updated and unchanged records.",
    "UpsertVectorsRequest": "The vectors to insert or replace.",
    "VectorIndex": "A set of vectors of one dimension that is searched with one metric.",
    "VectorIndexPage": "All vector indexes.",
    "WindowFormat": "The message format: `raw` is the API's own, the others are a provider's.",
    "WorkingMemory": "Facts that an agent keeps about a resource or in a thread.",
    "WriteMode": "`replace` replaces the stored data; `merge` merges its top-level keys.",
}

NAMES: dict[str, str] = {
    "Change.action": "The kind of change.",
    "Change.record": "The record in its latest state.",
    "Change.rev": "The revision of the change.",
    "Changes.items": "The changed records, ordered by `rev`.",
    "Changes.purged": "The highest revision whose tombstones may have been purged.",
    "ContextWindow.messages": "The messages in the requested format.",
    "ContextWindow.system": "The system text, which Anthropic's format keeps apart from messages.",
    "ContextWindow.tokens": "The number of tokens of the window.",
    "Counted.count": "The number of records that match `filters`.",
    "Entity.id": "The entity's id.",
    "Entity.name": "The entity's name, which is unique in its connection.",
    "Entity.rev": "The entity's latest revision.",
    "Match.id": "The vector's id.",
    "Match.vector": "The vector, if `include_vector` is true; otherwise null.",
    "Message.id": "The message's id.",
    "RecalledMessage.id": "The message's id.",
    "ContextWindow.facts": "The facts that the leading system message tells, pinned ones first.",
    "Fact.id": "The fact's id.",
    "Fact.resource_id": "The resource that the fact is about.",
    "Fact.created_at": "When the fact was remembered.",
    "Fact.superseded_at": "When another version of the claim was remembered.",
    "Fact.retracted_at": "When the fact was retracted.",
    "FactInput.sources": "The messages and records that the fact rests on.",
    "FactInput.valid_from": "From then on the fact is true; null for the time of remembering.",
    "FactMatch.fact": "The fact.",
    "FactMatch.lexical": "The BM25 score of the words that the fact shares with the query.",
    "FactMatch.similarity": "The similarity of the texts; null where words alone were searched.",
    "FactSource.message_id": "The id of the message; null for a record.",
    "FactSource.quote": "The text that says so.",
    "FactSource.record_id": "The id of the record; null for a message.",
    "MemoryView.facts": "The current facts about the resource, pinned ones first.",
    "facts": "Whether to include the current facts about the thread's resource.",
    "MemoryView.messages": "The thread's last messages, oldest first.",
    "MessageInput.created_at": "When the message was written; the default is the time of saving.",
    "MessageInput.id": "The message's id; without it, the server creates one.",
    "Explanation.parts": "The parts; their values times their weights order the matches.",
    "Filter.field": "The field to compare: a key of the data, or a path of keys with dots.",
    "Filter.operator": "The comparison, such as `eq`, `gte` or `in`.",
    "Filter.value": "The value to compare with.",
    "Problem.attr": "A JSON pointer to the invalid part of the request, if there is one.",
    "Problem.code": "A stable name of the kind of error.",
    "Problem.detail": "The error in words.",
    "Progress.done": "The number of items that are finished.",
    "Progress.total": "The number of all items; null while it is unknown.",
    "Part.message_id": (
        "The neighbour in the thread to which the words belong; null for the match's own part."
    ),
    "Part.name": (
        "`similarity`, `lexical` for the words of the match, `neighbour` for those of a message "
        "beside it, or `reranker` for the score that a reranker gave."
    ),
    "Part.value": "The value before it is weighted.",
    "Part.weight": "The weight of the value in the score.",
    "RecalledMessage.lexical": (
        "The BM25 score of the words that the message shares with the query; null for a neighbour "
        "of a match."
    ),
    "RecalledMessage.score": (
        "The score of the match, a larger one is better; null for a neighbour of a match."
    ),
    "Record.entity_type": "The name of the record's entity.",
    "Record.id": "The record's id on this server.",
    "Record.rev": "The revision of the record's last change.",
    "RecordInput.entity_type": "The name of the entity; it must be that of the request's entity.",
    "RecordMatch.metadata": "The metadata that the index stores for the record.",
    "RecordMatch.record": "The record.",
    "Sort.direction": "`asc` or `desc`.",
    "Sort.field": "The field to sort by: a key of the data, or a path of keys with dots.",
    "StateItem.key": "The name of the item in its namespace.",
    "StateItem.namespace": "The path to the item; the first element is its owner.",
    "StateMatch.item": "The item.",
    "StateMatch.lexical": "The BM25 score of the words that the item shares with the query.",
    "StateMatch.score": "The score of the match, a larger one is better; 0 without a query.",
    "StateMatch.similarity": "The similarity of the texts; null where words alone were searched.",
    "StateNamespaces.items": "The namespaces, in order.",
    "StateResults.results": (
        "The item of each `get` and `put`, or null if it does not exist any more, and of each "
        "`delete` whether the item existed."
    ),
    "StoredVector.id": "The vector's id.",
    "Sync.checkpoint": "The state that the next run with the last run's parameters begins at.",
    "Sync.entity": "The name of the entity that the sync writes.",
    "Sync.last_run_id": "The run that was created last.",
    "Sync.mode": "The mode of the declared sync.",
    "Sync.status": "The state of the sync.",
    "Sync.sync": "The name of the declared sync.",
    "SyncError.message": "The error message, with secrets removed.",
    "SyncError.type": "The class of the error.",
    "SyncPage.checkpoint": "The checkpoint after this page.",
    "SyncPage.number": "The page's number in its run, from 1.",
    "SyncRun.checkpoint": "The state from which the sync resumes, in the sync's own form.",
    "SyncRun.entity": "The name of the entity that the sync writes.",
    "SyncRun.error": "The error of a failed run; null for any other run.",
    "SyncRun.id": "The run's id.",
    "SyncRun.mode": "The mode of the declared sync.",
    "SyncRun.pages": "The number of pages that the run committed.",
    "SyncRun.progress": "The progress that the sync reported last, if any.",
    "SyncRun.status": "The state of the run.",
    "SyncRun.sync": "The name of the declared sync.",
    "SyncResult.entity": "The entity after the sync.",
    "Thread.id": "The thread's id.",
    "Thread.version": "The number of changes of title and metadata; messages do not count.",
    "UpsertVectorsRequest.ids": "One id for each vector; without it, the server creates ids.",
    "UpsertVectorsRequest.metadata": "One JSON object for each vector.",
    "UpdateThreadRequest.mode": "How the metadata is written.",
    "UpdateVectorRequest.document": "The new document; null removes it.",
    "VectorIndex.name": "The index's name.",
    "VectorIndex.progress": "The progress of a build, from 0 to 1; null when no build is running.",
    "VectorIndex.status": "The state of the search structure.",
    "WorkingMemory.content": "The working memory as text; empty if it is JSON.",
    "WorkingMemory.version": "The number of changes; 0 means that nothing was stored yet.",
    "aliases": "Other names of the subject.",
    "at": "The time up to which the fact was true; null for now.",
    "confidence": "The confidence in the fact, from 0 to 1.",
    "fact_id": "The fact's id.",
    "include_superseded": "Whether to list all versions that were known, whenever they were true.",
    "known_at": "The time of the knowledge: facts that were remembered by then; null for now.",
    "list_facts.filter": (
        "A condition on `subject`, `predicate`, `object`, `confidence`, `aliases`, `pinned`, "
        "`many` and `reason`: an object in MongoDB's notation, or a list of conditions."
    ),
    "list_facts.predicate": "Only facts with this predicate.",
    "list_facts.subject": "Only facts about this subject, which may be an alias.",
    "many": "Whether the subject may have several objects of the predicate at once.",
    "object": "What is said of the subject, such as `Berlin`.",
    "pinned": "Whether the fact comes first in context windows.",
    "predicate": "The relation of the subject to the object, such as `lives in`.",
    "reason": "Why the fact was retracted.",
    "remember_facts.facts": "The facts, at most 1,000.",
    "search_facts.filter": "A condition on the fields of facts, as in a list of facts.",
    "subject": "The person or thing that the fact is about.",
    "valid_at": "The time at which the facts were true; null for now.",
    "valid_from": "From then on the fact is true.",
    "valid_to": "From then on the fact is not true any more; null if no end is known.",
    "after": "The revision after which to read: the `next` of the page before, or 0.",
    "allow_empty": (
        "With `mode=full`: whether an upload without lines may delete all records. Without it, "
        "such an upload is refused with 409 if there are records. An empty list in a JSON body "
        "needs no such word."
    ),
    "attempt": "The attempt that committed the page.",
    "attempts": "The number of times that a worker started the run.",
    "chunk": "The number of the chunk in its record, from 0.",
    "clone_thread.metadata": "Metadata that is merged into the original thread's.",
    "clone_thread.resource_id": "The owner of the copy; the default is the original's owner.",
    "clone_thread.title": "The copy's title; the default is the original's title.",
    "committed_at": "When the page was committed.",
    "connection_id": "The connection: the account in the source system that records belong to.",
    "content": "The content: a text or a list of parts, objects with a `type`.",
    "count": "The number of vectors in the index.",
    "list_messages.metadata": "Only messages with metadata that match this filter.",
    "list_threads.metadata": "Only threads with metadata that match this filter.",
    "create_index.index_name": "The name of the new index.",
    "create_thread.thread_id": "The id of the new thread; without it, the server creates one.",
    "created": "The number of created records.",
    "created_at": "When the object was created.",
    "cursor": "The `next_cursor` of the page before; without it, the first page is returned.",
    "data": "The document: a JSON object.",
    "deleted": "The number of deleted objects.",
    "deleted_at": "When the record was deleted; null unless it is a tombstone.",
    "dimension": "The number of elements of each vector.",
    "document": "The text that the vector stands for.",
    "documents": "One text for each vector. Without `vectors`, the texts are embedded.",
    "dry_run": "Whether the run was a trial that wrote nothing.",
    "ef_construction": "HNSW: the size of the candidate list while the index is built.",
    "ef_search": "HNSW: the size of the candidate list of this search.",
    "end": "Only messages created before this time.",
    "entity_id": "The entity's id.",
    "entity_name": "Only records of the entity with this name; without it, of all entities.",
    "errors": "The errors; at least one.",
    "expires_at": "When the item expires; null if it does not.",
    "expires_in": "The lifetime of the item in seconds; null means that it does not expire.",
    "explain": "Whether to return the parts of each score in `explanation`.",
    "explanation": "The parts of the score, if `explain` is true; otherwise null.",
    "external_id": "The record's id in the source system.",
    "external_ids": "The ids of records in the source system. Unknown ids are ignored.",
    "fields": "The fields of `data` to return, as paths with dots; null returns all of them.",
    "filter": "A condition on metadata: an object in MongoDB's notation, or a list of conditions.",
    "filters": "A condition on the data: an object in MongoDB's notation, or a list of conditions.",
    "finished_at": "When the run ended; null while it is active.",
    "format": "The format of the messages.",
    "hybrid": (
        "Whether to search by words (BM25), too. A number is the weight of the similarity in the "
        "score, from 0 (words alone) to 1; `true` is the usual weight; `false` searches by vectors "
        "alone."
    ),
    "id": "The vector's id.",
    "ids": "The ids, in the order of the answer. Unknown ids are ignored.",
    "if_last_sync_id": "The sync cursor that must be stored; null requires that none is stored.",
    "import_thread.resource_id": "The owner of the thread; the default is the exported owner.",
    "import_thread.thread_id": "The id of the thread; the default is the exported id.",
    "include_vector": "Whether to return the vectors of the matches.",
    "PutStateItemRequest.index": (
        "The paths of the texts that searches cover, such as `title` or `parts[*].text`; null "
        "means every text, false none."
    ),
    "index": "The vector index that holds the chunk.",
    "index_name": "The index's name.",
    "index_type": "The search structure of the index.",
    "items": "The objects of this page.",
    "key": "The name of the item in its namespace.",
    "language": "The PostgreSQL text search configuration of hybrid searches.",
    "last": "The number of latest messages to return.",
    "last_sync_id": "The sync cursor: a text of the client's own that is stored with the entity.",
    "last_succeeded_at": "When a run succeeded last; null before the first success.",
    "lease_expires_at": "When the worker's exclusive right to the run ends unless it is renewed.",
    "lexical": (
        "The BM25 score of the words that the match shares with the query; 0 without such a word, "
        "and without `hybrid`."
    ),
    "limit": "The largest number of objects to return.",
    "lines": "The lines of an export: the thread, then its messages.",
    "m": "HNSW: the number of connections of each vector.",
    "max_delete_ratio": (
        "With `mode=full`: the largest share of the live records that may be deleted. A larger "
        "share is refused with 409, and nothing changes."
    ),
    "max_depth": "The elements to which longer namespaces are cut; null leaves them whole.",
    "max_tokens": "The token budget of the window.",
    "message_count": "The number of messages in the thread.",
    "message_range": "The numbers of messages to add before and after each match.",
    "messages": "The messages.",
    "metadata": "A JSON object of the client's own.",
    "metric": "The measure of similarity.",
    "min_score": "The smallest `similarity` of a match, whatever its `score` is.",
    "mmr": "Diversity of the matches: the weight of relevance, from 0 to 1; 1 changes nothing.",
    "mode": "How records are written.",
    "more": "Whether there are more changes now.",
    "name": "The entity's name.",
    "PutStateItemRequest.namespace": (
        "The path to the item: 1 to 16 elements, of which the first one is its owner."
    ),
    "delete_state_item.namespace": "The path to the item, as a JSON list.",
    "get_state_item.namespace": "The path to the item, as a JSON list.",
    "namespace": "The namespace of the vectors; null means all that the user may access.",
    "namespace_prefix": "The elements with which namespaces begin; none means everything.",
    "new_thread_id": "The id of the copy; without it, the server creates one.",
    "next": "The value of `after` for the next request.",
    "next_cursor": "The `cursor` of the next page; null on the last page.",
    "offset": "The number of objects to skip; it cannot be used together with `cursor`.",
    "operations": (
        'The operations: objects with `op` ("put", "get" or "delete") and the arguments of that '
        "operation."
    ),
    "order": "The order of the page.",
    "order_by": "The time that threads are ordered by.",
    "params": "The parameters of the run: a JSON object.",
    "RecordMatch.text": "The text of the chunk.",
    "patch": "A JSON merge patch (RFC 7396) of the working memory; null removes a key.",
    "paused_at": "When the sync was paused; null unless it is paused.",
    "place": "The module, function and line of the sync that failed; null if it is unknown.",
    "position": "The position in the thread: 1, 2, 3 … in the order of commits.",
    "prefix": 'The elements with which namespaces begin; `"*"` stands for any one element.',
    "purged": "The `purged` of the page before, for a reader that began with `after=0`.",
    "query": "The text to search for.",
    "query_text": "The text to search for; without `query_vector`, it is embedded.",
    "query_vector": "The vector to search for.",
    "recalled": "The messages that `query` recalled; empty without `query`.",
    "records": "The records.",
    "reranker": "Whether the server's reranker orders the matches; the scores are then its own.",
    "reset": "Whether to start without the stored checkpoint.",
    "resource_id": "The resource, the owner of threads: usually a user.",
    "rev": "The revision.",
    "role": "The author of the message.",
    "run_id": "The run's id.",
    "save_messages.resource_id": (
        "The owner of the thread. With it, a thread that does not exist is created."
    ),
    "scope": "Whether to recall from this thread or from all threads of its resource.",
    "score": "The score of the match; a larger score is a better match.",
    "list_state_items.filter": (
        "A condition on the values: an object in MongoDB's notation, or a list of conditions."
    ),
    "search_state.filter": (
        "A condition on the values: an object in MongoDB's notation, or a list of conditions."
    ),
    "search_state.query": "The text to search for; null finds the items that were written last.",
    "search_records.filter": (
        "A condition on the data: an object in MongoDB's notation, or a list of conditions."
    ),
    "similarity": (
        "The similarity of the vectors by the index's metric; null for a neighbour of a match, and "
        "where words alone were searched without an embedder."
    ),
    "size_bytes": "The size of the index with its vectors, in bytes.",
    "sort": "The sort order: a list of keys, the most significant first.",
    "start": "Only messages created at or after this time.",
    "RecordMatch.start": "The chunk's first character in the record's text, if it is known.",
    "RecordMatch.end": "The character after the chunk in the record's text, if it is known.",
    "start_rev": "The entity's revision when the run started.",
    "started_at": "When a worker started the run; null while it is queued.",
    "list_syncs.status": "Only syncs in this state.",
    "status": "Only runs in this state.",
    "storage": "The type of the vectors in the search structure.",
    "suffix": 'The elements with which namespaces end; `"*"` stands for any one element.',
    "sync": "The name of the declared sync.",
    "sync_records.name": "The entity's name; an entity that does not exist is created.",
    "system": "A system text to put before the messages.",
    "thread": "The thread.",
    "thread_id": "The thread's id.",
    "title": "The title.",
    "tokens": "The number of tokens of the message.",
    "tool_call_id": "The id of the tool call that this message answers.",
    "top_k": "The largest number of matches to return.",
    "truncated": "Whether older messages were left out.",
    "type": "The kind of error.",
    "unchanged": "The number of records that were stored already.",
    "up_to_message_id": "The last message to copy; the default is the thread's last message.",
    "up_to_rev": "The highest revision whose tombstone is removed.",
    "updated": "The number of updated records.",
    "updated_at": "When the object was last changed.",
    "value": "The document: a JSON object.",
    "vector": "The vector: a list of numbers, or an object of numbers by index for `sparsevec`.",
    "vectors": "One list of numbers, or object as in `vector`, for each vector. "
    "Without it, `documents` are embedded.",
    "version": "The version of the object, for `If-Match`.",
    "words": (
        "The words that the query and the text share, each with what it adds to `value`. The "
        "index's language may have removed their endings."
    ),
    "working_memory": "Whether to put the working memory before the messages.",
    "MemoryView.working_memory": "The thread's working memory, or the resource's if it has none.",
    "replace_resource_working_memory.content": "The new text, or a JSON object.",
    "replace_thread_working_memory.content": "The new text, or a JSON object.",
}

HEADERS: dict[str, str] = {
    "ETag": "The object's version and a hash of the response.",
    "If-Match": "The `ETag` that the object must have; otherwise the request is refused with 412.",
    "Idempotency-Key": (
        "A key of the client's own. A request that is repeated with the same key is carried out "
        "once, and later requests receive the stored response."
    ),
}


def describe_component(name: str) -> str:
    """Return the text of a component; raises LookupError if it has none."""
    if text := COMPONENTS.get(name):
        return text
    raise LookupError(f"There is no text for {name!r}: add it to COMPONENTS in {__file__}")


def describe(name: str, *owners: str) -> str:
    """Return the text of a parameter or property; raises LookupError if it has none.

    `owners` are the component and the operation that it belongs to: their own text comes first.
    """
    keys = [*(f"{owner}.{name}" for owner in owners), name]
    for key in keys:
        if text := NAMES.get(key):
            return text
    raise LookupError(
        f"There is no text for {' or '.join(map(repr, keys))}: add it to NAMES in {__file__}"
    )
