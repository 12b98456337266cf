"""Methods that call models between database steps, run without holding the database thread.

Outside of a request, all async variants share one database thread. A model call takes long and uses
no database, so it must not run there. A method with model calls is therefore written as a generator
that yields each of them as a function and receives its result. The synchronous method calls them in
place; its async variant calls them in another thread, and runs only the code between them in the
database thread.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from functools import partial, update_wrapper
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async

P = ParamSpec("P")
R = TypeVar("R")

#: A generator that yields model calls and returns a result of type R.
Steps = Generator[Callable[[], Any], Any, R]

_PREFIX, _SUFFIX = "Steps[", "]"


def in_steps(method: Callable[P, Steps[R]]) -> Callable[P, R]:
    """Return the synchronous method of a generator method; its `steps` is the generator method.

    Its signature names the result without `Steps`, and its name has no suffix `_steps`.
    """

    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return run_steps(method(*args, **kwargs))

    update_wrapper(call, method)
    call.__name__ = method.__name__.removesuffix("_steps")
    call.__qualname__ = method.__qualname__.removesuffix("_steps")
    signature = inspect.signature(method)
    returned = str(signature.return_annotation)
    result = returned.removeprefix(_PREFIX).removesuffix(_SUFFIX)
    described: Any = call
    described.__signature__ = signature.replace(return_annotation=result)
    described.__annotations__ = {**method.__annotations__, "return": result}
    described.steps = method
    return call


def run_steps(steps: Steps[R]) -> R:
    """Run steps and their model calls in this thread."""
    advance: Callable[[], Callable[[], Any]] = partial(next, steps)
    while True:
        try:
            call = advance()
        except StopIteration as end:
            result: R = end.value
            return result
        try:
            advance = partial(steps.send, call())
        except Exception as error:
            advance = partial(steps.throw, error)


def after_commit(
    register: Callable[[Callable[[], None]], None], work: Callable[[], Steps[None]]
) -> Steps[None]:
    """Do work once the current transaction is committed; `register` calls a function then.

    Outside of a transaction these steps do it. A transaction commits after the steps; then it is
    done where it commits.
    """
    registering, is_committed = True, False

    def committed() -> None:
        nonlocal is_committed
        if registering:
            is_committed = True
        else:
            run_steps(work())

    register(committed)
    registering = False
    if is_committed:
        yield from work()


async def arun_steps(start: Callable[[], Steps[R]]) -> R:
    """Run steps in the database thread, and their model calls in other threads."""
    steps = start()
    advance: Callable[[], Callable[[], Any]] = partial(next, steps)
    try:
        while True:
            ended, value = await sync_to_async(_advanced, thread_sensitive=True)(advance)
            if ended:
                result: R = value
                return result
            try:
                answer = await sync_to_async(value, thread_sensitive=False)()
            except Exception as error:
                advance = partial(steps.throw, error)
            else:
                advance = partial(steps.send, answer)
    except BaseException:
        # Steps of a cancelled task may have something to release, which needs the database.
        await sync_to_async(steps.close, thread_sensitive=True)()
        raise


def _advanced(advance: Callable[[], Any]) -> tuple[bool, Any]:
    """Return whether the steps have ended, and their result or the next model call.

    StopIteration cannot be raised into a coroutine.
    """
    try:
        return False, advance()
    except StopIteration as end:
        return True, end.value
