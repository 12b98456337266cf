"""JSON Schema: what satisfies one, and what may be patched into it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from mastra_engine.exceptions import EngineConfigError, InvalidInput
from mastra_engine.optional_deps import require
from mastra_engine.validation.jsonb import Path, pointer

#: What is asked of a whole object, and cannot be of a part of it.
_OF_THE_WHOLE = (
    *("required", "minProperties", "maxProperties", "dependencies", "dependentRequired"),
    *("dependentSchemas", "if", "then", "else", "not"),
)
_DEFINITION = re.compile(r"^#/(\$defs|definitions)/[^/]+")


def satisfy(value: Any, schema: Mapping[str, Any], path: Path) -> None:
    """Raise InvalidInput that names the first place where `value` breaks the schema.

    Raises EngineConfigError for a schema that is none, and without the extra `schema`.
    """
    require("schema", "jsonschema", by="A JSON Schema")
    from jsonschema import SchemaError
    from jsonschema.validators import validator_for

    kind = validator_for(schema)
    try:
        kind.check_schema(dict(schema))
    except SchemaError as error:
        raise EngineConfigError(f"The JSON Schema is not valid: {error.message}") from error
    faults = kind(dict(schema)).iter_errors(value)
    fault = min(faults, key=lambda each: list(map(str, each.path)), default=None)
    if fault is not None:
        raise InvalidInput(fault.message[:200], path=pointer((*path, *fault.absolute_path)))


def merge_patch_schema(schema: Any) -> Any:
    """Return the schema of merge patches (RFC 7396) of what a schema allows.

    Objects may be partial. What is in a list may not, since a patch replaces lists as a whole, so
    each definition is there twice: as it was, and as a patch.
    """
    if not isinstance(schema, Mapping):
        return schema
    patch = {key: deepcopy(schema[key]) for key in schema if key not in _OF_THE_WHOLE}
    for key in {"properties", "patternProperties"} & patch.keys():
        patch[key] = {name: _or_null(each) for name, each in patch[key].items()}
    if "additionalProperties" in patch:
        patch["additionalProperties"] = _or_null(patch["additionalProperties"])
    for key in {"allOf", "anyOf", "oneOf"} & patch.keys():
        patch[key] = [merge_patch_schema(each) for each in patch[key]]
    if "oneOf" in patch:  # a partial object may be one of several
        patch.setdefault("anyOf", patch.pop("oneOf"))
    for key in {"$defs", "definitions"} & patch.keys():
        patch[key] |= {
            f"{name}_patch": merge_patch_schema(each) for name, each in patch[key].items()
        }
    if "$ref" in patch:
        patch["$ref"] = _DEFINITION.sub(r"\g<0>_patch", patch["$ref"])
    return patch


def _or_null(schema: Any) -> Any:
    """Return what may be given for a key: null removes it."""
    if not isinstance(schema, Mapping):
        return schema
    return {"anyOf": [merge_patch_schema(schema), {"type": "null"}]}
