"""`manage.py engine_export`."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from mastra_engine import engines
from mastra_engine.management.base import EngineCommand


class Command(EngineCommand):
    help = "Export everything that is stored of a resource, as JSON Lines."

    def add_arguments(self, parser: ArgumentParser) -> None:
        self.add_engine_argument(parser)
        parser.add_argument("--resource", metavar="ID", required=True, help="The resource.")
        parser.add_argument(
            "--output", type=Path, metavar="FILE", help="Write a file instead of the output."
        )

    def handle(self, **options: Any) -> None:
        lines = engines[options["engine"]].export_resource(resource_id=options["resource"])
        if options["output"] is None:
            for line in lines:
                self.stdout.write(line)
            return
        with options["output"].open("x", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
        self.stdout.write(f"Written to {options['output']}")
