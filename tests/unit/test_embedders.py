"""What engines ask of an embedder, and the two adapters: a real model, and a real client."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import openai
import pytest
import wordllama

from mastra_engine import embedders
from mastra_engine.embedders import (
    OpenAIEmbedder,
    WordLlamaEmbedder,
)
from mastra_engine.exceptions import (
    EngineConfigError,
    EngineError,
    InvalidInput,
    InvalidVector,
    Unavailable,
)
from mastra_engine.protocols import Embedder
from mastra_engine.retrieval.embedding import embed_documents, embed_query
from tests.unit.answering import Answering, answering, naps

__all__ = ["naps"]  # a fixture

# What engines call


class LangChainShape:
    """As `langchain_core.embeddings.Embeddings` subclasses are."""

    def __init__(self, answer: Callable[[list[str]], Any]) -> None:
        self.answer = answer
        self.calls = 0

    def embed_documents(self, texts: list[str]) -> Any:
        self.calls += 1
        return self.answer(texts)

    def embed_query(self, text: str) -> Any:
        return self.answer([text])[0]


def lengths(texts: list[str]) -> list[list[float]]:
    return [[float(len(text)), 1.0] for text in texts]


@pytest.mark.parametrize(
    "answer",
    [
        lengths,
        lambda texts: tuple(map(tuple, lengths(texts))),
        lambda texts: np.array(lengths(texts), np.float32),
        lambda texts: [np.array(vector) for vector in lengths(texts)],
    ],
    ids=["lists", "tuples", "array", "arrays"],
)
def test_any_shape_of_rows_fits(answer: Callable[[list[str]], Any]) -> None:
    embedder = LangChainShape(answer)
    assert isinstance(embedder, Embedder)
    result = embed_documents(embedder, ["a", "bb", "ccc"], dimension=2)
    assert [list(vector) for vector in result] == [[1, 1], [2, 1], [3, 1]]
    assert list(embed_query(embedder, "dddd", dimension=2)) == [4, 1]
    assert len(embed_documents(embedder, ("a", "b"))) == 2


def test_a_long_query_is_embedded_by_its_beginning() -> None:
    embedder = WordLlamaEmbedder(64)
    beginning = "cat " * 2**14
    longer = embedder.embed_query(f"{beginning}{'dog ' * 8_000}")
    assert list(longer) == list(embedder.embed_query(beginning))


def test_a_generator_of_vectors_is_read_once() -> None:
    embedder = LangChainShape(lambda texts: (vector for vector in lengths(texts)))
    assert embed_documents(embedder, ["a", "bb"], dimension=2) == [[1, 1], [2, 1]]


def test_an_array_stays_one() -> None:
    created = np.zeros((2, 3), np.float32)
    assert embed_documents(LangChainShape(lambda _: created), ["a", "b"], dimension=3) is created


def test_no_texts_make_no_call() -> None:
    embedder = LangChainShape(lengths)
    assert embed_documents(embedder, [], dimension=2) == []
    assert embedder.calls == 0


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([[1.0, 2.0]], "1 vectors for 2 texts"),
        ([[1.0, 2.0]] * 3, "3 vectors for 2 texts"),
        ([], "0 vectors for 2 texts"),
        (None, "a NoneType for 2 texts"),
        ("ab", "a str for 2 texts"),
        ({"a": [1.0, 2.0], "b": [1.0, 2.0]}, "a dict for 2 texts"),
        (np.float32(1), "a float32 for 2 texts"),
        ([[1.0, 2.0], [1.0, 2.0, 3.0]], "3 numbers for text 1, where 2 are expected"),
        ([[1.0], [1.0, 2.0]], "1 numbers for text 0, where 2 are expected"),
        ([[1.0, 2.0], []], "0 numbers for text 1"),
        ([[1.0, 2.0], None], "a NoneType for text 1"),
        ([[1.0, 2.0], "ab"], "a str for text 1"),
        (np.zeros((2, 3)), "3 numbers for text 0, where 2 are expected"),
    ],
)
def test_other_answers_are_refused(answer: Any, message: str) -> None:
    with pytest.raises(InvalidVector, match=message) as caught:
        embed_documents(LangChainShape(lambda _: answer), ["a", "b"], dimension=2)
    assert caught.value.path == "/documents"


def test_without_a_dimension_vectors_must_be_of_one_length() -> None:
    with pytest.raises(InvalidVector, match="2 numbers for text 1, where 3 are expected"):
        embed_documents(LangChainShape(lambda _: [[1.0, 2.0, 3.0], [1.0, 2.0]]), ["a", "b"])
    with pytest.raises(InvalidVector, match="0 numbers for text 0, where a vector is expected"):
        embed_documents(LangChainShape(lambda _: [[], []]), ["a", "b"])


@pytest.mark.parametrize("answer", [None, "ab", [], [1.0], [1.0, 2.0, 3.0], 1.0, np.zeros((1, 2))])
def test_another_vector_of_a_question_is_refused(answer: Any) -> None:
    with pytest.raises(InvalidVector, match="for text 0") as caught:
        embed_query(LangChainShape(lambda _: [answer]), "a", dimension=2)
    assert caught.value.path == "/query_text"


def test_what_an_embedder_raises_passes_through() -> None:
    def fail(_: list[str]) -> Any:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        embed_documents(LangChainShape(fail), ["a"])


def test_importing_loads_no_library() -> None:
    heavy = ("numpy", "openai", "wordllama", "httpx2", "tenacity", "semantic_text_splitter")
    code = (
        "import sys, mastra_engine.embedders as e;"
        "import mastra_engine.retrieval.chunking, mastra_engine.retrieval.rerankers;"
        "e.WordLlamaEmbedder(), e.OpenAIEmbedder();"
        f"print([n for n in {heavy} if n in sys.modules])"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("library", "use", "command"),
    [
        ("wordllama", WordLlamaEmbedder, "django-mastra-engine[local]"),
        ("openai", OpenAIEmbedder, "django-mastra-engine[openai]"),
    ],
)
def test_a_missing_library_is_named(
    library: str, use: Callable[[], Embedder], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(EngineConfigError) as caught:
        use()
    assert f"pip install '{command}'" in str(caught.value)


# WordLlama


def test_the_local_model_finds_meaning_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    embedders._load_word_llama.cache_clear()
    embedder = WordLlamaEmbedder()
    animals, money = embedder.embed_documents(["The cat sleeps.", "Interest rates rose."])
    question = np.asarray(embedder.embed_query("a dozing kitten"))
    assert question @ animals > 0.2 + question @ money


def test_local_vectors_are_rows_of_length_one() -> None:
    texts = ["short", "a much longer text, " * 50, "", "ünïcödé 東京 😀"]
    rows = np.asarray(WordLlamaEmbedder().embed_documents(texts))
    assert (rows.shape, rows.dtype) == ((4, 256), np.float32)
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1, 0, 1])
    assert np.asarray(WordLlamaEmbedder().embed_documents([])).shape == (0, 256)


def test_a_local_vector_does_not_depend_on_its_company() -> None:
    embedder = WordLlamaEmbedder()
    texts = [f"text number {i} " * (i % 7 + 1) for i in range(150)]
    together = np.asarray(embedder.embed_documents([*texts, "word " * 12_000]))
    for text, row in list(zip(texts, together, strict=False))[::17]:
        assert row == pytest.approx(np.asarray(embedder.embed_query(text)), abs=1e-6)


@pytest.mark.parametrize("dimension", [64, 128])
def test_fewer_dimensions_are_the_first_ones(dimension: int) -> None:
    full = np.asarray(WordLlamaEmbedder().embed_query("some text"))[:dimension]
    part = WordLlamaEmbedder(dimension=dimension).embed_query("some text")
    assert part == pytest.approx(full / np.linalg.norm(full), abs=1e-6)


def test_threads_load_one_model(monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    load = wordllama.WordLlama.load

    def slowly(**options: Any) -> Any:
        loads.append(options)
        time.sleep(0.05)
        return load(**options)

    monkeypatch.setattr(wordllama.WordLlama, "load", slowly)
    embedders._load_word_llama.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        result = list(pool.map(lambda _: WordLlamaEmbedder().embed_query("same"), range(16)))
    assert len(loads) == 1
    assert all((vector == result[0]).all() for vector in map(np.asarray, result))


def test_a_text_too_long_to_mean_anything_is_refused() -> None:
    with pytest.raises(InvalidInput, match="65537 characters") as caught:
        WordLlamaEmbedder().embed_documents(["a", "x" * (2**16 + 1)])
    assert caught.value.path == "/documents"


@pytest.mark.parametrize("dimension", [0, 1, 100, 512, -256, True, "256", None, 256.0])
def test_a_dimension_the_model_lacks_is_refused(dimension: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        WordLlamaEmbedder(dimension=dimension)
    assert caught.value.path == "/dimension"


# OpenAI and servers like it


def item(index: int | None, embedding: Any) -> dict[str, Any]:
    numbered = {} if index is None else {"index": index}
    return {"object": "embedding", "embedding": embedding, **numbered}


def answer(data: list[Any]) -> dict[str, Any]:
    return {"object": "list", "data": data, "model": "m", "usage": {}}


def backwards(request: dict[str, Any]) -> dict[str, Any]:
    vectors = lengths(request["input"])
    return answer([item(i, vector) for i, vector in enumerate(vectors)][::-1])


def wide(request: dict[str, Any]) -> dict[str, Any]:
    return answer([item(i, [0.5] * 384) for i in range(len(request["input"]))])


def at(server: Answering, **options: Any) -> OpenAIEmbedder:
    return OpenAIEmbedder("some-model", base_url=f"{server.url}/v1", **options)


def test_batches_come_back_in_the_order_of_the_texts() -> None:
    texts = ["a" * n for n in range(1, 6)]
    with answering(backwards) as server:
        result = embed_documents(at(server, batch_size=2), texts, dimension=2)
        assert [vector[0] for vector in result] == [1, 2, 3, 4, 5]
        assert [request["input"] for request in server.requests] == [
            texts[:2],
            texts[2:4],
            ["aaaaa"],
        ]
        assert server.requests[0]["model"] == "some-model"
        assert "dimensions" not in server.requests[0]
        assert embed_query(at(server), "aaa", dimension=2) == [3, 1]


def test_a_server_that_leaves_the_index_out_answers_in_order() -> None:
    with answering(lambda request: answer([item(None, v) for v in lengths(request["input"])])) as s:
        assert at(s).embed_documents(["a", "bb"]) == [[1, 1], [2, 1]]


def test_no_texts_make_no_request() -> None:
    with answering(wide) as server:
        assert at(server).embed_documents([]) == []
        assert server.requests == []


def test_dimensions_are_asked_for() -> None:
    def obey(request: dict[str, Any]) -> dict[str, Any]:
        return answer([item(0, [0.5] * request["dimensions"])])

    with answering(obey) as server:
        assert len(at(server, dimensions=128).embed_query("a")) == 128


def test_a_server_that_ignores_dimensions_is_noticed() -> None:
    with answering(wide) as server:
        with pytest.raises(InvalidVector, match=r"some-model.* 384 numbers .* 128 are") as caught:
            at(server, dimensions=128).embed_documents(["a", "b"])
        assert caught.value.path == "/documents"
        with pytest.raises(InvalidVector) as caught:
            at(server, dimensions=128).embed_query("a")
        assert caught.value.path == "/query_text"


@pytest.mark.parametrize(
    "data",
    [
        [],
        [item(0, [1.0])],
        [item(0, [1.0]), item(0, [1.0])],
        [item(0, [1.0]), item(2, [1.0])],
        [item(1, [1.0]), item(2, [1.0])],
        [item(0, [1.0]), item(None, [1.0])],
        [item(i, [1.0]) for i in range(3)],
        [item(0, [1.0]), item(1, None)],
        [item(0, [1.0]), item(1, "AACAPwAAgD8=")],
        [item(0, [1.0]), item(1, [])],
        [item(0, [1.0]), item(1, [1.0, 2.0])],
        [item(0, [1.0]), {"index": 1}],
    ],
)
def test_vectors_that_fit_no_text_are_refused(data: list[Any]) -> None:
    with answering((200, answer(data))) as server, pytest.raises(InvalidVector):
        at(server).embed_documents(["a", "b"])


@pytest.mark.parametrize("body", [{}, [], None, {"data": None}, {"error": "no"}, b"<html>", b""])
def test_an_answer_without_vectors_is_refused(body: Any) -> None:
    with answering((200, body)) as server, pytest.raises(EngineError):
        at(server).embed_documents(["a"])


@pytest.mark.parametrize("trouble", [(500, {}), (503, b"busy"), (429, {}), None])
def test_what_may_pass_is_tried_again(trouble: Any, naps: list[float]) -> None:
    with answering(trouble, backwards) as server:
        assert at(server).embed_query("aaa") == [3, 1]
        assert len(server.requests) == 2
    assert len(naps) == 1
    assert naps[0] > 0


@pytest.mark.parametrize("trouble", [(500, {}), (429, {}), None])
def test_what_does_not_pass_is_unavailable(trouble: Any, naps: list[float]) -> None:
    with answering(trouble) as server, pytest.raises(Unavailable):
        at(server).embed_query("a")
    assert len(server.requests) == 3


def test_nobody_there_is_unavailable(naps: list[float]) -> None:
    with answering(wide) as server:
        pass
    with pytest.raises(Unavailable, match="APIConnectionError"):
        at(server).embed_query("a")


def test_a_failure_between_batches_gives_nothing(naps: list[float]) -> None:
    with answering(backwards, (400, {"error": "too long"})) as server:
        with pytest.raises(EngineError, match="BadRequestError 400"):
            embed_documents(at(server, batch_size=1), ["a", "b", "c"])
        assert len(server.requests) == 2


def test_a_refusal_is_an_error_without_the_key() -> None:
    with answering((401, {"error": {"message": "bad key sk-very-secret"}})) as server:
        embedder = at(server, api_key="sk-very-secret")
        with pytest.raises(EngineError, match="AuthenticationError 401") as caught:
            embedder.embed_query("a")
        assert not isinstance(caught.value, Unavailable)
        assert "secret" not in f"{caught.value} {embedder!r}"
        assert server.headers[0]["authorization"] == "Bearer sk-very-secret"


def test_the_environments_key_goes_to_no_other_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    with answering(wide) as server:
        at(server).embed_query("a")
        assert "sk-of-openai" not in str(server.headers)
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        OpenAIEmbedder().embed_query("a")
        assert server.headers[1]["authorization"] == "Bearer sk-of-openai"


def test_a_missing_key_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(EngineConfigError, match="OPENAI_API_KEY"):
        OpenAIEmbedder().embed_query("a")


def test_a_client_of_ones_own_is_used(naps: list[float]) -> None:
    with (
        answering((500, {})) as server,
        openai.OpenAI(base_url=server.url, api_key="k", max_retries=0) as client,
        pytest.raises(Unavailable),
    ):
        OpenAIEmbedder(client=client).embed_query("a")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"model": ""}, "/model"),
        ({"model": None}, "/model"),
        ({"dimensions": 0}, "/dimensions"),
        ({"dimensions": "128"}, "/dimensions"),
        ({"batch_size": 0}, "/batch_size"),
        ({"batch_size": True}, "/batch_size"),
    ],
)
def test_unfit_options_are_refused(options: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        OpenAIEmbedder(**options)
    assert caught.value.path == path
