"""The tool definition with which a model updates working memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mastra_engine.types import ToolFormat
from mastra_engine.validation.json_schema import merge_patch_schema

_NAME = "update_working_memory"
_DESCRIPTION = (
    "Update what you keep in mind. Give only what changes: objects are merged key by key, null "
    "removes a key, and everything else replaces what was there, lists as a whole."
)
#: Keywords that the providers refuse at the top of a tool's parameters. Without them the tool
#: accepts more than the schema, which is checked again when working memory is written.
_REFUSED_AT_TOP = ("$schema", "$id", "$ref", "allOf", "anyOf", "oneOf", "enum", "const")


def working_memory_tool(schema: Mapping[str, Any] | None, format: ToolFormat) -> dict[str, Any]:
    """Return the definition of a tool that takes a merge patch of JSON of `schema`."""
    patch = merge_patch_schema(schema or {})
    parameters = {key: patch[key] for key in patch if key not in _REFUSED_AT_TOP}
    parameters["type"] = "object"
    if format == "anthropic":
        return {"name": _NAME, "description": _DESCRIPTION, "input_schema": parameters}
    function = {"name": _NAME, "description": _DESCRIPTION, "parameters": parameters}
    return {"type": "function", "function": function}
