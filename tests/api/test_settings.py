"""Settings are validated once, not once per request, and again after they change."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from rest_framework.test import APIClient

from mastra_engine import conf, engines, handler
from mastra_engine.exceptions import EngineConfigError
from mastra_engine.types import Scope

MOCK = {"BACKEND": "mastra_engine.MockMastraEngine", "URL": "mock://settings"}


class Policy:
    """Allows everything, and counts its instances."""

    instances = 0

    def __init__(self) -> None:
        type(self).instances += 1

    def __call__(self, request: Any, permission: str, /) -> Scope | None:
        return Scope()


@pytest.fixture
def validations(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    settings.MASTRA_ENGINE = {"default": {**MOCK, "ACCESS_POLICY": Policy}}
    settings.MASTRA_ENGINE_API = {"MAX_PAGE": 50}
    counter: Counter[str] = Counter()
    read, engine_settings = conf._read, handler.engine_settings

    def counted_read(kind: Any, name: str) -> Any:
        counter[name] += 1
        return read(kind, name)

    def counted_engine_settings() -> Any:
        counter["MASTRA_ENGINE"] += 1
        return engine_settings()

    monkeypatch.setattr(conf, "_read", counted_read)
    monkeypatch.setattr(handler, "engine_settings", counted_engine_settings)
    monkeypatch.setattr(Policy, "instances", 0)
    return counter


def test_requests_validate_each_setting_once(validations: Counter[str]) -> None:
    client = APIClient()
    for _ in range(5):
        assert client.get("/api/v1/entities/").status_code == 200
        body = {"name": "Contacts", "connection_id": "user_123"}
        assert client.post("/api/v1/entities/", body, format="json").status_code in (201, 409)
    # The engine and its access policy are created from MASTRA_ENGINE once each.
    assert validations == {"MASTRA_ENGINE_API": 1, "MASTRA_ENGINE": 2}
    assert Policy.instances == 1


def test_a_changed_setting_is_validated_again(validations: Counter[str], settings: Any) -> None:
    client = APIClient()
    assert client.get("/api/v1/entities/", {"limit": 50}).status_code == 200
    settings.MASTRA_ENGINE_API = {"MAX_PAGE": 10}
    assert client.get("/api/v1/entities/", {"limit": 50}).status_code == 400
    settings.MASTRA_ENGINE = {"default": {**MOCK, "ACCESS_POLICY": lambda *_: None}}
    assert client.get("/api/v1/entities/").status_code in (401, 403)
    assert validations["MASTRA_ENGINE_API"] == 2


def test_an_invalid_setting_is_not_cached(settings: Any) -> None:
    settings.MASTRA_ENGINE_ADMIN = {"STATEMENT_TIMEOUT": "5s"}
    for _ in range(2):
        with pytest.raises(EngineConfigError, match="/STATEMENT_TIMEOUT"):
            conf.admin_settings()
    settings.MASTRA_ENGINE_ADMIN = {"statement_timout": 5}
    with pytest.raises(EngineConfigError, match='did you mean "STATEMENT_TIMEOUT"'):
        conf.admin_settings()
    settings.MASTRA_ENGINE_ADMIN = {"STATEMENT_TIMEOUT": 5}
    assert conf.admin_settings().statement_timeout == 5


def test_an_engine_is_created_anew_after_a_change(settings: Any) -> None:
    settings.MASTRA_ENGINE = {"default": {**MOCK, "INDEX_LEASE": 7}}
    created = engines["default"]
    assert engines["default"] is created
    settings.MASTRA_ENGINE = {"default": {**MOCK, "INDEX_LEASE": 8}}
    assert engines["default"] is not created
