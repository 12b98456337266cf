"""`manage.py engine_generate`."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from django.contrib.admindocs.views import simplify_regex
from django.core.management.base import CommandError
from django.urls import (
    NoReverseMatch,
    URLResolver,
    get_resolver,
    get_script_prefix,
    get_urlconf,
    reverse,
)
from django.urls.resolvers import RegexPattern

from mastra_engine import engines
from mastra_engine.devstack import codegen
from mastra_engine.devstack.shapes import SAMPLE, record_shapes
from mastra_engine.management.base import EngineCommand

SHOWN = 40
#: The namespace of the API's URLs.
NAMESPACE = "mastra_engine_api"

Route = tuple[str, Any]


class Command(EngineCommand):
    help = "Write types of the API and of the records, as observed, for TypeScript or Python."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--lang", choices=tuple(codegen.LANGUAGES), default="ts", help="default: ts"
        )
        parser.add_argument("--out", type=Path, metavar="FILE", help="default: print them")
        parser.add_argument(
            "--check", action="store_true", help="write nothing; exit with 1 if FILE is out of date"
        )
        parser.add_argument(
            "--entity",
            action="append",
            default=[],
            metavar="NAME",
            help="only this entity; repeatable",
        )
        parser.add_argument(
            "--connection",
            action="append",
            default=[],
            metavar="ID",
            help="only this connection; repeatable",
        )
        parser.add_argument(
            "--sample",
            type=int,
            default=SAMPLE,
            metavar="N",
            help=f"number of records to read for an entity, latest first (default: {SAMPLE})",
        )
        self.add_engine_argument(parser)

    def handle(self, **options: Any) -> None:
        if options["check"] and options["out"] is None:
            raise CommandError("Name the file to be checked: --out FILE")
        shapes = record_shapes(
            engines[options["engine"]],
            connections=options["connection"],
            names=options["entity"],
            sample=options["sample"],
        )
        text = codegen.LANGUAGES[options["lang"]](codegen.document(shapes, api=api_document()))
        if options["out"] is None:
            self.stdout.write(text, ending="")
            return
        if options["check"]:
            self.check_file(options["out"], text)
        elif codegen.write(options["out"], text):
            self.stdout.write(f"Wrote {options['out']}: {len(shapes)} entities.")
            return
        self.stdout.write(f"{options['out']} is up to date.")

    def check_file(self, path: Path, text: str) -> None:
        """Raise CommandError with the first lines of the difference if the file is out of date."""
        lines = codegen.difference(path, text)
        if lines:
            more = [f"… and {len(lines) - SHOWN} lines more"] if len(lines) > SHOWN else []
            raise CommandError("\n".join([f"{path} is out of date.", *lines[:SHOWN], *more]))


def api_document() -> codegen.Document | None:
    """Return the OpenAPI document of the API; None if the project does not include its URLs.

    If its prefix has variables, as in `org/<slug:org>/api/`, so have the paths of the document.
    """
    route = next(_schema_routes(get_resolver(get_urlconf()).url_patterns, ""), None)
    if route is None:
        return None
    template, view = route
    try:
        url = reverse(f"{NAMESPACE}:schema")
    except NoReverseMatch:  # It has variables, or is inside of another namespace.
        url = f"{get_script_prefix()}{template}"
    # The view is found by its URL, because this package does not import the API, which needs
    # REST framework.
    document: codegen.Document = view.view_class.document(url)
    return document


def _schema_routes(patterns: Iterable[Any], prefix: str, *, ours: bool = False) -> Iterator[Route]:
    """Yield the route and the view of each URL of the API's schema."""
    for pattern in patterns:
        route = prefix + _as_route(pattern.pattern)
        if isinstance(pattern, URLResolver):
            inside = ours or pattern.namespace == NAMESPACE
            yield from _schema_routes(pattern.url_patterns, route, ours=inside)
        elif ours and pattern.name == "schema":
            yield route, pattern.callback


def _as_route(pattern: Any) -> str:
    """Return a pattern as a route; of a regular expression, only the variables' names are kept."""
    if isinstance(pattern, RegexPattern):
        return str(simplify_regex(str(pattern))).removeprefix("/")
    return str(pattern)
