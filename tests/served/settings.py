"""The example project as it would be deployed, but for its database."""

from __future__ import annotations

from example_project.settings import *  # noqa: F403

DEBUG = False
