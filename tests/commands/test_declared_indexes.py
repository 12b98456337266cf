"""`INDEXES` in the settings are made by `engine_migrate`."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from mastra_engine import PgVector, engine
from mastra_engine.exceptions import IndexNotFound
from mastra_engine.testing.contract.recall import BagOfWords

pytestmark = pytest.mark.django_db(transaction=True)


class Longer(BagOfWords):
    dimension = 600


def declaring(**definition: Any) -> override_settings:
    indexes = {"docs": {"dimension": 3, **definition}}
    backend = {"BACKEND": "mastra_engine.PostgresEngine", "INDEXES": indexes}
    return override_settings(MASTRA_ENGINE={"default": backend})


def migrate() -> str:
    out = StringIO()
    call_command("engine_migrate", database="default", verbosity=0, stdout=out, stderr=out)
    return out.getvalue()


def test_messages_of_another_model_are_a_warning() -> None:
    for embedder, texts in (
        (BagOfWords, "'memory': ready"),
        (Longer, "reembed() embeds all messages again"),
    ):
        backend = {"BACKEND": "mastra_engine.PostgresEngine", "EMBEDDER": embedder}
        with override_settings(MASTRA_ENGINE={"default": backend}):
            assert texts in migrate()
    engine.vectors.delete_index(index_name="memory")


def test_they_are_made_once() -> None:
    with declaring(metric="euclidean"):
        assert "'docs': ready" in migrate()
        assert "'docs': ready" in migrate()
        assert PgVector() == engine.vectors
        (index,) = PgVector().list_indexes()
        assert (index.name, index.dimension, index.metric) == ("docs", 3, "euclidean")
        PgVector().delete_index(index_name="docs")


def test_one_that_is_not_made_yet_says_what_makes_it() -> None:
    with declaring(), pytest.raises(IndexNotFound, match=r"engine_migrate or create_declared_ind"):
        engine.vectors.describe_index(index_name="docs")


def test_another_definition_is_a_clear_error() -> None:
    with declaring():
        migrate()
    with declaring(dimension=4), pytest.raises(CommandError, match="docs"):
        migrate()
    engine.vectors.delete_index(index_name="docs")
