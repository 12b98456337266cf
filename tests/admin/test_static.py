"""The static files of the admin's pages."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

import mastra_engine

STATIC = Path(mastra_engine.__file__).parent / "static" / "mastra_engine"
#: chart.js 4.6.1 on npm, dist/chart.umd.min.js, without its last line: the name of a source map,
#: which is not shipped, and which collectstatic would miss.
CHART_JS = "c17f2ce49fb9c71ef7fb39c03f868804ac5ab34730149976eebe6b7f807bef0c"


def test_the_chart_library_is_as_published_and_brings_its_licence() -> None:
    library = (STATIC / "chartjs" / "chart.umd.min.js").read_bytes()
    assert sha256(library).hexdigest() == CHART_JS
    assert b"Chart.js v4.6.1" in library
    assert "MIT" in (STATIC / "chartjs" / "LICENSE.md").read_text()


@pytest.mark.parametrize("name", ["admin.css", "charts.js"])
def test_no_file_names_another_host(name: str) -> None:
    assert re.findall(r"(?:https?:)?//[a-z][\w.-]+", (STATIC / name).read_text()) == []


def test_the_files_are_collected_with_their_hashes(tmp_path: Path, settings: Any) -> None:
    settings.STATIC_ROOT = tmp_path
    storage = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": storage}}
    call_command("collectstatic", verbosity=0, interactive=False)
    assert len(list(tmp_path.glob("mastra_engine/chartjs/chart.umd.min.*.js"))) == 1
