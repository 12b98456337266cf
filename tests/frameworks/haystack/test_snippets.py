"""The page of Haystack runs as it is shown."""

from __future__ import annotations

import pytest

from tests.frameworks.snippets import run_snippets


@pytest.mark.django_db
def test_the_page_runs(request: pytest.FixtureRequest) -> None:
    run_snippets("haystack", request)
