"""LangChain's chat message history."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    FunctionMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    InvalidToolCall,
    RemoveMessage,
    SystemMessage,
    SystemMessageChunk,
    ToolCall,
    ToolCallChunk,
    ToolMessage,
    ToolMessageChunk,
    UsageMetadata,
)
from langchain_core.messages.chat import ChatMessageChunk
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables.history import RunnableWithMessageHistory

from mastra_engine import MastraEngine, PostgresEngine
from mastra_engine.contrib.langchain import EngineChatMessageHistory
from mastra_engine.exceptions import InvalidInput, NotFound, ThreadNotFound

CALL = ToolCall(name="weather", args={"city": "Graz", "days": [1, 2]}, id="call_1")
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
MESSAGES: list[BaseMessage] = [
    SystemMessage("Be brief.", id="s1", name="rules"),
    HumanMessage("Hello"),
    HumanMessage(""),
    HumanMessage([]),
    HumanMessage("  \n  ", additional_kwargs={"source": {"app": ["web", None]}}),
    HumanMessage([{"type": "text", "text": "What is this?"}, IMAGE, "A plain string"]),
    HumanMessage([{"text": "no type"}, {"type": "text", "text": None}, {"type": 5}, {}]),
    HumanMessage(
        [{"type": "langchain", "block": 1}, {"type": "text", "text": "a", "langchain": 1}]
    ),
    AIMessage("", tool_calls=[CALL], id="run-1"),
    AIMessage("Both", tool_calls=[CALL, ToolCall(name="clock", args={}, id=None)]),
    AIMessage(
        [
            {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
            {"type": "text", "text": "Let me see."},
            {"type": "tool_use", "id": "call_1", "name": "weather", "input": CALL["args"]},
        ],
        tool_calls=[CALL],
    ),
    AIMessage(
        [{"type": "tool_use", "id": "call_1", "name": "weather", "input": {}}],
        tool_calls=[CALL, ToolCall(name="clock", args={}, id="call_2")],
    ),
    AIMessage(
        "Sunny",
        invalid_tool_calls=[InvalidToolCall(name="w", args="{", id="call_2", error="no JSON")],
        usage_metadata=UsageMetadata(input_tokens=1, output_tokens=2, total_tokens=3),
        response_metadata={"model_name": "m", "logprobs": None, "n": 1.0},
        additional_kwargs={"tool_calls": [{"id": "raw"}]},
    ),
    ToolMessage("21 degrees", tool_call_id="call_1", name="weather", artifact={"raw": [21]}),
    ToolMessage([{"type": "text", "text": "down"}], tool_call_id="call_2", status="error"),
    ToolMessage("", tool_call_id=""),
    FunctionMessage("42", name="answer"),
    ChatMessage("As a judge", role="judge"),
    ChatMessage("As a model", role="assistant"),
    RemoveMessage(id="run-1"),
    ToolMessage("\0PNG \ud800", tool_call_id="call_1", artifact={"\0": ["\udfff"]}),
    AIMessage("", tool_calls=[ToolCall(name="write", args={"bytes": "a\0b"}, id="call_1")]),
    ToolMessage("large", tool_call_id="call_1", artifact={"raw": "x" * 300_000}),
    ToolMessage("exact", tool_call_id="call_1", artifact={"n": 2**70}),
    AIMessageChunk(
        "Su",
        tool_call_chunks=[ToolCallChunk(name="weather", args='{"city":', id="call_3", index=0)],
        chunk_position="last",
    ),
    HumanMessageChunk("Hello"),
    SystemMessageChunk("Be"),
    ToolMessageChunk("2", tool_call_id="call_1"),
    FunctionMessageChunk("4", name="answer"),
    ChatMessageChunk("As", role="judge"),
]


@pytest.fixture
def history(committing_engine: MastraEngine) -> EngineChatMessageHistory:
    return EngineChatMessageHistory(thread_id="chat", resource_id="ann", engine=committing_engine)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.type)
def test_a_message_of_any_type_comes_back_as_it_was(
    history: EngineChatMessageHistory, message: BaseMessage
) -> None:
    history.add_messages([message])
    (returned,) = history.messages
    assert type(returned) is type(message)
    assert returned == message
    assert returned.model_dump() == message.model_dump()


def test_the_history_is_that_in_memory(history: EngineChatMessageHistory) -> None:
    oracle = InMemoryChatMessageHistory()
    for target in (history, oracle):
        target.add_user_message("Hello")
        target.add_messages(MESSAGES)
        target.add_ai_message("Bye")
        target.add_messages([])
    assert history.messages == oracle.messages
    for target in (history, oracle):
        target.clear()
        target.clear()
        assert target.messages == []
        target.add_user_message("Again")
    assert history.messages == oracle.messages


async def test_async_variants_do_the_same(history: EngineChatMessageHistory) -> None:
    assert await history.aget_messages() == []
    await history.aadd_messages(MESSAGES)
    assert await history.aget_messages() == MESSAGES
    await history.aclear()
    assert await history.aget_messages() == []


def test_messages_are_ordinary_ones_of_the_engine(history: EngineChatMessageHistory) -> None:
    history.add_messages(
        [
            SystemMessage("Be brief."),
            HumanMessage("How is the weather?"),
            AIMessage("Let me see.", tool_calls=[CALL]),
            ToolMessage("21 degrees", tool_call_id="call_1"),
            AIMessage([{"type": "text", "text": "Warm."}]),
        ]
    )
    memory = history.engine.memory
    window = memory.get_context_window(thread_id="chat", format="openai")
    assert [message["role"] for message in window] == [
        *("system", "user", "assistant", "tool", "assistant")
    ]
    (call,) = window[2]["tool_calls"]
    assert call["function"] == {"name": "weather", "arguments": '{"city":"Graz","days":[1,2]}'}
    assert window[3] == {"role": "tool", "tool_call_id": call["id"], "content": "21 degrees"}
    assert window[4]["content"] == "Warm."
    stored = memory.list_messages(thread_id="chat")
    assert stored[1].content == [{"type": "text", "text": "How is the weather?"}]
    assert memory.get_thread(thread_id="chat").resource_id == "ann"


def test_calls_in_the_content_are_not_repeated(history: EngineChatMessageHistory) -> None:
    block = {"type": "tool_use", "id": "call_1", "name": "weather", "input": CALL["args"]}
    history.add_messages([AIMessage([block], tool_calls=[CALL])])
    (stored,) = history.engine.memory.list_messages(thread_id="chat")
    assert stored.content == [block]


def test_messages_that_others_saved_are_read(history: EngineChatMessageHistory) -> None:
    function = {"name": "weather", "arguments": '{"city": "Graz"}'}
    image = {"type": "image", "data": "iVBORw0KGgo=", "mediaType": "image/png"}
    history.engine.memory.save_memory(
        thread_id="chat",
        resource_id="ann",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "How is the weather?", "id": "u1"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": function}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "21 degrees"},
            {"role": "assistant", "content": [{"type": "text", "text": "Warm."}]},
            {"role": "user", "content": [{"type": "text", "text": "And here?"}, image]},
        ],
    )
    system, user, call, result, answer, picture = history.messages
    assert isinstance(system, SystemMessage)
    assert (user, user.id) == (HumanMessage("How is the weather?", id="u1"), "u1")
    assert call.tool_calls == [
        ToolCall(name="weather", args={"city": "Graz"}, id="c1", type="tool_call")
    ]
    assert (result.content, result.tool_call_id) == ("21 degrees", "c1")
    assert isinstance(answer, AIMessage)
    assert answer.content == "Warm."
    assert picture.content == [{"type": "text", "text": "And here?"}, image]


def test_characters_that_cannot_be_stored_are_replaced_in_the_readable_part(
    history: EngineChatMessageHistory,
) -> None:
    history.add_messages([HumanMessage("a\0b \ud800")])
    window = history.engine.memory.get_context_window(thread_id="chat", format="openai")
    assert window[0] == {"role": "user", "content": "a\ufffdb ?"}


def test_metadata_of_others_under_the_same_key_is_no_message(
    history: EngineChatMessageHistory,
) -> None:
    message = {"role": "user", "content": "Hello", "metadata": {"langchain": {"type": "ai"}}}
    history.engine.memory.save_memory(thread_id="chat", resource_id="ann", messages=[message])
    (returned,) = history.messages
    assert (type(returned), returned.content) == (HumanMessage, "Hello")


def test_a_long_history_is_read_whole(history: EngineChatMessageHistory) -> None:
    messages = [HumanMessage(str(number)) for number in range(2_001)]
    history.add_messages(messages)
    assert history.messages == messages
    history.clear()
    assert history.messages == []


def test_clearing_keeps_the_thread(history: EngineChatMessageHistory) -> None:
    history.add_user_message("Hello")
    history.engine.memory.update_thread(thread_id="chat", title="Weather")
    history.clear()
    assert history.engine.memory.get_thread(thread_id="chat").title == "Weather"


def test_a_thread_of_another_resource_is_not_found(history: EngineChatMessageHistory) -> None:
    history.add_user_message("Hello")
    bob = EngineChatMessageHistory(thread_id="chat", resource_id="bob", engine=history.engine)
    assert bob.messages == []
    bob.clear()
    with pytest.raises(ThreadNotFound):
        bob.add_user_message("Hello")
    assert len(history.messages) == 1


def test_a_scoped_engine_reaches_its_resources_only(committing_engine: MastraEngine) -> None:
    scoped = committing_engine.within(resource_ids=["ann"])
    ann = EngineChatMessageHistory(thread_id="a", resource_id="ann", engine=scoped)
    bob = EngineChatMessageHistory(thread_id="b", resource_id="bob", engine=scoped)
    ann.add_user_message("Hello")
    assert len(ann.messages) == 1
    assert bob.messages == []
    with pytest.raises(NotFound):
        bob.add_user_message("Hello")


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (
            AIMessage("", tool_calls=[{**CALL, "args": {"n": 2**70}}]),
            "/messages/1/content/0/args/n",
        ),
        ({"role": "user", "content": "Hello"}, "/messages"),
        (ToolMessage("a", tool_call_id="1", artifact=object()), "/messages/1/metadata"),
    ],
)
def test_bad_messages_are_named_and_nothing_is_written(
    history: EngineChatMessageHistory, message: Any, path: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        history.add_messages([HumanMessage("good"), message])
    assert str(caught.value.path).startswith(path)
    assert history.messages == []


@pytest.mark.django_db
def test_messages_are_rolled_back_with_the_callers_transaction() -> None:
    history = EngineChatMessageHistory(thread_id="chat", resource_id="ann", engine=PostgresEngine())
    with transaction.atomic():
        history.add_messages(MESSAGES)
        assert history.messages == MESSAGES
        transaction.set_rollback(True)
    assert history.messages == []


def conversation(engine: MastraEngine) -> RunnableWithMessageHistory:
    prompt = ChatPromptTemplate.from_messages(
        [MessagesPlaceholder("history"), ("human", "{question}")]
    )
    model = GenericFakeChatModel(messages=iter([AIMessage("Warm."), AIMessage("Cold.")]))
    return RunnableWithMessageHistory(
        prompt | model,
        lambda session_id: EngineChatMessageHistory(
            thread_id=session_id, resource_id="ann", engine=engine
        ),
        input_messages_key="question",
        history_messages_key="history",
    )


def test_a_chain_keeps_its_conversation(history: EngineChatMessageHistory) -> None:
    chain, config = conversation(history.engine), {"configurable": {"session_id": "chat"}}
    chain.invoke({"question": "Today?"}, config)
    chain.invoke({"question": "Tomorrow?"}, config)
    assert [message.content for message in history.messages] == [
        *("Today?", "Warm.", "Tomorrow?", "Cold.")
    ]


async def test_a_chain_keeps_its_conversation_in_an_event_loop(
    history: EngineChatMessageHistory,
) -> None:
    chain, config = conversation(history.engine), {"configurable": {"session_id": "chat"}}
    await chain.ainvoke({"question": "Today?"}, config)
    stored = await history.aget_messages()
    assert [message.content for message in stored] == ["Today?", "Warm."]
