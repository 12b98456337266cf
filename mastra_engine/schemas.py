"""JSON Schema, by the `jsonschema` library (the extra `schema`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mastra_engine.exceptions import EngineConfigError, InvalidInput
from mastra_engine.extras import require
from mastra_engine.jsonb import Path, pointer


def satisfy(value: Any, schema: Mapping[str, Any], path: Path) -> None:
    """Raise InvalidInput that names the first place where `value` breaks the schema."""
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
