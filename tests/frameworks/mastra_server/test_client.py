"""Unmodified clients of several versions, installed from npm, against a live server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import URLPattern
from pytest_django.live_server_helper import LiveServer
from rest_framework.authtoken.models import Token

from mastra_engine.contrib.mastra_server.urls import urlpatterns

HERE = Path(__file__).parent
#: Where the environment of these tests has the packages of npm.
MODULES = Path(sys.prefix) / "node_modules"
PACKAGES = json.loads((HERE / "package.json").read_text())["dependencies"]
CLIENTS = [name for name in PACKAGES if "client" in name]
#: Calls that the earlier versions of the client lack.
LATER = {"mastra-client-1.18.0": {"thread-transfer"}, "mastra-client-1.31.0": {"thread-transfer"}}
METHODS = ("GET", "POST", "PATCH", "DELETE")


def user(name: str, **flags: bool) -> dict[str, str]:
    user = User.objects.create_user(name, **flags)
    return {"resource": str(user.pk), "token": Token.objects.create(user=user).key}


def run_node(script: Path, *arguments: str, **environment: str) -> str:
    """Run a script of JavaScript with the installed packages; return what it prints."""
    process = subprocess.run(
        ["node", script, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def patterns() -> dict[tuple[str, str], re.Pattern[str]]:
    """Return the patterns of the paths of all calls, by method and name of the route."""
    return {
        (method, str(pattern.name)): re.compile(re.sub(r"<str:\w+>", "[^/]+", str(pattern.pattern)))
        for pattern in urlpatterns
        for method in METHODS
        if isinstance(pattern, URLPattern) and hasattr(pattern.callback.cls, method.lower())  # type: ignore[attr-defined]
    }


@pytest.mark.parametrize("client", CLIENTS)
def test_the_unmodified_client_makes_every_call(
    client: str, live_server: LiveServer, tmp_path: Path
) -> None:
    users: dict[str, Any] = {
        "ann": user("ann"),
        "bob": user("bob"),
        "staff": user("staff", is_staff=True, is_superuser=True),
    }
    # Packages are found from where the script is.
    script = MODULES.parent / "session.mjs"
    script.write_text((HERE / "session.mjs").read_text())
    sent = json.loads(run_node(script, client, live_server.url, json.dumps(users)))
    created = {
        key
        for key, pattern in patterns().items()
        for request in sent
        if request.startswith(f"{key[0]} ") and pattern.fullmatch(request.split()[1])
    }
    assert len(patterns()) == 23
    missing = {name for _, name in patterns().keys() - created}
    assert missing == LATER.get(client, set())
