"""What a run of a sync is given, checked by what the sync declared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mastra_engine.exceptions import InvalidInput
from mastra_engine.validation.json_schema import satisfy
from mastra_engine.validation.jsonb import canonical, loads, pointer


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
        satisfy(params, checker, ("params",))
        return params
    return _by_model(checker, params)


def _by_model(model: Any, params: dict[str, Any]) -> Any:
    from pydantic import ValidationError

    try:
        return model.model_validate(params)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise InvalidInput(fault["msg"], path=_at(fault["loc"])) from None


def _at(path: Iterable[str | int]) -> str:
    return pointer(("params", *path))
