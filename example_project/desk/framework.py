"""Answers by an agent of Pydantic AI; the engine keeps its conversation."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings

from example_project.desk import extractive, tools
from example_project.desk.model import ROUNDS, ModelFailed, name, system
from example_project.desk.turns import Turn

if TYPE_CHECKING:
    from pydantic_ai import Agent, RunContext, Tool
    from pydantic_ai.models import Model

#: The messages of a conversation that the agent is sent.
HISTORY = 40


def is_chosen() -> bool:
    """Return whether the setting DESK_FRAMEWORK names the framework."""
    return str(settings.DESK_FRAMEWORK) == "pydantic_ai"


def answer(turn: Turn) -> Iterator[str]:
    """Yield the agent's answer as a whole. Raises ModelFailed."""
    if name():
        turn.search()
    yield async_to_sync(_run)(turn, _agent(turn))


async def _run(turn: Turn, agent: Agent[Any, str]) -> str:
    """Continue the conversation of the turn's thread, and save it with the answer."""
    from pydantic_ai import UsageLimits
    from pydantic_ai.conversation import Conversation
    from pydantic_ai.conversation_store import ConversationConflict
    from pydantic_ai.exceptions import AgentRunError

    from mastra_engine.contrib.pydantic_ai import EngineConversationStore

    store = EngineConversationStore(resource_id=turn.resource_id, engine=turn.desk)
    stored = await store.load(turn.thread_id, limit=HISTORY)
    conversation = stored or Conversation(conversation_id=turn.thread_id)
    # The conversation counts the requests of all its turns.
    limits = UsageLimits(request_limit=conversation.usage.requests + ROUNDS)
    try:
        result = await agent.run(turn.question, conversation=conversation, usage_limits=limits)
        await store.save(result)
    except (AgentRunError, ConversationConflict) as error:
        raise ModelFailed(f"The agent failed: {type(error).__name__}") from error
    return str(result.output)


def _agent(turn: Turn) -> Agent[Any, str]:
    from pydantic_ai import Agent

    return Agent(
        _language_model() if name() else _rules(turn),
        instructions=system(turn),
        tools=[_tool(turn, definition["function"]) for definition in tools.definitions(turn)],
    )


def _language_model() -> Model:
    from pydantic_ai.models.openai import OpenAIChatModel

    return OpenAIChatModel(name() or "")  # it reads the address and the key from the environment


def _rules(turn: Turn) -> Model:
    """Return a model that answers by the rules of the desk and needs no key."""
    from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart
    from pydantic_ai.models.function import AgentInfo, FunctionModel

    async def respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        parts = await sync_to_async(lambda: [*extractive.answer(turn)])()
        return ModelResponse(parts=[TextPart("".join(parts))])

    return FunctionModel(respond)


def _tool(turn: Turn, definition: dict[str, Any]) -> Tool[Any]:
    """Return a tool of the desk, which runs in the thread of the request."""
    from pydantic_ai import Tool

    return Tool.from_schema(
        partial(_call, turn, definition["name"]),
        name=definition["name"],
        description=definition["description"],
        json_schema=definition["parameters"],
        takes_ctx=True,
    )


async def _call(turn: Turn, tool: str, context: RunContext[Any], **arguments: Any) -> Any:
    call = tools.Call(context.tool_call_id or "", tool, arguments)
    (result,) = await sync_to_async(tools.execute)(turn, [call])
    return result
