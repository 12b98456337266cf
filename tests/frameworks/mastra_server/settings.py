"""Settings of the server that the clients call, which know its users by tokens."""

from __future__ import annotations

from mastra_engine.testing.contract.recall import BagOfWords
from tests.settings import *  # noqa: F403

ROOT_URLCONF = "tests.mastra_server.urls"
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.TokenAuthentication"],
}
MASTRA_ENGINE = {
    "default": {"BACKEND": "mastra_engine.PostgresEngine", "EMBEDDER": BagOfWords},
}
