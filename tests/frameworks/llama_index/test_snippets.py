"""The page of LlamaIndex runs as it is shown."""

from __future__ import annotations

import pytest

from tests.frameworks.llama_index.embeddings import Letters
from tests.frameworks.snippets import run_snippets


@pytest.mark.django_db
def test_the_page_runs(request: pytest.FixtureRequest) -> None:
    run_snippets("llama_index", request, embed_model=Letters())
