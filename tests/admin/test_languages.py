"""The admin's pages are translated; the texts are complete by `tools/messages.py --check`."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.test import Client
from django.urls import reverse
from django.utils import translation

from mastra_engine.web import APP
from tests.admin.conftest import list_of, page_of, view

MODELS = list(apps.get_app_config(APP).get_models())


@pytest.fixture
def german(owner: Client, settings: Any) -> Any:
    settings.LANGUAGE_CODE = "de"
    with translation.override("de"):
        yield owner


def test_every_page_opens_in_german(german: Client, store: dict[str, Any]) -> None:
    for model in MODELS:
        row = store[model._meta.model_name]
        for address in (list_of(model), page_of(row)):
            answer = german.get(address)
            assert answer.status_code == 200, address
            assert '<html lang="de"' in answer.content.decode()


def test_the_home_page_speaks_german(german: Client, store: dict[str, Any]) -> None:
    page = german.get(reverse("admin:app_list", args=[APP])).content.decode()
    assert "Welche Syncs sind fehlgeschlagen, und warum?" in page
    assert "Zustand" in page


def test_the_playground_speaks_german(german: Client, store: dict[str, Any]) -> None:
    page = german.get(view("playground")).content.decode()
    assert "Gewicht der Vektoren" in page
