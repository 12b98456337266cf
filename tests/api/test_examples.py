"""The examples in the API's description are what really happens."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.api.catalogue import Case, call, cases
from tests.api.conftest import World

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def shaped(text: str) -> Any:
    """Return JSON without what is another each time."""
    return json.loads(_TIME.sub("time", _UUID.sub("uuid", text)), parse_float=lambda _: 0.5)


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.operation.name)
def test_the_example_is_what_happens(case: Case, world: World) -> None:
    example = case.operation.example
    client = world.staff if "_vectorindex" in "".join(case.operation.asks) else world.ann
    response = call(client, case, {**example.path, "entity_id": world.entity_id})
    told = b"".join(response) if response.streaming else response.content
    assert response.status_code == case.operation.status, told
    if response.streaming:
        first = json.loads(told.splitlines()[0])
        assert first.keys() == json.loads(example.answer.splitlines()[0]).keys()
    elif example.answer is None:
        assert told == b""
    else:
        assert shaped(told.decode()) == shaped(json.dumps(example.answer))


def test_every_operation_is_named_once() -> None:
    names = [case.operation.name for case in cases()]
    assert len(set(names)) == len(names) > 10
