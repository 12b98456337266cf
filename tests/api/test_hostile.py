"""Each request gets a response of the API, and a refused one has changed nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from rest_framework.test import APIClient

from mastra_engine.testing import hostile
from tests.api.catalogue import Case, cases, sent
from tests.api.conftest import World, stored

JSON = "application/json"
CORPUS = {
    name: group
    for name, group in vars(hostile).items()
    if name.isupper() and isinstance(group, list) and not name.startswith("_")
}
every_operation = pytest.mark.parametrize("case", cases(), ids=lambda case: case.operation.name)

a_sample_or_all = pytest.mark.parametrize(
    "every", [pytest.param(1, marks=pytest.mark.long, id="whole"), pytest.param(9, id="sample")]
)

#: Bodies that are no arguments, whatever the operation.
BODIES = {
    "nothing": b"",
    "null": b"null",
    "list": b"[]",
    "number": b"1",
    "broken": b'{"a":',
    "not UTF-8": b'{"a": "\xff"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "twice the same key": b'{"limit": 1, "limit": 2}',
    "4,000 digits": b'{"limit": ' + b"9" * 4000 + b"}",
    "5,000 digits": b'{"limit": ' + b"9" * 5000 + b"}",
    "unknown key": b'{"nothing of that name": 1}',
    "key with a NUL": b'{"\\u0000": 1}',
    "key with a surrogate": b'{"\\ud800": 1}',
    "1,000 levels": b'{"limit": ' + b"[" * 1_000 + b"]" * 1_000 + b"}",
    "100,000 levels": b"[" * 100_000,
    "900 levels": b'{"limit": ' + b"[" * 900 + b"]" * 900 + b"}",
}
TYPES = {
    "form": "multipart/form-data; boundary=x",
    "fields": "application/x-www-form-urlencoded",
    "text": "text/plain",
    "none": "",
    "odd": "a/b/c;;=",
    "lines": "application/x-ndjson",
    "another charset": f"{JSON}; charset=bz2_codec",
    "a charset there is none of": f"{JSON}; charset=\xff",
}


def written(value: Any) -> bytes | None:
    """Return a value as JSON, however wrong; None where JSON has no words for it."""
    try:
        return json.dumps(value).encode()
    except RecursionError:
        return b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    except (TypeError, ValueError):
        return None


def values() -> Iterator[tuple[str, Any, bytes]]:
    for group, entries in CORPUS.items():
        for entry in entries:
            if (raw := written(entry.value)) is not None:
                yield f"{group}: {entry.name}", entry.value, raw


VALUES = list(values())


def good_or_explained(response: Any, name: str) -> None:
    """Assert that an answer is one, and that a refusal has the shape that is documented."""
    body = b"".join(response) if response.streaming else response.content
    assert response.status_code < 500, (name, body[:500])
    if response.status_code >= 400 and response["Content-Type"].startswith(JSON):
        refused = json.loads(body)
        assert refused["type"] in ("validation_error", "client_error"), name
        assert refused["errors"][0].keys() == {"code", "detail", "attr"}, name


class Sender:
    """Sends requests of one operation, and checks that a refused one has changed nothing."""

    def __init__(self, world: World, case: Case) -> None:
        self.world, self.case = world, case
        shared = "_vectorindex" in "".join(case.operation.permissions)
        self.client: APIClient = world.staff if shared else world.ann
        self.path = world.path_of(case)

    def __call__(self, name: str, send: Callable[[], Any]) -> int:
        before = self.world.known.get("stored") or stored(self.world.engine)
        response = send()
        good_or_explained(response, name)
        after = stored(self.world.engine) if self.case.method != "get" else before
        if response.status_code >= 400:
            assert after == before, name
        self.world.known["stored"] = after
        return int(response.status_code)

    def body(self, name: str, raw: bytes, content_type: str = JSON) -> int:
        url = self.case.url(self.path)
        return self(
            name, lambda: self.client.generic(self.case.method.upper(), url, raw, content_type)
        )

    def query(self, name: str, query: str) -> int:
        return self(
            name,
            lambda: self.client.generic(
                self.case.method.upper(), self.case.url(self.path), QUERY_STRING=query
            ),
        )


@a_sample_or_all
@every_operation
def test_every_argument_takes_the_corpus(case: Case, world: World, every: int) -> None:
    """The sample is another one for each argument."""
    send = Sender(world, case)
    arguments = [name for name in case.operation.takes.parameters if name not in case.variables]
    for number, argument in enumerate(arguments):
        for name, value, raw in VALUES[number % every :: every]:
            if case.method in ("get", "delete"):
                text = value if isinstance(value, str) else raw.decode()
                query = urlencode({**sent(case), argument: text}, errors="surrogatepass")
                if len(query) < 100_000:
                    send.query(f"{argument}, {name}", query)
            else:
                others = {key: value for key, value in sent(case).items() if key != argument}
                body = b'{"%s": %s' % (argument.encode(), raw)
                body += b"".join(b", %s: %s" % _pair(*other) for other in others.items()) + b"}"
                send.body(f"{argument}, {name}", body)


def _pair(key: str, value: Any) -> tuple[bytes, bytes]:
    return json.dumps(key).encode(), json.dumps(value).encode()


@every_operation
def test_every_variable_of_a_url_takes_any_text(case: Case, world: World) -> None:
    send = Sender(world, case)
    texts = [entry.value for entry in (*hostile.TEXTS, *hostile.UNFIT_NAMES)]
    for variable in case.variables:
        for text in texts:
            if isinstance(text, str) and text:
                send.path = {**world.path_of(case), variable: "\0"}
                url = case.url(send.path).replace("%00", quote(text, safe="", errors="replace"))
                send(
                    f"{variable}, {text!r}",
                    lambda url=url: send.client.generic(case.method.upper(), url, b"{}", JSON),
                )
        send.path = {**world.path_of(case), variable: "\0"}
        url = case.url(send.path).replace("%00", "%ff%fe")
        send(variable, lambda url=url: send.client.generic(case.method.upper(), url))


@a_sample_or_all
@pytest.mark.parametrize(
    "case",
    [case for case in cases() if case.operation.keyed or case.operation.versioned],
    ids=lambda case: case.operation.name,
)
def test_headers_take_any_text(case: Case, world: World, every: int) -> None:
    send = Sender(world, case)
    url, method = case.url(send.path), case.method.upper()
    body = b"" if method == "DELETE" else json.dumps(sent(case)).encode()
    for number, header in enumerate(("Idempotency-Key", "If-Match")):
        for entry in hostile.TEXTS[number % every :: every]:
            text = entry.value.encode(errors="replace").decode("latin-1")  # as servers hand it on
            send(
                f"{header}, {entry.name}",
                lambda value={header: text}: send.client.generic(
                    method, url, body, JSON, headers=value
                ),
            )


@every_operation
def test_bodies_that_are_no_arguments(case: Case, world: World) -> None:
    send = Sender(world, case)
    for name, body in BODIES.items():
        send.body(name, body)
    good = json.dumps(sent(case)).encode()
    for name, content_type in TYPES.items():
        send.body(name, good, content_type)
        send.body(f"{name}, null", b"null", content_type)


@every_operation
def test_queries_that_are_no_arguments(case: Case, world: World) -> None:
    send = Sender(world, case)
    for query in ("a=1", "limit=1&limit=2", "%ff=%ff", "limit=%00", "=", "&&", "cursor"):
        send.query(query, query)
