"""The server over the standard streams, and without its package."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from io import BytesIO, TextIOWrapper
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from mastra_engine import optional_deps
from mastra_engine.api.access import own_or_staff
from mastra_engine.exceptions import EngineConfigError
from tests.mcp.data import Owner

INSTALL = "mastra_engine.mcp needs pip install 'django-mastra-engine[mcp]'"


@pytest.fixture
def _without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optional_deps, "find_spec", lambda name: None)
    for module in [name for name in sys.modules if name.startswith("mastra_engine.mcp")]:
        monkeypatch.delitem(sys.modules, module)


@pytest.mark.usefixtures("_without_the_package")
def test_without_the_package_the_extra_is_named(db: None) -> None:
    with pytest.raises(EngineConfigError) as caught:
        import_module("mastra_engine.mcp.urls")
    assert str(caught.value) == INSTALL
    with pytest.raises(CommandError, match="pip install"):
        call_command("engine_mcp", user="ann")


def test_a_user_that_does_not_exist_or_is_not_active_is_refused(ann: Owner) -> None:
    with pytest.raises(CommandError, match="There is no user 'nobody'"):
        call_command("engine_mcp", user="nobody")
    ann.user.is_active = False
    ann.user.save()
    with pytest.raises(CommandError, match="The user 'ann' is not active"):
        call_command("engine_mcp", user="ann")


@pytest.mark.django_db(transaction=True)
def test_only_messages_are_on_the_standard_output(
    ann: Owner, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def printing(request: Any, permission: str) -> Any:
        sys.stdout.write(f"a policy that prints {request.auth}")
        return own_or_staff(request, permission)

    settings.MASTRA_ENGINE = {
        "default": {**settings.MASTRA_ENGINE["default"], "ACCESS_POLICY": printing}
    }
    call = {"name": "list_threads", "arguments": {}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    output, errors = BytesIO(), TextIOWrapper(BytesIO(), write_through=True)
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(json.dumps(message).encode())))
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(output))
    monkeypatch.setattr(sys, "stderr", errors)
    call_command("engine_mcp", user="ann")
    (line,) = output.getvalue().splitlines()
    assert ann.secret in json.loads(line)["result"]["content"][0]["text"]
    errors.seek(0)
    assert "a policy that prints None" in errors.read()
