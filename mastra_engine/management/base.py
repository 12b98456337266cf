"""Base classes of the engine's commands."""

from __future__ import annotations

from argparse import ArgumentParser
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from mastra_engine import devstack
from mastra_engine.devstack.database import conninfo, explained
from mastra_engine.exceptions import EngineError
from mastra_engine.handler import DEFAULT_ALIAS, engines


class EngineCommand(BaseCommand):
    """A command that prints one message and exits with code 1 on an expected failure."""

    # The commands set up the database or report its problems, so they must run without a valid one.
    requires_system_checks = []

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command; raises CommandError for errors of the engine and of the system."""
        try:
            with self.explained(options):
                return super().execute(*args, **options)
        except (EngineError, OSError) as error:
            raise CommandError(str(error)) from error

    def explained(self, options: dict[str, Any]) -> AbstractContextManager[None]:
        """Explain an unavailable database of the engine, if the command has that option."""
        alias = str(options.get("engine"))
        database = engines[alias].database if alias in engines else None
        return nullcontext() if database is None else explained(conninfo(database))

    def add_engine_argument(self, parser: ArgumentParser) -> None:
        """Add the argument for the alias of an engine."""
        parser.add_argument(
            "--engine", default=DEFAULT_ALIAS, help="alias of the engine (default: default)"
        )

    def show_progress(self, line: str) -> None:
        """Replace the last line of a terminal; do nothing if the output is not a terminal."""
        if self.stdout.isatty():
            self.stdout.write(f"\r{line}\x1b[K", ending="")
            self.stdout.flush()


class StackCommand(EngineCommand):
    """A command on the development database of a project directory."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the argument for the project directory."""
        parser.add_argument(
            "--dir", help="project directory (default: settings.BASE_DIR, or the current one)"
        )

    def add_start_arguments(self, parser: ArgumentParser) -> None:
        """Add the arguments for starting a server."""
        parser.add_argument(
            "--timeout", type=float, default=60, help="seconds to wait for an answer (default: 60)"
        )
        parser.add_argument(
            "--allow-production",
            action="store_true",
            help="run the embedded PostgreSQL although DEBUG is off",
        )

    def require_development(self, stack: devstack.Stack, *, allow_production: bool) -> None:
        """Raise CommandError if `stack` is for development only and DEBUG is off."""
        if stack.development_only and not settings.DEBUG and not allow_production:
            raise CommandError(
                f"The {stack.name} PostgreSQL trusts every login and is for development, but DEBUG "
                "is off. Use a real server, or pass --allow-production."
            )

    def start(self, stack: devstack.Stack, *, timeout: float) -> None:
        """Start the database and print its address."""
        self.stdout.write(f"Starting the {stack.name} database …")
        url = devstack.up(stack, timeout=timeout)
        self.stdout.write(self.style.SUCCESS(f"It answers at: {devstack.address(url)}"))


class DatabaseCommand(EngineCommand):
    """A command on one of the project's databases."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the argument for the database alias."""
        parser.add_argument(
            "--database",
            choices=tuple(connections),
            help="alias of the database (default: the engine's, or the one DB_URL names)",
        )
