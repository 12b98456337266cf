"""What a request may give: the arguments of an engine's method, told by its signature."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from inspect import Parameter, signature
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from django.http import QueryDict

from mastra_engine.api.parsers import strict_loads
from mastra_engine.conf import ApiSettings
from mastra_engine.exceptions import InvalidInput
from mastra_engine.types import Unset
from mastra_engine.validation.jsonb import pointer

_INTEGER = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_BOOLEANS = {"true": True, "false": False}
#: Arguments that say how much is read, and how much that usually is.
_BOUNDED = {"limit": 100, "last": 10, "top_k": 10}
#: Lists that are one value; their length says nothing about how much is asked for.
_WHOLE = {"vector", "query_vector", "content"}


class Arguments:
    """The arguments of a method that a request may give, save those `without`.

    The engine checks the values; here only names, and what text in a URL stands for.
    """

    def __init__(self, method: Callable[..., Any], *, without: Collection[str] = ()) -> None:
        hints = get_type_hints(method)
        self.parameters: dict[str, Parameter] = {
            name: parameter.replace(annotation=hints.get(name, Any))
            for name, parameter in signature(method).parameters.items()
            if name != "self" and name not in without
        }

    def from_query(self, query: QueryDict, *, known: Collection[str]) -> dict[str, Any]:
        """Return what the URL gives; raises InvalidInput. `known` are given elsewhere."""
        given: dict[str, Any] = {}
        for name, values in query.lists():
            self._need_known(name, known)
            if len(values) > 1:
                raise InvalidInput("is given more than once", path=pointer((name,)))
            given[name] = _meant(values[0], self.parameters[name].annotation, f"/{name}")
        return given

    def from_body(self, body: Any, *, known: Collection[str]) -> dict[str, Any]:
        """Return what the body gives; raises InvalidInput. `known` are given elsewhere."""
        if not isinstance(body, Mapping):
            raise InvalidInput("must be a JSON object", path="")
        for name, value in body.items():
            self._need_known(name, known)
            kinds = alternatives(self.parameters[name].annotation)
            if bool in kinds and not isinstance(value, bool):
                raise InvalidInput("must be true or false", path=f"/{name}")
        return dict(body)

    def need(self, given: Mapping[str, Any]) -> None:
        """Raise InvalidInput when something is missing."""
        for name, parameter in self.parameters.items():
            if parameter.default is Parameter.empty and name not in given:
                raise InvalidInput("is missing", path=f"/{name}")

    def bound(self, given: dict[str, Any], limits: ApiSettings) -> None:
        """Raise InvalidInput for more than the settings allow; say how much where nothing is."""
        for name in _BOUNDED:
            self._bound(given, name, limits.max_page)
        self._bound(given, "max_tokens", limits.max_tokens)
        for name, value in given.items():
            if isinstance(value, list) and len(value) > limits.max_items and name not in _WHOLE:
                message = f"has {len(value)} items; at most {limits.max_items} are taken at once"
                raise InvalidInput(message, path=f"/{name}")

    def _bound(self, given: dict[str, Any], name: str, most: int) -> None:
        if name not in self.parameters:
            return
        if given.get(name) is None:
            usual = self.parameters[name].default
            given[name] = min(_BOUNDED.get(name, most) if usual is None else usual, most)
        if isinstance(given[name], int) and given[name] > most:
            raise InvalidInput(f"must be at most {most}", path=f"/{name}")

    def _need_known(self, name: str, known: Collection[str]) -> None:
        if name not in self.parameters or name in known:
            raise InvalidInput("is not known here", path=pointer((name,)))


def alternatives(hint: Any) -> list[Any]:
    """Return the types that a hint allows, without None and UNSET."""
    among = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return [each for each in among if each not in (NoneType, Unset)]


def is_json(hint: Any) -> bool:
    """Say whether an argument in a URL is JSON, since it is not a scalar."""
    kinds = alternatives(hint)
    scalar = {bool, int, float, str}.intersection(kinds) or get_origin(kinds[0]) is Literal
    return not scalar


def _meant(text: str, hint: Any, path: str) -> Any:
    """Return what text in a URL stands for; JSON, where it is not a scalar."""
    kinds = alternatives(hint)
    if is_json(hint):
        return strict_loads(text.encode("utf-8", "surrogatepass"), path=path)
    if bool in kinds:
        if text not in _BOOLEANS:
            raise InvalidInput("must be true or false", path=path)
        return _BOOLEANS[text]
    if int in kinds:
        if not _INTEGER.fullmatch(text):
            raise InvalidInput("must be an integer", path=path)
        return int(text)
    if float in kinds:
        try:
            return float(text)
        except ValueError:
            raise InvalidInput("must be a number", path=path) from None
    return text
