"""Forged cursors are refused, whatever they hold."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from django.test import Client

from mastra_engine import engine
from mastra_engine.models import Entity
from tests.admin.conftest import page_of

SORTS = ["-@created_at", "@updated_at", "@rev", "n", ""]
VALUES: list[Any] = [
    [],
    "",
    {},
    "0001-01-01T00:00:00+14:00",
    "0001-01-01T00:00:00+00:00",
    "9999-12-31T23:59:59.999999-14:00",
    "9999-12-31T23:59:59+00:00",
    2**63,
    -(2**63),
    1.5e308,
    "x\0",
]


@pytest.fixture
def entity(db: None) -> Entity:
    rows = [{"external_id": f"r{number}", "data": {"n": number}} for number in range(60)]
    entity = engine.create_entity(name="Tickets", connection_id="crm")
    engine.upsert_records(entity_id=entity.id, records=rows)
    return Entity.objects.get(id=entity.id)


@pytest.mark.parametrize("sort", SORTS)
def test_a_forged_cursor_is_refused_or_a_position(owner: Client, entity: Entity, sort: str) -> None:
    address = page_of(entity)
    page = owner.get(address, {"sort": sort}).content.decode()
    (cursor, *_) = page.partition("cursor=")[2].partition('"')[0].split("&")
    query, *parts = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    for value in VALUES:
        for forged in ([query, [[value]], "r1"], [query, value, "r1"], [query, [value], value]):
            written = base64.urlsafe_b64encode(orjson.dumps(forged, option=0)).decode().rstrip("=")
            response = owner.get(address, {"sort": sort, "cursor": written})
            assert response.status_code in (200, 400), (parts, forged)
