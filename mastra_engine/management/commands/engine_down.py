"""`manage.py engine_down`."""

from __future__ import annotations

from typing import Any

from mastra_engine import devstack
from mastra_engine.management.base import StackCommand


class Command(StackCommand):
    help = "Stop the development database. Its data is kept."

    def handle(self, **options: Any) -> None:
        stack = devstack.existing(devstack.project_dir(options["dir"]))
        devstack.down(stack)
        self.stdout.write(
            f"Stopped the {stack.name} database. Its data is kept. "
            "Start it again with manage.py engine_up."
        )
