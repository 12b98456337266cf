"""The support desk without a language model."""

from __future__ import annotations

import json
import uuid
from html import escape
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client

from example_project.desk.streams import EVENTS
from example_project.sources import CONNECTION
from mastra_engine import engine
from mastra_engine.exceptions import Unavailable
from tests.example.conftest import Browser, links_in, remembered, text_of

LAMBDA = "Can a lambda contain several statements?"
QUOTED = "functions created with lambda expressions cannot contain statements or annotations."
FACT = "Remember that our servers run Python 3.11."


def test_only_those_who_are_logged_in_can_ask(client: Client) -> None:
    for address in ("/conversations/", "/conversations/x/", "/sources/Topics/lambda/"):
        response = client.get(address)
        assert (response.status_code, response.url) == (302, f"/login/?next={address}")


def test_the_start_says_that_no_language_model_answers(ann: Browser) -> None:
    assert "No language model is configured" in ann.client.get("/conversations/").content.decode()


def test_the_home_page_links_to_the_chat_the_admin_and_the_api(
    client: Client, settings: Any
) -> None:
    settings.DEBUG = True
    page = client.get("/").content.decode()
    for address in (link for link in links_in(page) if not link.startswith(("/static", "#"))):
        response = client.get(address, follow=True)
        assert response.status_code == 200, address
    for link in ("/conversations/", "/admin/mastra_engine/", "/api/v1/swagger/", "/api/v1/redoc/"):
        assert link in links_in(page)
    assert "password <b>demo</b>" in page
    settings.DEBUG = False
    assert "password" not in client.get("/").content.decode()


def test_the_home_page_links_to_the_users_own_threads_in_the_api(ann: Browser) -> None:
    thread_id = ann.ask(LAMBDA)
    page = ann.client.get("/").content.decode()
    (link,) = [link for link in links_in(page) if link.startswith("/api/v1/threads/")]
    threads = ann.client.get(link, headers={"Accept": "application/json"}).json()
    assert [thread["id"] for thread in threads["items"]] == [thread_id]


def test_the_root_of_the_api_leads_to_its_documentation(client: Client) -> None:
    for address in ("/api/", "/api/v1/"):
        assert client.get(address)["Location"] == "/api/v1/swagger/"


# Answers


def test_an_answer_is_quoted_and_leads_to_its_source(ann: Browser) -> None:
    page = ann.read(ann.ask(LAMBDA))
    assert QUOTED in page
    assert "no language model was used" in page
    (source, *_) = [link for link in links_in(page) if link.startswith("/sources/")]
    assert source == "/sources/Topics/lambda/?chunk=0#chunk"
    shown = ann.client.get(source).content.decode()
    assert "Note that functions created with lambda expressions" in shown
    assert "<code>topics</code>" not in shown  # no declared sync brought it here


def test_a_source_has_the_cited_chunk_marked(ann: Browser) -> None:
    def document(address: str) -> str:
        page = ann.client.get(address).content.decode()
        return page.partition('<div class="document">')[2]

    complete, marked = (document(f"/sources/Topics/try/{chunk}") for chunk in ("", "?chunk=1"))
    assert "<mark" not in complete
    assert '<mark id="chunk">' in marked
    assert marked.replace('<mark id="chunk">', "").replace("</mark>", "") == complete


def test_an_answer_is_saved_with_its_sources(ann: Browser) -> None:
    _, answer = remembered(ann.ask(LAMBDA))
    first, *_ = answer.metadata["sources"]
    entity = engine.get_entity(name="Topics", connection_id=CONNECTION)
    assert entity is not None
    record = engine.get_record(entity_id=entity.id, external_id="lambda")
    assert first["record_id"] == str(record.id)
    assert (first["index"], first["chunk"], first["cited"]) == ("support", 0, True)
    assert 0.4 < first["score"] <= 1
    assert answer.metadata["model"] is None


def test_a_question_without_an_answer_is_told_so(ann: Browser) -> None:
    _, answer = remembered(ann.ask("How do I bake bread?"))
    assert text_of(answer).startswith("I found nothing about this")


