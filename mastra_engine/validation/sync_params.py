"""Validation of the parameters of sync runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mastra_engine.exceptions import InvalidInput
from mastra_engine.validation.json_schema import validate
from mastra_engine.validation.jsonb import canonical, loads, pointer


def parse_params(params: Any) -> dict[str, Any]:
    """Return parameters as JSON returns them; None means no parameters."""
    if params is None:
        return {}
    if not isinstance(params, Mapping):
        raise InvalidInput(f"must be a JSON object, not {type(params).__name__}", path="/params")
    parsed: dict[str, Any] = loads(canonical(dict(params), ("params",)))
    return parsed


def validated_params(model: Any, params: dict[str, Any]) -> Any:
    """Return `params` as an instance of a pydantic model, or unchanged for other models.

    `model` is a pydantic model, a JSON Schema or None. Raises InvalidInput with the path of the
    first fault.
    """
    if model is None:
        return params
    if isinstance(model, Mapping):
        validate(params, model, ("params",))
        return params
    return _by_pydantic(model, params)


def _by_pydantic(model: Any, params: dict[str, Any]) -> Any:
    from pydantic import ValidationError

    try:
        return model.model_validate(params)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise InvalidInput(fault["msg"], path=pointer(("params", *fault["loc"]))) from None
