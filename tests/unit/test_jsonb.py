"""Canonical JSON: equal documents, equal bytes, and nothing that `jsonb` would not give back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mastra_engine.exceptions import InvalidFilter, InvalidInput
from mastra_engine.validation.jsonb import MAX_BYTES, canonical, content_hash, loads, pointer

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text()
FINITE = SCALARS | st.floats(allow_nan=False, allow_infinity=False)
DOCUMENTS = st.recursive(
    FINITE, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10
)


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from (key, *leaves(item))
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def test_key_order_does_not_matter() -> None:
    assert canonical({"b": 1, "a": {"d": 1, "c": 2}}) == b'{"a":{"c":2,"d":1},"b":1}'


@given(DOCUMENTS)
def test_is_exact_and_stable_or_refused(value: Any) -> None:
    fits = not any("\0" in leaf for leaf in leaves(value) if isinstance(leaf, str))
    if fits:
        assert loads(canonical(value)) == value
        assert canonical(loads(canonical(value))) == canonical(value)
    else:
        with pytest.raises(InvalidInput):
            canonical(value)


@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_refuses_surrogates_wherever_they_are(text: str) -> None:
    bad = "\0" in text or any("\ud800" <= character <= "\udfff" for character in text)
    for value in (text, [text], {"k": text}, {text: "v"}):
        if bad:
            with pytest.raises(InvalidInput):
                canonical(value)
        else:
            assert loads(canonical(value)) == value


def test_what_orjson_writes_as_text_is_taken() -> None:
    value = {"day": date(2026, 1, 2), "when": datetime(2026, 1, 2, tzinfo=UTC), "id": UUID(int=0)}
    assert loads(canonical({**value, "nothing": None}))["day"] == "2026-01-02"


class Mood(Enum):
    BAD = "\0"
    GOOD = "good"


@dataclass
class Box:
    holds: Any


def boxed(levels: int) -> Any:
    return Box(boxed(levels - 1)) if levels else None


def test_what_is_within_an_object_is_looked_at_too() -> None:
    assert loads(canonical([Box(Mood.GOOD), boxed(63)]))[0] == {"holds": "good"}
    for bad, place in {
        Mood.BAD: "/0",
        "\0": "/0/holds",
        "\ud800": "/0/holds",
        math.nan: "/0/holds",
        object: "/0/holds",
    }.items():
        with pytest.raises(InvalidInput) as caught:
            canonical([bad if isinstance(bad, Mood) else Box(bad)])
        assert caught.value.path == place
    with pytest.raises(InvalidInput, match="levels"):
        canonical(boxed(65))


def test_the_error_and_its_pointer_are_the_callers() -> None:
    with pytest.raises(InvalidFilter) as caught:
        canonical({"a~b": [math.nan]}, ("options", "filters"), error=InvalidFilter)
    assert caught.value.path == "/options/filters/a~0b/0"
    assert "finite" in str(caught.value)


def test_there_is_a_limit_of_size() -> None:
    with pytest.raises(InvalidInput, match="bytes"):
        canonical("x" * MAX_BYTES)


def test_hash_and_pointer() -> None:
    assert len(content_hash(b"{}")) == 16
    assert content_hash(b"{}") != content_hash(b"[]")
    assert pointer(()) == ""
    assert pointer(("a/b", 0, "\ud800\0")) == "/a~1b/0/\\ud800\\u0000"
