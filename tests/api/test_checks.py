"""The checks that tell a project why the API cannot work."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.core.checks import run_checks

from mastra_engine.checks import check_api
from mastra_engine.conf import api_settings
from mastra_engine.exceptions import EngineConfigError

MOCK = {"BACKEND": "mastra_engine.MockMastraEngine"}


def check_ids() -> list[str]:
    return [str(check.id) for check in run_checks() if str(check.id).startswith("mastra_engine")]


@pytest.mark.parametrize(
    "api",
    [{"ENGINE": "other"}, {"MAX_ITEM": 1}, {1: 1}, ["ENGINE"]],
    ids=["no such engine", "no such key", "key is no text", "list"],
)
def test_settings_that_cannot_be_used(settings: Any, api: Any) -> None:
    settings.MASTRA_ENGINE = {"default": MOCK}
    settings.MASTRA_ENGINE_API = api
    assert check_ids() == ["mastra_engine.E008"]


@pytest.mark.parametrize("value", [-1, "10", None, True, float("nan"), float("inf")])
@pytest.mark.parametrize("key", ["MAX_ITEMS", "RETRY_AFTER", "IDEMPOTENCY_TTL"])
def test_what_is_no_number_of_anything(settings: Any, key: str, value: Any) -> None:
    settings.MASTRA_ENGINE = {"default": MOCK}
    settings.MASTRA_ENGINE_API = {key: value}
    assert check_ids() == ["mastra_engine.E008"]
    with pytest.raises(EngineConfigError, match=f"MASTRA_ENGINE_API .*{key}"):
        api_settings()


@pytest.mark.parametrize(
    "rates", [{"reads": "1/s"}, {"read": "10/fortnight"}, {"read": "often"}, {"read": 7}, "1/s"]
)
def test_what_is_no_rate(settings: Any, rates: Any) -> None:
    settings.MASTRA_ENGINE = {"default": MOCK}
    settings.MASTRA_ENGINE_API = {"THROTTLE_RATES": rates}
    assert check_ids() == ["mastra_engine.E008"]


@pytest.mark.parametrize("policy", ["nowhere.at_all", "tests.api.test_checks.MOCK", 7])
def test_a_policy_that_cannot_be_used(settings: Any, policy: Any) -> None:
    settings.MASTRA_ENGINE = {"default": {**MOCK, "ACCESS_POLICY": policy}}
    assert check_ids() == ["mastra_engine.E008"]


def test_the_default_policy_needs_users(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MASTRA_ENGINE = {"default": MOCK}
    assert check_ids() == []
    monkeypatch.setattr(apps, "is_installed", lambda name: name == "rest_framework")
    assert [item.id for item in check_api()] == ["mastra_engine.E009"]


def test_a_project_without_rest_framework_is_left_alone(settings: Any) -> None:
    settings.MASTRA_ENGINE = {"default": MOCK}
    settings.MASTRA_ENGINE_API = {"ENGINE": "other"}
    settings.INSTALLED_APPS = [item for item in settings.INSTALLED_APPS if item != "rest_framework"]
    assert check_ids() == []
