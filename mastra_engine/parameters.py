"""What a run of a sync is given, checked by what the sync declared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mastra_engine.exceptions import EngineConfigError, InvalidInput
from mastra_engine.jsonb import canonical, loads, pointer


def given_params(params: Any) -> dict[str, Any]:
    """Return parameters as JSON gives them back; None is none."""
    if params is None:
        return {}
    if not isinstance(params, Mapping):
        raise InvalidInput("must be a JSON object", path="/params")
    read: dict[str, Any] = loads(canonical(dict(params), ("params",)))
    return read


def checked_params(checker: Any, params: dict[str, Any]) -> Any:
    """Return `params` as the sync wants them: an instance of its model, or as they are.

    `checker` is a pydantic model, a JSON Schema or None. Raises InvalidInput that points at the
    first fault.
    """
    if checker is None:
        return params
    if isinstance(checker, Mapping):
        return _by_schema(checker, params)
    return _by_model(checker, params)


def _by_model(model: Any, params: dict[str, Any]) -> Any:
    from pydantic import ValidationError

    try:
        return model.model_validate(params)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise InvalidInput(fault["msg"], path=_at(fault["loc"])) from None


def _by_schema(schema: Mapping[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    try:
        from jsonschema import SchemaError
        from jsonschema.validators import validator_for
    except ImportError as error:
        raise EngineConfigError("A JSON Schema for params needs the package jsonschema") from error
    rules = dict(schema)
    validator = validator_for(rules)
    try:
        validator.check_schema(rules)
    except SchemaError as error:
        raise EngineConfigError(f"A sync's JSON Schema is none: {error.message}") from None
    fault = min(
        validator(rules).iter_errors(params), key=lambda e: list(map(str, e.path)), default=None
    )
    if fault is not None:
        raise InvalidInput(fault.message[:200], path=_at(fault.absolute_path))
    return params


def _at(path: Iterable[str | int]) -> str:
    return pointer(("params", *path))
