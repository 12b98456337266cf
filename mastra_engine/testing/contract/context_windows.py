"""The context windows that every engine returns."""

from __future__ import annotations

import base64
import json
import random
from datetime import timedelta
from itertools import accumulate
from typing import Any

import pytest

from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.testing.contract.recall import BagOfWords
from mastra_engine.testing.contract.threads import WithThread, ids, texts
from mastra_engine.types import ContextWindow, Message, Thread


def call(*calls: str) -> dict[str, Any]:
    """Return an assistant's message that calls tools."""
    parts = [
        {"type": "tool-call", "tool_call_id": id, "tool_name": "t", "args": {}} for id in calls
    ]
    return {"role": "assistant", "content": parts, "id": f"call {' '.join(calls)}"}


def result(id: str) -> dict[str, Any]:
    """Return a tool's message that answers one call."""
    return {"role": "tool", "tool_call_id": id, "content": "done", "id": f"result {id}"}


class TestContextWindows(WithThread):
    #: The tokens of a message of up to four letters.
    TOKENS = 5

    def window(self, memory: Memory, **options: Any) -> list[str]:
        return ids(memory.get_context_window(thread_id="chat", **options))

    def save(self, memory: Memory, *messages: dict[str, Any]) -> list[Message]:
        return memory.save_memory(thread_id="chat", messages=messages)

    # Budgets

    def test_without_a_budget_the_window_is_the_thread(
        self, memory: Memory, thread: Thread
    ) -> None:
        assert memory.get_context_window(thread_id="chat") == ContextWindow(
            messages=[], tokens=0, truncated=False
        )
        saved = self.say(memory, "a", "b", "c")
        assert memory.get_context_window(thread_id="chat") == ContextWindow(
            messages=saved, tokens=3 * self.TOKENS, truncated=False
        )

    @pytest.mark.parametrize("budget", range(4 * TOKENS))
    def test_the_newest_messages_that_fit_are_returned(
        self, memory: Memory, thread: Thread, budget: int
    ) -> None:
        self.say(memory, "a", "b", "c")
        window = memory.get_context_window(thread_id="chat", max_tokens=budget)
        fit = min(budget // self.TOKENS, 3)
        assert ids(window) == ["a", "b", "c"][3 - fit :]
        assert (window.tokens, window.truncated) == (fit * self.TOKENS, fit < 3)

    def test_a_message_that_does_not_fit_ends_the_window(
        self, memory: Memory, thread: Thread
    ) -> None:
        self.say(memory, "a", "b" * 100, "c")
        window = memory.get_context_window(thread_id="chat", max_tokens=20)
        assert (ids(window), window.truncated) == (["c"], True)

    def test_an_empty_thread_is_never_truncated(self, memory: Memory, thread: Thread) -> None:
        assert not memory.get_context_window(thread_id="chat", max_tokens=0).truncated

    def test_tokens_come_from_the_tokenizer(self, memory: Memory, thread: Thread) -> None:
        memory.tokenizer = len
        (saved,) = self.say(memory, "four")
        assert saved.tokens == 4 + 4
        assert self.window(memory, max_tokens=8) == ["four"]
        assert self.window(memory, max_tokens=7) == []

    @pytest.mark.parametrize("deleted_id", ["a", "b", "c", "d"])
    def test_deleted_messages_do_not_count(
        self, memory: Memory, thread: Thread, deleted_id: str
    ) -> None:
        self.say(memory, "a", "b", "c", "d")
        memory.delete_messages(ids=[deleted_id])
        self.say(memory, "e")
        remaining = [id for id in "abcde" if id != deleted_id]
        for fit in range(5):
            window = memory.get_context_window(thread_id="chat", max_tokens=fit * self.TOKENS)
            assert ids(window) == remaining[4 - fit :]
            assert window.truncated == (fit < 4)

    @pytest.mark.parametrize("seed", range(12))
    def test_windows_between_any_deletions_fit_their_budgets(
        self, memory: Memory, thread: Thread, seed: int
    ) -> None:
        chance = random.Random(seed)
        for turn in range(6):
            texts = ["x" * chance.randrange(80) for _ in range(chance.randrange(1, 7))]
            saved = [self.say(memory, text, id=f"{turn} {i}")[0] for i, text in enumerate(texts)]
            stored = [*self.stored(memory)]
            assert ids(stored)[-len(saved) :] == ids(saved)
            share = chance.choice([0.1, 0.5, 0.9])
            runs = chance.randrange(len(stored) + 1) if chance.random() < 0.5 else 0
            deleted = [id for id in ids(stored) if chance.random() < share]
            memory.delete_messages(ids=deleted + ids(stored)[runs : runs + 4])
            remaining = self.stored(memory)
            total = sum(message.tokens for message in remaining)
            for budget in range(total + 2):
                window = memory.get_context_window(thread_id="chat", max_tokens=budget)
                sums = accumulate(message.tokens for message in reversed(remaining))
                size = sum(tokens <= budget for tokens in sums)
                assert ids(window) == ids(remaining[len(remaining) - size :])
                assert window.truncated == (size < len(remaining))

    def test_json_has_one_order_of_keys(self, memory: Memory, thread: Thread) -> None:
        """Engines return keys by their length and then by their bytes, as jsonb does."""
        document = {"aa": 1, "\u00e9": 3, "b": {"zz": [{"xx": 1, "w": 2}], "y": 2}}
        written = '{"b":{"y":2,"zz":[{"w":2,"xx":1}]},"aa":1,"\u00e9":3}'
        part = {"type": "tool-call", "tool_call_id": "1", "tool_name": "t", "args": document}
        self.save(memory, {"role": "assistant", "content": [part], "metadata": document})
        self.save(memory, result("1"))
        memory.update_working_memory(thread_id="chat", content=document)
        window = memory.get_context_window(thread_id="chat", working_memory=True)
        note, called, _ = window.messages
        assert written in note.content[0]["text"]
        for stored in (called.content[0]["args"], called.metadata):
            assert json.dumps(stored, separators=(",", ":"), ensure_ascii=False) == written
        messages = memory.get_context_window(thread_id="chat", format="openai").messages
        arguments = messages[0]["tool_calls"][0]["function"]["arguments"]
        assert json.loads(arguments) == document

    # Times

    def test_from_start_up_to_end(self, memory: Memory, thread: Thread) -> None:
        a, b, c = self.say(memory, "a", "b", "c")
        assert self.window(memory, start=b.created_at) == ["b", "c"]
        assert self.window(memory, end=b.created_at) == ["a"]
        assert self.window(memory, start=a.created_at, end=c.created_at) == ["a", "b"]
        assert self.window(memory, start=b.created_at.isoformat(), max_tokens=5) == ["c"]
        assert self.window(memory, end=c.created_at, max_tokens=5) == ["b"]
        later = c.created_at + timedelta(microseconds=1)
        assert self.window(memory, start=later) == self.window(memory, end=a.created_at) == []

    def test_messages_outside_the_bounds_do_not_truncate(
        self, memory: Memory, thread: Thread
    ) -> None:
        _, b, c = self.say(memory, "a", "b", "c")
        between: dict[str, Any] = {"thread_id": "chat", "start": b.created_at, "end": c.created_at}
        for budget, truncated in ((None, False), (5, False), (4, True)):
            window = memory.get_context_window(**between, max_tokens=budget)
            assert (len(window), window.truncated) == (0 if truncated else 1, truncated)

    def test_times_need_not_have_the_order_of_positions(
        self, memory: Memory, thread: Thread
    ) -> None:
        hours = {"a": 1, "b": 9, "c": 2, "d": 8, "e": 3, "f": 9}
        self.save(
            memory,
            *(
                {"id": id, "role": "user", "content": id, "created_at": f"2026-01-01T0{hour}:00Z"}
                for id, hour in hours.items()
            ),
        )
        end, start = "2026-01-01T08:00Z", "2026-01-01T08:00Z"
        for number, visible in enumerate(([], ["e"], ["c", "e"], ["a", "c", "e"])):
            window: dict[str, Any] = {"end": end, "max_tokens": number * self.TOKENS}
            assert self.window(memory, **window) == visible
            truncated = memory.get_context_window(thread_id="chat", **window).truncated
            assert truncated == (number < 3)
        assert self.window(memory, start=start, max_tokens=2 * self.TOKENS) == ["d", "f"]
        assert self.window(memory, start=start, max_tokens=3 * self.TOKENS) == ["b", "d", "f"]

    # Tools

    def test_a_result_needs_its_call(self, memory: Memory, thread: Thread) -> None:
        created, answer = self.save(memory, call("1"), result("1"))
        self.say(memory, "a")
        every = ["call 1", "result 1", "a"]
        all_of_it = created.tokens + answer.tokens + self.TOKENS
        assert self.window(memory, max_tokens=all_of_it) == every
        for budget in range(self.TOKENS, all_of_it):
            window = memory.get_context_window(thread_id="chat", max_tokens=budget)
            assert (ids(window), window.truncated) == (["a"], True)
        assert self.window(memory, start=created.created_at) == every

    def test_parallel_calls_stay_together(self, memory: Memory, thread: Thread) -> None:
        self.say(memory, "a")
        saved = self.save(memory, call("1", "2"), result("2"), result("1"))
        total = sum(message.tokens for message in saved)
        together = ["call 1 2", "result 2", "result 1"]
        assert self.window(memory, max_tokens=total) == together
        assert self.window(memory, max_tokens=total - 1) == []
        self.say(memory, "b")
        memory.delete_messages(ids=["result 2"])
        window = memory.get_context_window(thread_id="chat")
        assert ids(window) == ["a", "call 1 2", "result 1", "b"]
        assert [part["tool_call_id"] for part in window.messages[1].content] == ["1"]
        assert window.messages[1].tokens == saved[0].tokens

    def test_the_end_never_separates_calls_and_results(
        self, memory: Memory, thread: Thread
    ) -> None:
        self.say(memory, "a")
        self.save(memory, call("1"))
        (answer,) = self.save(memory, result("1"))
        window = memory.get_context_window(thread_id="chat", end=answer.created_at)
        assert (ids(window), window.truncated) == (["a"], True)
        assert self.window(memory, start=answer.created_at) == []

    def test_a_call_without_a_result_yet_stays(self, memory: Memory, thread: Thread) -> None:
        self.say(memory, "a")
        self.save(memory, call("1", "2"), result("1"))
        assert self.window(memory) == ["a", "call 1 2", "result 1"]
        self.say(memory, "b")
        window = memory.get_context_window(thread_id="chat")
        assert ids(window) == ["a", "call 1 2", "result 1", "b"]
        assert [part["tool_call_id"] for part in window.messages[1].content] == ["1"]

    def test_interrupted_calls_leave_finished_ones(self, memory: Memory, thread: Thread) -> None:
        self.save(memory, call("pay", "mail"), {**result("pay"), "content": "PAID 4000 EUR"})
        self.say(memory, "Did it work?")
        window = memory.get_context_window(thread_id="chat", format="openai")
        assert [message["id"] for message in window.messages[0]["tool_calls"]] == ["pay"]
        assert window.messages[1]["content"] == "PAID 4000 EUR"
        window = memory.get_context_window(thread_id="chat", format="anthropic")
        assert [block["id"] for block in window.messages[1]["content"]] == ["pay"]

    def test_ids_of_calls_may_repeat(self, memory: Memory, thread: Thread) -> None:
        self.save(memory, call("1"), result("1"))
        again = self.save(memory, {**call("1"), "id": "again"}, {**result("1"), "id": "answered"})
        budget = sum(message.tokens for message in again)
        assert self.window(memory, max_tokens=budget) == ["again", "answered"]
        assert self.window(memory, max_tokens=budget + 5) == ["again", "answered"]

    def test_a_part_with_a_call_and_its_result_needs_no_id(
        self, memory: Memory, thread: Thread
    ) -> None:
        interrupted = {"toolCallId": "1", "toolName": "mail", "args": {}, "state": "call"}
        finished = {**interrupted, "toolName": "pay", "state": "result", "result": "PAID 4000 EUR"}
        parts = [
            {"type": "tool-invocation", "toolInvocation": inner}
            for inner in (interrupted, finished)
        ]
        self.save(memory, {"role": "assistant", "content": parts})
        self.say(memory, "Did it work?")
        window = memory.get_context_window(thread_id="chat", format="openai")
        (tool_call,) = window.messages[0]["tool_calls"]
        assert tool_call["function"]["name"] == "pay"
        assert window.messages[1]["content"] == "PAID 4000 EUR"

    # The leading system message

    def test_the_preamble_comes_first_and_counts(self, memory: Memory, thread: Thread) -> None:
        self.say(memory, "a", "b", "c")
        memory.update_working_memory(thread_id="chat", content="Likes tea", patch=None)
        memory.update_working_memory(thread_id="chat", patch={"name": "Ann"})
        window = memory.get_context_window(thread_id="chat", system="Be kind", working_memory=True)
        assert [message.role for message in window] == ["system", "system", *["user"] * 3]
        system, remembered, *_ = texts(window)
        assert system == "Be kind"
        assert "Likes tea" in remembered
        assert '{"name":"Ann"}' in remembered
        assert window.tokens == sum(message.tokens for message in window)
        notes = window.tokens - 3 * self.TOKENS
        for budget in range(window.tokens + 2):
            some = memory.get_context_window(
                thread_id="chat", system="Be kind", working_memory=True, max_tokens=budget
            )
            fit = min((budget - notes) // self.TOKENS, 3)
            assert len(some) == (0 if budget < notes else 2 + fit)
            assert some.tokens <= budget
            assert some.truncated == (fit < 3)

    def test_the_resources_working_memory_is_the_default(
        self, memory: Memory, thread: Thread
    ) -> None:
        assert memory.get_context_window(thread_id="chat", working_memory=True).messages == []
        memory.update_working_memory(resource_id="alice", content="Alice's")
        (note,) = memory.get_context_window(thread_id="chat", working_memory=True)
        assert "Alice's" in note.content[0]["text"]
        memory.update_working_memory(thread_id="chat", content="The thread's")
        (note,) = memory.get_context_window(thread_id="chat", working_memory=True)
        assert "The thread's" in note.content[0]["text"]

    def test_recalled_messages_are_in_the_preamble(self, memory: Memory, thread: Thread) -> None:
        memory.vectors.embedder = BagOfWords()
        self.say(memory, "the dog is called Bello", "a", "b", "c")
        options: dict[str, Any] = {"query": "called Bello", "top_k": 1, "message_range": (0, 0)}
        full = memory.get_context_window(thread_id="chat", **options)
        assert len(full) == 4  # a message of the window is not recalled again
        for budget in range(100):
            window = memory.get_context_window(thread_id="chat", max_tokens=budget, **options)
            assert window.tokens <= budget
        window = memory.get_context_window(thread_id="chat", max_tokens=44, **options)
        assert window.messages[0].role == "system"
        assert "dog is called Bello" in texts(window)[0]
        assert ids(window)[1:] == ["a", "b", "c"]
        assert window.truncated

    # Formats

    def test_openai_accepts_the_window(self, memory: Memory, thread: Thread) -> None:
        self.save(memory, {"role": "user", "content": "Go"}, call("1"), result("1"))
        window = memory.get_context_window(thread_id="chat", format="openai", system="Be kind")
        function = {"name": "t", "arguments": "{}"}
        assert window.messages == [
            {"role": "system", "content": "Be kind"},
            {"role": "user", "content": "Go"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "1", "type": "function", "function": function}],
            },
            {"role": "tool", "tool_call_id": "1", "content": "done"},
        ]
        assert window.system is None

    def test_arguments_are_sent_as_written(self, memory: Memory, thread: Thread) -> None:
        texts = ['{"wei":12345678901234567890123}', '"123"', '{"b":1,"a":{"d":2,"c":3}}', "{"]
        calls = [
            {"id": f"c{i}", "type": "function", "function": {"name": "f", "arguments": text}}
            for i, text in enumerate(texts)
        ]
        self.save(memory, {"role": "assistant", "content": None, "tool_calls": calls})
        window = memory.get_context_window(thread_id="chat", format="openai")
        functions = [message["function"] for message in window.messages[0]["tool_calls"]]
        assert [function["arguments"] for function in functions] == texts
        window = memory.get_context_window(thread_id="chat", format="anthropic")
        inputs = [block["input"] for block in window.messages[1]["content"]]
        assert inputs[0] == {"wei": 12345678901234567890123}
        assert inputs[1:] == [{"arguments": '"123"'}, json.loads(texts[2]), {"arguments": "{"}]

    def test_media_in_json_are_counted_as_they_are_sent(
        self, memory: Memory, thread: Thread
    ) -> None:
        image = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"x" * 300_000).decode()
        block = {"type": "image", "data": image, "mimeType": "image/png"}
        for position, output in enumerate(
            [{"content": [block], "isError": False}, {"shot": block}, [{"a": 1}, block], [block]]
        ):
            part = {"type": "tool-result", "toolCallId": "1", "output": output}
            (_, saved) = self.save(
                memory,
                {**call("1"), "id": f"call {position}"},
                {"role": "tool", "content": [part]},
            )
            assert 1_000 < saved.tokens < 1_030
            window = memory.get_context_window(
                thread_id="chat", max_tokens=1_100, format="anthropic"
            )
            (answer,) = window.messages[-1]["content"]
            texts = [inner["text"] for inner in answer["content"] if inner["type"] == "text"]
            assert len("".join(texts)) < 100
            assert answer["content"][-1]["source"]["data"] == image
            window = memory.get_context_window(thread_id="chat", max_tokens=1_100, format="openai")
            assert len(str(window.messages)) < 1_000

    def test_anthropic_accepts_the_window(self, memory: Memory, thread: Thread) -> None:
        self.save(memory, {"role": "user", "content": "Go"}, call("1"), result("1"))
        window = memory.get_context_window(thread_id="chat", format="anthropic", system="Be kind")
        answer = [{"type": "text", "text": "done"}]
        assert window.messages == [
            {"role": "user", "content": [{"type": "text", "text": "Go"}]},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "1", "name": "t", "input": {}}],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "1", "content": answer}],
            },
        ]
        assert window.system == "Be kind"
        raw = memory.get_context_window(thread_id="chat", system="Be kind")
        assert window.tokens == raw.tokens

    def test_citations_may_lack_what_is_optional(self, memory: Memory, thread: Thread) -> None:
        place = {"document_index": 0, "start_char_index": 0, "end_char_index": 4}
        cited = {"type": "char_location", "cited_text": "Once", **place}
        incomplete = {"type": "char_location", "document_title": "A tale"}
        block = {"type": "text", "text": "It is.", "citations": [cited, incomplete]}
        self.save(memory, {"role": "assistant", "content": [block]})
        self.say(memory, "Is it?")
        window = memory.get_context_window(thread_id="chat", format="anthropic")
        (sent,) = window.messages[1]["content"]
        assert sent["citations"] == [{**cited, "document_title": None}]
