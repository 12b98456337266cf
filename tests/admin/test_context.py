"""The context window: its segments, its formats, its recall and its errors."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from mastra_engine import engine
from mastra_engine.exceptions import Unavailable
from mastra_engine.models import Fact, Message
from tests.admin.conftest import Words, page_of, signed_in, view
from tests.admin.store import SECRET

ALL = {"max_tokens": 4_000, "working_memory": "on", "facts": "on"}


def opened(client: Client, **arguments: Any) -> str:
    answer = client.get(view("context", "chat/1"), arguments)
    assert answer.status_code == 200
    return answer.content.decode()


def shares(page: str) -> dict[str, int]:
    """Return the tokens of each segment in the legend."""
    legend = re.search(r'<ul class="me-legend">(.*?)</ul>', page, re.DOTALL)
    assert legend is not None
    found = re.findall(r"</span> ([\w ]+) <b>([\d,]+)</b>", legend[1])
    return {label: int(number.replace(",", "")) for label, number in found}


@pytest.fixture
def told(store: dict[str, Any]) -> Fact:
    """Remember a fact about Ann, beside her conversation and her working memory."""
    fact = {"subject": "Ann", "predicate": "lives in", "object": "Xanadu", "pinned": True}
    (remembered,) = engine.facts.remember(resource_id="ann", facts=[fact])
    return Fact.objects.get(id=remembered.id)


@pytest.fixture
def words(settings: Any, db: None) -> Words:
    embedder = Words()
    settings.MASTRA_ENGINE = {
        "default": {"BACKEND": "mastra_engine.PostgresEngine", "EMBEDDER": embedder}
    }
    return embedder


def test_the_shares_of_the_segments_add_up_to_the_window(owner: Client, told: Fact) -> None:
    page = opened(owner, **ALL)
    window = engine.memory.get_context_window(
        thread_id="chat/1", max_tokens=4_000, working_memory=True, facts=True
    )
    assert f"<strong>{window.tokens}</strong> of 4,000 tokens" in page
    tokens = shares(page)
    assert tokens.pop("Free") == 4_000 - window.tokens
    assert sum(tokens.values()) == window.tokens
    facts, memory, question, call, result, answer = (message.tokens for message in window)
    assert tokens == {
        "Facts": facts,
        "Working memory": memory,
        "Messages": question + answer,
        "Tools": call + result,
    }
    (bar,) = re.findall(r'<div class="me-segments">(.*?)</div>', page)
    widths = [float(width) for width in re.findall(r' width="([\d.]+)"', bar)]
    assert sum(widths) == pytest.approx(100 * window.tokens / 4_000, abs=0.05)


def test_a_window_is_readable(owner: Client, told: Fact) -> None:
    page = opened(owner, **ALL)
    assert "<bdi>lives in</bdi>" in page
    assert page_of(told) in page
    assert f"<dt><bdi>asked</bdi></dt><dd><bdi>{SECRET}</bdi></dd>" in page  # not JSON
    assert f"She asks about {SECRET}" in page
    assert f"<strong>{SECRET}</strong> is a sled." in page


@pytest.mark.parametrize("format", ["openai", "anthropic"])
def test_the_payload_is_the_engines(owner: Client, told: Fact, format: Any) -> None:
    page = opened(owner, **ALL, format=format)
    (shown,) = re.findall(r'<pre class="me-document" tabindex="0">(.*?)</pre>', page, re.DOTALL)
    window = engine.memory.get_context_window(
        thread_id="chat/1", max_tokens=4_000, format=format, working_memory=True, facts=True
    )
    payload = json.loads(html.unescape(shown))
    assert payload["messages"] == window.messages
    assert payload.get("system") == window.system


def test_memory_and_facts_are_included_when_the_page_is_opened(owner: Client, told: Fact) -> None:
    assert {"Facts", "Working memory"} <= shares(opened(owner)).keys()
    assert not {"Facts", "Working memory"} & shares(opened(owner, max_tokens=4_000)).keys()


def test_a_small_budget_leaves_messages_out(owner: Client, store: dict[str, Any]) -> None:
    page = opened(owner, max_tokens=12)
    assert page.count('<li class="me-message') == 1
    assert "Older messages were left out" in page


def test_a_budget_that_no_message_fits_is_reported(owner: Client, store: dict[str, Any]) -> None:
    page = opened(owner, max_tokens=0)
    assert "<strong>0</strong> of 0 tokens" in page
    assert "Older messages were left out" in page


@pytest.mark.parametrize(
    "asked",
    [
        {"max_tokens": "-1"},
        {"max_tokens": "x"},
        {"format": "xml"},
        {"scope": "world"},
        {"before": "0"},
        {"before": "99"},
    ],
    ids=str,
)
def test_an_invalid_window_is_explained(
    owner: Client, store: dict[str, Any], asked: dict[str, str]
) -> None:
    page = opened(owner, **asked)
    assert "errorlist" in page
    assert "me-message" not in page


def test_a_context_window_needs_the_permission_to_read(
    onlooker: Client, store: dict[str, Any]
) -> None:
    assert onlooker.get(view("context", "chat/1")).status_code == 403


def test_memory_and_facts_need_their_own_permissions(told: Fact) -> None:
    names = ["view_thread", "view_message", "read_content"]
    some = signed_in("some", Permission.objects.filter(codename__in=names))
    assert shares(opened(some, **ALL)).keys() == {"Messages", "Tools", "Free"}


# Before a message


@pytest.mark.parametrize("together", [True, False])
def test_the_window_before_a_message_ends_there(owner: Client, db: None, together: bool) -> None:
    said = [{"role": "user", "content": f"Number {n}"} for n in range(1, 9)]
    for messages in [said] if together else [[message] for message in said]:
        engine.memory.save_memory(thread_id="chat/1", resource_id="ann", messages=messages)
    page = opened(owner, before=5, max_tokens=4_000)
    assert numbers(page) == ["1", "2", "3", "4"]
    four = sum(Message.objects.filter(position__lt=5).values_list("tokens", flat=True))
    assert f"<strong>{four}</strong>" in page
    exactly = opened(owner, before=5, max_tokens=four)
    assert numbers(exactly) == ["1", "2", "3", "4"]
    assert numbers(opened(owner, before=5, max_tokens=four - 1)) == list("234")


def numbers(page: str) -> list[str]:
    """Return the numbers of the messages that a window shows."""
    return re.findall(r"Number (\d)", page.partition('<ol class="me-messages">')[2])


# Recall


@pytest.fixture
def long_ago(words: Words) -> None:
    """Talk about a kettle, and then about the weather for long."""
    said = ["My kettle leaks", *(f"weather {n}" for n in range(60)), "Where is the kettle"]
    messages = [{"role": "user", "content": text} for text in said]
    engine.memory.save_memory(thread_id="chat/1", resource_id="ann", messages=messages)
    engine.memory.save_memory(
        thread_id="other", resource_id="ann", messages=[{"role": "user", "content": "kettle, red"}]
    )
    engine.memory.embed_pending()


def test_the_last_question_recalls_messages_and_says_why(owner: Client, long_ago: None) -> None:
    page = opened(owner, max_tokens=100, recall="on")
    window = engine.memory.get_context_window(
        thread_id="chat/1", max_tokens=100, query="Where is the kettle"
    )
    assert shares(page)["Recalled"] == window[0].tokens
    reasons = page[page.index("Why these messages were recalled") :]
    assert "My kettle leaks" in reasons
    assert "<bdi>kettle</bdi>" in reasons or "<bdi>kettl</bdi>" in reasons
    assert "kettle, red" not in page
    assert "kettle, red" in opened(owner, max_tokens=100, recall="on", scope="resource")


def test_another_query_is_sent_by_post_only(owner: Client, long_ago: None) -> None:
    address = view("context", "chat/1")
    arguments = {"max_tokens": 100, "format": "raw", "query": "leaks"}
    page = owner.post(address, arguments).content.decode()
    assert "My kettle leaks" in page[page.index("Why these messages were recalled") :]
    assert 'name="max_tokens" value="100"' in page


@pytest.mark.parametrize(
    ("error", "message"),
    [(Unavailable("The embedder is away"), "The embedder is away"), (OSError("key"), "OSError")],
)
def test_an_unreachable_embedder_is_a_message_in_the_page(
    owner: Client, words: Words, long_ago: None, error: Exception, message: str
) -> None:
    words.error = error
    page = opened(owner, max_tokens=100, recall="on")
    assert message in page
    assert "key" not in re.findall(r"errorlist.*?</ul>", page, re.DOTALL)[0]
    assert "me-message" not in page


def test_without_an_embedder_a_recall_is_explained(owner: Client, store: dict[str, Any]) -> None:
    assert "the engine has none" in opened(owner, max_tokens=100, recall="on")
