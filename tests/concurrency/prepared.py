"""What the server that forks workers imports beforehand."""

from __future__ import annotations

import django

django.setup()

from tests.concurrency import work  # noqa: E402, F401 - its models need the setup