def test_a_paragraph_answers_as_a_whole(ann: Browser) -> None:
    _, answer = remembered(ann.ask("how do I catch two exceptions in one handler"))
    assert "a tuple containing an item that is the class" in text_of(answer)
    assert answer.metadata["sources"][0]["external_id"] == "try"


@pytest.mark.parametrize("question", ["thanks!", "Who won the cup in 1998?", "Can I get a refund?"])
def test_a_question_about_something_else_has_no_sources(ann: Browser, question: str) -> None:
    _, answer = remembered(ann.ask(question))
    assert text_of(answer) == "I found nothing about this in the documentation or the tickets."
    assert answer.metadata["sources"] == []


# Tools


@pytest.mark.parametrize(
    ("question", "conditions", "numbers"),
    [
        ("show me all open tickets", {"state": "open"}, {1, 4, 90, 118}),
        ("Which discussions are still open?", {"kind": "discussion", "state": "open"}, {4, 90}),
        ("How many pull requests are there?", {"kind": "pull request"}, {2, 118}),
        ("Are there closed issues?", {"kind": "issue", "state": "closed"}, set()),
        ("List the tickets", {}, {1, 2, 4, 90, 118}),
    ],
)
def test_tickets_are_listed_by_a_tool(
    ann: Browser, question: str, conditions: dict[str, str], numbers: set[int]
) -> None:
    _, call, result, answer = remembered(ann.ask(question))
    assert call.content[0]["tool_name"] == "list_tickets"
    assert call.content[0]["args"] == conditions
    tickets = result.content[0]["result"]["tickets"]
    assert {ticket["number"] for ticket in tickets} == numbers
    assert text_of(answer).startswith(f"I found {len(tickets) or 'no'} ")
    assert all(f"[{ticket['cite_as']}]" in text_of(answer) for ticket in tickets)


def test_a_question_that_mentions_issues_asks_for_no_list(ann: Browser) -> None:
    assert len(remembered(ann.ask("I have issues when I open files."))) == 2


