"""`manage.py engine_up`."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from mastra_engine import devstack
from mastra_engine.management.base import StackCommand


class Command(StackCommand):
    help = "Start the development database and wait until it answers."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        self.add_start_arguments(parser)

    def handle(self, **options: Any) -> None:
        stack = devstack.configured_stack(devstack.project_dir(options["dir"]))
        self.require_development(stack, allow_production=options["allow_production"])
        self.start(stack, timeout=options["timeout"])
