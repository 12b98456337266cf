"""JSON Schemas of the tools, and their definitions as clients list them."""

from __future__ import annotations

from typing import Any

from mcp import types

from mastra_engine.api.type_schemas import Schema, TypeSchemas
from mastra_engine.mcp.tools import Tool

_OWN_RESOURCE = "The owner of threads, usually a user; by default the caller."
_OWN_CONNECTION = "The account in a source system that records belong to; by default the caller's."
#: Texts of arguments that the REST API has in headers, or that have another default there.
TEXTS = {
    "idempotency_key": "A key of the client's own: the same call under it is carried out once.",
    "if_version": "The version that the working memory must have, 0 if it must not exist yet.",
    "get_working_memory.resource_id": _OWN_RESOURCE,
    "list_entities.connection_id": "Only entities of this connection.",
    "list_threads.resource_id": _OWN_RESOURCE,
    "query_records.connection_id": _OWN_CONNECTION,
    "query_records.entity_name": "The entity's name.",
    "recall.resource_id": _OWN_RESOURCE,
    "save_messages.resource_id": "The owner of the thread; by default the caller.",
    "search_records.connection_id": _OWN_CONNECTION,
    "update_working_memory.content": "The new text, or a JSON object.",
    "update_working_memory.resource_id": _OWN_RESOURCE,
}


#: Texts of facts, which the REST API does not serve.
FACTS = {
    "Fact": "A version of a claim: what was learned, and when it holds.",
    "Fact.aliases": "Other names of the subject.",
    "Fact.confidence": "How sure it is, from 0 to 1.",
    "Fact.created_at": "When it was remembered.",
    "Fact.many": "Whether the subject may have several objects of this predicate at once.",
    "Fact.object": "What is said of the subject.",
    "Fact.pinned": "Whether it comes first in context windows.",
    "Fact.predicate": "The relation of the subject to the object.",
    "Fact.reason": "Why it was retracted.",
    "Fact.resource_id": "The owner of the fact.",
    "Fact.retracted_at": "When it was retracted.",
    "Fact.subject": "The person or thing that the fact is about.",
    "Fact.superseded_at": "When another version of the claim was remembered.",
    "Fact.valid_from": "From then on it is true.",
    "Fact.valid_to": "From then on it is not true any more; null without an end.",
    "FactInput": "A fact to remember.",
    "FactInput.aliases": "Other names of the subject.",
    "FactInput.confidence": "How sure it is, from 0 to 1.",
    "FactInput.many": "Whether the subject may have several objects of this predicate at once.",
    "FactInput.object": "What is said of the subject, such as `Berlin`.",
    "FactInput.pinned": "Whether it comes first in context windows.",
    "FactInput.predicate": "The relation of the subject to the object, such as `lives in`.",
    "FactInput.sources": "The messages and records that it rests on.",
    "FactInput.subject": "The person or thing that the fact is about.",
    "FactInput.valid_from": "From then on it is true; null for now.",
    "FactInput.valid_to": "From then on it is not true any more; null without an end.",
    "FactMatch": "A fact that a search has found.",
    "FactMatch.fact": "The fact.",
    "FactMatch.lexical": "The BM25 score of the words that it shares with the query.",
    "FactMatch.score": "The score of the match; a larger one is better.",
    "FactMatch.similarity": "The similarity of the texts; null where words alone were searched.",
    "FactMatchPage": "The matches of a search, best first.",
    "FactPage": "The facts, in the order in which they were given.",
    "FactSource": "A message or a record that a fact rests on.",
    "FactSource.message_id": "The id of the message, or null.",
    "FactSource.quote": "The text that is quoted.",
    "FactSource.record_id": "The id of the record, or null.",
    "remember_fact.facts": "The facts, up to 1,000.",
    "remember_fact.resource_id": "The owner of the facts; by default the caller.",
    "search_facts.filter": (
        "A condition on the fields of facts: an object in MongoDB's notation, or a list of "
        "conditions."
    ),
    "search_facts.known_at": "What was known at this time; null for now.",
    "search_facts.resource_id": "The owner of the facts; by default the caller.",
    "search_facts.valid_at": "What was true at this time; null for now.",
}


class JsonSchemas(TypeSchemas):
    """Make JSON Schemas (2020-12), written out in full: many clients do not follow references."""

    def nullable(self, schema: Schema) -> Schema:
        return {"anyOf": [schema, {"type": "null"}]}

    def annotated(self, schema: Schema, **keywords: Any) -> Schema:
        return {**schema, **keywords}

    def component(self, name: str, schema: Schema) -> Schema:
        return schema

    def describe(self, name: str, *owners: str) -> str:
        keys = [*(f"{owner}.{name}" for owner in owners), name]
        texts = [text for key in keys if (text := TEXTS.get(key) or FACTS.get(key))]
        return texts[0] if texts else super().describe(name, *owners)

    def describe_component(self, name: str) -> str:
        return FACTS.get(name) or super().describe_component(name)


def definition(tool: Tool) -> types.Tool:
    """Return the definition of a tool for clients."""
    schemas = JsonSchemas()
    return types.Tool(
        name=tool.name,
        title=tool.name.replace("_", " ").capitalize(),
        description=tool.description,
        input_schema=schemas.arguments(tool.takes.parameters, tool.name, optional=tool.fills),
        output_schema=schemas.schema_of(tool.gives),
        annotations=types.ToolAnnotations(
            read_only_hint=not tool.writes,
            destructive_hint=tool.destructive,
            idempotent_hint=tool.idempotent,
            open_world_hint=False,
        ),
    )
