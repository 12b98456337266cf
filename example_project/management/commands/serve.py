"""`manage.py serve`: the support desk with all that it needs, for a look around."""

from __future__ import annotations

import socket
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from example_project.desk import model
from example_project.desk.knowledge import CONNECTION, SYNCS
from mastra_engine import engine
from mastra_engine.management.base import EngineCommand

TRIES = 100


class Command(EngineCommand):
    help = "Sync, index, make the demo's users, and serve the site on this machine only."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="or the next that is free")

    def handle(self, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("The demo's passwords are known to everybody; this needs DEBUG.")
        for name in SYNCS.values():
            run = engine.run_sync(name, connection_id=CONNECTION)
            if run.status != "succeeded":
                raise CommandError(f"The sync {name} {run.status}: {run.error}")
            self.stdout.write(f"{run.entity}: {run.created} new, {run.unchanged} as they were.")
        engine.index_pending()
        make_users()
        port = free_port(options["port"])
        self.tell(f"http://127.0.0.1:{port}/")
        call_command("runserver", f"127.0.0.1:{port}", use_reloader=False)

    def tell(self, address: str) -> None:
        answers = f"by {model.name()}" if model.name() else "quoted; no language model is set up"
        self.stdout.write(
            f"""
  Chat     {address}        log in as demo with the password demo
  Admin    {address}admin/  log in as admin with the password admin
  API      {address}api/v1/threads/
  Answers  {answers}

The database goes on when this ends: make down stops it.
"""
        )


def make_users() -> None:
    """Make the demo's users, each with its name as the password, unless they are there."""
    for name, is_admin in (("demo", False), ("admin", True)):
        User.objects.get_or_create(
            username=name,
            defaults={
                "password": make_password(name),
                "is_staff": is_admin,
                "is_superuser": is_admin,
            },
        )


def free_port(first: int) -> int:
    """Return the first port of this machine, from `first` on, that nobody listens on."""
    for port in range(first, first + TRIES):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise CommandError(f"No port is free from {first} to {first + TRIES - 1}.")
