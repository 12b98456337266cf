"""Synchronous methods are refused in a coroutine, where they would block the event loop.

Django's database connections refuse it too, but only when a statement is sent, and without naming
the method to await. Checking it on entry makes all engines behave the same.
"""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from mastra_engine.exceptions import CalledInEventLoop

C = TypeVar("C", bound=type)
P = ParamSpec("P")
R = TypeVar("R")


def refuse_in_event_loop(cls: C) -> C:
    """Decorate a class: its methods that have an async variant raise CalledInEventLoop."""
    for name, function in [*vars(cls).items()]:
        if inspect.isfunction(function) and hasattr(cls, f"a{name}"):
            setattr(cls, name, _checked(function))
    return cls


def _checked(function: Callable[P, R]) -> Callable[P, R]:
    name = function.__name__

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        # Django reads the variable at each call too. Notebooks set it, because they run a loop.
        if _runs_in_event_loop() and not os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE"):
            raise CalledInEventLoop(method=name)
        return function(*args, **kwargs)

    return call


def _runs_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
