"""Collect the admin's texts for translation: `python tools/messages.py [--check]`.

Writes the texts of the package's Python files and templates into the catalogue of each language
under `mastra_engine/locale/`, keeps their translations, and compiles the catalogues. With --check
it writes nothing, and exits with status 1 if a text has no translation, if a translation has other
placeholders than its text, or if a compiled catalogue is out of date.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir, extract_python
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.utils.translation.template import templatize

PACKAGE = Path(__file__).parent.parent / "mastra_engine"
CATALOGS = "locale/*/LC_MESSAGES/django.po"
KEYWORDS: dict[str, Any] = {
    **dict.fromkeys(("_", "gettext", "gettext_lazy", "gettext_noop")),
    **dict.fromkeys(("ngettext", "ngettext_lazy"), (1, 2)),
    **dict.fromkeys(("pgettext", "pgettext_lazy"), ((1, "c"), 2)),
    "npgettext": ((1, "c"), 2, 3),
}


def extract_template(
    file: BinaryIO, keywords: Any, comment_tags: Any, options: Any
) -> Iterator[tuple[Any, ...]]:
    """Yield the texts of a Django template, which Django turns into calls of gettext."""
    lines = templatize(file.read().decode(), origin=file.name).splitlines()
    calls = "\n".join(line.lstrip() for line in lines)  # indentation would mean blocks
    return extract_python(BytesIO(calls.encode()), keywords, comment_tags, options)


def extracted() -> Catalog:
    """Return the texts of the package."""
    settings.configure()  # templatize() reads the character set
    texts = Catalog(charset="utf-8")
    methods: Any = [("**.py", "python"), ("templates/**.html", extract_template)]
    for *_, text, _comments, context in extract_from_dir(PACKAGE, methods, keywords=KEYWORDS):
        texts.add(text, context=context)
    return texts


def problems(catalog: Catalog, compiled: Path) -> Iterator[str]:
    """Yield what a catalogue lacks."""
    for message in catalog:
        if message.id and not complete(message):
            yield f"not translated: {message.id!r}"
        elif message.id:
            yield from (f"{message.id!r}: {error}" for error in message.check(catalog))
    for message in catalog.obsolete.values():
        yield f"no longer used: {message.id!r}"
    if not compiled.is_file() or compiled.read_bytes() != compile_catalog(catalog):
        yield f"{compiled.name} is out of date"


def complete(message: Message) -> bool:
    string = message.string
    return all(string) if isinstance(string, list | tuple) else bool(string)


def compile_catalog(catalog: Catalog) -> bytes:
    buffer = BytesIO()
    write_mo(buffer, catalog)
    return buffer.getvalue()


def main() -> int:
    parser = argparse.ArgumentParser(description="Collect the admin's texts for translation.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if texts lack")
    check = parser.parse_args().check
    texts, status = extracted(), 0
    for path in sorted(PACKAGE.glob(CATALOGS)):
        with path.open("rb") as file:
            catalog = read_po(file, locale=path.parent.parent.name, domain="django")
        texts.creation_date = catalog.creation_date
        catalog.update(texts, no_fuzzy_matching=True)
        compiled = path.with_suffix(".mo")
        if not check:
            catalog.obsolete.clear()
            with path.open("wb") as file:
                write_po(file, catalog, no_location=True, sort_output=True, width=99)
            compiled.write_bytes(compile_catalog(catalog))
        for problem in problems(catalog, compiled):
            print(f"{path.relative_to(PACKAGE.parent)}: {problem}")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
