"""`manage.py serve` prints the way in and can be repeated."""

from __future__ import annotations

import socket
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command

from example_project.management.commands import serve
from mastra_engine import engine


def run(monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[str, tuple[Any, ...]]:
    """Return the output of the command and the arguments of runserver."""
    served: list[tuple[Any, ...]] = []
    monkeypatch.setattr(serve, "call_command", lambda *args, **kwargs: served.append(args))
    out = StringIO()
    call_command("serve", stdout=out, **options)
    return out.getvalue(), served[0]


@pytest.mark.usefixtures("knowledge")
def test_it_syncs_prints_the_way_in_and_can_be_repeated(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DEBUG = True
    monkeypatch.setattr(serve, "SYNCS", {"Tickets": "tickets"})
    for _ in range(2):
        report, served = run(monkeypatch)
        command, address = served
        assert command == "runserver"
        assert f"http://{address}/" in report
        assert f"http://{address}/api/v1/swagger/" in report
        assert f"http://{address}/admin/" in report
        for name in ("demo", "admin"):
            user = authenticate(username=name, password=name)
            assert user is not None
            assert user.is_superuser is (name == "admin")
    assert len(engine.list_sync_runs(sync="tickets")) == 3


def test_a_used_port_is_skipped() -> None:
    with socket.socket() as durations:
        durations.bind(("127.0.0.1", 0))
        durations.listen()
        port = durations.getsockname()[1]
        assert serve.free_port(port) > port


def test_its_passwords_are_for_a_development_server(settings: Any) -> None:
    settings.DEBUG = False
    with pytest.raises(CommandError, match="DEBUG"):
        call_command("serve")
