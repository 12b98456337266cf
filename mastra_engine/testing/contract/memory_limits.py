"""Limits on the size of titles, metadata and pages of memory."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from mastra_engine.backends.base.memory.limits import MAX_METADATA_BYTES, MAX_TITLE
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.exceptions import InvalidInput
from mastra_engine.testing.contract.threads import WithThread, ids
from mastra_engine.types import Page, Thread

MIB = 1024 * 1024
#: A number of six bytes that PostgreSQL writes in 302, as are those of a page.
SMALL = 1e-300

#: Metadata of which PostgreSQL writes little more or less than 256 KiB.
ALLOWED: dict[str, Any] = {
    "text": {"a": "x" * (MAX_METADATA_BYTES - 100)},
    "wide text": {"a": "\u20ac" * (MAX_METADATA_BYTES // 3 - 100)},
    "small numbers": {"a": [SMALL] * 800},
    "large numbers": {"a": [1e300] * 800},
    "text that looks like numbers": {"a": ["1e-300 " * 10] * 3_000},
}
TOO_LARGE: dict[str, Any] = {
    "text": {"a": "x" * MAX_METADATA_BYTES},
    "wide text": {"a": "\u20ac" * (MAX_METADATA_BYTES // 3)},
    "small numbers": {"a": [SMALL] * 900},
    "negative numbers": {"a": {"b": [-1.5e-290] * 1_000}},
    "large numbers": {"a": [1e300] * 900},
    "empty objects": {"a": [{}] * MAX_METADATA_BYTES},
}


def message(content: Any = "Hello", **fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **fields}


CALLS: dict[str, tuple[str, Callable[[Memory, Any], Any]]] = {
    "create_thread": (
        "/metadata",
        lambda memory, data: memory.create_thread(resource_id="alice", metadata=data),
    ),
    "update_thread": (
        "/metadata",
        lambda memory, data: memory.update_thread(thread_id="chat", metadata=data),
    ),
    "clone_thread": (
        "/metadata",
        lambda memory, data: memory.clone_thread(thread_id="chat", metadata=data),
    ),
    "save_memory": (
        "/messages/1/metadata",
        lambda memory, data: memory.save_memory(
            thread_id="chat", messages=[message(), message(metadata=data)]
        ),
    ),
    "import_thread": (
        "/lines/0/metadata",
        lambda memory, data: memory.import_thread(
            lines=[{"id": "new", "resource_id": "alice", "metadata": data}]
        ),
    ),
    "import_thread, message": (
        "/lines/1/metadata",
        lambda memory, data: memory.import_thread(
            lines=[{"id": "new too", "resource_id": "alice"}, message(metadata=data)]
        ),
    ),
}


class TestMemoryLimits(WithThread):
    @pytest.mark.parametrize("call", CALLS)
    @pytest.mark.parametrize("name", TOO_LARGE)
    def test_large_metadata_is_refused(
        self, memory: Memory, thread: Thread, call: str, name: str
    ) -> None:
        path, method = CALLS[call]
        with pytest.raises(InvalidInput, match="262,144") as caught:
            method(memory, TOO_LARGE[name])
        assert caught.value.path == path
        assert len(memory.list_threads(resource_id="alice")) == 1
        assert self.stored(memory) == []

    @pytest.mark.parametrize("name", ALLOWED)
    def test_metadata_within_the_limit_is_stored(
        self, memory: Memory, thread: Thread, name: str
    ) -> None:
        for _, method in CALLS.values():
            method(memory, ALLOWED[name])
        assert memory.get_thread(thread_id="chat").metadata == ALLOWED[name]
        assert self.stored(memory)[1].metadata == ALLOWED[name]

    def test_metadata_cannot_grow_beyond_the_limit(self, memory: Memory, thread: Thread) -> None:
        half = "x" * (MAX_METADATA_BYTES // 2)
        memory.update_thread(thread_id="chat", metadata={"a": half})
        for method in (memory.update_thread, memory.clone_thread):
            with pytest.raises(InvalidInput) as caught:
                method(thread_id="chat", metadata={"b": half})
            assert caught.value.path == "/metadata"
        assert memory.update_thread(thread_id="chat", metadata={"a": half[1:]}).version == 3

    def test_titles_have_a_limit(self, memory: Memory, thread: Thread) -> None:
        for title in ("x" * MAX_TITLE, "\u20ac" * MAX_TITLE):
            assert memory.update_thread(thread_id="chat", title=title).title == title
            calls: list[Callable[[str], Any]] = [
                lambda title: memory.create_thread(resource_id="alice", title=title),
                lambda title: memory.update_thread(thread_id="chat", title=title),
                lambda title: memory.clone_thread(thread_id="chat", title=title),
                lambda title: memory.import_thread(
                    lines=[{"id": "new", "resource_id": "alice", "title": title}]
                ),
            ]
            for call in calls:
                with pytest.raises(InvalidInput, match="1,000 characters, got 1,001") as caught:
                    call(f"{title}x")
                assert caught.value.path in {"/title", "/lines/0/title"}
        assert len(memory.list_threads(resource_id="alice")) == 1

    def test_large_content_and_working_memory_are_refused(
        self, memory: Memory, thread: Thread
    ) -> None:
        part = {"type": "numbers", "values": [SMALL] * 250_000}
        with pytest.raises(InvalidInput) as caught:
            memory.save_memory(thread_id="chat", messages=[message([part])])
        assert caught.value.path == "/messages/0/content"
        memory.update_working_memory(thread_id="chat", patch={"a": [SMALL] * 30_000})
        with pytest.raises(InvalidInput) as caught:
            memory.update_working_memory(thread_id="chat", patch={"b": [SMALL] * 30_000})
        assert caught.value.path == "/patch"
        assert memory.get_working_memory(thread_id="chat").version == 1

    # Pages

    @pytest.mark.parametrize("order", ["asc", "desc"])
    @pytest.mark.parametrize("kind", ["repeated", "random"])
    def test_pages_of_messages_end_by_their_size(
        self, memory: Memory, thread: Thread, order: Any, kind: str
    ) -> None:
        chance = random.Random(1)
        large = "x" * 3 * MIB if kind == "repeated" else chance.randbytes(3 * MIB // 2).hex()
        for id in "abcde":
            self.say(memory, "", id=id, content=large)
        self.say(memory, "f", "g")
        # Each page ends with the message that fills it.
        expected = ["abc", "defg"] if order == "asc" else ["gfedc", "ba"]
        self.check_pages(memory, expected, order=order)

    def test_a_message_larger_than_a_page_is_a_page(self, memory: Memory, thread: Thread) -> None:
        for id in "ab":
            self.say(memory, "", id=id, content="x" * 9 * MIB)
        self.check_pages(memory, ["a", "b"])
        lines = list(memory.export_thread(thread_id="chat"))
        assert len(lines) == 3

    def test_pages_of_metadata_end_by_their_size(self, memory: Memory, thread: Thread) -> None:
        large = {"a": "x" * (MAX_METADATA_BYTES - 100)}
        for number in range(40):
            memory.create_thread(resource_id="bob", thread_id=f"{number:02}", metadata=large)
        first = memory.list_threads(resource_id="bob", limit=1_000, order="asc")
        assert len(first) == 33
        second = self.after(memory, first)
        assert ids(first) + ids(second) == [f"{number:02}" for number in range(40)]
        assert second.next_cursor is None

    def after(self, memory: Memory, page: Page[Thread]) -> Page[Thread]:
        return memory.list_threads(
            resource_id="bob", limit=1_000, order="asc", cursor=page.next_cursor
        )

    # Other answers

    def save_large(self, memory: Memory, names: str, *, mebibytes: int = 3) -> None:
        """Save a message for each letter, with an image of some size that counts 1,000 tokens."""
        for letter in names:
            url = f"data:image/png;base64,{'A' * (mebibytes * MIB)}"
            parts = [{"type": "text", "text": letter}, {"type": "image", "image": url}]
            self.say(memory, "", id=letter, content=parts)

    def test_messages_read_by_id_have_a_size(self, memory: Memory, thread: Thread) -> None:
        self.save_large(memory, "abcd")
        assert ids(memory.get_messages_by_id(ids=["c", "b", "missing", "a"])) == ["c", "b", "a"]
        with pytest.raises(InvalidInput, match=r"8,388,608.*first 4 of these 5 ids") as caught:
            memory.get_messages_by_id(ids=["c", "b", "missing", "a", "d"])
        assert caught.value.path == "/ids"
        scoped = memory.within(resource_ids=["bob"])
        assert scoped.get_messages_by_id(ids=list("abcd")) == []

    def test_the_last_messages_have_a_size(self, memory: Memory, thread: Thread) -> None:
        self.save_large(memory, "abcd")
        self.say(memory, "e")
        assert ids(memory.get_memory(thread_id="chat").messages) == ["b", "c", "d", "e"]
        assert ids(memory.get_memory(thread_id="chat", last=3).messages) == ["c", "d", "e"]

    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"max_tokens": 1_000_000},
            {"start": "2001-01-01T00:00:00Z"},
            {"end": "2999-01-01T00:00:00Z", "max_tokens": 1_000_000},
        ],
        ids=["all", "tokens", "start", "end and tokens"],
    )
    def test_windows_have_a_size(
        self, memory: Memory, thread: Thread, options: dict[str, Any]
    ) -> None:
        self.save_large(memory, "abcde", mebibytes=9)
        self.say(memory, "f")
        window = memory.get_context_window(thread_id="chat", **options)
        # The message that brings the window to 32 MiB is the last one that it gets.
        assert ids(window) == ["b", "c", "d", "e", "f"]
        assert window.truncated
        assert window.tokens < 5_000
        memory.delete_messages(ids=["a"])
        window = memory.get_context_window(thread_id="chat", **options)
        assert (len(window), window.truncated) == (5, False)

    def test_tokens_bound_a_window_before_its_size(self, memory: Memory, thread: Thread) -> None:
        self.save_large(memory, "abc", mebibytes=9)
        window = memory.get_context_window(thread_id="chat", max_tokens=2_100)
        assert (ids(window), window.truncated) == (["b", "c"], True)

    def test_many_small_messages_have_the_size_of_their_fields(
        self, memory: Memory, thread: Thread
    ) -> None:
        memory.save_memory(thread_id="chat", messages=[message("x")] * 40_000)
        count = len(memory.get_memory(thread_id="chat", last=40_000).messages)
        assert 25_000 < count < 35_000

    def check_pages(self, memory: Memory, expected: list[str], **options: Any) -> None:
        cursor = None
        for number, page_ids in enumerate(expected, start=1):
            page = memory.list_messages(thread_id="chat", limit=100, cursor=cursor, **options)
            assert "".join(ids(page)) == page_ids
            cursor = page.next_cursor
            assert (cursor is None) == (number == len(expected))
