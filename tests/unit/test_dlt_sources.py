"""Resources of dlt are sources as they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dlt
import pytest

from mastra_engine import MockMastraEngine, sync
from mastra_engine.registry import registry


@pytest.fixture(autouse=True)
def _none_declared() -> Iterator[None]:
    with registry.empty():
        yield


@dlt.resource
def issues(broken: bool = False) -> Iterator[Any]:
    yield [{"id": number, "title": f"issue {number}"} for number in (1, 2)]
    if broken:
        raise ConnectionError("no answer")
    yield {"id": 3, "title": "issue 3"}


def titles(engine: MockMastraEngine) -> dict[str, str]:
    records = engine.get_records(entity_name="Issues", connection_id="c")
    return {record.external_id: record.data["title"] for record in records}


def test_a_resource_is_a_source(mock_engine: MockMastraEngine) -> None:
    sync(entity="Issues", name="issues", key="id", mode="full")(lambda ctx: issues())
    run = mock_engine.run_sync("issues", connection_id="c")
    assert (run.status, run.created) == ("succeeded", 3)
    assert titles(mock_engine) == {"1": "issue 1", "2": "issue 2", "3": "issue 3"}
    assert mock_engine.run_sync("issues", connection_id="c").unchanged == 3


def test_what_is_done_to_a_resource_is_done(mock_engine: MockMastraEngine) -> None:
    sync(entity="Issues", name="issues", key="id")(
        lambda ctx: issues().add_filter(lambda issue: issue["id"] != 2).add_limit(2)
    )
    mock_engine.run_sync("issues", connection_id="c")
    assert titles(mock_engine) == {"1": "issue 1", "3": "issue 3"}


def test_a_resource_that_fails_deletes_nothing(mock_engine: MockMastraEngine) -> None:
    sync(entity="Issues", name="issues", key="id", mode="full")(
        lambda ctx: issues(broken=ctx.params["broken"])
    )
    mock_engine.run_sync("issues", connection_id="c", params={"broken": False})
    run = mock_engine.run_sync("issues", connection_id="c", params={"broken": True})
    assert (run.status, run.deleted) == ("failed", 0)
    assert run.error is not None
    assert "no answer" in run.error.message
    assert list(titles(mock_engine)) == ["1", "2", "3"]