def test_a_ticket_is_looked_up_by_a_tool(ann: Browser) -> None:
    thread_id = ann.ask("What is the state of ticket #2?")
    query, call, result, answer = remembered(thread_id)
    assert [item.role for item in (query, call, result, answer)] == [
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert call.content[0]["tool_name"] == "look_up_ticket"
    assert call.content[0]["args"] == {"number": 2}
    (ticket,) = result.content[0]["result"]["tickets"]
    assert (ticket["repository"], ticket["state"]) == ("Codertocat/Hello-World", "closed")
    assert "its state is **closed**" in text_of(answer)
    page = ann.read(thread_id)
    assert "Used look_up_ticket" in page
    assert "/sources/Tickets/Codertocat/Hello-World%232/" in links_in(page)


def test_a_ticket_leads_to_the_sync_that_brought_it(staff: Browser) -> None:
    shown = staff.client.get("/sources/Tickets/Codertocat/Hello-World%232/").content.decode()
    (run,) = engine.list_sync_runs(sync="tickets")
    assert "<code>tickets</code>" in shown
    assert f"/admin/mastra_engine/syncrun/{run.id}/change/" in links_in(shown)


def test_a_missing_ticket_is_reported(ann: Browser) -> None:
    *_, answer = remembered(ann.ask("And what about issue 4711?"))
    assert text_of(answer).strip() == "There is no ticket #4711."


# Memory


def test_a_statement_is_recalled_in_another_conversation(ann: Browser) -> None:
    ann.ask(FACT)
    _, answer = remembered(ann.ask("Which Python do our servers run?"))
    assert f"you told me: “{FACT}”" in text_of(answer)


def test_working_memory_is_shown_and_can_be_emptied(ann: Browser) -> None:
    ann.ask(FACT)
    page = ann.client.get("/conversations/").content.decode()
    assert "<dt>our servers run Python 3.11</dt>" in page
    ann.client.post("/forget/")
    assert "Remembered about you" not in ann.client.get("/conversations/").content.decode()


def test_statements_of_one_user_are_not_shown_to_another(ann: Browser, bob: Browser) -> None:
    ann.ask(FACT)
    _, answer = remembered(bob.ask("Which Python do our servers run?"))
    assert "3.11" not in text_of(answer)
    assert "Remembered about you" not in bob.client.get("/conversations/").content.decode()


def test_another_users_conversation_is_not_there(ann: Browser, bob: Browser) -> None:
    thread_id = ann.ask(LAMBDA)
    assert bob.client.get(f"/conversations/{thread_id}/").status_code == 404
    assert bob.post("May I join?", thread_id).status_code == 404
    assert len(remembered(thread_id)) == 2


@pytest.mark.parametrize("name", ["x%00y", "x" * 5_000])
def test_an_invalid_address_is_not_found(ann: Browser, name: str) -> None:
    for address in (f"/conversations/{name}/", f"/sources/Topics/{name}/"):
        assert ann.client.get(address).status_code == 404
    assert ann.post("Is anybody there?", name).status_code == 404


def test_a_question_that_is_sent_twice_is_asked_once(ann: Browser) -> None:
    turn = str(uuid.uuid4())
    thread_id = ann.ask(LAMBDA, turn=turn)
    ann.ask(LAMBDA, thread_id, turn=turn)
    assert [message.role for message in remembered(thread_id)] == ["user", "assistant"]


def test_a_question_that_was_not_answered_can_be_sent_again(
    ann: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: object, **kwargs: object) -> None:
        raise Unavailable("The database is away")

    thread_id, turn = str(uuid.uuid4()), str(uuid.uuid4())
    with monkeypatch.context() as broken:
        broken.setattr("example_project.desk.knowledge.search", away)
        ann.ask(LAMBDA, thread_id, turn=turn)
        page = ann.read(thread_id)
    assert "Something went wrong" in page
    assert f'name="turn" value="{turn}"' in page
    ann.ask(LAMBDA, thread_id, turn=turn)
    assert [message.role for message in remembered(thread_id)] == ["user", "assistant"]
    assert "Try again" not in ann.read(thread_id)


# Streaming


def test_an_answer_is_streamed_and_saved_once_it_is_whole(ann: Browser) -> None:
    thread_id = str(uuid.uuid4())
    response = ann.post(LAMBDA, thread_id, headers={"Accept": EVENTS})
    assert (response.status_code, response["Content-Type"]) == (200, EVENTS)
    pieces = iter(response.streaming_content)
    first = next(pieces)
    assert len(remembered(thread_id)) == 1
    events = [json.loads(item.removeprefix(b"data: ")) for item in (first, *pieces)]
    assert len(events) > 1
    assert "".join(event["text"] for event in events) == text_of(remembered(thread_id)[1])


def test_an_asynchronous_server_streams_as_well(ann: Browser) -> None:
    async def ask() -> str:
        client = AsyncClient()
        await client.aforce_login(ann.user)
        data = {"question": LAMBDA, "turn": str(uuid.uuid4())}
        response = await client.post("/conversations/new/", data, headers={"Accept": EVENTS})
        assert response.is_async
        return b"".join([piece async for piece in response]).decode()

    assert QUOTED in async_to_sync(ask)()


# Pages


def test_a_question_must_be_one(ann: Browser) -> None:
    response = ann.post("  ", "new")
    assert response.status_code == 400
    assert "This field is required." in response.content.decode()


def test_hostile_text_stays_text(ann: Browser) -> None:
    hostile = "<script>alert(1)</script> [x](javascript:alert(1)) [1] ticket #1"
    response = ann.client.get(f"/conversations/{ann.ask(hostile)}/")
    page = response.content.decode()
    assert "<script>alert" not in page
    assert "javascript:" not in "".join(links_in(page))
    assert escape("<script>alert(1)</script>") in page
    assert response["Content-Security-Policy"].startswith("default-src 'self'")
    assert "style=" not in page


def test_the_pages_of_the_api_may_have_scripts_inline(ann: Browser) -> None:
    assert "Content-Security-Policy" not in ann.client.get("/api/v1/swagger/").headers


def test_staff_find_a_conversation_in_the_admin(ann: Browser, staff: Browser) -> None:
    thread_id = staff.ask(LAMBDA)
    (link,) = [item for item in links_in(staff.read(thread_id)) if "/thread/" in item]
    assert "lambda" in staff.client.get(link).content.decode()
    assert "/admin/" not in "".join(links_in(ann.read(ann.ask(LAMBDA))))
