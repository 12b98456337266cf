"""The OpenAPI description, made of the engine's signatures and values by drf-spectacular."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import datetime
from inspect import Parameter, cleandoc
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints
from uuid import UUID

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent, append_meta
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse

from mastra_engine import types
from mastra_engine.api.arguments import alternatives, is_json
from mastra_engine.api.keys import HEADER, PATTERN
from mastra_engine.api.parsers import JSON_LINES
from mastra_engine.types import Page

Schema = dict[str, Any]

JSON = "application/json"
_NUMBERS: Schema = {"type": "array", "items": {"type": "number"}}
#: What stands for a UUID in a path.
_UUIDS = {"entity_id", "run_id"}
#: What the hints leave open.
_BY_NAME: dict[str, Schema] = {
    "vector": _NUMBERS,
    "query_vector": _NUMBERS,
    "vectors": {"type": "array", "items": _NUMBERS},
    "lines": {"type": "array", "items": {"type": "object", "additionalProperties": {}}},
    "filter": {"description": "A filter: a mapping, or a list of conditions."},
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
#: What an `Idempotency-Key` may be answered.
_OF_KEYS = {
    409: "The state of things does not allow it; or, with `Retry-After`, it is under way.",
    422: "The `Idempotency-Key` was used with other arguments.",
}
_ARRAYS = (list, Iterable, Sequence)
_ENUMS = {hint: name for name, hint in vars(types).items() if get_origin(hint) is Literal}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong; `attr` is a JSON pointer to it."""

    code: str
    detail: str
    attr: str | None


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """Why there is no other answer."""

    type: Literal["validation_error", "client_error", "server_error"]
    errors: list[Problem]


