"""`manage.py engine_add`."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from mastra_engine import devstack
from mastra_engine.management.base import StackCommand

NEXT = """\
In the settings: DATABASES = {"default": mastra_engine.conf.database(BASE_DIR)}
Then: manage.py engine_migrate"""


class Command(StackCommand):
    help = "Set up a development database for this project and start it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        kind = parser.add_mutually_exclusive_group()
        for name, text in [
            ("docker", "a container (the default)"),
            ("embedded", "a PostgreSQL out of a wheel, without Docker"),
        ]:
            kind.add_argument(f"--{name}", dest="kind", action="store_const", const=name, help=text)
        parser.add_argument("--port", type=int, help="port of the container on this machine")
        parser.add_argument("--no-start", action="store_true", help="only write the files")
        self.add_start_arguments(parser)

    def handle(self, **options: Any) -> None:
        stack = devstack.choose(devstack.project_dir(options["dir"]), kind=options["kind"])
        self.require_development(stack, allow_production=options["allow_production"])
        for line in devstack.add(stack, port=options["port"]):
            self.stdout.write(line)
        if not options["no_start"]:
            self.start(stack, timeout=options["timeout"])
        self.stdout.write(NEXT)
