"""Base classes of the management commands."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from mastra_engine import devstack
from mastra_engine.exceptions import EngineError
from mastra_engine.handler import DEFAULT_ALIAS


class EngineCommand(BaseCommand):
    """A command that reports expected failures in one message, with exit code 1."""

    # The commands set up and inspect the database, so its system checks cannot come before them.
    requires_system_checks = []

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command; convert errors of the engine and of the system to CommandError."""
        try:
            return super().execute(*args, **options)
        except (EngineError, OSError) as error:
            raise CommandError(str(error)) from error

    def add_engine_argument(self, parser: ArgumentParser) -> None:
        """Add the option for the alias of an engine."""
        parser.add_argument(
            "--engine", default=DEFAULT_ALIAS, help='Alias of the engine. The default is "default".'
        )

    def show_progress(self, line: str) -> None:
        """Replace the last line of a terminal; write nothing if the output is not a terminal."""
        if self.stdout.isatty():
            self.stdout.write(f"\r{line}\x1b[K", ending="")
            self.stdout.flush()


class StackCommand(EngineCommand):
    """A command on the development database of a project directory."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the option for the project directory."""
        parser.add_argument(
            "--dir",
            help="Project directory. The default is settings.BASE_DIR, or the current directory.",
        )

    def add_start_arguments(self, parser: ArgumentParser) -> None:
        """Add the options of commands that start a server."""
        parser.add_argument(
            "--timeout",
            type=float,
            default=60,
            help="Seconds to wait for the server. The default is 60.",
        )
        parser.add_argument(
            "--allow-production",
            action="store_true",
            help="Run the embedded PostgreSQL even if DEBUG is off.",
        )

    def require_development(self, stack: devstack.Stack, *, allow_production: bool) -> None:
        """Raise CommandError if `stack` is for development only and DEBUG is off."""
        if stack.development_only and not settings.DEBUG and not allow_production:
            raise CommandError(
                f"The {stack.name} PostgreSQL accepts every login and is for development, but "
                "DEBUG is off. Use another server, or add --allow-production."
            )

    def start(self, stack: devstack.Stack, *, timeout: float) -> None:
        """Start the database and print its address."""
        self.stdout.write(f"Starting the {stack.name} database …")
        url = devstack.up(stack, timeout=timeout)
        self.stdout.write(self.style.SUCCESS(f"The database is ready: {devstack.address(url)}"))


class DatabaseCommand(EngineCommand):
    """A command on one of the project's databases."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the option for the alias of a database."""
        parser.add_argument(
            "--database",
            choices=tuple(connections),
            help="Alias of the database. The default is the engine's database, or that of DB_URL.",
        )