class EngineSchema(AutoSchema):
    """Describes an operation of `EngineView`."""

    @property
    def operation(self) -> Any:
        return getattr(self.view, self.method.lower()).operation

    def get_operation_id(self) -> str:
        return str(self.operation.name)

    def get_tags(self) -> list[str]:
        return [type(self.view).__module__.rpartition(".")[2]]  # the noun that it is about

    def get_summary(self) -> str:
        return cleandoc(self.operation.description).split("\n")[0].rstrip(".")

    def get_description(self) -> str:  # type: ignore[override]
        return cleandoc(self.operation.description)

    # Requests

    @property
    def in_body(self) -> bool:
        return self.method in ("POST", "PUT", "PATCH")

    def get_override_parameters(self) -> list[Any]:
        return [*self._of_path(), *self._of_query(), *self._headers()]

    def _of_path(self) -> Iterator[OpenApiParameter]:
        for name in self._path_variables():
            yield OpenApiParameter(
                name,
                UUID if name in _UUIDS else str,
                OpenApiParameter.PATH,
                required=True,
                examples=self._shown(name, self.operation.example.path),
            )

    def _of_query(self) -> Iterator[OpenApiParameter]:
        if self.in_body and not self.operation.lines:
            return
        for name, parameter in self.operation.takes.parameters.items():
            if name in self._path_variables() or (self.in_body and name == self.operation.lines):
                continue
            schema = self._argument(name, parameter)
            if is_json(parameter.annotation):
                schema = {"type": "string", "description": "JSON"}
            yield OpenApiParameter(
                name,
                schema,
                required=not self.in_body and self._is_needed(name, parameter),
                examples=self._shown(name, self.operation.example.query),
            )

    def _headers(self) -> Iterator[OpenApiParameter]:
        if self.operation.versioned:
            yield OpenApiParameter(
                "If-Match", str, "header", description="The `ETag` that it must have."
            )
        if self.operation.keyed:
            schema = {"type": "string", "pattern": f"^{PATTERN}$"}
            yield OpenApiParameter(
                HEADER, schema, "header", description="Sent again under it, it is done once."
            )
        if self.operation.tagged:
            yield OpenApiParameter(
                "ETag", str, "header", description="Its version and a hash.", response=[200, 201]
            )

    def get_request_serializer(self) -> Any:
        named = self._path_variables()
        takes = self.operation.takes.parameters
        taken = {name: parameter for name, parameter in takes.items() if name not in named}
        if not taken:
            return None
        needed = [name for name, parameter in taken.items() if self._is_needed(name, parameter)]
        properties = {name: self._argument(name, each) for name, each in taken.items()}
        body: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
        if needed:
            body["required"] = needed
        name = "".join(word.title() for word in self.operation.name.split("_"))
        found: dict[str, Schema] = {JSON: self._component(f"{name}Request", body)}
        if self.operation.lines:
            told = f"`{self.operation.lines}`, one per line."
            found[JSON_LINES] = {"type": "string", "description": told}
        return found

    def _argument(self, name: str, parameter: Parameter) -> Schema:
        schema = _BY_NAME.get(name) or self.schema_of(parameter.annotation)
        default = parameter.default
        if isinstance(default, str | int | float | bool) and default != "":
            return append_meta(schema, {"default": default})
        return schema

    def _is_needed(self, name: str, parameter: Parameter) -> bool:
        return parameter.default is Parameter.empty and name not in self.operation.fills

    # Answers

    def get_response_serializers(self) -> Any:
        gives, status = self.operation.gives, self.operation.status
        if get_origin(gives) is Iterator:
            good: dict[Any, Any] = {
                (status, JSON_LINES): OpenApiResponse(
                    {"type": "string"}, "One JSON object per line."
                )
            }
        elif gives is NoneType:
            good = {status: OpenApiResponse(None, "Done.")}
        else:
            good = {(status, JSON): OpenApiResponse(self.schema_of(gives), "Done.")}
        errors: dict[Any, str] = {"default": "Any error."}
        if self.operation.keyed:
            errors = {**_OF_KEYS, **errors}
        shape = self.schema_of(ErrorResponse)
        return good | {
            (status, JSON): OpenApiResponse(shape, said) for status, said in errors.items()
        }

    def get_examples(self) -> list[OpenApiExample]:
        example, found = self.operation.example, []
        if example.body is not None:
            found.append(OpenApiExample("request", example.body, request_only=True))
        if example.answer is not None:
            media = JSON_LINES if get_origin(self.operation.gives) is Iterator else JSON
            found.append(
                OpenApiExample(
                    "answer",
                    example.answer,
                    response_only=True,
                    media_type=media,
                    status_codes=[str(self.operation.status)],
                )
            )
        return found

    # Types

    def schema_of(self, hint: Any) -> Schema:
        """Return the schema of a type; values and enums become components."""
        kinds = alternatives(hint)
        if NoneType in get_args(hint):
            return append_meta(self._schema_of_one(kinds), {"nullable": True})
        return self._schema_of_one(kinds)

    def _schema_of_one(self, kinds: list[Any]) -> Schema:
        """Where a value or its JSON will do, the value tells more; so does a UUID than its text."""
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
            return self._component(_ENUMS[kind], schema) if kind in _ENUMS else schema
        if origin in _ARRAYS:
            return {"type": "array", "items": self.schema_of(inner[0])}
        if origin is tuple:
            items = {"type": "array", "items": self.schema_of(inner[0])}
            return {**items, "minItems": len(inner), "maxItems": len(inner)}
        if origin in (dict, Mapping):
            return {"type": "object", "additionalProperties": {}}
        raise TypeError(f"There is no schema of {kind!r}")

    def _of_value(self, kind: Any) -> Schema:
        if get_origin(kind) is Page:
            return self._of_page(*get_args(kind))
        hints = get_type_hints(kind)
        schema: Schema = {
            "type": "object",
            "description": cleandoc(kind.__doc__ or ""),
            "properties": {each.name: self.schema_of(hints[each.name]) for each in fields(kind)},
        }
        if needed := [each.name for each in fields(kind) if self._always_there(kind, each)]:
            schema["required"] = needed
        return self._component(kind.__name__, schema)

    def _of_page(self, item: Any) -> Schema:
        schema: Schema = {
            "type": "object",
            "properties": {
                "items": {"type": "array", "items": self.schema_of(item)},
                "next_cursor": append_meta({"type": "string"}, {"nullable": True}),
            },
            "required": ["items", "next_cursor"],
        }
        return self._component(f"{item.__name__}Page", schema)

    def _always_there(self, value: type, field: Any) -> bool:
        """What comes out is whole; what goes in may leave out what has a default."""
        goes_in = value.__name__.endswith("Input") or value in (types.Filter, types.Sort)
        return not goes_in or (field.default is MISSING and field.default_factory is MISSING)

    def _component(self, name: str, schema: Schema) -> Schema:
        component = ResolvedComponent(name, ResolvedComponent.SCHEMA, schema, object=name)  # type: ignore[no-untyped-call]
        self.registry.register_on_missing(component)
        ref: Schema = component.ref
        return ref

    def _path_variables(self) -> set[str]:
        return {each.strip("{}") for each in self.path.split("/") if each.startswith("{")}

    def _shown(self, name: str, values: Mapping[str, str]) -> list[OpenApiExample]:
        return [OpenApiExample(name, values[name])] if name in values else []
