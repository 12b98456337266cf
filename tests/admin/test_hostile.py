"""Hostile content is shown as text, under a strict Content-Security-Policy."""

from __future__ import annotations

from typing import Any
from unicodedata import normalize

import pytest
from django.test import Client

from mastra_engine import engine
from mastra_engine.admin import content
from mastra_engine.admin.content import markdown
from mastra_engine.models import Embedding, Entity, Fact, Message, Record, Thread, VectorIndex
from mastra_engine.testing.hostile import DOCUMENTS, TEXTS
from tests.admin.conftest import list_of, page_of, view
from tests.admin.html import Page

every_text = pytest.mark.parametrize("text", [pytest.param(t.value, id=t.name) for t in TEXTS])

#: What Markdown could make of a text.
LIVELY = [
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:x)",
    "[x](//evil.example)",
    "[x](/admin/logout/)",
    "[x](https://ok.example 'onmouseover=alert(1)')",
    '[x](https://ok.example "\\" onmouseover=alert(1)")',
    "<javascript:alert(1)>",
    "![x](https://evil.example/x.png)",
    "![x](data:image/png;base64,AAAA)",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<style>*{display:none}</style>",
    "<iframe src=https://evil.example></iframe>",
    "<a href='javascript:alert(1)'>x</a>",
    "</div></main><script>alert(1)</script>",
    "```<script>alert(1)</script>```",
    "[x]: javascript:alert(1)\n\n[x]",
    "<!-- --><script>alert(1)</script>",
    "# <b onclick=alert(1)>x</b>",
    "|a|\n|-|\n|<script>alert(1)</script>|",
]


def opened(client: Client, address: str, **query: Any) -> Page:
    answer = client.get(address, query)
    assert answer.status_code == 200, address
    page = Page(answer.content.decode())
    assert list(page.faults()) == []
    return page


@every_text
def test_threads_of_any_name(owner: Client, db: None, text: str) -> None:
    engine.memory.create_thread(thread_id=text, resource_id=text, title=text, metadata={text: text})
    engine.memory.save_memory(
        thread_id=text,
        messages=[
            {"role": "user", "content": text, "metadata": {text: text}},
            {"role": "assistant", "content": [{"type": text, text: text}]},
            {
                "role": "assistant",
                "content": [{"type": "tool-call", "id": text, "tool_name": text, "args": text}],
            },
            {"role": "tool", "tool_call_id": text, "content": text},
        ],
    )
    engine.memory.update_working_memory(resource_id=text, content=text)
    thread, *_ = threads = Thread.objects.all()
    assert len(threads) == 1
    shown = opened(owner, page_of(thread))
    assert text.strip() in shown.text
    for address in (
        list_of(Thread),
        list_of(Message),
        view("resources"),
        *map(page_of, thread.messages.all()),
    ):
        opened(owner, address)
    opened(owner, view("resources"), resource_id=text)
    for format in ("raw", "openai", "anthropic"):
        opened(owner, view("context", text), format=format, working_memory="on")


@every_text
def test_facts_of_any_name(owner: Client, db: None, text: str) -> None:
    said: list[Any] = [{"role": "user", "content": text}]
    (message,) = engine.memory.save_memory(thread_id=text, resource_id=text, messages=said)
    source = {"message_id": message.id, "quote": text}
    fact = {"subject": text, "predicate": text, "object": text, "aliases": [f"{text}!"]}
    (remembered,) = engine.facts.remember(resource_id=text, facts=[{**fact, "sources": [source]}])
    opened(owner, view("retract", remembered.id))
    opened(owner, view("forget", remembered.id))
    engine.facts.retract(id=remembered.id, reason=text, at="2100-01-01T00:00:00Z")
    row = Fact.objects.get()
    shown = opened(owner, page_of(row))
    assert text.strip() in shown.text
    opened(owner, list_of(Fact))
    opened(owner, page_of(row.sources.get()))
    short = normalize("NFC", text.strip())  # as Django cuts texts
    for address in (view("resources"), view("resource_facts")):
        assert short in normalize("NFC", opened(owner, address, resource_id=text).text)


@every_text
def test_records_and_vectors_of_any_name(owner: Client, db: None, text: str) -> None:
    engine.sync_records(
        name=text, connection_id=text, records=[{"external_id": text, "data": {text: text}}]
    )
    engine.vectors.create_index(index_name=text, dimension=2)
    engine.vectors.upsert(
        index_name=text,
        ids=[text, "near"],
        vectors=[[1, 0], [1, 1]],
        documents=[text, text],
        metadata=[{text: text}] * 2,
        namespace=text,
    )
    index = VectorIndex.objects.get(name=text)
    for row in (Entity.objects.get(), Record.objects.get(), index, *Embedding.objects.all()):
        opened(owner, page_of(row))
    for model in (Entity, Record, VectorIndex):
        opened(owner, list_of(model))
    opened(owner, list_of(Embedding, vector_index__id__exact=index.pk))
    opened(owner, view("changes", Entity.objects.get().pk))


@pytest.mark.parametrize("document", [pytest.param(d.value, id=d.name) for d in DOCUMENTS])
def test_records_of_any_kind(owner: Client, db: None, document: Any) -> None:
    engine.sync_records(
        name="Odd", connection_id="c", records=[{"external_id": "r", "data": document}]
    )
    opened(owner, page_of(Entity.objects.get()))
    opened(owner, page_of(Record.objects.get()))


@pytest.mark.parametrize(
    "name",
    [
        "context",
        "changes",
        "retry",
        "cancel",
        "progress",
        "structure",
        "rebuild",
        "start",
        "rerun",
        "rename_thread",
        "edit_memory",
        "build",
        "retract",
        "forget",
    ],
)
def test_an_address_of_no_row_is_not_found(owner: Client, db: None, name: str) -> None:
    for text in TEXTS:
        assert owner.get(view(name, text.value)).status_code == 404


@pytest.mark.parametrize("name", ["q", "p", "o", "all", "thread__id__exact"])
def test_lists_take_any_search_term(owner: Client, db: None, name: str) -> None:
    for text in TEXTS:
        answer = owner.get(list_of(Message), {name: text.value})
        assert answer.status_code in (200, 302, 400), text.name


@pytest.mark.parametrize("text", LIVELY)
def test_markdown_produces_no_scripts(text: str) -> None:
    html = markdown(text)
    page = Page(html)
    assert list(page.faults()) == []
    allowed = {"http:", "https:", "mailto:"}
    for tag, attributes in page.elements:
        assert tag not in ("img", "script", "style", "iframe", "svg")
        if tag == "a":
            assert attributes["href"].partition("//")[0] in allowed
            assert attributes["rel"] == "noopener noreferrer nofollow"


def test_markdown_is_read() -> None:
    assert markdown("**a**\nb") == "<p><strong>a</strong><br>\nb</p>\n"
    assert "<h4>Title</h4>" in markdown("# Title")
    assert "<td>1</td>" in markdown("|a|\n|-|\n|1|")
    assert 'href="https://example.org/"' in markdown("[x](https://example.org/)")


def test_without_its_libraries_text_stays_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "_reader", lambda: None)
    assert markdown("<b>**a**") == '<p class="me-plain">&lt;b&gt;**a**</p>'


def test_a_very_long_text_is_cut(owner: Client, db: None) -> None:
    engine.memory.save_memory(
        thread_id="t",
        resource_id="r",
        messages=[
            {"role": "user", "content": "**" * 500_000},
            {"role": "user", "content": "x\n" * 500_000},
        ],
    )
    page = opened(owner, page_of(Thread(id="t")))
    assert len(page.text) < 3 * content.LONGEST_TEXT
