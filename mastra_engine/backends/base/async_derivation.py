"""Async variants derived from synchronous methods, which hold the only implementation."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial, update_wrapper
from typing import Any, Concatenate, ParamSpec, TypeVar

from asgiref.sync import sync_to_async

from mastra_engine.backends.base.steps import arun_steps

Self = TypeVar("Self")
P = ParamSpec("P")
R = TypeVar("R")


def derive_async(
    method: Callable[Concatenate[Self, P], R],
) -> Callable[Concatenate[Self, P], Coroutine[Any, Any, R]]:
    """Return `async def a<name>`, which runs the method `<name>` in the database thread.

    Model calls of a method in steps run in other threads; see steps.py.

    The method is looked up on the instance at each call, so that a subclass that overrides it
    changes both variants.
    """
    name = method.__name__

    async def call(self: Self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        bound = getattr(self, name)
        if (steps := getattr(bound, "steps", None)) is not None:
            result: R = await arun_steps(partial(steps, self, *args, **kwargs))
        else:
            result = await sync_to_async(bound, thread_sensitive=True)(*args, **kwargs)
        return result

    # `updated=()` keeps the mark of an abstract method off its async variant.
    update_wrapper(call, method, updated=())
    call.__name__ = f"a{name}"
    call.__qualname__ = method.__qualname__.replace(name, call.__name__)
    call.__doc__ = f"See {name}()."
    return call
