"""Settings of the browser tests: the stock admin, under a strict policy of what may be loaded."""

from __future__ import annotations

from tests.settings import *  # noqa: F403
from tests.settings import MIDDLEWARE

MIDDLEWARE = ["tests.browser.policy.content_security_policy", *MIDDLEWARE]
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'"
)
MASTRA_ENGINE = {
    "default": {
        "BACKEND": "mastra_engine.PostgresEngine",
        "EMBEDDER": "mastra_engine.embedders.WordLlamaEmbedder",
    }
}
