"""A client of Anthropic's whose model gives scripted answers."""

from __future__ import annotations

import json
from typing import Any

import httpx2
from anthropic import Anthropic


class ScriptedModel:
    """Answers each request with the next of its contents, and keeps what it was sent."""

    def __init__(self, *contents: list[dict[str, Any]]) -> None:
        self.contents = list(contents)
        self.requests: list[dict[str, Any]] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(json.loads(request.content))
        content = self.contents.pop(0)
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "scripted",
            "content": content,
            "stop_reason": "tool_use" if content[-1]["type"] == "tool_use" else "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }
        return httpx2.Response(200, json=message)

    def client(self) -> Anthropic:
        transport = httpx2.MockTransport(self)
        return Anthropic(api_key="not a key", http_client=httpx2.Client(transport=transport))


def says(text: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": text}]


def calls(id: str, **command: Any) -> list[dict[str, Any]]:
    return [{"type": "tool_use", "id": id, "name": "memory", "input": command}]
