"""`manage.py serve`: prepare the data of the support desk, and serve it on this machine."""

from __future__ import annotations

import socket
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from example_project.desk import model
from example_project.desk.knowledge import SYNCS
from example_project.sources import CONNECTION
from mastra_engine import engine
from mastra_engine.management.base import EngineCommand

TRIES = 100


class Command(EngineCommand):
    help = "Sync and index the desk's data, create the demo users, and serve on this machine only."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--port",
            type=int,
            default=8000,
            help="first port to try; the next free one is used (default: 8000)",
        )

    def handle(self, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError(
                "The passwords of the demo users are public, so serve requires DEBUG = True."
            )
        for name in SYNCS.values():
            run = engine.run_sync(name, connection_id=CONNECTION)
            if run.status != "succeeded":
                raise CommandError(f"The sync {name} {run.status}: {run.error}")
            self.stdout.write(f"{run.entity}: {run.created} created, {run.unchanged} unchanged.")
        engine.index_pending()
        create_users()
        port = free_port(options["port"])
        self.print_addresses(f"http://127.0.0.1:{port}/")
        call_command("runserver", f"127.0.0.1:{port}", use_reloader=False)

    def print_addresses(self, address: str) -> None:
        """Print the addresses, the logins and the source of the chat's answers."""
        answers = f"by {model.name()}" if model.name() else "quoted; no language model is set up"
        self.stdout.write(
            f"""
  Start    {address}                links to all of the following
  Chat     {address}conversations/  log in as demo with the password demo
  Admin    {address}admin/          log in as admin with the password admin
  API      {address}api/v1/swagger/ the documentation, where you can try it
  Answers  {answers}

The database keeps running after Ctrl-C; make down stops it.
"""
        )


def create_users() -> None:
    """Create the demo users that do not exist, each with its name as the password."""
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
    """Return the first port from `first` on that no process of this machine listens on."""
    for port in range(first, first + TRIES):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise CommandError(f"No port is free from {first} to {first + TRIES - 1}.")
