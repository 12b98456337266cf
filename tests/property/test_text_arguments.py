"""Text of any type is taken as its text in every argument, and other values are refused there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, StrEnum
from functools import partial
from typing import Any

import pytest
from django.db import models, transaction
from django.utils.functional import lazystr
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from mastra_engine import MastraEngine, MockMastraEngine, PostgresEngine
from mastra_engine.exceptions import InvalidInput
from mastra_engine.registry import registry
from mastra_engine.testing.contract.recall import BagOfWords
from mastra_engine.testing.contract.text_arguments import SCENARIOS, Wrapped
from tests.property.pair import QUIET

Wrap = Callable[[str], Any]

# Types of text

#: Methods of `str` that a subclass may override, and what they return then.
OVERRIDES: dict[str, Any] = {
    "__str__": "another text",
    "__repr__": "another text",
    "__format__": "another text",
    "__len__": 7,
    "__bool__": False,
    "__contains__": True,
    "__getitem__": "x",
    "encode": b"another text",
    "isascii": False,
    "strip": "another text",
    "startswith": True,
}


def overriding(names: set[str]) -> dict[str, Any]:
    return {name: lambda *_, result=OVERRIDES[name], **__: result for name in names}


def subclass(names: set[str]) -> Wrap:
    return type("Text", (str,), overriding(names))


def member(*bases: type, names: set[str], others: int) -> Wrap:
    """Return a function that makes an enum, one of whose members has the text as its value."""

    class Base(*bases):  # type: ignore[misc]
        """An enum can be subclassed while it has no members."""

    for name, function in overriding(names).items():
        setattr(Base, name, function)

    def wrap(text: str) -> Any:
        values = {f"OTHER_{n}": f"{text} {n}" for n in range(others)}
        return Base("Made", {**values, "MEMBER": text, "ALIAS": text})["MEMBER"]

    return wrap


def labelled(text: str) -> Any:
    """Return a member of Django's choices, which shows its label in templates."""
    return models.TextChoices("Made", {"MEMBER": (text, "A label")})["MEMBER"]  # type: ignore[arg-type]


NAMES = st.sets(st.sampled_from(sorted(OVERRIDES)))
SUBCLASSES = st.builds(subclass, NAMES)
ENUMS = st.builds(
    lambda bases, names, others: member(*bases, names=names, others=others),
    st.sampled_from([(Enum,), (str, Enum), (StrEnum,)]),
    NAMES,
    st.integers(0, 3),
)
SIMPLE = SUBCLASSES | ENUMS | st.sampled_from([str, labelled])
#: An enum whose value is a subclass, or a member of another enum.
NESTED = st.builds(
    lambda inner: lambda text: Enum("Made", {"MEMBER": inner(text)})["MEMBER"],  # type: ignore[index]
    SIMPLE,
)
TEXT_TYPES = SIMPLE | NESTED

# What is no text

SCALARS = (
    st.binary()
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.decimals(allow_nan=False)
    | st.complex_numbers()
    | st.builds(object)
    | st.builds(lazystr, st.text())
)
NO_TEXT = SCALARS | st.builds(lambda value: Enum("Made", {"MEMBER": value})["MEMBER"], SCALARS)  # type: ignore[index]


class Refusing(Wrapped):
    """Tries each call with other values first, in the place of each of its texts."""

    def __init__(self, target: Any, draw: Callable[[], Any]) -> None:
        super().__init__(target, str)
        self.draw = draw

    def call(self, path: str, method: str, **arguments: Any) -> Any:
        target = getattr(self.target, path) if path else self.target
        for name, value in arguments.items():
            for place, replaced in self.replacements(value):
                call = partial(getattr(target, method), **{**arguments, name: replaced})
                with pytest.raises(InvalidInput) as caught:
                    list(call())  # of those that are iterators
                # A cursor belongs to the other arguments, and is refused with another of them.
                places = {f"/{name}{place}"} | ({"/cursor"} if "cursor" in arguments else set())
                assert caught.value.path in places, (method, name, replaced)
        return super().call(path, method, **arguments)

    def replacements(self, value: Any) -> Iterator[tuple[str, Any]]:
        if isinstance(value, str):
            yield "", self.draw()
        elif isinstance(value, list | tuple) and value and isinstance(value[0], str):
            yield "/0", type(value)((self.draw(), *value[1:]))


# The properties


def run(scenario: Callable[[Wrapped], None], calls: Wrapped) -> list[Any]:
    with registry.empty():
        calls.target.vectors.embedder = BagOfWords()
        scenario(calls)
    return calls.results


@contextmanager
def empty_engine(engine_type: type[MastraEngine]) -> Iterator[MastraEngine]:
    engine = engine_type()
    if isinstance(engine, MockMastraEngine):
        engine.reset()
        yield engine
        return
    with transaction.atomic():
        yield engine
        transaction.set_rollback(True)


@pytest.fixture(scope="module", params=SCENARIOS)
def scenario(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(scope="module")
def expected(scenario: Callable[[Wrapped], None]) -> list[Any]:
    """Return the results of a scenario whose arguments are plain text."""
    with empty_engine(MockMastraEngine) as engine:
        return run(scenario, Wrapped(engine, str))


#: Without shrinking: a scenario has hundreds of texts, so it would take minutes.
QUICKLY = settings(max_examples=10, phases=[Phase.generate], **QUIET)
engines = pytest.mark.parametrize("engine_type", [MockMastraEngine, PostgresEngine])


@pytest.mark.django_db
@engines
@QUICKLY
@given(data=st.data())
def test_text_of_any_type_is_taken_as_its_text(
    engine_type: type[MastraEngine], scenario: Any, expected: list[Any], data: Any
) -> None:
    def wrap(text: str) -> Any:
        return data.draw(TEXT_TYPES)(text)

    with empty_engine(engine_type) as engine:
        assert run(scenario, Wrapped(engine, wrap)) == expected


@pytest.mark.django_db
@engines
@QUICKLY
@given(data=st.data())
def test_values_that_are_no_text_are_refused_and_change_nothing(
    engine_type: type[MastraEngine], scenario: Any, expected: list[Any], data: Any
) -> None:
    with empty_engine(engine_type) as engine:
        assert run(scenario, Refusing(engine, lambda: data.draw(NO_TEXT))) == expected
