"""Conditions of the filter tree as `jsonpath`, in lax mode unless a path says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile
from typing import Any

import orjson

from mastra_engine.filters.ast import Compare, Exists, Field, Node, Size, StartsWith, Substring

#: Tests that one group joins. See _any_of().
_GROUP = 100


def condition(node: Node) -> str:
    """Return the path to values that satisfy a condition on one field."""
    match node:
        case Compare(field, operator, value):
            return any_member(field, operator, value)
        case StartsWith(field, text):
            return any_member(field, "starts with", text)
        case Substring(field, text, case_sensitive):
            like = f'like_regex {literal(text)} flag "{"q" if case_sensitive else "iq"}"'
            return _at_value(field, lambda here: f'{here}.type() == "string" && {here} {like}')
        case Size(field, size):
            return _at_value(
                field, lambda here: f'{here}.type() == "array" && {here}.size() == {size}'
            )
        case Exists(field):
            return path_to(field.path)
        case _:
            raise AssertionError(node)


def any_member(field: Field, operator: str, *operands: Any) -> str:
    """Return the path to a value, or to a member of an array, that satisfies a comparison.

    Lax mode unwraps arrays twice, once for the filter and once for the comparison. The test of the
    type prevents the second time, which would look at the members of a member.
    """

    def test(here: str) -> str:
        tests = _any_of([f"{here} {operator} {literal(operand)}" for operand in operands])
        return f'{here}.type() != "array" && {tests}'

    return _at_value(field, test) if is_member(field) else f"{path_to(field.path)} ? ({test('@')})"


def _any_of(tests: list[str]) -> str:
    """Join tests by OR, in groups.

    The server parses `a || b || c` as nested pairs, and thousands of them exceed its stack.
    """
    groups = [tests[i : i + _GROUP] for i in range(0, len(tests), _GROUP)]
    joined = [f"({' || '.join(group)})" for group in groups]
    return joined[0] if len(joined) == 1 else _any_of(joined)


def is_member(field: Field) -> bool:
    """Return whether the path ends at a member of an array, by position or in `$elemMatch`."""
    return not field.path or isinstance(field.path[-1], int)


def _at_value(field: Field, test: Callable[[str], str]) -> str:
    """Return the path to a value that satisfies a test, without unwrapping it if it is an array.

    In lax mode this takes a test on the object that has the value.
    """
    if not field.path:
        return f"strict $ ? ({test('@')})"
    last = max(i for i, step in enumerate(field.path) if isinstance(step, str))
    exists, here = _at_positions(field.path[last:])
    return f"{path_to(field.path[:last])} ? ({exists} && {test(here)})"


def missing(field: Field) -> str:
    """Return the path to objects in which a path ends early: at a missing key, or at a scalar.

    The tests are nested, one level for each key, so that the length of the `jsonpath` grows with
    the number of steps and not with its square.
    """
    test = ""
    keys = [i for i, step in enumerate(field.path) if isinstance(step, str)]
    for i in reversed(keys):
        positions = list(takewhile(lambda step: isinstance(step, int), field.path[i + 1 :]))
        value = f"@{_key(str(field.path[i]))}"
        ends = [f"!exists({value})"]
        if not positions and i + 1 < len(field.path):
            ends.append(f'({value}.type() != "object" && {value}.type() != "array")')
        if test:
            arrays, place = _at_positions(field.path[i : i + 1 + len(positions)])
            ends.append(f"({arrays} && exists({place} ? ({test})))")
        test = f'@.type() == "object" && ({" || ".join(ends)})'
    return f"$ ? ({test})"


def path_to(steps: tuple[str | int, ...]) -> str:
    """Return the `jsonpath` of steps, with positions that apply to arrays only.

    Lax mode would take any other value for an array of one member.
    """
    path = "$"
    for i, step in enumerate(steps):
        if isinstance(step, str):
            positions = tuple(
                takewhile(lambda following: isinstance(following, int), steps[i + 1 :])
            )
            exists, here = _at_positions((step, *positions))
            path += f" ? ({exists}){here[1:]}" if positions else here[1:]
    return path


def _at_positions(steps: tuple[str | int, ...]) -> tuple[str, str]:
    """Return the test that an object has a value at a key and positions, and the path to it."""
    key, *positions = steps
    exists, here = '@.type() == "object"', f"@{_key(str(key))}"
    for position in positions:
        exists += f' && {here}.type() == "array"'
        here += f"[{position}]"
    return exists, here


def _key(key: str) -> str:
    return f".{literal(key)}"


def literal(value: Any) -> str:
    """Return a value as JSON. The scalars of JSON are literals of `jsonpath`, too."""
    return orjson.dumps(value).decode()
