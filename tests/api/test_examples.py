"""The examples in the API's description are real responses."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.api.catalogue import Case, call, cases
from tests.api.conftest import World

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SIZE = re.compile(r'"size_bytes": ?\d+')
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def shaped(text: str) -> Any:
    """Return JSON without the values that differ each time."""
    same = _SIZE.sub('"size_bytes":1', _TIME.sub("time", _UUID.sub("uuid", text)))
    return json.loads(same, parse_float=lambda _: 0.5)


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.operation.name)
def test_the_example_is_what_happens(case: Case, world: World) -> None:
    example = case.operation.example
    client = world.staff if case.for_staff else world.ann
    response = call(client, case, world.path_of(case))
    reported = b"".join(response) if response.streaming else response.content
    assert response.status_code == case.operation.status, reported
    if response.streaming:
        words = re.findall(r'"\w+":"?[\w-]+', _UUID.sub("uuid", example.answer))
        assert words
        for value in words:  # an ellipsis stands for the rest
            assert value in _UUID.sub("uuid", reported.decode())
    elif example.answer is None:
        assert reported == b""
    else:
        assert shaped(reported.decode()) == shaped(json.dumps(example.answer))


def test_every_operation_is_named_once() -> None:
    names = [case.operation.name for case in cases()]
    assert len(set(names)) == len(names) > 10
