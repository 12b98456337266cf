"""`manage.py engine_down`."""

from __future__ import annotations

from typing import Any

from mastra_engine import devstack
from mastra_engine.management.base import StackCommand


class Command(StackCommand):
    help = "Stop the development database; its data stays."

    def handle(self, **options: Any) -> None:
        stack = devstack.configured_stack(devstack.project_dir(options["dir"]))
        devstack.down(stack)
        self.stdout.write(f"The {stack.name} database is down. Its data stays.")
