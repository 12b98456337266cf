"""Methods of an object that call the method of the same name on one of its services."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")


def delegate(
    service: str, method: Callable[Concatenate[Any, P], R], *, owner: str = "MastraEngine"
) -> Callable[Concatenate[Any, P], R]:
    """Return a method of the class `owner` that calls `method` on its attribute `service`.

    It has the signature and the docstring of `method`, and its steps if it is run in steps. The
    service and its method are looked up at each call, so that a service can be replaced, in a test
    for example.
    """
    name = method.__name__

    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return cast(R, getattr(getattr(self, service), name)(*args, **kwargs))

    async def iterate(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[Any]:
        async with aclosing(getattr(getattr(self, service), name)(*args, **kwargs)) as items:
            async for item in items:
                yield item

    # A plain function that returns an asynchronous generator is not recognised as one by inspect.
    delegated: Any = iterate if inspect.isasyncgenfunction(method) else call
    update_wrapper(delegated, method)
    if (steps := getattr(method, "steps", None)) is not None:
        delegated.steps = lambda self, /, *args, **kwargs: steps(
            getattr(self, service), *args, **kwargs
        )
    delegated.__qualname__ = f"{owner}.{name}"
    return cast(Callable[Concatenate[Any, P], R], delegated)
