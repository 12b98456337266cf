"""Whatever the server is sent, it answers, without a failure and without another user's data."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mastra_engine.mcp.tools import TOOLS
from mastra_engine.testing.hostile import TEXTS
from tests.mcp.conftest import LATEST, MODERN, Host, envelope
from tests.mcp.data import Owner, calls

#: How many messages a target gets; `make test-fuzz` sends more, and others each time.
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "10"))
ALWAYS_THE_SAME = "FUZZ_EXAMPLES" not in os.environ
METHODS = [
    "initialize",
    "server/discover",
    "ping",
    "tools/list",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "notifications/cancelled",
]
HOSTILE = [*(item.value for item in TEXTS), "", "a\0b", "\ud800", "x" * 3_000, "$where"]

texts = st.sampled_from(HOSTILE) | st.text(max_size=20)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
junk = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)
versions = st.sampled_from(["2025-06-18", LATEST, MODERN, "2025-03-26", "x"]) | st.none()


def mutated(value: dict[str, Any], *, names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Make objects like this one with values, keys or nothing in the place of others."""
    changes = st.dictionaries(st.sampled_from(names) | texts, junk, max_size=3)
    return st.builds(
        lambda stored, changed: {key: value[key] for key in stored} | changed,
        st.lists(st.sampled_from(list(value)), unique=True) | st.just(list(value)),
        changes,
    )


def params_of(target: str, owner: Owner, other: Owner) -> st.SearchStrategy[Any]:
    """Make the parameters of a tool's call, or those of another method."""
    if target in TOOLS:
        names = list(TOOLS[target].takes.parameters)
        arguments = st.sampled_from([calls(owner)[target], calls(other)[target]]).flatmap(
            lambda call: mutated(call, names=names)
        )
        call = st.fixed_dictionaries({"name": st.just(target), "arguments": arguments | junk})
        return call | st.fixed_dictionaries({"name": texts, "arguments": junk})
    uris = st.builds("mastra-engine://threads/{}".format, texts)
    subject = {"uri": uris | texts | junk, "cursor": junk, "protocolVersion": junk}
    return st.fixed_dictionaries({}, optional=subject) | junk


def messages(target: str, owner: Owner, other: Owner) -> st.SearchStrategy[Any]:
    method = "tools/call" if target in TOOLS else target
    params = params_of(target, owner, other)
    enveloped = st.builds(lambda value: {**value, "_meta": envelope()}, params.filter(is_object))
    message = st.fixed_dictionaries(
        {"jsonrpc": st.just("2.0"), "method": st.just(method)},
        optional={"id": st.integers() | texts | junk, "params": enveloped | params},
    )
    complete = st.builds(lambda value, id: {**value, "id": id}, message, st.integers() | texts)
    return complete | message | st.lists(message, max_size=2)


def is_object(value: Any) -> bool:
    return isinstance(value, dict)


@st.composite
def bodies(draw: st.DrawFn, target: str, owner: Owner, other: Owner) -> bytes:
    """Make the bytes of a message, which are not always JSON."""
    raw = json.dumps(draw(messages(target, owner, other))).encode()
    if draw(st.integers(0, 4)):
        return raw
    start = draw(st.integers(0, len(raw)))
    return raw[:start] + draw(st.binary(max_size=4)) + raw[draw(st.integers(start, len(raw))) :]


@pytest.mark.parametrize("target", [*TOOLS, *METHODS])
def test_every_message_is_answered(
    target: str, ann: Owner, bob: Owner, caplog: pytest.LogCaptureFixture
) -> None:
    host = Host(ann.token)

    @settings(
        max_examples=EXAMPLES,
        derandomize=ALWAYS_THE_SAME,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(bodies(target, ann, bob), versions)
    def send(body: bytes, version: str | None) -> None:
        headers = {} if version is None else {"MCP-Protocol-Version": version}
        if version == MODERN:
            headers |= {"Mcp-Method": "tools/call" if target in TOOLS else target}
            headers |= {"Mcp-Name": target} if target in TOOLS else {}
        response = host.post(body, **headers)
        assert response.status_code < 500, body
        assert bob.secret.encode() not in response.content.replace(body, b"")
        if response.status_code != 202:
            answer = response.json()
            assert answer["jsonrpc"] == "2.0"
            assert answer.get("error", {}).get("code") != -32603, body

    send()
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
