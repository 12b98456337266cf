"""The support desk with a language model, which a local server replaces."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from mastra_engine import engine
from tests.example.conftest import Browser, links_in, remembered, text_of


class Server(ThreadingHTTPServer):
    """A server with OpenAI's protocol, which responds with the next of `replies`.

    A reply is a list of deltas, which are streamed, or the status of an error.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.replies: list[list[dict[str, Any]] | int] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(body)
        self.server.keys.append(self.headers["Authorization"])
        reply = self.server.replies.pop(0)
        if isinstance(reply, int):
            self.send_error(reply)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for delta in reply:
            self.send_event(chunk(body["model"], delta))
        self.send_event("[DONE]")

    def send_event(self, data: str) -> None:
        self.wfile.write(f"data: {data}\n\n".encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


def chunk(model: str, delta: dict[str, Any]) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    return json.dumps(
        {
            "id": "1",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": model,
            "choices": [choice],
        }
    )


def says(*pieces: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": piece} for piece in pieces]


def calls(id: str, name: str, *arguments: str) -> list[dict[str, Any]]:
    """Return the deltas of a tool call; servers send its arguments in fragments."""
    first, *rest = arguments
    begun = {"index": 0, "id": id, "type": "function"}
    return [
        {"tool_calls": [{**begun, "function": {"name": name, "arguments": first}}]},
        *({"tool_calls": [{"index": 0, "function": {"arguments": item}}]} for item in rest),
    ]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "a key for this test")
        monkeypatch.setenv("OPENAI_MODEL", "parrot-1")
        yield server
        server.shutdown()


def test_a_model_is_asked_only_where_both_server_and_key_are_set(
    ann: Browser, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL")
    ann.ask("Can a lambda contain several statements?")
    assert server.requests == []


def test_a_model_answers_from_the_sources_in_its_prompt(ann: Browser, server: Server) -> None:
    server.replies = [says("No", ", they cannot", " [1].")]
    thread_id = ann.ask("Can a lambda contain several statements?")
    (request,) = server.requests
    assert server.keys == ["Bearer a key for this test"]
    system, question = request["messages"]
    assert "[1] Lambdas\n" in system["content"]
    assert question == {"role": "user", "content": "Can a lambda contain several statements?"}
    _, answer = remembered(thread_id)
    assert text_of(answer) == "No, they cannot [1]."
    cited = [item["title"] for item in answer.metadata["sources"] if item["cited"]]
    assert (cited, answer.metadata["model"]) == (["Lambdas"], "parrot-1")
    page = ann.read(thread_id)
    assert "Answered by parrot-1" in page
    assert "/sources/Topics/lambda/?chunk=0#chunk" in links_in(page)


def test_a_model_uses_the_tools_it_is_given(ann: Browser, server: Server) -> None:
    server.replies = [
        calls("call_1", "look_up_ticket", '{"num', 'ber": 2}'),
        says("It is closed."),
    ]
    thread_id = ann.ask("Is ticket #2 done?")
    first, second = server.requests
    names = [tool["function"]["name"] for tool in first["tools"]]
    assert names == ["look_up_ticket", "list_tickets", "update_working_memory"]
    *_, call, result = second["messages"]
    assert json.loads(call["tool_calls"][0]["function"]["arguments"]) == {"number": 2}
    assert result["tool_call_id"] == "call_1"
    (ticket,) = json.loads(result["content"])["tickets"]
    roles = [message.role for message in remembered(thread_id)]
    assert roles == ["user", "assistant", "tool", "assistant"]
    cited = [
        item["external_id"]
        for item in remembered(thread_id)[-1].metadata["sources"]
        if item["number"] == ticket["cite_as"]
    ]
    assert cited == ["Codertocat/Hello-World#2"]


def test_a_model_updates_working_memory_for_the_next_conversation(
    ann: Browser, server: Server
) -> None:
    server.replies = [
        calls("call_1", "update_working_memory", '{"name": "Ann"}'),
        says("Hello, Ann."),
        says("Yes."),
    ]
    ann.ask("I am Ann.")
    ann.ask("Do you know who I am?")
    report = [
        item["content"] for item in server.requests[-1]["messages"] if item["role"] == "system"
    ]
    assert any('{"name":"Ann"}' in item for item in report)
    saved = engine.memory.get_working_memory(resource_id=str(ann.user.pk))
    assert saved.data == {"name": "Ann"}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("look_up_ticket", '{"number": "two"}'),
        ("look_up_ticket", '{"number": '),
        ("drop_table", "{}"),
        ("update_working_memory", "[]"),
    ],
)
def test_a_model_that_misuses_a_tool_is_told(
    ann: Browser, server: Server, name: str, arguments: str
) -> None:
    server.replies = [calls("call_1", name, arguments), says("I see.")]
    _, _, result, answer = remembered(ann.ask("Try something."))
    assert list(result.content[0]["result"]) == ["error"]
    assert text_of(answer) == "I see."


def test_a_model_that_is_away_leaves_the_question_to_be_sent_again(
    ann: Browser, server: Server
) -> None:
    server.replies = [400, says("Here I am.")]
    turn = "6f1d4a2c-9f51-4d0a-9e6b-0b7c4d4a1f10"
    thread_id = ann.ask("Anybody there?", turn=turn)
    assert "The language model failed" in ann.read(thread_id)
    ann.ask("Anybody there?", thread_id, turn=turn)
    assert [text_of(item) for item in remembered(thread_id)] == ["Anybody there?", "Here I am."]


def test_a_model_that_only_calls_tools_is_stopped(ann: Browser, server: Server) -> None:
    server.replies = [
        calls(f"call_{number}", "look_up_ticket", '{"number": 2}') for number in range(9)
    ]
    thread_id = ann.ask("Is ticket #2 done?")
    assert "gave no answer" in ann.read(thread_id)
    assert len(server.requests) == 5
