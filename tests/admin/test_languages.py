"""The admin's pages are translated; the texts are complete by `tools/messages.py --check`."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from django.apps import apps
from django.test import Client
from django.urls import resolve, reverse
from django.utils import translation

from mastra_engine.admin.wording import number_text
from mastra_engine.web import APP
from tests.admin.conftest import list_of, page_of, view
from tests.admin.html import Page

#: Texts that are the same in both languages: names of products, words of the engine, few words.
SAME = re.compile(
    r"(mastra_engine_|recall@|ndcg@|mrr).*|Mastra.engine|Auth Token|Django|PostgreSQL|Pgvector"
    r"|Psycopg|Python|ID|JSON|Index|Tokens?|Syncs?|Threads?|Checkpoints?|Dimension|Filter|Position|Revision"
    r"|Start|Status|System|Text|Version|Name"
    r"|incremental|english|cosine|dotproduct|flat|hnsw|vector|[0-9]+ m?s|in",
    re.IGNORECASE,
)
#: Texts of the rows, apart from ids and from the secret word.
STORED = re.compile(
    r"(contacts|crm-1|sled|ann|docs|state|owner|chat/1|name|asked|found|is a sled|What is"
    r"|look_up|ValueError|vectors:|tests\.).*|[0-9a-f-]{36}|.*Rosebud.*",
    re.IGNORECASE,
)
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
    assert "Welche Syncs sind heute fehlgeschlagen, und warum?" in page
    assert "Zustand" in page


def test_the_playground_speaks_german(german: Client, store: dict[str, Any]) -> None:
    page = german.get(view("playground")).content.decode()
    assert "Gewicht der Vektoren" in page


def test_no_text_of_a_page_stays_english(
    owner: Client, store: dict[str, Any], settings: Any
) -> None:
    english = [
        f"{address}: {text}"
        for address in pages(owner)
        for text in shown(owner, settings, address, "en") & shown(owner, settings, address, "de")
        if re.search(r"[a-z]{2}", text, re.IGNORECASE)
        if not SAME.fullmatch(text.lstrip("› ")) and not STORED.fullmatch(text)
    ]
    assert not english, "\n".join(english)


def pages(client: Client) -> Iterator[str]:
    """Yield the address of one page of each kind, by following links."""
    home = reverse("admin:app_list", args=[APP])
    queue, kinds = deque([home]), set()
    while queue:
        address = queue.popleft().partition("#")[0]
        kind = resolve(urlsplit(address).path).view_name
        is_ours = address == home or kind.startswith(f"admin:{APP}_")
        if kind in kinds or not is_ours:
            continue
        kinds.add(kind)
        answer = client.get(address, follow=True)
        if answer["Content-Type"].startswith("text/html"):
            links = [e.attributes.get("href", "") for e in Page(answer.content.decode()).elements]
            queue += [urljoin(address, link) for link in links if link.startswith(("/admin", "?"))]
            yield address


def shown(client: Client, settings: Any, address: str, language: str) -> set[str]:
    """Return the texts of a page in a language."""
    settings.LANGUAGE_CODE = language
    with translation.override(language):
        return Page(client.get(address, follow=True).content.decode()).parts


def test_numbers_are_written_as_the_language_writes_them() -> None:
    with translation.override("de"):
        assert number_text(1_234_567) == "1.234.567"
    with translation.override("en"):
        assert number_text(1_234_567) == "1,234,567"
