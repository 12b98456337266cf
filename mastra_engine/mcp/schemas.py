"""JSON Schemas of the tools, and their definitions as clients list them."""

from __future__ import annotations

from typing import Any

from mcp import types

from mastra_engine.api.type_schemas import Schema, TypeSchemas
from mastra_engine.mcp.tools import Tool

_OWN_RESOURCE = "The owner of threads, usually a user; by default the caller."
_OWN_FACTS = "The resource that the facts are about, usually a user; by default the caller."
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
    "remember_fact.facts": "The facts, at most 1,000.",
    "remember_fact.resource_id": _OWN_FACTS,
    "save_messages.resource_id": "The owner of the thread; by default the caller.",
    "search_facts.resource_id": _OWN_FACTS,
    "search_records.connection_id": _OWN_CONNECTION,
    "update_working_memory.content": "The new text, or a JSON object.",
    "update_working_memory.resource_id": _OWN_RESOURCE,
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
        texts = [text for key in keys if (text := TEXTS.get(key))]
        return texts[0] if texts else super().describe(name, *owners)


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
