"""Settings of the browser tests: the admin in the look of django-unfold."""

from __future__ import annotations

from tests.browser.stock import *  # noqa: F403
from tests.browser.stock import CONTENT_SECURITY_POLICY, INSTALLED_APPS

INSTALLED_APPS = ["unfold", *INSTALLED_APPS]
# Unfold's own scripts are Alpine's, which evaluate attributes, and its pages style themselves.
CONTENT_SECURITY_POLICY += (
    "; script-src 'self' 'unsafe-eval' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"
)
