"""JSON Schema: validation, and the schemas of merge patches."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from mastra_engine.exceptions import EngineConfigError, InvalidInput
from mastra_engine.optional_deps import require
from mastra_engine.validation.jsonb import Path, pointer

#: Keywords that constrain a whole object, so that a partial object may violate them.
_WHOLE_OBJECT_KEYWORDS = (
    *("required", "minProperties", "maxProperties", "dependencies", "dependentRequired"),
    *("dependentSchemas", "if", "then", "else", "not"),
)
_DEFINITION = re.compile(r"^#/(\$defs|definitions)/[^/]+")


def validate(value: Any, schema: Mapping[str, Any], path: Path) -> None:
    """Raise InvalidInput with the path of the first place where `value` violates the schema.

    Raises EngineConfigError if the schema is not valid or the extra `schema` is not installed.
    """
    require("schema", "jsonschema", by="A JSON Schema")
    from jsonschema import SchemaError
    from jsonschema.validators import validator_for

    kind = validator_for(schema)
    try:
        kind.check_schema(dict(schema))
    except SchemaError as error:
        raise EngineConfigError(f"The JSON Schema is not valid: {error.message}") from error
    violations = kind(dict(schema)).iter_errors(value)
    fault = min(violations, key=lambda violation: list(map(str, violation.path)), default=None)
    if fault is not None:
        raise InvalidInput(fault.message[:200], path=pointer((*path, *fault.absolute_path)))


def merge_patch_schema(schema: Any) -> Any:
    """Return the schema of the merge patches (RFC 7396) of objects that satisfy a schema.

    Objects may be partial, but items of lists must be complete, because a patch replaces lists as a
    whole. Therefore the result contains each definition twice: unchanged, and as a patch.
    """
    if not isinstance(schema, Mapping):
        return schema
    patch = {key: deepcopy(schema[key]) for key in schema if key not in _WHOLE_OBJECT_KEYWORDS}
    for key in {"properties", "patternProperties"} & patch.keys():
        patch[key] = {name: _or_null(property) for name, property in patch[key].items()}
    if "additionalProperties" in patch:
        patch["additionalProperties"] = _or_null(patch["additionalProperties"])
    for key in {"allOf", "anyOf", "oneOf"} & patch.keys():
        patch[key] = [merge_patch_schema(alternative) for alternative in patch[key]]
    if "oneOf" in patch:  # a partial object may satisfy several alternatives
        patch.setdefault("anyOf", patch.pop("oneOf"))
    for key in {"$defs", "definitions"} & patch.keys():
        patch[key] |= {
            f"{name}_patch": merge_patch_schema(definition)
            for name, definition in patch[key].items()
        }
    if "$ref" in patch:
        patch["$ref"] = _DEFINITION.sub(r"\g<0>_patch", patch["$ref"])
    return patch


def _or_null(schema: Any) -> Any:
    """Return the schema of a patch's value: a patch of the key's value, or null to remove it."""
    if not isinstance(schema, Mapping):
        return schema
    return {"anyOf": [merge_patch_schema(schema), {"type": "null"}]}
