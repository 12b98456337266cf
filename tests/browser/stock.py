"""Settings of the browser tests: the example project under a strict Content-Security-Policy."""

from __future__ import annotations

from example_project.settings import *  # noqa: F403
from example_project.settings import MIDDLEWARE
from tests.settings import DATABASES  # noqa: F401 - for the one that example_project has

MIDDLEWARE = ["tests.browser.policy.content_security_policy", *MIDDLEWARE]
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'"
)
