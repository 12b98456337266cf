"""The tool accepts every valid merge patch, and no other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from mastra_engine.conversations.formats.tools import working_memory_tool
from tests.unit.clients import ANTHROPIC_TOOL, OPENAI_TOOL, assert_accepts

TEXTS = st.sampled_from(["", "a", "é"])
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$defs": {
        "Task": {
            "type": "object",
            "properties": {"title": {"type": "string"}, "done": {"type": "boolean"}},
            "required": ["title", "done"],
        }
    },
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "required": {"type": "integer"},
        "home": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "zip": {"type": "string"}},
            "required": ["city", "zip"],
            "additionalProperties": False,
        },
        "next": {"$ref": "#/$defs/Task"},
        "tasks": {"type": "array", "items": {"$ref": "#/$defs/Task"}},
        "either": {
            "oneOf": [
                {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
                {"type": "object", "properties": {"b": {"type": "integer"}}, "required": ["b"]},
            ]
        },
        "notes": {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1},
    },
    "required": ["name"],
    "additionalProperties": False,
}
TASKS = st.fixed_dictionaries({"title": TEXTS, "done": st.booleans()})
DATA = st.fixed_dictionaries(
    {"name": st.sampled_from("ab")},
    optional={
        "required": st.integers(0, 2),
        "home": st.fixed_dictionaries({"city": TEXTS, "zip": TEXTS}),
        "next": TASKS,
        "tasks": st.lists(TASKS, max_size=2),
        "either": st.sampled_from([{"a": 1}, {"a": 2}, {"b": 1}]),
        "notes": st.dictionaries(st.sampled_from("xyz"), TEXTS, min_size=1),
    },
)


def patch(old: Any, new: Any) -> Any:
    """Return the smallest merge patch (RFC 7396) from `old` to `new`."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    changed = {key: patch(old.get(key), new[key]) for key in new if old.get(key) != new[key]}
    return changed | dict.fromkeys(old.keys() - new.keys())


def parameters(schema: Any) -> Any:
    assert_accepts(ANTHROPIC_TOOL, tool := working_memory_tool(schema, "anthropic"))
    assert_accepts(OPENAI_TOOL, same := working_memory_tool(schema, "openai"))
    assert tool["name"] == same["function"]["name"] == "update_working_memory"
    assert tool["description"] == same["function"]["description"]
    assert tool["input_schema"] == same["function"]["parameters"]
    Draft202012Validator.check_schema(tool["input_schema"])
    return tool["input_schema"]


@given(old=DATA, new=DATA)
def test_tool_accepts_every_patch_between_valid_documents(old: Any, new: Any) -> None:
    Draft202012Validator(SCHEMA).validate(old)
    Draft202012Validator(parameters(SCHEMA)).validate(patch(old, new))


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": 1},
        {"name": ""},
        {"unknown": 1},
        {"home": {"street": "a"}},
        {"next": {"done": "yes"}},
        {"tasks": [{"title": "a list is replaced as a whole"}]},
        {"tasks": [{"title": None, "done": True}]},
        {"notes": {"x": 1}},
        [],
    ],
)
def test_tool_refuses_invalid_patches(wrong: Any) -> None:
    assert not Draft202012Validator(parameters(SCHEMA)).is_valid(wrong)


def test_tool_without_a_schema_accepts_any_object() -> None:
    assert parameters(None) == {"type": "object"}


def test_parameters_are_a_plain_object_at_the_top() -> None:
    recursive = {"$ref": "#/$defs/Node", "$defs": {"Node": {"type": "object"}}}
    for schema in (recursive, {"anyOf": [{"type": "object"}]}, {"type": ["object", "null"]}):
        tool_parameters = parameters(schema)
        assert tool_parameters["type"] == "object"
        assert tool_parameters.keys() <= {"type", "$defs"}


def test_tool_does_not_share_the_schema_of_the_settings() -> None:
    before = json.dumps(SCHEMA)
    tool_parameters = parameters(SCHEMA)
    tool_parameters["properties"]["tasks"]["anyOf"][0]["items"].clear()
    tool_parameters["$defs"]["Task"].clear()
    assert json.dumps(SCHEMA) == before
