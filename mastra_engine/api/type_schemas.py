"""Schemas of the engine's types and of the arguments of its methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from inspect import Parameter
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints
from uuid import UUID

from mastra_engine import types
from mastra_engine.api import descriptions
from mastra_engine.api.arguments import alternatives
from mastra_engine.api.limits import limits
from mastra_engine.types import Page

Schema = dict[str, Any]

_NUMBERS: Schema = {"type": "array", "items": {"type": "number"}}
#: The index of a JSON object's number is its key.
_VECTOR: Schema = {
    "anyOf": [_NUMBERS, {"type": "object", "additionalProperties": {"type": "number"}}]
}
#: Schemas of arguments that have no precise type hint.
_BY_NAME: dict[str, Schema] = {
    "vector": _VECTOR,
    "query_vector": _VECTOR,
    "vectors": {"type": "array", "items": _VECTOR},
    "lines": {"type": "array", "items": {"type": "object", "additionalProperties": {}}},
    "filter": {},
    "expires_in": {"type": "number"},
    "hybrid": {"oneOf": [{"type": "boolean"}, {"type": "number", "minimum": 0, "maximum": 1}]},
}
_BY_TYPE: dict[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    UUID: {"type": "string", "format": "uuid"},
    datetime: {"type": "string", "format": "date-time"},
    Any: {},
}
_ARRAYS = (list, Iterable, Sequence)
#: Values that requests contain, besides those with a name that ends with "Input".
_OF_REQUESTS = (types.FactSource, types.Filter, types.Sort)
_ENUMS = {hint: name for name, hint in vars(types).items() if get_origin(hint) is Literal}


def is_required(parameter: Parameter, optional: Collection[str] = ()) -> bool:
    """Return whether a request must have the argument."""
    return parameter.default is Parameter.empty and parameter.name not in optional


class TypeSchemas(ABC):
    """Make schemas of type hints; subclasses say how their kind of schema writes null."""

    @abstractmethod
    def nullable(self, schema: Schema) -> Schema:
        """Return the schema of a value or null."""

    @abstractmethod
    def annotated(self, schema: Schema, **keywords: Any) -> Schema:
        """Return the schema with more keywords."""

    @abstractmethod
    def component(self, name: str, schema: Schema) -> Schema:
        """Return the schema of a named type, or a reference to it."""

    def describe(self, name: str, *owners: str) -> str:
        """Return the text of an argument or a property; raises LookupError if it has none."""
        return descriptions.describe(name, *owners)

    def describe_component(self, name: str) -> str:
        """Return the text of a named type; raises LookupError if it has none."""
        return descriptions.describe_component(name)

    def arguments(
        self, parameters: Mapping[str, Parameter], *owners: str, optional: Collection[str] = ()
    ) -> Schema:
        """Return the schema of an object of arguments; the last owner of texts is the operation.

        Arguments in `optional` may be omitted although they have no default.
        """
        schema: Schema = {
            "type": "object",
            "properties": {
                name: self.annotated(
                    self.argument(name, parameter, owners[-1]),
                    description=self.describe(name, *owners),
                )
                for name, parameter in parameters.items()
            },
            "additionalProperties": False,
        }
        if required := [name for name in parameters if is_required(parameters[name], optional)]:
            schema["required"] = required
        return schema

    def argument(self, name: str, parameter: Parameter, operation: str) -> Schema:
        """Return the schema of an argument, with the limits that the operation sets to it."""
        schema = _BY_NAME.get(name) or self.schema_of(parameter.annotation)
        schema = self.annotated(schema, **limits(name, operation))
        default = parameter.default
        if isinstance(default, str | int | float | bool) and default != "":
            return self.annotated(schema, default=default)
        return schema

    def schema_of(self, hint: Any) -> Schema:
        """Return the schema of a type hint; dataclasses and enums become components."""
        kinds = alternatives(hint)
        if NoneType in get_args(hint):
            return self.nullable(self._schema_of_one(kinds))
        return self._schema_of_one(kinds)

    def _schema_of_one(self, kinds: list[Any]) -> Schema:
        """Return the schema of alternatives without null.

        Where a dataclass is among them, it describes the JSON form too, and a UUID or a time
        describes its text form.
        """
        for kind in kinds:
            if kind in (bool, UUID, datetime):
                return dict(_BY_TYPE[kind])
            if is_dataclass(kind) or get_origin(kind) is Page:
                return self._of_value(kind)
        if len(kinds) > 1:
            return {"oneOf": [self.schema_of(kind) for kind in kinds]}
        return self._of_kind(kinds[0])

    def _of_kind(self, kind: Any) -> Schema:
        origin, inner = get_origin(kind), get_args(kind)
        if kind in _BY_TYPE:
            return dict(_BY_TYPE[kind])
        if origin is Literal:
            schema: Schema = {"type": "string", "enum": list(inner)}
            if kind not in _ENUMS:
                return schema
            name = _ENUMS[kind]
            return self.component(name, {**schema, "description": self.describe_component(name)})
        if origin in _ARRAYS or (origin is tuple and inner[-1] is Ellipsis):
            return {"type": "array", "items": self.schema_of(inner[0])}
        if origin is tuple:
            items = {"type": "array", "items": self.schema_of(inner[0])}
            return {**items, "minItems": len(inner), "maxItems": len(inner)}
        if origin in (dict, Mapping):
            return {"type": "object", "additionalProperties": self.schema_of(inner[1])}
        raise TypeError(f"There is no schema of {kind!r}")

    def _of_value(self, kind: Any) -> Schema:
        if get_origin(kind) is Page:
            return self._of_page(*get_args(kind))
        hints, name = get_type_hints(kind), kind.__name__
        schema: Schema = {
            "type": "object",
            "description": self.describe_component(name),
            "properties": {
                field.name: self.annotated(
                    self.schema_of(hints[field.name]), description=self.describe(field.name, name)
                )
                for field in fields(kind)
            },
        }
        if required := [field.name for field in fields(kind) if self._is_always_set(kind, field)]:
            schema["required"] = required
        return self.component(name, schema)

    def _of_page(self, item: Any) -> Schema:
        name = f"{item.__name__}Page"
        if hasattr(types, name):  # A value has this name: `SyncPage` is a page of a run.
            name = f"{item.__name__}List"
        items = {
            "type": "array",
            "items": self.schema_of(item),
            "description": self.describe("items"),
        }
        cursor = self.annotated({"type": "string"}, description=self.describe("next_cursor"))
        schema: Schema = {
            "type": "object",
            "description": self.describe_component(name),
            "properties": {
                "items": self.annotated(items, description=self.describe("items")),
                "next_cursor": self.nullable(cursor),
            },
            "required": ["items", "next_cursor"],
        }
        return self.component(name, schema)

    def _is_always_set(self, value: type, field: Any) -> bool:
        """Return whether the property is required: a request may omit one that has a default."""
        of_request = value.__name__.endswith("Input") or value in _OF_REQUESTS
        return not of_request or (field.default is MISSING and field.default_factory is MISSING)
