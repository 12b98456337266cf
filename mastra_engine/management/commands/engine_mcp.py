"""`manage.py engine_mcp`."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from contextlib import redirect_stdout
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError

from mastra_engine.management.base import EngineCommand


class Command(EngineCommand):
    help = "Serve a user's data to an MCP client over the standard input and output."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", required=True, metavar="USERNAME", help="name of the user")

    def handle(self, **options: Any) -> None:
        from mastra_engine.mcp.stdio import serve

        username = options["user"]
        users = get_user_model()._default_manager

        def get_user() -> Any:
            try:
                user = users.get_by_natural_key(username)
            except get_user_model().DoesNotExist:
                raise CommandError(f"There is no user {username!r}") from None
            if not user.is_active:
                raise CommandError(f"The user {username!r} is not active")
            return user

        get_user()
        # Only messages may be on the standard output; whatever else prints does so beside them.
        messages = sys.stdout.buffer
        with redirect_stdout(sys.stderr):
            serve(get_user, sys.stdin.buffer, messages)
