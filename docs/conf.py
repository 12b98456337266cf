"""Settings of the documentation site: `make docs` builds it with Sphinx into build/docs/."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import django

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
# The API reference imports the package, and its models need configured settings.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")
django.setup()

from mastra_engine import __version__  # noqa: E402

project = "mastra_engine"
author = copyright = "the mastra_engine authors"
release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
root_doc = "index"
exclude_patterns = ["README.md"]  # index.md includes it
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
# The examples of requests are shortened to method and path, which Pygments' HTTP lexer rejects.
suppress_warnings = ["misc.highlighting_failure"]
# Docstrings are plain text in which single backticks mark code.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True

html_theme = "furo"
html_title = f"mastra_engine {release}"
html_copy_source = False
html_show_sphinx = False
