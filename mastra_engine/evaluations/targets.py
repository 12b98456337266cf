"""Searches that are named by text, such as `vectors:docs?hybrid=0.3`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson

from mastra_engine.backends.base.engine import MastraEngine
from mastra_engine.exceptions import InvalidInput
from mastra_engine.retrieval.evaluation import Search
from mastra_engine.validation.suggestions import unknown

SYNTAX = "vectors:INDEX, records:ENTITY or recall"

#: The argument that names the owner of the data, by the kind of a target.
OWNERS = {"vectors": "namespace", "records": "connection_id", "recall": "resource_id"}


@dataclass(frozen=True, slots=True)
class Target:
    """A search: of an index's vectors, of an entity's records, or of messages.

    `name` is that of the index or the entity. `options` are further arguments of the search.
    """

    kind: str
    name: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Target:
        """Return the target that a text names. Raises InvalidInput."""
        place, _, query = text.partition("?")
        kind, _, name = place.partition(":")
        if kind not in OWNERS or bool(name) is (kind == "recall") or place == "recall:":
            raise InvalidInput(f"{text!r} is no target; a target is {SYNTAX}.")
        return cls(kind, name, _parsed(query))

    def __str__(self) -> str:
        place = f"{self.kind}:{self.name}" if self.name else self.kind
        options = {name: _written(value) for name, value in self.options.items()}
        return f"{place}?{urlencode(options)}" if options else place

    @property
    def place(self) -> Target:
        """The target without options but the namespace, which a case has no field for."""
        options = {name: value for name, value in self.options.items() if name == "namespace"}
        return Target(self.kind, self.name, options)

    @property
    def owner(self) -> str:
        """The argument that names the owner of the data."""
        return OWNERS[self.kind]

    def search(self, engine: MastraEngine) -> Search:
        """Return the search. Its own arguments prevail over the options.

        Raises InvalidInput for an option that the search does not take; so does the search for an
        argument that it does not take, or that is missing.
        """
        if self.kind == "vectors":
            return self._search(engine.vectors.query, {"index_name": self.name}, text="query_text")
        if self.kind == "records":
            return self._search(engine.search_records, {"entity_name": self.name}, text="query")
        return self._search(engine.memory.recall, {"message_range": (0, 0)}, text="query")

    def _search(self, method: Callable[..., Any], fixed: Mapping[str, Any], *, text: str) -> Search:
        parameters = signature(method).parameters
        _refuse_unknown(self.options, parameters.keys() - {*fixed, text, "top_k"})

        def search(query: str, **case: Any) -> Any:
            if unexpected := sorted(case.keys() - parameters):
                raise InvalidInput(
                    f"A case has {unexpected[0]}, which a search of {self.kind} does not take."
                )
            arguments = {text: query, **fixed, **self.options, **case}
            for name, parameter in parameters.items():
                if parameter.default is parameter.empty and name not in arguments:
                    raise InvalidInput(
                        f"A case has no {name}, which a search of {self.kind} needs; add it to the "
                        f"case, or to the target as ?{name}=…"
                    )
            return method(**arguments)

        return search


def _refuse_unknown(options: Iterable[str], allowed: Iterable[str]) -> None:
    for option in options:
        if option not in allowed:
            raise InvalidInput(f"A target has an {unknown('option', option, sorted(allowed))}.")


def _parsed(query: str) -> dict[str, Any]:
    try:
        options = dict(parse_qsl(query, strict_parsing=bool(query), keep_blank_values=True))
    except ValueError:
        raise InvalidInput(f"{query!r} is no list of options such as hybrid=0.3&mmr=0.5.") from None
    return {name: _value(value) for name, value in options.items()}


def _value(text: str) -> Any:
    """Return an option of a target: JSON if it is JSON, else text."""
    try:
        return orjson.loads(text)
    except ValueError:
        return text


def _written(value: Any) -> str:
    """Return the text that `_value` reads as this value."""
    if isinstance(value, str) and _value(value) == value:
        return value
    return orjson.dumps(value).decode()
