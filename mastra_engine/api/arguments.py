"""The arguments of a request, which follow the signature of an engine method."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from inspect import Parameter, signature
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from django.http import QueryDict

from mastra_engine.api.cursors import unsign
from mastra_engine.api.limits import RESULT_LIMITS, SINGLE_VALUES, largest
from mastra_engine.api.parsers import strict_loads
from mastra_engine.conf import ApiSettings, api_settings
from mastra_engine.exceptions import InvalidInput
from mastra_engine.types import UNSET, Unset
from mastra_engine.validation.jsonb import pointer
from mastra_engine.validation.suggestions import unknown

if TYPE_CHECKING:
    from mastra_engine.api.access import Scoped

_INTEGER = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_BOOLEANS = {"true": True, "false": False}


class Arguments:
    """The arguments of one or more methods that a request may set, except those in `without`.

    The engine validates the values. This class checks names and converts text of URLs.
    """

    def __init__(self, *methods: Callable[..., Any], without: Collection[str] = ()) -> None:
        self.parameters: dict[str, Parameter] = {
            name: parameter.replace(annotation=hints.get(name, Any))
            for method in methods
            for hints in [get_type_hints(method)]
            for name, parameter in signature(method).parameters.items()
            if name != "self" and name not in without
        }

    def from_query(self, query: QueryDict, *, reserved: Collection[str]) -> dict[str, Any]:
        """Return the arguments in a query string, except `reserved` names; raises InvalidInput."""
        arguments: dict[str, Any] = {}
        for name, values in query.lists():
            self._check_name(name, reserved)
            if len(values) > 1:
                raise InvalidInput("occurs more than once in the URL", path=pointer((name,)))
            arguments[name] = _converted(values[0], self.parameters[name].annotation, f"/{name}")
        return arguments

    def from_body(self, body: Any, *, reserved: Collection[str]) -> dict[str, Any]:
        """Return the arguments in a JSON body, except `reserved` names; raises InvalidInput."""
        if not isinstance(body, Mapping):
            raise InvalidInput("must be a JSON object", path="")
        for name, value in body.items():
            self._check_name(name, reserved)
            hint = self.parameters[name].annotation
            kinds, is_null = alternatives(hint), value is None and NoneType in get_args(hint)
            if bool in kinds and not (is_null or isinstance(value, _json_kinds(kinds))):
                raise _no_boolean(kinds, f"/{name}")
        return dict(body)

    def completed(
        self, arguments: Mapping[str, Any], caller: Scoped, fills: tuple[str, ...]
    ) -> dict[str, Any]:
        """Return the arguments with those of `fills` that are missing, within the limits.

        Raises InvalidInput for a missing argument, above a limit of the settings, and for a cursor
        that the caller did not receive.
        """
        arguments = {**caller.defaults(fills), **arguments}
        if arguments.get("cursor") is not None:
            arguments["cursor"] = unsign(arguments["cursor"], caller.principal)
        for name, parameter in self.parameters.items():
            if parameter.default is Parameter.empty and name not in arguments:
                raise InvalidInput("is missing", path=f"/{name}")
        self._apply_limits(arguments, api_settings())
        return arguments

    def _apply_limits(self, arguments: dict[str, Any], settings: ApiSettings) -> None:
        for name in (*RESULT_LIMITS, "max_tokens"):
            maximum = largest(name, settings)
            if name in self.parameters and maximum is not None:
                self._apply_limit(arguments, name, maximum)
        for name, value in arguments.items():
            size = len(value) if isinstance(value, list) and name not in SINGLE_VALUES else 0
            if size > settings.max_items:
                message = f"must have at most {settings.max_items} items, got {size}"
                raise InvalidInput(message, path=f"/{name}")

    def _apply_limit(self, arguments: dict[str, Any], name: str, maximum: int) -> None:
        if arguments.get(name) is None:
            default = self.parameters[name].default
            usual = RESULT_LIMITS.get(name, maximum) if default in (None, UNSET) else default
            arguments[name] = min(usual, maximum)
        value = arguments[name]
        if isinstance(value, int) and value > maximum:
            raise InvalidInput(f"must be at most {maximum}, got {value}", path=f"/{name}")

    def _check_name(self, name: str, reserved: Collection[str]) -> None:
        if name not in self.parameters or name in reserved:
            known_names = (other for other in self.parameters if other not in reserved)
            raise InvalidInput(unknown("argument", name, known_names), path=pointer((name,)))


def alternatives(hint: Any) -> list[Any]:
    """Return the types that a hint allows, without None and UNSET."""
    types = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return [kind for kind in types if kind not in (NoneType, Unset)]


def is_json(hint: Any) -> bool:
    """Return whether an argument is JSON in a URL, because it is not a scalar."""
    kinds = alternatives(hint)
    scalar = {bool, int, float, str}.intersection(kinds) or get_origin(kinds[0]) is Literal
    return not scalar


def _converted(text: str, hint: Any, path: str) -> Any:
    """Return the value of text in a URL, by its type; raises InvalidInput."""
    kinds = alternatives(hint)
    if is_json(hint):
        return strict_loads(text.encode("utf-8", "surrogatepass"), path=path)
    if text in _BOOLEANS and bool in kinds:
        return _BOOLEANS[text]
    if bool in kinds and float not in kinds:
        raise _no_boolean(kinds, path)
    if int in kinds:
        if not _INTEGER.fullmatch(text):
            raise InvalidInput("must be an integer", path=path)
        return int(text)
    if float in kinds:
        try:
            return float(text)
        except ValueError:
            if bool in kinds:
                raise _no_boolean(kinds, path) from None
            raise InvalidInput("must be a number", path=path) from None
    return text


def _json_kinds(kinds: Collection[Any]) -> tuple[type, ...]:
    """Return the types of JSON values for an argument that is a boolean, or another value too."""
    numbers = (int, float) if float in kinds else ()
    lists = (list,) if any(get_origin(kind) is Sequence for kind in kinds) else ()
    return (bool, *numbers, *lists)


def _no_boolean(kinds: Collection[Any], path: str) -> InvalidInput:
    number = ", or a number" if float in kinds else ""
    texts = ", or a list" if any(get_origin(kind) is Sequence for kind in kinds) else ""
    return InvalidInput(f"must be true or false{number}{texts}", path=path)
